"""New names that many servers may want at the same moment: each gets one of its own."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..storage.errors import AlreadyExistsError
from .models import free_name

T = TypeVar("T")

_A_FEW = 3
_MOST_SKIPPED = 64


async def create_free(
    filename: str, taken: set[str], insert: str, create: Callable[[str], Awaitable[T]]
) -> T:
    """What `create` makes under the first name that is free; `taken` are known not to be.

    `create` raises `AlreadyExistsError` where somebody else was quicker. Where that happens
    again and again, there are many: each then leaves out some names by chance, for if all
    went on with the next one, fifty would meet fifty times.
    """
    collisions = 0
    while True:
        many = max(0, collisions - _A_FEW)
        skipped = secrets.randbelow(min(2**many, _MOST_SKIPPED))
        name = free_name(filename, taken, insert, skipped=skipped)
        try:
            return await create(name)
        except AlreadyExistsError:
            taken.add(name)
            collisions += 1
