"""A server, its store and its log: what must hold after every request, and how often it did."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jupyter_server.base.handlers import path_regex
from jupyter_server.services.contents.handlers import default_handlers

from jupyter_nbforge import NBForgeContentsManager
from tests.server.api import Store, notebook_model

from .raw_http import Reply, Request, exchange

NOTEBOOK = json.dumps(notebook_model("text")["content"]).encode()

SEED: dict[str, bytes] = {
    "a.txt": b"text",
    "n.ipynb": NOTEBOOK,
    "bad.ipynb": b'{"cells": [',
    "page.html": b"<script>1</script>",
    "binary.bin": bytes(range(256)),
    "folder/b.txt": b"b",
    "folder/n.ipynb": NOTEBOOK,
    "folder/d é/c.txt": b"c",
    "empty/": b"",
    "noextension": b"x",
    ".hidden/secret.txt": b"hidden",
    ".nbforge/checkpoints/n.ipynb/checkpoint-1": NOTEBOOK,
}
"""What is in the root before anything is tried."""

AMBIGUOUS: dict[str, bytes] = {"both": b"file", "both/inner.txt": b"in the folder"}
"""An object and a folder of one name, for stores that can have them."""

_PATTERNS = (
    *(pattern for pattern, _ in default_handlers if pattern.startswith("/api/contents")),
    f"/jupyter_nbforge/links{path_regex}",
    "/files/(.*)",
)
_ROUTES = [re.compile(pattern.removeprefix("/")) for pattern in _PATTERNS]

_LONGEST_SENTENCE = 2_000
_STATUS = Request("GET", b"api/status")


class CaughtLog(logging.Handler):
    """Every record, written out as a log on a disk would be."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            line.encode("utf-8")
        except (TypeError, ValueError) as error:
            line = f"Traceback: a record that cannot be written: {record.msg!r} ({error!r})"
        self.lines.append(line)


class World:
    """One server under test. `close` at the end."""

    def __init__(
        self,
        app: Any,
        store: Store,
        port: int,
        loop: asyncio.AbstractEventLoop,
        secrets: Iterable[str],
    ) -> None:
        self.store = store
        self.log = CaughtLog()
        self.loop = loop
        self.tried = 0
        self.statuses: Counter[int] = Counter()
        self.escapes = 0
        self.leaks = 0
        self._app = app
        self._port = port
        self._secrets = set(secrets)
        self._token: str = app.identity_provider.token
        self._before: dict[str, bytes] = {}
        self._made: list[NBForgeContentsManager] = []

    def close(self) -> None:
        """Close the managers that `begin` has made."""
        for manager in self._made:
            self.loop.run_until_complete(manager.aclose())
            manager.notary.store.close()

    @property
    def manager(self) -> NBForgeContentsManager:
        """The server's contents manager at this moment."""
        manager = self._app.contents_manager
        assert isinstance(manager, NBForgeContentsManager)
        return manager

    def tell(self) -> None:
        """Print what was tried, and what it came to."""
        statuses = ", ".join(
            f"{count} x {status}" for status, count in sorted(self.statuses.items())
        )
        failed = sum(count for status, count in self.statuses.items() if status == 500)
        sys.stdout.write(
            f"\n{self.store.name}: {self.tried} inputs, {failed} answers 500,"
            f" {self.escapes} escapes, {self.leaks} secrets told ({statuses})\n"
        )

    # the store

    def everything(self) -> dict[str, bytes]:
        """Every object of the whole store, also outside the root."""
        client = self.store.client
        found = ((path, client.read(path)) for path in client.paths())
        return {path: data for path, data in found if data is not None}

    def begin(self, seed: Mapping[str, bytes]) -> None:
        """Put exactly `seed` into the root, and forget what was known of it.

        In memory by a new manager: what is found is then found again by the same requests.
        """
        wanted = {self.store.prefix + path: data for path, data in seed.items()}
        inside = self._inside(self.everything())
        for path in inside.keys() - wanted.keys():
            self.store.client.delete(path)
        for path, data in wanted.items():
            if inside.get(path) != data:
                self.store.client.write(path, data)
        if self.store.name == "memory":
            self._renew_manager()
        self._before = self.everything()

    def _inside(self, objects: Mapping[str, bytes]) -> dict[str, bytes]:
        return {p: data for p, data in objects.items() if p.startswith(self.store.prefix)}

    def _renew_manager(self) -> None:
        old = self._app.contents_manager
        new = NBForgeContentsManager(parent=self._app, log=self._app.log)
        new.allow_hidden, new.upload_links = old.allow_hidden, old.upload_links
        self._app.contents_manager = self._app.web_app.settings["contents_manager"] = new
        self._made.append(new)
        if len(self._made) > 1:
            self.loop.run_until_complete(self._made[-2].aclose())
            self._made.pop(-2).notary.store.close()

    # requests

    def send(self, request: Request) -> Reply:
        """Send a request and check all that must hold of its answer, the log and the store."""
        self.log.lines.clear()
        reply = self.exchange(request)
        self.tried += 1
        self.statuses[reply.status] += 1
        try:
            self._check_store(request, reply)
            if self._is_served(request):
                self._check_reply(request, reply)
                self._check_log()
                self._check_secrets(request, reply)
            else:
                assert 300 <= reply.status < 500, "a wrong status"
        except AssertionError as error:
            log = "\n".join(self.log.lines)[-6000:]
            answer = f"{reply.status} {reply.body[:500]!r}"
            raise AssertionError(f"{error}\n{request}\n{answer}\n{log}") from None
        return reply

    def exchange(self, request: Request) -> Reply:
        """The answer alone."""
        data = request.encoded(self._port, self._token)
        return self.loop.run_until_complete(exchange(self._port, data))

    def answers(self) -> bool:
        """Whether the server goes on serving."""
        return self.exchange(_STATUS).status == 200

    def _check_reply(self, request: Request, reply: Reply) -> None:
        no_links = self.store.name == "memory" and b"links" in request.target
        assert 200 <= reply.status < 500 or (no_links and reply.status == 501), "a wrong status"
        assert b"Traceback" not in reply.body, "a stack trace in the answer"
        if reply.status >= 400 and reply.is_json and reply.body:
            sentence = reply.sentence
            assert sentence.strip(), "a refusal without a sentence"
            assert "\n" not in sentence, "more than one sentence"
            assert len(sentence) <= _LONGEST_SENTENCE + 6 * len(request.target), "a long sentence"

    def _is_served(self, request: Request) -> bool:
        """Whether a route of contents has it; else it is Jupyter's page for paths that are none.

        That page has the server's token in it for whoever has logged in, and a stack trace in
        the log for a path that is no UTF-8.
        """
        path = request.target.partition(b"?")[0].decode("latin-1")
        return any(pattern.fullmatch(path) for pattern in _ROUTES)

    def _check_log(self) -> None:
        traces = [line for line in self.log.lines if "Traceback" in line]
        assert not traces, "a stack trace in the log"

    def _check_secrets(self, request: Request, reply: Reply) -> None:
        answer = reply.body.decode("utf-8", "replace")
        seen = "\n".join((*self.log.lines, *reply.headers.values()))
        is_link = b"links" in request.target and request.method in ("GET", "POST")
        if is_link and reply.status == 200:
            # The link is for whoever asked; nobody else may come to know it.
            self._secrets.update(_signature_of(reply.json["url"]))
        else:
            seen += answer
        leaked = [secret for secret in self._secrets if secret in seen]
        self.leaks += len(leaked)
        assert not leaked, f"secrets in the answer or in the log: {leaked}"

    def _check_store(self, request: Request, reply: Reply) -> None:
        now, before = self.everything(), self._before
        self._before = now
        outside = {p: data for p, data in before.items() if not p.startswith(self.store.prefix)}
        still = {p: data for p, data in now.items() if not p.startswith(self.store.prefix)}
        self.escapes += outside != still
        assert outside == still, "something outside the root was touched"
        if request.method in ("GET", "HEAD"):
            assert now == before, "reading has changed the store"
        if reply.status >= 400:
            kept = {path: now.get(path) for path in before}
            assert kept == before, "a refused request has changed what was stored"
            left = {p for p in now.keys() - before.keys() if not p.endswith("/")}
            assert not left, f"a refused request has left something: {left}"


def _signature_of(url: str) -> set[str]:
    query = parse_qsl(urlsplit(url).query)
    return {value for name, value in query if "sig" in name.lower() and len(value) > 20}
