"""/files/: large downloads that go straight to the store, where that is configured."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from tests.upstream.clouds import CLOUDS

from .api import Answer, Api, Store
from .files_world import faulty, watched
from .test_links import _signed_lifetime

MIB = 2**20
DATA = b"x" * (MIB + 1)
_FAILED = "is sent by the server"
ABOVE_1 = {
    "NBForgeContentsManager": {"redirect_downloads_above_mb": 1},
    # What is small enough to be kept is read whole before it is passed on.
    "CacheStorage": {"max_bytes": 0},
}

pytestmark = [pytest.mark.stores(*CLOUDS), pytest.mark.settings(ABOVE_1)]


async def _get(api: Api, name: str, method: str = "GET", **options: Any) -> Answer:
    return await api.call(method, "files", name, follow_redirects=False, **options)


async def _fetch(url: str) -> HTTPResponse:
    """What the browser gets: without any of Jupyter's headers."""
    return await AsyncHTTPClient().fetch(url, raise_error=False)


async def test_a_large_download_goes_to_the_store_with_its_type_and_name(
    api: Api, store: Store, manager: Any
) -> None:
    name = 'größe "1"; 2.bin'
    store.put(name, DATA)
    seen = watched(manager)
    answer = await _get(api, name)
    assert (answer.status, answer.body) == (302, b"")
    assert answer.headers["Cache-Control"] == "no-store"
    assert seen.operations == ["get"]
    assert seen.chunks == 0
    url = answer.headers["Location"]
    assert _signed_lifetime(url) <= 600
    sent = await _fetch(url)
    assert (sent.code, sent.body == DATA) == (200, True)
    assert sent.headers["Content-Type"] == "application/octet-stream"
    disposition = sent.headers["Content-Disposition"]
    assert disposition.startswith("attachment;")
    assert disposition.endswith("filename*=utf-8''gr%C3%B6%C3%9Fe%20%221%22%3B%202.bin")


@pytest.mark.stores("seaweedfs")
@pytest.mark.parametrize("name", ["a.html", "a.xhtml", "a.svg", "a.txt", "a.ipynb"])
async def test_what_a_browser_shows_is_redirected_only_to_be_saved(
    api: Api, store: Store, name: str
) -> None:
    store.put(name, DATA)
    shown = await _get(api, name)
    assert shown.status == (302 if name == "a.ipynb" else 200)
    assert "sandbox" in shown.headers["Content-Security-Policy"]
    saved = await _get(api, name, params={"download": 1})
    assert saved.status == 302
    sent = await _fetch(saved.headers["Location"])
    assert sent.headers["Content-Disposition"].startswith("attachment;")


@pytest.mark.stores("seaweedfs")
async def test_what_need_not_or_cannot_be_redirected_comes_from_the_server(
    api: Api, store: Store
) -> None:
    store.put("a.bin", DATA)
    store.put("small.bin", DATA[:MIB])
    first = await _get(api, "a.bin", headers={"Range": "bytes=0-9"})
    etag = first.headers["Etag"]
    assert first.status == 206
    assert (await _get(api, "small.bin")).status == 200
    assert (await _get(api, "a.bin", "HEAD")).status == 200
    assert (await _get(api, "a.bin", headers={"If-None-Match": etag})).status == 304
    for mode, status in {"navigate": 302, "cors": 200, "no-cors": 200, "same-origin": 200}.items():
        answer = await _get(api, "a.bin", headers={"Sec-Fetch-Mode": mode})
        assert answer.status == status, mode


@pytest.mark.stores("seaweedfs")
@pytest.mark.settings({"RetryStorage": {"max_attempts": 1}})
async def test_where_no_link_can_be_made_the_server_sends_the_file(
    api: Api, store: Store, manager: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store.put("a.bin", DATA)
    manager.log.propagate = True
    faulty(manager).fail("get_presigned_url")
    answer = await _get(api, "a.bin")
    assert (answer.status, answer.body == DATA) == (200, True)
    assert _FAILED in caplog.text
    assert (await _get(api, "a.bin")).status == 302


@pytest.mark.stores("memory")
async def test_a_store_without_links_sends_through_the_server(
    api: Api, store: Store, manager: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store.put("a.bin", DATA)
    manager.log.propagate = True
    assert (await _get(api, "a.bin")).status == 200
    assert _FAILED not in caplog.text


@pytest.mark.stores("seaweedfs")
@pytest.mark.settings({"NBForgeContentsManager": {"max_link_lifetime": 0.5}})
async def test_where_links_are_switched_off_nothing_is_redirected(
    api: Api, store: Store, manager: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store.put("a.bin", DATA)
    manager.log.propagate = True
    assert (await _get(api, "a.bin")).status == 200
    assert _FAILED not in caplog.text


@pytest.mark.settings({"NBForgeContentsManager": {"max_link_lifetime": 20.5}})
async def test_the_link_lives_no_longer_than_any_link_may(api: Api, store: Store) -> None:
    store.put("a.bin", DATA)
    answer = await _get(api, "a.bin")
    assert 1 <= _signed_lifetime(answer.headers["Location"]) <= 20


async def test_where_a_download_is_sent_is_not_logged(
    api: Api, store: Store, manager: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store.put("a.bin", DATA)
    manager.log.propagate = True
    caplog.set_level(logging.DEBUG)
    url = (await _get(api, "a.bin")).headers["Location"]
    query = url.partition("?")[2]
    secrets = [part.partition("=")[2] for part in query.split("&") if "sig" in part.lower()]
    secrets = [secret for secret in secrets if len(secret) > 20]
    assert secrets
    for secret in (query, *secrets):
        assert secret not in caplog.text


@pytest.mark.stores("seaweedfs")
async def test_what_is_hidden_is_not_redirected_either(api: Api, store: Store) -> None:
    store.put(".secret/a.bin", DATA)
    assert (await _get(api, ".secret/a.bin")).status == 404
