"""People of the Hub, as browsers and scripts: everything goes through the Hub's proxy."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import requests

from .processes import Hub

Model = dict[str, Any]

_START_TIMEOUT = 90.0
_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of whatever status; `body` is parsed if it is JSON, else text."""

    status: int
    body: Any

    @property
    def message(self) -> str:
        """The sentence that JupyterLab shows."""
        return str(self.body["message"])


class Person:
    """Somebody who has logged in with a browser and made a token for scripts."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.name = name
        self.hub = hub
        self.browser = requests.Session()
        self.browser.trust_env = False
        self.token = ""

    def log_in(self, typed: str | None = None) -> None:
        """With the cookies that a browser gets; then a token, as the Hub's token page makes it.

        `typed` is what is written into the form; None: the name.
        """
        name = self.name if typed is None else typed
        page = f"{self.hub.endpoint_url}/hub/login"
        self.browser.get(page, timeout=_TIMEOUT)
        form = {"username": name, "password": self.hub.password, "_xsrf": self._xsrf("/hub/")}
        answer = self.browser.post(page, data=form, allow_redirects=False, timeout=_TIMEOUT)
        assert answer.status_code == 302, f"{self.name!r}: {answer.status_code} {answer.text}"
        made = self.browser.post(
            f"{self.hub.endpoint_url}/hub/api/users/{self.quoted}/tokens",
            json={"note": "scripts"},
            headers={"X-XSRFToken": self._xsrf("/hub/")},
            timeout=_TIMEOUT,
        )
        assert made.status_code == 201, f"{self.name!r}: {made.status_code} {made.text}"
        self.token = made.json()["token"]

    def _xsrf(self, path: str) -> str:
        return self.browser.cookies.get("_xsrf", path=path) or ""

    def start(self, server: str = "") -> None:
        """Have the Hub start a server, and return when it is ready."""
        begun = self.ask_hub("POST", self._server_path(server))
        assert begun.status in (201, 202), f"{self.name!r}: {begun}\n{self.hub.log}"
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._is_ready(server):
            assert time.monotonic() < deadline, self.hub.log
            time.sleep(0.2)

    def stop(self, server: str = "") -> None:
        """Have the Hub stop a server, and return when the Hub says that it has."""
        answer = self.ask_hub("DELETE", self._server_path(server))
        assert answer.status in (202, 204), f"{self.name!r}: {answer}"
        deadline = time.monotonic() + _START_TIMEOUT
        while server in self._servers():
            assert time.monotonic() < deadline, self.hub.log
            time.sleep(0.1)

    def _is_ready(self, server: str) -> bool:
        found = self._servers()
        assert server in found, f"the server of {self.name!r} did not start:\n{self.hub.log}"
        return bool(found[server]["ready"])

    def _servers(self) -> dict[str, Any]:
        servers: dict[str, Any] = self.ask_hub("GET", f"users/{self.quoted}").body["servers"]
        return servers

    def _server_path(self, server: str) -> str:
        return f"users/{self.quoted}/" + (f"servers/{quote(server)}" if server else "server")

    @property
    def quoted(self) -> str:
        """The name in a URL."""
        return quote(self.name, safe="")

    def ask_hub(self, method: str, path: str, body: object = None) -> Answer:
        """A request to the Hub's API, with the token."""
        return self._send(method, f"/hub/api/{path}", body)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        server: str = "",
        owner: Person | None = None,
        **query: str | int,
    ) -> Answer:
        """A request to the contents API of a server, this person's or another one's."""
        target = f"{self.base(server, owner)}api/contents/{quote(path)}"
        return self._send(method, target + (f"?{urlencode(query)}" if query else ""), body)

    def ask_raw(self, method: str, target: str, *, owner: Person | None = None) -> Answer:
        """As it is written: nothing of `target` is quoted, put in order or followed."""
        return self._send(method, f"{self.base('', owner)}{target}", None)

    def base(self, server: str = "", owner: Person | None = None) -> str:
        """The path of a server, as the proxy knows it."""
        return f"/user/{(owner or self).quoted}/" + (f"{quote(server)}/" if server else "")

    def _send(self, method: str, target: str, body: object) -> Answer:
        address = urlsplit(self.hub.endpoint_url)
        connection = http.client.HTTPConnection(address.netloc, timeout=_TIMEOUT)
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        try:
            sent = None if body is None else json.dumps(body).encode()
            connection.request(method, target, sent, headers)
            answer = connection.getresponse()
            received = answer.read()
        finally:
            connection.close()
        try:
            return Answer(answer.status, json.loads(received or b"null"))
        except ValueError:
            return Answer(answer.status, received.decode(errors="replace"))

    def save(self, path: str, text: str, *, server: str = "") -> Answer:
        """Save a notebook of one cell as JupyterLab does: look first, then PUT."""
        self.ask("GET", path, content=0, hash=1, server=server)
        model = {"type": "notebook", "format": "json", "content": notebook(text)}
        return self.ask("PUT", path, model, server=server)

    def open(self, path: str, *, server: str = "") -> str:
        """The text of a notebook of one cell."""
        answer = self.ask("GET", path, server=server)
        assert answer.status == 200, f"{self.name!r}, {path}: {answer}"
        return str(answer.body["content"]["cells"][0]["source"])


def notebook(text: str) -> Model:
    """One of a single cell."""
    cell = {"cell_type": "markdown", "id": "c0", "metadata": {}, "source": text}
    return {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
