"""How the conformance tests run, and what they have in common."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import asdict, dataclass
from inspect import iscoroutinefunction
from typing import Any, ClassVar, TypeVar

import pytest

from ..storage.base import BaseStorageService
from ..storage.types import Capabilities, ListPage, ObjectMeta

T = TypeVar("T")
AnyTest = TypeVar("AnyTest", bound=Callable[..., Any])

_REQUIRED = "_required_capabilities"


class StorageSuite:
    """Tests of one storage; see `StorageConformance`."""

    known_weaknesses: ClassVar[Mapping[str, str]] = {}
    """Test name, with or without ``[parameter]``, to the reason with a link: a strict xfail."""

    unprovable: ClassVar[Mapping[str, str]] = {}
    """As `known_weaknesses`, for a test whose outcome is up to chance there: it is not run."""

    capabilities: ClassVar[Capabilities] = Capabilities()
    """What the storage says of itself; rules that are for other storages are not collected."""

    many: ClassVar[int] = 2500
    """Objects of the longest listing; more than a page of the store."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, test in list(vars(cls).items()):
            if _is_test(name) and iscoroutinefunction(test):
                setattr(cls, name, _on_a_loop(test))
        # Kept apart: below some of them are hidden, which a child with other capabilities has.
        cls._own_rules = {name: test for name, test in vars(cls).items() if _is_test(name)}
        for name, rule in cls.rules().items():
            # pytest collects no test that is None.
            setattr(cls, name, rule if _is_for(rule, cls.capabilities) else None)
        for name in (*cls.known_weaknesses, *cls.unprovable):
            if not hasattr(cls, name.partition("[")[0]):
                raise TypeError(f"{cls.__name__}: {name!r} names no test")

    _own_rules: ClassVar[Mapping[str, Callable[..., Any] | None]]

    @classmethod
    def rules(cls) -> dict[str, Callable[..., Any] | None]:
        """Every rule by name, whatever the capabilities; None for one that a child takes out."""
        found: dict[str, Callable[..., Any] | None] = {}
        for base in reversed(cls.__mro__):
            own = vars(base).get("_own_rules", vars(base))
            found |= {name: test for name, test in own.items() if _is_test(name)}
        return found

    def test_the_capabilities_are_those_declared(self, storage: BaseStorageService) -> None:
        declared, found = asdict(self.capabilities), asdict(storage.capabilities)
        flags = [name for name, value in declared.items() if isinstance(value, bool)]
        assert {name: found[name] for name in flags} == {name: declared[name] for name in flags}

    @pytest.fixture
    def storage(self) -> BaseStorageService:
        """The storage under test, empty and unused: to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} has no fixture `storage`.")

    @pytest.fixture(autouse=True)
    def _expect_weaknesses(self, request: pytest.FixtureRequest) -> None:
        for name in {request.node.name, request.node.originalname}:
            if name in self.known_weaknesses:
                reason = self.known_weaknesses[name]
                request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
            if name in self.unprovable:
                pytest.xfail(self.unprovable[name])


def _is_test(name: str) -> bool:
    return name.startswith("test_")


def _is_for(rule: Callable[..., Any] | None, capabilities: Capabilities) -> bool:
    wanted: Mapping[str, bool] = getattr(rule, _REQUIRED, {})
    return all(getattr(capabilities, name) is value for name, value in wanted.items())


def _on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """`test` as a plain function; the storage is used and closed within one event loop."""

    # pytest reads the names of the fixtures through `wraps`.
    @functools.wraps(test)
    def run(self: StorageSuite, storage: BaseStorageService, **fixtures: Any) -> None:
        async def use_and_close() -> None:
            try:
                await test(self, storage, **fixtures)
            finally:
                await storage.aclose()

        asyncio.run(use_and_close())

    return run


def requires(**capabilities: bool) -> Callable[[AnyTest], AnyTest]:
    """The test is for storages whose `Capabilities` have these values."""

    def mark(test: AnyTest) -> AnyTest:
        setattr(test, _REQUIRED, capabilities)
        return test

    return mark


@dataclass(frozen=True, slots=True)
class Listing:
    """All pages of a listing, in their order."""

    objects: list[ObjectMeta]
    prefixes: list[str]

    @property
    def paths(self) -> list[str]:
        return [meta.path for meta in self.objects]

    @property
    def files(self) -> list[str]:
        """The paths without those of folder markers, which some stores have of themselves."""
        return [path for path in self.paths if not path.endswith("/")]


async def listing(pages: AsyncIterator[ListPage]) -> Listing:
    """Read all pages."""
    found = Listing([], [])
    async for page in pages:
        found.objects.extend(page.objects)
        found.prefixes.extend(page.prefixes)
    return found


async def read(storage: BaseStorageService, path: str, **options: Any) -> bytes:
    """The bytes of an object."""
    async with storage.get(path, **options) as reader:
        return await reader.read()


async def put_all(storage: BaseStorageService, paths: Iterable[str]) -> None:
    """Make an object at each path; its bytes are the path."""
    await at_most(16, (functools.partial(storage.put, path, path.encode()) for path in paths))


async def at_most(limit: int, calls: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """The results of all calls, of which `limit` run at once."""
    running = asyncio.Semaphore(limit)

    async def one(call: Callable[[], Awaitable[T]]) -> T:
        async with running:
            return await call()

    return await asyncio.gather(*map(one, calls))


async def race(calls: Iterable[Awaitable[T]]) -> tuple[list[T], list[BaseException]]:
    """What succeeds and what fails of calls made at once."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    return (
        [result for result in results if not isinstance(result, BaseException)],
        [result for result in results if isinstance(result, BaseException)],
    )
