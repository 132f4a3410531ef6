"""Resumable uploads, kept here: fake-gcs-server ends one when it is asked how far it is.

The rules are those of "Resumable uploads" and "Perform resumable uploads" in the manual.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from .rules import Refusal, Resource, Upload, invalid

_UNIT = 256 * 1024
"""Of all parts but the last one only whole multiples of this are kept."""

_CONTENT_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-(?P<last>\d+)|\*)/(?P<total>\d+|\*)$")


@dataclass(slots=True)
class Session:
    """One upload: what came so far, and the object once it is there."""

    upload: Upload
    data: bytearray = field(default_factory=bytearray)
    resource: Resource | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Sessions:
    """All uploads that were begun; `store` makes an object, its conditions checked."""

    def __init__(self, store: Callable[[Upload, bytes], Awaitable[Resource]]) -> None:
        self._store = store
        self._sessions: dict[str, Session] = {}

    def begin(self, upload: Upload) -> str:
        """Returns the upload's id."""
        number = secrets.token_urlsafe(24)
        self._sessions[number] = Session(upload)
        return number

    def cancel(self, number: str) -> None:
        if self._sessions.pop(number, None) is None:
            raise _unknown()

    async def add(self, number: str, content_range: str | None, body: bytes) -> Resource | int:
        """Take a part; returns the object if it was the last one, else how much is there."""
        session = self._sessions.get(number)
        if session is None:
            raise _unknown()
        async with session.lock:
            if session.resource is None and _take(session, content_range, body):
                try:
                    session.resource = await self._store(session.upload, bytes(session.data))
                except Refusal:
                    self._sessions.pop(number, None)
                    raise
                session.data.clear()
            return len(session.data) if session.resource is None else session.resource


def _take(session: Session, content_range: str | None, body: bytes) -> bool:
    """Add a part to what is there; returns whether all is there now."""
    data = session.data
    if content_range is None:
        data[:] = body
        return True
    match = _CONTENT_RANGE.match(content_range.strip())
    if match is None:
        raise invalid(f"Content-Range is none: {content_range}")
    total = None if match["total"] == "*" else int(match["total"])
    if match["first"] is not None:
        first, last = int(match["first"]), int(match["last"])
        if last - first + 1 != len(body):
            raise invalid(f"{len(body)} bytes came for {content_range}")
        if first > len(data):
            return False
        data[:] = data[:first] + body
        if total != len(data):
            del data[len(data) // _UNIT * _UNIT :]
    return total == len(data)


def _unknown() -> Refusal:
    return Refusal(404, "notFound", "NoSuchUpload", "There is no such upload.")
