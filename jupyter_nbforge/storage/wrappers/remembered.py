"""What the short memory is made of: dated facts in bounded tables, and watches for races."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeAlias, TypeVar

from ..types import ListPage, ObjectMeta, Version

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_UPDATED_ENTRIES = 1000
"""What is larger is listed again after a write rather than copied with a change."""

Found: TypeAlias = ObjectMeta | Literal[False]
"""What a look showed: the object's metadata, or False where there was none."""


class Recent(Generic[K, V]):
    """A table whose values have at most `limit` as the sum of their sizes (default: 1 each).

    The one learnt longest ago goes first; a value that is too large by itself is not kept.
    """

    def __init__(self, limit: int, size: Callable[[V], int] = lambda value: 1) -> None:
        self._limit = limit
        self._size = size
        self._used = 0
        self._values: OrderedDict[K, V] = OrderedDict()

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        self.drop(key)
        if self._size(value) > self._limit:
            return
        self._values[key] = value
        self._used += self._size(value)
        while self._used > self._limit:
            self.drop(next(iter(self._values)))

    def drop(self, key: K) -> None:
        value = self._values.pop(key, None)
        if value is not None:
            self._used -= self._size(value)


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of one path since `moment`.

    `own`: it is our own write, and `found` equals what a `head` would show. `full`: `found`
    has all that a `head` shows; the answer to a copy may lack some of it.
    """

    found: Found
    moment: float
    own: bool = False
    full: bool = True

    def agrees_with(self, found: Found) -> bool:
        """Whether both say the same: absent, or present in the same version."""
        if self.found is False or found is False:
            return self.found is found
        return self.found.version == found.version

    def as_copy(self, answer: ObjectMeta, source_version: Version | None) -> ObjectMeta | None:
        """The full metadata of a copy of this object that the store answered with `answer`.

        None where this is not known to be what was copied.
        """
        source = self.found
        if source is False or not self.full or source.size != answer.size:
            return None
        if source_version is not None and source_version != source.version:
            return None
        ours, theirs = source.content_hash, answer.content_hash
        comparable = ours is not None and theirs is not None and ours.algorithm == theirs.algorithm
        if comparable and ours != theirs:
            return None
        return replace(source, path=answer.path, version=answer.version)


@dataclass(frozen=True, slots=True)
class FolderFact:
    """Whether a folder existed at `moment`."""

    exists: bool
    moment: float


@dataclass(frozen=True, slots=True)
class Listing:
    """A complete listing that was begun at `moment`."""

    moment: float
    pages: tuple[ListPage, ...]
    objects: dict[str, ObjectMeta]
    prefixes: frozenset[str]

    @property
    def entries(self) -> int:
        return len(self.objects) + len(self.prefixes)

    def after_write(self, prefix: str, path: str, found: Found) -> Listing | None:
        """This listing of folder `prefix`, of the same moment, after a write of `path` in it.

        None where that cannot be told from what was written. As in any listing, an entry has
        neither content type nor hash nor who saved it.
        """
        name, slash, _ = path[len(prefix) :].partition("/")
        if slash:
            goes_on = found is not False and prefix + name + slash in self.prefixes
            return self if goes_on else None
        if not name or self.entries > _UPDATED_ENTRIES:
            return None
        objects = {known: meta for known, meta in self.objects.items() if known != path}
        if found is not False:
            objects[path] = replace(found, content_type=None, content_hash=None, saved_by=None)
        ordered = sorted(objects.values(), key=lambda meta: meta.path)
        prefixes = tuple(found for page in self.pages for found in page.prefixes)
        return replace(self, pages=(ListPage(tuple(ordered), prefixes),), objects=objects)


@dataclass(slots=True)
class ListingInProgress:
    """The pages of a listing so far; those of one above `limit` entries are let go."""

    moment: float
    limit: int
    entries: int = 0
    pages: list[ListPage] = field(default_factory=list)

    def add(self, page: ListPage) -> None:
        self.entries += len(page.objects) + len(page.prefixes)
        if self.entries <= self.limit:
            self.pages.append(page)
        else:
            self.pages.clear()

    def done(self) -> Listing | None:
        """The listing; None if it is too large to be kept."""
        if self.entries > self.limit:
            return None
        return Listing(
            self.moment,
            tuple(self.pages),
            {meta.path: meta for page in self.pages for meta in page.objects},
            frozenset(prefix for page in self.pages for prefix in page.prefixes),
        )


@dataclass(eq=False, slots=True)
class Watch:
    """An operation under way: told of each of our writes that ends before it does."""

    paths: frozenset[str] = frozenset()
    prefix: str | None = None
    overtaken: bool = False

    def note_write(self, path: str) -> None:
        below = self.prefix is not None and path.startswith(self.prefix)
        if below or path in self.paths:
            self.overtaken = True
