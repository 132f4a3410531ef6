"""One client's connection to the contents API of one Jupyter server."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from typing_extensions import Self

Model = dict[str, Any]

_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of whatever status; `body` is parsed if it is JSON, else bytes."""

    status: int
    body: Any

    @property
    def message(self) -> str:
        """The sentence that JupyterLab shows."""
        return str(self.body["message"])


class UnexpectedError(AssertionError):
    """An answer that no client should get in this place."""


class Connection:
    """Not to be shared between threads."""

    def __init__(self, port: int, token: str) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
        self._headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: Any = None, **query: str | int) -> Answer:
        """One request; `path` may end in one of the API's own words."""
        url = f"/api/contents/{quote(path)}" + (f"?{urlencode(query)}" if query else "")
        sent = None if body is None else json.dumps(body).encode()
        self._http.request(method, url, sent, self._headers)
        answer = self._http.getresponse()
        received = answer.read()
        try:
            return Answer(answer.status, json.loads(received))
        except ValueError:
            return Answer(answer.status, received)  # Jupyter's own 404 of a GET is plain text

    def model(self, method: str, path: str, body: Any = None, **query: str | int) -> Model:
        """The model that a request is answered with; anything but success is an error."""
        answer = self.call(method, path, body, **query)
        if answer.status not in (200, 201):
            raise UnexpectedError(f"{method} {path}: {answer.status} {answer.body}")
        model: Model = answer.body
        return model
