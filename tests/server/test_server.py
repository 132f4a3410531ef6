"""The server around the manager: hooks, other requests, errors, nbconvert and kernels."""

from __future__ import annotations

import asyncio
import os
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from jupyter_core.utils import ensure_async
from jupyter_server.services.api import handlers
from nbformat import writes
from nbformat.v4 import new_code_cell, new_output
from tornado.web import HTTPError

from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.types import ListPage

from .api import Api, Store, notebook_model, text_model


async def test_pre_save_hooks_change_what_is_saved(api: Api, store: Store, manager: Any) -> None:
    def upper(model: Any, path: str, **kwargs: Any) -> None:
        model["content"] = f"{path}: {model['content'].upper()}"

    manager.register_pre_save_hook(upper)
    await api.save_text("a.txt", "text")
    assert store.get("a.txt") == b"a.txt: TEXT"


async def test_a_pre_save_hook_that_refuses_stops_the_save(
    api: Api, store: Store, manager: Any
) -> None:
    def refuse(model: Any, path: str, **kwargs: Any) -> None:
        raise HTTPError(400, "not today")

    manager.register_pre_save_hook(refuse)
    answer = await api.contents("PUT", "a.txt", text_model("text"))
    assert answer.status == 400
    assert "not today" in answer.message
    assert store.paths() == []


async def test_post_save_hooks_are_run_once_after_the_save(
    api: Api, store: Store, manager: Any
) -> None:
    seen: list[tuple[str, bytes | None]] = []

    def look(model: Any, os_path: str, **kwargs: Any) -> None:
        seen.append((model["path"], store.get(model["path"])))

    manager.register_post_save_hook(look)
    await api.save_text("a.txt", "text")
    assert seen == [("a.txt", b"text")]


@pytest.mark.stores("memory")
async def test_other_requests_are_answered_while_a_folder_is_listed(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, release = asyncio.Event(), asyncio.Event()
    original = MemoryStorage.list_pages

    async def slow(self: MemoryStorage, prefix: str, **options: Any) -> AsyncIterator[ListPage]:
        entered.set()
        await release.wait()
        async for page in original(self, prefix, **options):
            yield page

    store.put("d/a.txt", "a")
    monkeypatch.setattr(MemoryStorage, "list_pages", slow)
    listing = asyncio.ensure_future(api.contents("GET", "d"))
    await entered.wait()
    assert (await api.call("GET", "api", "status")).status == 200
    assert not listing.done()
    release.set()
    assert (await listing).status == 200


class _SilentS3(ThreadingHTTPServer):
    """An S3 that takes a request and does not answer before it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _SilentHandler)
        self.entered = threading.Event()
        self.release = threading.Event()

    @contextmanager
    def running(self) -> Iterator[str]:
        thread = threading.Thread(target=self.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{self.server_address[1]}"
        finally:
            self.release.set()
            self.shutdown()
            self.server_close()
            thread.join()


class _SilentHandler(BaseHTTPRequestHandler):
    server: _SilentS3

    def do_GET(self) -> None:
        self.server.entered.set()
        self.server.release.wait(60)
        body = b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        body += b"<IsTruncated>false</IsTruncated><Contents><Key>d/a.txt</Key><Size>1</Size>"
        body += b"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;1&quot;</ETag>"
        body += b"</Contents></ListBucketResult>"
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def silent_s3() -> Iterator[tuple[_SilentS3, str]]:
    server = _SilentS3()
    with server.running() as endpoint:
        yield server, endpoint


@pytest.fixture
def on_silent_s3(
    silent_s3: tuple[_SilentS3, str], jp_server_config: Any, monkeypatch: pytest.MonkeyPatch
) -> _SilentS3:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    jp_server_config.NBForgeContentsManager.storage_url = "s3://bucket"
    jp_server_config.S3Storage.endpoint_url = silent_s3[1]
    jp_server_config.S3Storage.region_name = "us-east-1"
    return silent_s3[0]


@pytest.mark.stores("memory")
async def test_other_requests_are_answered_while_s3_is_silent(
    on_silent_s3: _SilentS3, api: Api
) -> None:
    listing = asyncio.ensure_future(api.contents("GET", "d"))
    assert await asyncio.to_thread(on_silent_s3.entered.wait, 20)
    assert (await api.call("GET", "api", "status")).status == 200
    assert not listing.done()
    on_silent_s3.release.set()
    answer = await listing
    assert [entry["name"] for entry in answer.json["content"]] == ["a.txt"]


WRONG_SECRET = "wrong-secret-that-nobody-may-see"


async def _is_a_clear_failure(api: Api, *secrets: str) -> str:
    sentences = set()
    for method, path, body in (
        ("GET", "", None),
        ("GET", "a.txt", None),
        ("PUT", "a.txt", text_model("x")),
        ("DELETE", "a.txt", None),
    ):
        answer = await api.contents(method, path, body)
        assert answer.status in (403, 500, 502, 503), (method, path, answer.status, answer.body)
        text = answer.body.decode()
        assert "Traceback" not in text, (method, path, text)
        assert not [secret for secret in secrets if secret in text]
        sentences.add(answer.message)
    return " ".join(sentences)


@pytest.mark.stores("seaweedfs")
@pytest.mark.settings({"NBForgeContentsManager": {"storage_url": "s3://no-such-bucket/prefix"}})
async def test_a_bucket_that_does_not_exist_is_named_and_is_no_404(api: Api, store: Store) -> None:
    assert "no-such-bucket" in await _is_a_clear_failure(api, store.client.secret)  # type: ignore[attr-defined]


@pytest.mark.stores("seaweedfs")
async def test_a_wrong_secret_is_a_sentence_without_the_secret(
    wrong_secret: None, api: Api, store: Store
) -> None:
    await _is_a_clear_failure(api, WRONG_SECRET, store.client.secret)  # type: ignore[attr-defined]


@pytest.fixture
def wrong_secret(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", WRONG_SECRET)


async def test_nbconvert_makes_html_of_a_notebook_in_the_store(api: Api, store: Store) -> None:
    store.put("d/book.ipynb", writes(notebook_model("# grüße")["content"]))
    answer = await api.call("GET", "nbconvert", "html", "d", "book.ipynb")
    assert answer.status == 200, answer.body[-2000:]
    assert "text/html" in answer.headers["Content-Type"]
    assert "grüße" in answer.body.decode()
    assert (await api.call("GET", "nbconvert", "html", "missing.ipynb")).status == 404


@pytest.mark.stores("memory", "seaweedfs")
@pytest.mark.parametrize(
    ("format_", "expected"), [("script", "print(6 * 7)"), ("markdown", "# grüße")]
)
async def test_nbconvert_exports_what_is_stored_and_what_is_sent_alike(
    api: Api, store: Store, format_: str, expected: str
) -> None:
    content = notebook_model("# grüße")["content"]
    content.cells.append(new_code_cell("print(6 * 7)"))
    content.metadata["language_info"] = {"name": "python", "file_extension": ".py"}
    store.put("d/book.ipynb", writes(content))
    params = {"download": "true"}
    stored = await api.call("GET", "nbconvert", format_, "d", "book.ipynb", params=params)
    assert stored.status == 200, stored.body[-2000:]
    assert "filename*=utf-8''book." in stored.headers["Content-Disposition"]
    body = {"name": "book.ipynb", "content": content}
    sent = await api.call("POST", "nbconvert", format_, body=body)
    assert sent.status == 200, sent.body[-2000:]
    assert stored.body == sent.body
    assert expected in stored.body.decode()


async def test_nbconvert_gives_pictures_and_text_in_one_archive(api: Api, store: Store) -> None:
    picture = b"a picture"
    output = new_output("display_data", {"image/png": b64encode(picture).decode()})
    content = notebook_model("# title")["content"]
    content.cells.append(new_code_cell("1", outputs=[output]))
    store.put("d/book.ipynb", writes(content))
    answer = await api.call("GET", "nbconvert", "markdown", "d", "book.ipynb")
    assert answer.headers["Content-Type"] == "application/zip"
    with ZipFile(BytesIO(answer.body)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert picture in contents.values()
    assert b"# title" in contents["book.md"]


@pytest.mark.stores("memory")
async def test_a_kernel_starts_for_a_notebook_whose_folder_is_not_on_the_disk(
    api: Api, store: Store, jp_serverapp: Any
) -> None:
    store.put("deep/folder/book.ipynb", writes(notebook_model("x")["content"]))
    body = {
        "path": "deep/folder/book.ipynb",
        "name": "book.ipynb",
        "type": "notebook",
        "kernel": {"name": "python3"},
    }
    answer = await api.call("POST", "api", "sessions", body=body, request_timeout=60)
    assert answer.status == 201, answer.body
    session = answer.json
    kernels = jp_serverapp.kernel_manager
    try:
        assert session["path"] == "deep/folder/book.ipynb"
        folder = await ensure_async(
            jp_serverapp.contents_manager.get_kernel_path(path=session["path"])
        )
        process = kernels.get_kernel(session["kernel"]["id"]).provisioner.process
        _kernel_runs_in(kernels.cwd_for_path(folder), process.pid, Path(jp_serverapp.root_dir))
    finally:
        deleted = await api.call("DELETE", "api", "sessions", session["id"])
    assert deleted.status == 204


def _kernel_runs_in(cwd: str, pid: int, root: Path) -> None:
    assert os.path.isdir(cwd)
    if os.path.isdir("/proc"):
        assert os.path.samefile(f"/proc/{pid}/cwd", cwd)
    assert list(root.iterdir()) == [], "a folder was made on the disk of the server"


@pytest.mark.skipif(
    not hasattr(handlers, "PathResolverHandler"), reason="this jupyter_server has no such route"
)
async def test_resolve_path_knows_what_lies_in_the_store_and_nothing_else(
    api: Api, store: Store
) -> None:
    store.put("d/a.txt", "a")
    for asked, expected in (
        ("d/a.txt", "d/a.txt"),
        ("d", "d"),
        ("missing.txt", None),
        ("../witness.txt", None),
    ):
        answer = await api.call("GET", "api", "resolvePath", params={"path": asked})
        assert answer.status == 200, answer.body
        scopes = {entry["scope"]: entry["path"] for entry in answer.json["resolved"]}
        assert scopes.get("server") == expected, asked
