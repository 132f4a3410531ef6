"""A gate before a Google store that asks for tokens, which its emulator does not look at."""

from __future__ import annotations

import itertools
import time
from typing import Any

from aiohttp import web
from yarl import URL

from jupyter_nbforge.testing.proxy import CountingProxy, Passed


class TokenGate(CountingProxy):
    """Lets pass what brings a token that this gate has issued and that has not ended.

    `told` are the answers that it has given to what was refused, as Google words them.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target, "gcs")
        self.refused = 0
        self._ends: dict[str, float] = {}
        self._numbers = itertools.count(1)

    @property
    def issued(self) -> list[str]:
        """The tokens so far."""
        return list(self._ends)

    def issue(self, seconds: float) -> dict[str, Any]:
        """A token, and when it ends."""
        token = f"token-{next(self._numbers)}"
        self._ends[token] = ends = time.time() + seconds
        return {"token": token, "expiry": ends}

    def revoke(self) -> None:
        """End all tokens now."""
        self._ends = dict.fromkeys(self._ends, 0.0)

    async def _passed(self, request: web.BaseRequest, target: URL) -> Passed | web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._ends.get(token, 0.0) > time.time():
            return await super()._passed(request, target)
        self.refused += 1
        await request.read()
        error = {"code": 401, "message": "Invalid Credentials", "errors": [{"reason": "authError"}]}
        return web.json_response({"error": error}, status=401)
