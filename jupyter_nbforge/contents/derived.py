"""What jupytext derives from our manager when the server starts, put right in four places.

Its class (`async_contentsmanager.py` of jupytext 1.19) takes the answer of `exists` without
waiting for it, so that a new notebook never comes to an end; makes a 500 of every refusal of a
save; answers a save with the hash of one file of a pair, but a look with that of both; and
looks for a dozen configuration files in each folder, one after the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError

from . import folders
from .models import Model, api_path, join

if TYPE_CHECKING:
    from .manager import NBForgeContentsManager

_ATTEMPTS = 100

_taken: ContextVar[frozenset[str]] = ContextVar("_taken", default=frozenset())
"""What is in the folder in which jupytext is choosing the name of a new notebook."""


class Existence(Awaitable[bool]):
    """Whether something is at a path, to be awaited.

    For those who do not wait it is true where something was seen before.
    """

    def __init__(self, path: str, seen: bool, ask: Callable[[], Awaitable[bool]]) -> None:
        self._seen = seen or path in _taken.get()
        self._ask = ask

    def __await__(self) -> Generator[Any, None, bool]:
        return self._ask().__await__()

    def __bool__(self) -> bool:
        return self._seen


def put_right(derived: Any) -> None:
    """Change a class that has just been derived from our manager, if it is jupytext's."""
    if derived.__module__.startswith("jupytext."):
        derived.save = _refusing_as_we_do(derived.save)
        derived.new_untitled = _knowing_what_is_there(derived.new_untitled)
        derived.get_config_file = _after_one_listing(derived.get_config_file)


def _refusing_as_we_do(save: Callable[..., Awaitable[Model]]) -> Callable[..., Awaitable[Model]]:
    async def wrapped(manager: Any, model: Model, path: str = "") -> Model:
        try:
            saved = await save(manager, model, path)
        except HTTPError as error:
            refusal = error.__context__
            if error.status_code == 500 and isinstance(refusal, HTTPError):
                raise refusal from None
            raise
        if api_path(path) in manager.paired_notebooks:
            shown = await manager.get(path, content=False, type="notebook", require_hash=True)
            saved |= {key: shown[key] for key in ("hash", "hash_algorithm")}
        return saved

    return wrapped


def _knowing_what_is_there(
    new_untitled: Callable[..., Awaitable[Model]],
) -> Callable[..., Awaitable[Model]]:
    async def wrapped(
        manager: NBForgeContentsManager,
        path: str = "",
        type: str = "",  # noqa: A002 - Jupyter's name for it
        ext: str = "",
    ) -> Model:
        folder, attempts = api_path(path), _ATTEMPTS
        while True:
            names = await folders.names_in(manager.storage, folder)
            token = _taken.set(frozenset(join(folder, name) for name in names or ()))
            try:
                return await new_untitled(manager, path, type, ext)
            except HTTPError as error:
                attempts -= 1
                # Somebody else has just taken the name: choose another.
                if error.status_code != 409 or not attempts:
                    raise
            finally:
                _taken.reset(token)

    return wrapped


def _after_one_listing(
    get_config_file: Callable[..., Awaitable[str | None]],
) -> Callable[..., Awaitable[str | None]]:
    async def wrapped(manager: NBForgeContentsManager, directory: str) -> str | None:
        folder = api_path(directory)
        await manager.look_around(folder, folder)
        return await get_config_file(manager, directory)

    return wrapped
