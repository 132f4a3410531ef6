"""Bodies on their way from the store to a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator


async def read_ahead(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The same chunks, the next one fetched while the last one is in use: two are in memory.

    To be closed by the user; a fetch that is under way then is cancelled and waited for.
    """
    fetch = asyncio.create_task(_next(chunks))
    try:
        while chunk := await fetch:
            fetch = asyncio.create_task(_next(chunks))
            yield chunk
    finally:
        fetch.cancel()
        await asyncio.wait({fetch})
        if not fetch.cancelled():
            fetch.exception()  # it comes too late to be of interest


async def beginning(chunks: AsyncIterator[bytes], length: int) -> bytes:
    """The first chunk and, if it is shorter than `length`, what follows; empty: no bytes."""
    first = await _next(chunks)
    while first and len(first) < length and (more := await _next(chunks)):
        first += more
    return first


async def _next(chunks: AsyncIterator[bytes]) -> bytes:
    """The next chunk that is not empty; empty: there is none."""
    async for chunk in chunks:
        if chunk:
            return chunk
    return b""
