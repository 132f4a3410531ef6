"""/files/: what a browser downloads or shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from nbformat import writes
from nbformat.v4 import new_notebook

from .api import Api, Store

CONTENT_TYPES = {
    "a.txt": "text/plain; charset=UTF-8",
    "a.ipynb": "application/x-ipynb+json",
    "a.png": "image/png",
    "a.svg": "image/svg+xml",
    "a.html": "text/html",
    "a.tar.gz": "application/gzip",
    "a.bz2": "application/octet-stream",
}


@pytest.mark.parametrize("name", CONTENT_TYPES)
async def test_the_bytes_come_with_the_type_of_the_name(api: Api, store: Store, name: str) -> None:
    data = b"\x00\xff bytes of " + name.encode()
    store.put(f"d/{name}", data)
    answer = await api.call("GET", "files", "d", name)
    assert answer.status == 200
    assert answer.body == data
    assert answer.headers["Content-Type"] == CONTENT_TYPES[name]
    assert answer.headers["Content-Length"] == str(len(data))


@pytest.mark.stores("memory")
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"#!/bin/sh\n", "text/plain; charset=UTF-8"),
        ("ä".encode() * 5000, "text/plain; charset=UTF-8"),
        (b"x" * 8191 + "ä".encode(), "text/plain; charset=UTF-8"),
        (b"\xff\xfe", "application/octet-stream"),
        (b"name\0\0\0 of a file in an archive", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
async def test_a_name_that_tells_no_type_is_text_if_it_begins_like_text(
    api: Api, store: Store, data: bytes, kind: str
) -> None:
    store.put("Makefile.unheard-of", data)
    for method in ("GET", "HEAD"):
        answer = await api.call(method, "files", "Makefile.unheard-of")
        assert answer.headers["Content-Type"] == kind, method
        assert answer.headers["Content-Length"] == str(len(data))


@pytest.mark.stores("memory")
async def test_a_part_that_begins_within_a_character_is_text(api: Api, store: Store) -> None:
    store.put("notes", "aäöü")
    answer = await api.call("GET", "files", "notes", headers={"Range": "bytes=2-"})
    assert (answer.status, answer.body) == (206, "aäöü".encode()[2:])
    assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"


async def test_what_is_shown_cannot_act_as_the_person(api: Api, store: Store) -> None:
    store.put("page.html", "<script>1</script>")
    headers = (await api.call("GET", "files", "page.html")).headers
    assert "sandbox allow-scripts" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["a.txt", 'grüße 日本 "q" 100%; a=b.txt', "book.ipynb", "🙂"])
async def test_download_saves_under_the_name(api: Api, store: Store, name: str) -> None:
    store.put(f"d/{name}", "text")
    answer = await api.call("GET", "files", "d", name, params={"download": 1})
    assert answer.status == 200
    kind, fallback, extended = _parameters(answer.headers["Content-Disposition"])
    assert kind == "attachment"
    assert extended == f"filename*=utf-8''{quote(name, safe='')}"
    shown = fallback.removeprefix('filename="').removesuffix('"').replace('\\"', '"')
    assert shown == "".join(letter if letter.isascii() else "_" for letter in name)
    assert answer.body == b"text"


def _parameters(header: str) -> list[str]:
    """The parts of a header between its semicolons, those within quotes aside."""
    return re.findall(r'(?:[^;"\s]|"(?:[^"\\]|\\.)*")+', header)


@pytest.mark.parametrize("name", ["a\r\nX-Evil: 1.txt", "a\nb", "a\x7f"])
async def test_a_name_cannot_bring_headers(api: Api, store: Store, name: str) -> None:
    answer = await api.call("GET", "files", name, params={"download": 1})
    assert answer.status == 400
    assert "X-Evil" not in answer.headers


async def test_without_download_a_file_is_shown(api: Api, store: Store) -> None:
    store.put("a.txt", "text")
    headers = (await api.call("GET", "files", "a.txt")).headers
    assert "attachment" not in headers.get("Content-Disposition", "")


@pytest.mark.parametrize("path", [".hidden", ".secret/a.txt", "d/.x/a.txt"])
async def test_what_is_hidden_is_a_404(api: Api, store: Store, manager: Any, path: str) -> None:
    store.put(path, "hidden")
    for method in ("GET", "HEAD"):
        assert (await api.call(method, "files", path)).status == 404
    manager.allow_hidden = True
    assert (await api.call("GET", "files", path)).body == b"hidden"


async def test_our_own_keys_are_not_served(api: Api, store: Store, manager: Any) -> None:
    manager.allow_hidden = True
    await api.save_text("a.txt", "one")
    await api.contents("POST", "a.txt/checkpoints")
    own = [path for path in store.paths(hidden=True) if path.startswith(".nbforge/")]
    assert own
    for path in own:
        assert (await api.call("GET", "files", path)).status == 404


@pytest.mark.parametrize("name", ["a.bin", "a.txt", "a.html", "a.tar.gz", "a.ipynb", "notes"])
async def test_head_tells_what_get_would_send(api: Api, store: Store, name: str) -> None:
    store.put(name, b"x" * 3000)
    for params in ({}, {"download": 1}):
        got, head = [
            await api.call(method, "files", name, params=params) for method in ("GET", "HEAD")
        ]
        assert (head.status, head.body) == (200, b"")
        assert _lasting(head.headers) == _lasting(got.headers)
        assert {"Etag", "Last-Modified", "Content-Length", "Accept-Ranges"} <= set(got.headers)


def _lasting(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in ("Date", "Set-Cookie")}


@pytest.mark.stores("memory")
async def test_a_browser_asks_each_time_whether_its_copy_is_current(api: Api, store: Store) -> None:
    store.put("a.txt", "one")
    answer = await api.call("GET", "files", "a.txt")
    again = {"If-None-Match": answer.headers["Etag"]}
    unchanged = await api.call("GET", "files", "a.txt", headers=again)
    for headers in (answer.headers, unchanged.headers):
        assert headers["Cache-Control"] == "private, no-cache"


async def test_an_etag_saves_the_second_download_and_changes_with_the_bytes(
    api: Api, store: Store
) -> None:
    store.put("a.txt", "one")
    etag = (await api.call("GET", "files", "a.txt")).headers["ETag"]
    again = await api.call("GET", "files", "a.txt", headers={"If-None-Match": etag})
    assert (again.status, again.body) == (304, b"")
    store.put("a.txt", "two")
    changed = await api.call("GET", "files", "a.txt", headers={"If-None-Match": etag})
    assert (changed.status, changed.body) == (200, b"two")


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=99-", 416, None, "bytes */10"),
    ],
)
async def test_a_part_of_a_file_can_be_asked_for(
    api: Api, store: Store, asked: str, status: int, body: bytes | None, content_range: str
) -> None:
    store.put("a.bin", b"0123456789")
    answer = await api.call("GET", "files", "a.bin", headers={"Range": asked})
    assert answer.status == status
    assert answer.headers["Content-Range"] == content_range
    assert body is None or answer.body == body


@pytest.mark.parametrize("asked", ["bytes=1-2,4-5", "bytes=5-2", "lines=1-2", "nonsense"])
async def test_a_range_that_is_not_served_gives_the_whole_file(
    api: Api, store: Store, asked: str
) -> None:
    store.put("a.bin", b"0123456789")
    answer = await api.call("GET", "files", "a.bin", headers={"Range": asked})
    assert (answer.status, answer.body) == (200, b"0123456789")


async def test_a_large_file_arrives_whole(api: Api, store: Store) -> None:
    data = bytes(range(256)) * 40_000
    store.put("big.bin", data)
    assert (await api.call("GET", "files", "big.bin")).body == data


@pytest.mark.stores("seaweedfs")
async def test_nothing_is_sent_to_the_store_unless_configured(api: Api, store: Store) -> None:
    store.put("big.bin", bytes(2**21))
    answer = await api.call("GET", "files", "big.bin", params={"download": 1})
    assert (answer.status, len(answer.body)) == (200, 2**21)


async def test_an_empty_file_is_served(api: Api, store: Store) -> None:
    store.put("empty.txt", b"")
    answer = await api.call("GET", "files", "empty.txt")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("path", ["d", "d/", "", "missing.txt"])
async def test_folders_are_not_listed_and_what_is_missing_is_not_invented(
    api: Api, store: Store, path: str
) -> None:
    store.put("d/secret-name.txt", "x")
    answer = await api.call("GET", "files", path)
    assert answer.status in (400, 404), answer.status
    assert b"secret-name" not in answer.body


async def test_no_file_of_the_servers_own_disk_is_served(
    api: Api, store: Store, jp_root_dir: Path
) -> None:
    local = jp_root_dir / "local.txt"
    local.write_text("on the disk of the server")
    for path in ("local.txt", str(local), f"../{local.name}", "/etc/passwd", "../../../etc/passwd"):
        answer = await api.call("GET", "files", path)
        assert answer.status == 404, path
    assert (await api.contents("GET", "local.txt")).status == 404


async def test_nothing_is_served_to_who_has_not_logged_in(
    api: Api, store: Store, http_server_client: Any, jp_base_url: str
) -> None:
    store.put("a.ipynb", writes(new_notebook()))
    for method, path in (
        ("GET", "files/a.ipynb"),
        ("HEAD", "files/a.ipynb"),
        ("GET", "api/contents/a.ipynb"),
        ("DELETE", "api/contents/a.ipynb"),
    ):
        answer = await http_server_client.fetch(
            jp_base_url + path, method=method, follow_redirects=False, raise_error=False
        )
        assert answer.code in (302, 403), (method, path)
        assert b"nbformat" not in (answer.body or b"")
    assert store.get("a.ipynb") is not None


async def test_a_file_of_the_view_page_is_the_file(api: Api, store: Store) -> None:
    store.put("page.html", "<p>hello</p>")
    answer = await api.call("GET", "view", "page.html")
    assert answer.status == 200
    assert b"/files/page.html" in answer.body
    assert (await api.call("GET", "view", "missing.html")).status == 404
