"""One tree over three clouds and a disk, through a server."""

from __future__ import annotations

import asyncio
import base64
import itertools
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from tornado.httpclient import AsyncHTTPClient
from traitlets.config import Config

from tests.upstream.clouds import Cloud

from .api import Api, notebook_model, text_model
from .mounts_world import FOLDERS, Mounts, make_mounts

MIB = 2**20
CLOUDY = ("", "gcs", "azure")
PAIRS = list(itertools.permutations(FOLDERS, 2))


@pytest.fixture
def mounts(
    clouds: Callable[[str], Cloud], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Mounts:
    return make_mounts(clouds, tmp_path / "disk", monkeypatch)


@pytest.fixture
def jp_server_config(request: pytest.FixtureRequest, mounts: Mounts) -> Config:
    config = mounts.config()
    for marker in request.node.iter_markers("settings"):
        config.merge(Config(marker.args[0]))
    return config


def below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


async def test_opening_saving_and_checkpoints_work_in_every_mount(api: Api, mounts: Mounts) -> None:
    assert await api.names() == ["azure", "disk", "gcs", "ro"]
    for folder in FOLDERS:
        path = below(folder, "a.ipynb")
        await api.save(path, notebook_model("first"))
        made = (await api.contents("POST", f"{path}/checkpoints")).json
        await api.save(path, notebook_model("second"))
        assert b"second" in (mounts.read(folder, "a.ipynb") or b"")
        restored = await api.contents("POST", f"{path}/checkpoints/{made['id']}")
        assert restored.status == 204
        assert (await api.get(path))["content"]["cells"][0]["source"] == "first"
        assert mounts.paths(folder) == ["a.ipynb"]
        assert "a.ipynb" in await api.names(folder)


async def test_uploads_and_downloads_work_in_every_mount(api: Api, mounts: Mounts) -> None:
    pieces = [secrets.token_bytes(MIB) for _ in range(3)]
    whole = b"".join(pieces)
    for folder in FOLDERS:
        path = below(folder, "up.bin")
        for number, piece in zip((1, 2, -1), pieces, strict=True):
            content = base64.b64encode(piece).decode()
            model = {"type": "file", "format": "base64", "content": content, "chunk": number}
            await api.save(path, model)
        assert mounts.read(folder, "up.bin") == whole
        downloaded = await api.call("GET", "files", path)
        assert (downloaded.status, downloaded.body == whole) == (200, True)
        part = await api.call("GET", "files", path, headers={"Range": "bytes=10-19"})
        assert (part.status, part.body) == (206, whole[10:20])


@pytest.mark.settings({"NBForgeContentsManager": {"redirect_downloads_above_mb": 1}})
async def test_links_lead_to_the_store_of_the_mount(api: Api, mounts: Mounts) -> None:
    data = b"x" * (MIB + 1)
    for folder in CLOUDY:
        mounts.write(folder, "large.bin", data)
        path = below(folder, "large.bin")
        redirected = await api.call("GET", "files", path, follow_redirects=False)
        assert redirected.status == 302
        link = (await api.call("GET", "jupyter_nbforge", "links", path)).json["url"]
        for url in (link, redirected.headers["Location"]):
            assert url.startswith(mounts.clouds[folder].endpoint)
            sent = await AsyncHTTPClient().fetch(url, raise_error=False)
            assert (sent.code, sent.body == data) == (200, True)
    mounts.write("disk", "large.bin", data)
    link_of_disk = await api.call("GET", "jupyter_nbforge", "links", "disk/large.bin")
    assert link_of_disk.status == 501
    from_here = await api.call("GET", "files", "disk/large.bin", follow_redirects=False)
    assert (from_here.status, from_here.body == data) == (200, True)


@pytest.mark.settings({"NBForgeContentsManager": {"upload_links": True}})
async def test_a_link_for_writing_says_what_the_store_of_the_mount_wants(
    api: Api, mounts: Mounts
) -> None:
    for folder in CLOUDY:
        path = below(folder, "put.txt")
        link = (await api.call("POST", "jupyter_nbforge", "links", path, body={})).json
        assert ("x-ms-blob-type" in link["headers"]) == (folder == "azure")
        sent = await AsyncHTTPClient().fetch(
            link["url"], method="PUT", headers=link["headers"], body=b"put", raise_error=False
        )
        assert sent.code < 300
        assert mounts.read(folder, "put.txt") == b"put"
    refused = await api.call("POST", "jupyter_nbforge", "links", "ro/put.txt", body={})
    assert refused.status == 403


async def test_a_notebook_moves_between_all_of_them_with_its_checkpoints(
    api: Api, mounts: Mounts
) -> None:
    for number, (old, new) in enumerate(PAIRS):
        source, target = below(old, f"{number}.ipynb"), below(new, f"{number}-moved.ipynb")
        await api.save(source, notebook_model("text"))
        await api.contents("POST", f"{source}/checkpoints")
        before = await api.get(source, hash=1)
        data = mounts.read(old, f"{number}.ipynb")
        renamed = await api.rename(source, target)
        assert mounts.read(new, f"{number}-moved.ipynb") == data
        assert mounts.read(old, f"{number}.ipynb") is None
        after = await api.get(target, hash=1)
        assert after["content"] == before["content"]
        assert renamed["hash"] == after["hash"]
        kept = await api.contents("GET", f"{target}/checkpoints")
        assert len(kept.json) == 1
        if "disk" not in (old, new):
            assert after["hash"] == before["hash"]
            assert after["last_modified"] == before["last_modified"]
        await api.save(target, notebook_model("goes on"))


@pytest.mark.parametrize("size", [9 * MIB])
async def test_a_large_file_moves_in_parts_and_arrives_whole(
    api: Api, mounts: Mounts, size: int
) -> None:
    data = secrets.token_bytes(size)
    mounts.write("", "large.bin", data)
    path = "large.bin"
    for folder in ("gcs", "azure", "disk", ""):
        await api.rename(path, below(folder, "large.bin"))
        path = below(folder, "large.bin")
        assert mounts.read(folder, "large.bin") == data
    assert [mounts.paths(folder) for folder in FOLDERS] == [["large.bin"], [], [], []]


async def test_a_folder_moves_around_with_all_that_is_in_it(api: Api, mounts: Mounts) -> None:
    await api.make_folder("folder")
    await api.make_folder("folder/empty")
    await api.save("folder/a.ipynb", notebook_model("text"))
    await api.contents("POST", "folder/a.ipynb/checkpoints")
    mounts.write("", "folder/sub/b.bin", b"\0\1")
    path = "folder"
    # SeaweedFS goes on listing a prefix for a while after its last object has gone.
    for target in ("azure/folder", "disk/folder", "gcs/folder", "back"):
        folder, _, name = target.rpartition("/")
        await api.rename(path, target)
        path = target
        assert await api.names(path) == ["a.ipynb", "empty", "sub"]
        assert mounts.read(folder, f"{name}/sub/b.bin") == b"\0\1"
        kept = await api.contents("GET", f"{path}/a.ipynb/checkpoints")
        assert len(kept.json) == 1
    for folder in ("azure", "gcs", "disk"):
        assert mounts.paths(folder) == []


async def test_copies_go_between_mounts(api: Api, mounts: Mounts) -> None:
    for old, new in PAIRS:
        await api.save(below(old, "copied.txt"), text_model(f"from {old}"))
        made = await api.contents("POST", new, {"copy_from": below(old, "copied.txt")})
        assert made.status == 201
        path = made.json["path"]
        assert mounts.read(new, path.removeprefix(f"{new}/")) == f"from {old}".encode()


async def test_a_read_only_mount_shows_all_and_takes_nothing(api: Api, mounts: Mounts) -> None:
    client, area = mounts.clients["azure"], f"{mounts.area}-ro"
    client.write(f"{area}/d/a.txt", b"a")
    client.write(f"{area}/b.txt", b"b")
    before = client.paths(area)
    models = [await api.get("ro"), await api.get("ro/d"), await api.get("ro/b.txt")]
    entries = [*models[0]["content"], *models[1]["content"]]
    (shown,) = (entry for entry in (await api.get(""))["content"] if entry["name"] == "ro")
    assert {model["writable"] for model in (*models, *entries, shown)} == {False}
    for method, path, body in (
        ("PUT", "ro/b.txt", text_model("no")),
        ("PUT", "ro/new.txt", text_model("no")),
        ("POST", "ro", {"type": "notebook"}),
        ("PATCH", "ro/b.txt", {"path": "b.txt"}),
        ("PATCH", "ro/d", {"path": "d"}),
        ("DELETE", "ro/b.txt", None),
        ("POST", "ro", {"copy_from": "ro/b.txt"}),
    ):
        answer = await api.contents(method, path, body)
        assert answer.status == 403, (method, path, answer.body)
        assert "read-only" in answer.message
    assert client.paths(area) == before
    assert mounts.paths("") == []


async def test_mount_points_stay(api: Api, mounts: Mounts) -> None:
    await api.save("gcs/a.txt", text_model("a"))
    for method, path, body in (
        ("DELETE", "gcs", None),
        ("PATCH", "gcs", {"path": "other"}),
        ("PATCH", "gcs", {"path": "azure/other"}),
    ):
        answer = await api.contents(method, path, body)
        assert answer.status == 403
        assert "storage of its own" in answer.message
    over = await api.contents("PATCH", "azure", {"path": "gcs"})
    assert over.status in (403, 409)
    assert await api.names() == ["azure", "disk", "gcs", "ro"]
    assert await api.text("gcs/a.txt") == "a"


async def test_many_files_move_at_once_while_the_server_goes_on(api: Api, mounts: Mounts) -> None:
    """As when a person drags a selection: none of them is lost or made twice."""
    names = [f"{number}.txt" for number in range(8)]
    await asyncio.gather(*(api.save_text(f"gcs/{name}", name) for name in names))
    await asyncio.gather(*(api.rename(f"gcs/{name}", f"azure/{name}") for name in names))
    assert mounts.paths("gcs") == []
    assert {name: mounts.read("azure", name) for name in names} == {
        name: name.encode() for name in names
    }
