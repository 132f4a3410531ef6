"""A proxy before a real object store that lets requests fail as a network and a busy store do."""

from __future__ import annotations

import asyncio
import io
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random
from typing import Any, Literal, TypeAlias, get_args

from aiohttp import web

from .operations import Protocol, operation_of
from .proxy import CountingProxy, Passed, passed_headers
from .refused import Refusal, refused

Broken: TypeAlias = Literal[
    "reset_before", "reset_after", "silence", "cut", "drip", "damage", "damage_sent"
]
FaultKind: TypeAlias = Refusal | Broken
"""``slow_down``, ``throttled``, ``broken``: refused with 503, 429, 500 in the store's own words.
``expired``: refused for an expired token, and so are the next `expired_for` requests, whatever
they are. ``reset_before``: the connection breaks before the store sees the request.
``reset_after``, ``silence``: the store does it, but the connection breaks, or no answer comes.
Of bodies that are read: ``cut`` breaks them off half way, ``drip`` lets them come in small pieces
with pauses, ``damage`` flips one bit; ``damage_sent`` does that to one that is written."""

KINDS: tuple[FaultKind, ...] = (*get_args(Refusal), *get_args(Broken))

_OF_BODIES: Mapping[FaultKind, tuple[str, ...]] = {
    "cut": ("GET", "LIST"),
    "drip": ("GET", "LIST"),
    "damage": ("GET",),
    "damage_sent": ("PUT", "PART"),
}
_DRIPS = 8
_ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time. Closing then sends RST instead of FIN."""


@dataclass(slots=True)
class _Planned:
    kind: FaultKind
    operation: str
    times: int


class FaultProxy(CountingProxy):
    """Befalls requests by chance, as `rates` say (kind: probability), or as told by `plan`.

    What it has done is counted in `injected`, by kind. Every third refusal that asks to slow
    down names `retry_after` seconds. While `active` is False everything is passed on.
    """

    handler_cancellation = True

    def __init__(
        self,
        target: str,
        protocol: Protocol = "s3",
        *,
        seed: int = 0,
        rates: Mapping[FaultKind, float] | None = None,
        retry_after: int | None = 0,
        expired_for: int = 3,
        pause: float = 0.005,
    ) -> None:
        super().__init__(target, protocol)
        self.rates = dict(rates or {})
        self.retry_after = retry_after
        self.expired_for = expired_for
        self.pause = pause
        self.active = True
        self.injected: Counter[FaultKind] = Counter()
        self._random = Random(seed)
        self._planned: list[_Planned] = []
        self._expired = 0

    def plan(self, kind: FaultKind, operation: str = "*", *, times: int = 1) -> None:
        """Let it befall the next `times` requests for `operation`: a word of `operation_of`, or
        a pattern as of a shell."""
        self._planned.append(_Planned(kind, operation, times))

    async def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        kind = self._next_kind(request) if self.active else None
        if kind is None:
            return await super()._forward(request)
        if kind in ("reset_before", *get_args(Refusal)):
            await _body_of(request)  # a store, too, takes it before it answers
            self.injected[kind] += 1
            return self._reset(request) if kind == "reset_before" else self._refused(kind)
        sent = await _body_of(request)
        if kind == "damage_sent" and sent:
            self.injected[kind] += 1
            sent = _damaged(sent, len(sent) // 2)
        passed = Passed(passed_headers(request.headers), io.BytesIO(sent) if sent else None)
        async with self._ask(request, passed) as answer:
            body = await answer.read()
            status, headers = answer.status, passed_headers(answer.headers)
        if kind in _OF_BODIES and (kind == "damage_sent" or status not in (200, 206) or not body):
            return web.Response(status=status, headers=headers, body=body)
        self.injected[kind] += 1
        if kind == "silence":
            await asyncio.Future()  # until the client goes away
        if kind == "reset_after":
            return self._reset(request)
        return await self._send(request, kind, status, headers, body)

    def _next_kind(self, request: web.BaseRequest) -> FaultKind | None:
        operation = operation_of(request, self.protocol)
        if self._expired:
            self._expired -= 1
            return "expired"
        kind = self._planned_kind(operation)
        if kind is None:
            kind = self._chance_kind(operation)
        if kind == "expired":
            self._expired = self.expired_for
        return kind

    def _planned_kind(self, operation: str) -> FaultKind | None:
        for planned in self._planned:
            if planned.times > 0 and fnmatchcase(operation, planned.operation):
                planned.times -= 1
                return planned.kind
        return None

    def _chance_kind(self, operation: str) -> FaultKind | None:
        chosen = self._random.random()
        for kind, rate in self.rates.items():
            chosen -= rate
            if chosen < 0:
                return kind if operation in _OF_BODIES.get(kind, (operation,)) else None
        return None

    def _refused(self, kind: FaultKind) -> web.StreamResponse:
        told = kind in ("slow_down", "throttled") and self.injected[kind] % 3 == 0
        refusal: Any = kind
        return refused(self.protocol, refusal, retry_after=self.retry_after if told else None)

    def _reset(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        if transport is not None:
            connection: socket.socket = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            transport.abort()
        return web.Response()

    async def _send(
        self,
        request: web.BaseRequest,
        kind: FaultKind,
        status: int,
        headers: Iterable[tuple[str, str]],
        body: bytes,
    ) -> web.StreamResponse:
        """A body that is damaged, that drips, or that breaks off in the middle."""
        if kind == "damage":
            body = _damaged(body, self._random.randrange(len(body)))
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(body)
        await response.prepare(request)
        half = len(body) // 2
        if kind == "cut":
            await response.write(body[:half])
            # Else the reset overtakes what was sent.
            await asyncio.sleep(self.pause)
            return self._reset(request)
        step = -(-len(body) // _DRIPS) if kind == "drip" else len(body)
        for start in range(0, len(body), step):
            await response.write(body[start : start + step])
            if kind == "drip":
                await asyncio.sleep(self.pause)
        await response.write_eof()
        return response


async def _body_of(request: web.BaseRequest) -> bytes:
    return b"".join([chunk async for chunk in request.content.iter_any()])


def _damaged(body: bytes, place: int) -> bytes:
    """The same, but for one bit."""
    return body[:place] + bytes([body[place] ^ 4]) + body[place + 1 :]
