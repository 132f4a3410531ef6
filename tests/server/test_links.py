"""The route for links: who gets one, for what, and for how long."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from jupyter_server.auth import Authorizer, User
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.web import create_signed_value

from jupyter_nbforge import NBForgeContentsManager
from tests.upstream.clouds import CLOUDS

from .api import Answer, Api, Store

XSRF = "0" * 32

pytestmark = pytest.mark.stores(*CLOUDS)


async def _link(api: Api, path: str, **params: Any) -> dict[str, Any]:
    answer = await _ask(api, path, **params)
    assert answer.status == 200, answer.body
    link: dict[str, Any] = answer.json
    return link


async def _ask(api: Api, path: str, **params: Any) -> Answer:
    return await api.call("GET", "jupyter_nbforge", "links", path, params=params)


async def _ask_for_writing(api: Api, path: str, body: Any = None) -> Answer:
    return await api.call("POST", "jupyter_nbforge", "links", path, body=body or {})


async def _fetch(link: dict[str, Any], data: bytes | None = None) -> HTTPResponse:
    """What anybody gets: a plain HTTP request without any of Jupyter's headers."""
    return await AsyncHTTPClient().fetch(
        link["url"], method=link["method"], headers=link["headers"], body=data, raise_error=False
    )


async def test_a_link_serves_the_file_with_its_type_and_name(api: Api, store: Store) -> None:
    name = "d é/größe 1+2.csv"
    store.put(name, b"a,b\n1,2\n")
    link = await _link(api, name)
    assert (link["method"], link["headers"]) == ("GET", {})
    answer = await _fetch(link)
    assert (answer.code, answer.body) == (200, b"a,b\n1,2\n")
    assert answer.headers["Content-Type"] == "text/csv"
    disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith("attachment")
    assert disposition.endswith("filename*=utf-8''gr%C3%B6%C3%9Fe%201%2B2.csv")


async def test_a_link_can_be_to_show_and_not_to_save(api: Api, store: Store) -> None:
    store.put("a.png", b"png")
    answer = await _fetch(await _link(api, "a.png", download=0))
    assert answer.headers["Content-Type"] == "image/png"
    assert "attachment" not in answer.headers.get("Content-Disposition", "")


@pytest.mark.settings({"NBForgeContentsManager": {"max_link_lifetime": 90.5}})
async def test_a_link_lives_for_whole_seconds_and_none_more(api: Api, store: Store) -> None:
    store.put("a.txt", b"1")
    for asked, seconds in {None: 90, "90.5": 90, "1.9": 1}.items():
        link = await _link(api, "a.txt", **({} if asked is None else {"expires_in": asked}))
        assert link["expires_in"] == seconds
        assert _signed_lifetime(link["url"]) <= seconds


def _signed_lifetime(url: str) -> float:
    """Seconds from now, or from when it was signed, as the address itself says."""
    query = {name.lower(): values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    for name in ("x-amz-expires", "x-goog-expires"):
        if name in query:
            return float(query[name])
    until = datetime.fromisoformat(query["se"].replace("Z", "+00:00"))
    # Azure's end is a moment, rounded up to a second.
    return (until - datetime.now(timezone.utc)).total_seconds() - 1


@pytest.mark.settings({"NBForgeContentsManager": {"max_link_lifetime": 120}})
async def test_a_link_lives_at_most_as_long_as_configured(api: Api, store: Store) -> None:
    store.put("a.txt", b"1")
    link = await _link(api, "a.txt")
    assert link["expires_in"] == 120
    left = datetime.fromisoformat(link["expires_at"]) - datetime.now(timezone.utc)
    assert 100 < left.total_seconds() <= 121
    assert (await _link(api, "a.txt", expires_in=60))["expires_in"] == 60
    for wrong in ("121", "0", "0.5", "120.5", "-1", "nan", "inf", "1e400", "soon", "", "0x10"):
        answer = await _ask(api, "a.txt", expires_in=wrong)
        assert answer.status == 400, wrong
        assert "at most 120" in answer.message


async def test_a_link_is_refused_after_its_time(api: Api, store: Store) -> None:
    store.put("a.txt", b"1")
    link = await _link(api, "a.txt", expires_in=1)
    await asyncio.sleep(2.1)  # there is no event for it: whole seconds count
    answer = await _fetch(link)
    assert answer.code in (400, 401, 403)
    assert answer.body != b"1"


async def test_a_link_is_for_one_file_only(api: Api, store: Store) -> None:
    store.put("a.txt", b"1")
    store.put("b.txt", b"secret")
    link = await _link(api, "a.txt")
    answer = await _fetch({**link, "url": link["url"].replace("a.txt", "b.txt", 1)})
    assert answer.code == 403
    assert b"secret" not in (answer.body or b"")


@pytest.mark.settings({"NBForgeContentsManager": {"upload_links": True}})
async def test_a_link_for_writing_lets_anybody_write(api: Api, store: Store) -> None:
    answer = await _ask_for_writing(api, "d/new.txt", {"expires_in": 60})
    assert answer.status == 200, answer.body
    written = await _fetch(answer.json, b"sent")
    assert written.code in (200, 201), written.body
    assert store.get("d/new.txt") == b"sent"
    assert await api.text("d/new.txt") == "sent"


async def test_no_link_for_writing_unless_configured(api: Api, store: Store) -> None:
    answer = await _ask_for_writing(api, "a.txt")
    assert answer.status == 403
    assert "upload_links" in answer.message


@pytest.mark.settings({"NBForgeContentsManager": {"upload_links": True}})
async def test_a_body_that_cannot_be_meant_so_is_refused(api: Api, store: Store) -> None:
    bodies: list[Any] = [
        [1],
        {"expires_in": True},
        {"expires_in": [60]},
        {"expires_in": 10**400},
        {"content_type": 1},
        {"content_type": "plain"},
        {"content_type": "text/plain\r\nX-Evil: 1"},
        {"content_type": "text/" + "x" * 300},
        {"content_type": "/"},
        {"content_type": " text/plain"},
        {"content_type": "text/plain "},
        {"content_type": "text/plain;"},
        {"content_type": "text/a/b"},
        {"method": "DELETE"},
    ]
    for body in bodies:
        answer = await _ask_for_writing(api, "a.txt", body)
        assert answer.status == 400, body
    for text in ("{not json", b"\xff{}"):
        answer = await api.call("POST", "jupyter_nbforge", "links", "a.txt", body=text)
        assert answer.status == 400, text


@pytest.mark.stores("seaweedfs", "gcs")
@pytest.mark.settings({"NBForgeContentsManager": {"upload_links": True}})
@pytest.mark.parametrize("kind", ["text/csv; charset=utf-8", 'a.b+c/d-e ;x="y z"'])
async def test_a_link_for_writing_demands_the_content_type_as_it_was_given(
    api: Api, store: Store, kind: str
) -> None:
    answer = await _ask_for_writing(api, "a.txt", {"content_type": kind})
    assert answer.json["headers"]["Content-Type"] == kind
    other = {**answer.json, "headers": {**answer.json["headers"], "Content-Type": "text/x-other"}}
    assert (await _fetch(other, b"sent")).code == 403
    assert store.get("a.txt") is None
    assert (await _fetch(answer.json, b"sent")).code == 200


@pytest.mark.settings({"NBForgeContentsManager": {"max_link_lifetime": 0, "upload_links": True}})
async def test_an_administrator_can_switch_links_off(api: Api, store: Store) -> None:
    store.put("a.txt", b"1")
    for answer in (await _ask(api, "a.txt"), await _ask_for_writing(api, "a.txt")):
        assert answer.status == 403
        assert "switched off" in answer.message


@pytest.mark.settings({"NBForgeContentsManager": {"upload_links": True}})
async def test_there_is_no_link_to_what_is_hidden_missing_or_no_file(
    api: Api, store: Store
) -> None:
    store.put(".secret/key", b"1")
    store.put("d/a.txt", b"1")
    await api.save("n.ipynb", {"type": "notebook", "format": "json", "content": _NOTEBOOK})
    for path, status in {
        "missing.txt": 404,
        ".secret/key": 404,
        ".nbforge/checkpoints/n.ipynb/checkpoint-1": 404,
        "d/../../witness.txt": 404,
        "../witness.txt": 404,
        "..%2Fwitness.txt": 404,
        "d": 400,
        "": 400,
    }.items():
        assert (await _ask(api, path)).status == status, path
        if path != "missing.txt":
            assert (await _ask_for_writing(api, path)).status == status, path


_NOTEBOOK: dict[str, Any] = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


async def test_a_link_is_never_logged_nor_cached(
    api: Api, store: Store, caplog: pytest.LogCaptureFixture, manager: NBForgeContentsManager
) -> None:
    store.put("a.txt", b"1")
    manager.log.propagate = True
    caplog.set_level(logging.DEBUG)
    answer = await _ask(api, "a.txt")
    assert answer.headers["Cache-Control"] == "no-store"
    url = answer.json["url"]
    query = url.partition("?")[2]
    secrets = [part.partition("=")[2] for part in query.split("&") if "sig" in part.lower()]
    secrets = [secret for secret in secrets if len(secret) > 20]
    assert secrets
    for secret in (query, *secrets):
        assert secret not in caplog.text


@pytest.mark.stores("memory")
async def test_a_storage_without_links_is_a_501(api: Api, store: Store) -> None:
    store.put("a.txt", b"1")
    answer = await _ask(api, "a.txt")
    assert answer.status == 501
    assert "no presigned URLs" in answer.message


@pytest.mark.stores("memory")
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_without_a_login_there_is_no_link(api: Api, store: Store, method: str) -> None:
    store.put("a.txt", b"1")
    for headers in ({"Authorization": ""}, {"Authorization": "token wrong"}):
        answer = await api.call(
            method,
            *("jupyter_nbforge", "links", "a.txt"),
            body={} if method == "POST" else None,
            headers=headers,
        )
        assert answer.status == 403


class NoContents(Authorizer):
    """Lets everybody do everything but with files."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return resource != "contents"


class ReadOnly(Authorizer):
    """Lets everybody read."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return action == "read"


@pytest.mark.stores("memory")
@pytest.mark.settings({"ServerApp": {"authorizer_class": NoContents}})
async def test_who_may_not_read_contents_gets_no_link(api: Api, store: Store) -> None:
    assert (await _ask(api, "a.txt")).status == 403
    assert (await _ask_for_writing(api, "a.txt")).status == 403


@pytest.mark.stores("memory")
@pytest.mark.settings(
    {
        "ServerApp": {"authorizer_class": ReadOnly},
        "NBForgeContentsManager": {"upload_links": True},
    }
)
async def test_who_may_only_read_gets_no_link_for_writing(api: Api, store: Store) -> None:
    store.put("a.txt", b"1")
    assert (await _ask(api, "a.txt")).status == 501
    assert (await _ask_for_writing(api, "a.txt")).status == 403


@pytest.mark.stores("memory")
@pytest.mark.settings(
    {
        "IdentityProvider": {"cookie_name": "login"},
        "NBForgeContentsManager": {"upload_links": True},
    }
)
@pytest.mark.parametrize(("sent", "status"), [("", 403), ("1" * 32, 403), (XSRF, 501)])
async def test_a_login_by_cookie_needs_the_xsrf_token(
    api: Api, store: Store, jp_serverapp: Any, sent: str, status: int
) -> None:
    provider = jp_serverapp.identity_provider
    user = provider.user_to_cookie(User("someone"))
    secret = jp_serverapp.web_app.settings["cookie_secret"]
    login = create_signed_value(secret, "login", user).decode()
    # In place of the token that `Api` sends: as a browser does.
    headers = {"Authorization": "", "Cookie": f"login={login}; _xsrf={XSRF}"}
    if sent:
        headers["X-XSRFToken"] = sent
    answer = await api.call("POST", "jupyter_nbforge", "links", "a.txt", body={}, headers=headers)
    assert answer.status == status, answer.body
