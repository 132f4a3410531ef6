"""Who may not, may not: each route of ours refuses whom Jupyter's own would refuse."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.auth import Authorizer, User
from jupyter_server.base.handlers import AuthenticatedFileHandler, path_regex
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.contents.handlers import ContentsHandler, TrustNotebooksHandler
from tornado.web import create_signed_value

from tests.server.api import Answer, Api, Store, notebook_model, text_model

from .routes import routes_of_ours

TOKEN = "X-XSRFToken"
XSRF = "0" * 32
LOGIN = "login"
ELSEWHERE = "http://elsewhere.example"
CONTENT = json.dumps(notebook_model("what nobody else may read")["content"])
REFUSALS = (302, 401, 403, 404)

pytestmark = [
    pytest.mark.stores("memory"),
    pytest.mark.settings(
        {
            "IdentityProvider": {"cookie_name": LOGIN},
            "NBForgeContentsManager": {"upload_links": True},
        }
    ),
]


@dataclass(frozen=True)
class Example:
    """A path of a route of ours for a file, and the path of Jupyter's that it is to behave as."""

    path: str
    twin: str
    bodies: dict[str, Any]


CONTENTS = {"POST": {"type": "file"}, "PUT": text_model("new"), "PATCH": {"path": "new.txt"}}
LINK = {"POST": {"expires_in": 60}}

EXAMPLES = {
    f"/api/contents{path_regex}": Example("api/contents/{}", "twin/contents/{}", CONTENTS),
    f"/api/contents{path_regex}/trust": Example(
        "api/contents/{}/trust", "twin/contents/{}/trust", {"POST": None}
    ),
    f"/jupyter_nbforge/links{path_regex}": Example(
        "jupyter_nbforge/links/{}", "twin/contents/{}", LINK
    ),
    "/jupyter_nbforge/health": Example("jupyter_nbforge/health", "twin/contents/{}", {}),
    "/files/(.*)": Example("files/{}", "twin/files/{}", {}),
}
"""By the pattern of the route; a new route needs one here."""


class Denying(Authorizer):
    """Lets everybody do everything but one kind of thing with contents."""

    denied = ""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return not (resource == "contents" and action == self.denied)


class Visitor:
    """Asks a route of ours and its twin of Jupyter's the same, as somebody or other."""

    def __init__(self, app: ServerApp, api: Api, store: Store, disk: Path) -> None:
        self._app = app
        self._api = api
        self._store = store
        self._disk = disk
        self._asked = 0

    async def both(
        self, method: str, example: Example, headers: Mapping[str, str]
    ) -> tuple[Answer, Answer]:
        """The answers of ours and of the twin, each on a file of its own."""
        ours, twin = [
            await self._ask(method, path, example, headers) for path in (example.path, example.twin)
        ]
        return ours, twin

    async def _ask(
        self, method: str, path: str, example: Example, headers: Mapping[str, str]
    ) -> Answer:
        self._asked += 1
        name = f"{self._asked}.ipynb"
        self._store.put(name, CONTENT)
        (self._disk / name).write_text(CONTENT)
        before = self._store.paths()
        answer = await self._api.call(
            method,
            path.format("" if _is_into_folder(method, path) else name),
            body=example.bodies.get(method),
            headers=dict(headers),
            follow_redirects=False,
        )
        if is_refused(answer):
            assert b"nobody else" not in answer.body
            assert self._store.paths() == before, "refused, and something was made or deleted"
            assert self._store.get(name) == CONTENT.encode(), "refused, and yet it was changed"
        return answer

    def logged_in(self, **more: str) -> dict[str, str]:
        """The headers of a browser that has logged in."""
        user = self._app.identity_provider.user_to_cookie(User("someone"))
        secret = self._app.web_app.settings["cookie_secret"]
        login = create_signed_value(secret, LOGIN, user).decode()
        return {"Authorization": "", "Cookie": f"{LOGIN}={login}; _xsrf={XSRF}", **more}


def _is_into_folder(method: str, path: str) -> bool:
    """Whether something is to be made in a folder: that is what a POST to contents is for."""
    return method == "POST" and path.endswith("contents/{}")


def is_refused(answer: Answer) -> bool:
    """Whether it is for who asks that nothing was done: all else of these requests is well."""
    return answer.status in REFUSALS


def expect_alike(ours: Answer, twin: Answer, asked: object) -> None:
    """Refused by both, and in the same way, or by neither."""
    assert is_refused(ours) == is_refused(twin), (asked, ours.status, twin.status)
    if is_refused(twin):
        assert ours.status == twin.status, asked


@pytest.fixture
def cases(jp_serverapp: ServerApp, jp_root_dir: Path) -> list[tuple[str, Example]]:
    """Each method of each route of ours; its twin has been put beside it in the same server."""
    routes = routes_of_ours(jp_serverapp)
    base_url = re.escape(jp_serverapp.base_url)
    jp_serverapp.web_app.add_handlers(
        ".*$",
        [
            (rf"{base_url}twin/contents{path_regex}/trust", TrustNotebooksHandler),
            (rf"{base_url}twin/contents{path_regex}", ContentsHandler),
            (rf"{base_url}twin/files/(.*)", AuthenticatedFileHandler, {"path": str(jp_root_dir)}),
        ],
    )
    return [(method, EXAMPLES[route.pattern]) for route in routes for method in route.methods]


@pytest.fixture
def visitor(jp_serverapp: ServerApp, api: Api, store: Store, jp_root_dir: Path) -> Visitor:
    return Visitor(jp_serverapp, api, store, jp_root_dir)


def test_every_route_of_ours_is_tried_here(jp_serverapp: ServerApp, store: Store) -> None:
    routes = routes_of_ours(jp_serverapp)
    assert sorted(route.pattern for route in routes) == sorted(EXAMPLES)
    for route in routes:
        with_body = set(route.methods) - {"GET", "HEAD", "DELETE"}
        assert with_body == set(EXAMPLES[route.pattern].bodies)


async def test_who_has_not_logged_in_is_refused_as_by_jupyter(
    cases: list[tuple[str, Example]], visitor: Visitor
) -> None:
    for credentials in ("", "token wrong", "Bearer wrong", "Basic c29tZW9uZTpwYXNz", "token "):
        for method, example in cases:
            ours, twin = await visitor.both(method, example, {"Authorization": credentials})
            assert is_refused(twin), (method, example, credentials)
            assert ours.status == twin.status, (method, example, credentials)


async def test_a_forged_login_is_refused_as_by_jupyter(
    cases: list[tuple[str, Example]], visitor: Visitor
) -> None:
    headers = visitor.logged_in(**{TOKEN: XSRF})
    headers["Cookie"] = headers["Cookie"].replace(f"{LOGIN}=", f"{LOGIN}=x")
    for method, example in cases:
        ours, twin = await visitor.both(method, example, headers)
        assert is_refused(twin), (method, example)
        assert ours.status == twin.status, (method, example)


async def test_a_login_by_cookie_needs_the_xsrf_token_as_with_jupyter(
    cases: list[tuple[str, Example]], visitor: Visitor
) -> None:
    right, wrong, other_site = {TOKEN: XSRF}, {TOKEN: "1" * 32}, {"Origin": ELSEWHERE}
    for sent in ({}, wrong, other_site, right | other_site):
        for method, example in cases:
            ours, twin = await visitor.both(method, example, visitor.logged_in(**sent))
            assert is_refused(twin) or method in ("GET", "HEAD"), (method, example, sent)
            expect_alike(ours, twin, (method, example, sent))


async def test_a_login_by_cookie_with_the_xsrf_token_is_let_in(
    cases: list[tuple[str, Example]], visitor: Visitor
) -> None:
    for method, example in cases:
        headers = visitor.logged_in(**{TOKEN: XSRF})
        for answer in await visitor.both(method, example, headers):
            assert not is_refused(answer), (method, example, answer.status)


async def test_what_an_authorizer_denies_is_refused_as_by_jupyter(
    cases: list[tuple[str, Example]], visitor: Visitor, jp_serverapp: ServerApp
) -> None:
    jp_serverapp.web_app.settings["authorizer"] = authorizer = Denying()
    for authorizer.denied in ("read", "write", "execute"):
        for method, example in cases:
            ours, twin = await visitor.both(method, example, {})
            kind = "read" if method in ("GET", "HEAD") else "write"
            assert is_refused(twin) == (authorizer.denied == kind), (method, example)
            expect_alike(ours, twin, (method, example, authorizer.denied))


async def test_a_download_is_as_harmless_as_from_jupyters_own_handler(
    cases: list[tuple[str, Example]], api: Api, store: Store, jp_root_dir: Path
) -> None:
    text = "<svg xmlns='http://www.w3.org/2000/svg'/>"
    for name in ("page.html", "a.svg", "a.xhtml", "a.xml", "a.js"):
        store.put(name, text)
        (jp_root_dir / name).write_text(text)
        for method, params in itertools.product(("GET", "HEAD"), ({}, {"download": "1"})):
            ours = await api.call(method, "files", name, params=params)
            twin = await api.call(method, "twin", "files", name, params=params)
            assert ours.status == twin.status == 200
            for header in ("Content-Security-Policy", "X-Content-Type-Options", "Content-Type"):
                assert ours.headers[header] == twin.headers[header], (name, header)
            assert ours.headers["Content-Security-Policy"].endswith("; sandbox allow-scripts")
            for headers in (ours.headers, twin.headers):
                is_saved = headers.get("Content-Disposition", "").startswith("attachment")
                assert is_saved == bool(params)
