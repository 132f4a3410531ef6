"""What a diagnosis of a storage asks its provider, beyond the storage interface.

Each question has an answer here that holds for any provider; one that knows more overrides it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from .trials import Condition, try_conditions

if TYPE_CHECKING:
    from .base import BaseStorageService

Outcome: TypeAlias = Literal["ok", "warning", "failed", "skipped", "not applicable"]

Action: TypeAlias = Literal["list", "read", "write", "delete", "copy", "multipart", "sign"]
"""What a server of notebooks does with its store."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one step of a diagnosis has found.

    `message` is one sentence or two of what was found, `remedy` what to change where that is
    needed; `details` are more lines. None of them carries a secret.
    """

    outcome: Outcome
    message: str
    remedy: str = ""
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go, and which certificates are trusted there.

    `option` names the trait that says where; `ca_bundle` is a file, "" the system's.
    """

    url: str
    option: str
    verify: bool = True
    ca_bundle: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """The least permissions for a bucket and a prefix, as `text` to paste; `title` says where."""

    title: str
    text: str


class Diagnosis:
    """The answers of one provider, for what lies below `prefix` (empty, or ending in ``/``).

    An answer that needs the store may raise any `StorageError`. What is written is below the
    folder that is given, and gone when the call ends.
    """

    sdk_packages: Sequence[str] = ()
    """Distributions that the provider needs; that they are there its constructor has checked."""

    keeps_versions: bool | None = False
    """Whether deleted objects are kept; None as long as `versioning` has not found out."""

    def __init__(self, storage: BaseStorageService, prefix: str = "") -> None:
        self.storage = storage
        self.prefix = prefix

    async def endpoint(self) -> Endpoint | None:
        """Where requests go; None for what is no server."""
        return None

    async def credentials(self) -> Finding:
        """Whether there are any and where they come from; never more of a key than its end."""
        return Finding("not applicable", "This storage takes no credentials.")

    async def bucket(self) -> Finding:
        """Whether the bucket or container is there."""
        async for _ in self.storage.list_pages(self.prefix, page_size=1):
            break
        return Finding("ok", f"{self.storage.url} answers.")

    def remedy(self, action: Action) -> str:
        """What to allow so that the action is."""
        return f"Allow the server to {_WORDS[action]} below {self.prefix or 'the root'!r}."

    def policy(self) -> Policy | None:
        """The least permissions for all actions; None: there is nothing to paste."""
        return None

    async def conditions(self, folder: str, without: Collection[str]) -> Sequence[Condition]:
        """What the store does with the conditions of writes, tried below `folder`.

        Operations ("copy", "multipart") in `without` are not tried.
        """
        return await try_conditions(self.storage, folder, without)

    async def versioning(self) -> Finding:
        """Whether deleted and replaced files can be had back."""
        return Finding("not applicable", "This storage keeps no versions.")

    async def purge(self, folder: str) -> bool:
        """Delete old versions of what was below `folder`; whether none is left, as far as known."""
        del folder
        return self.keeps_versions is False


_WORDS: dict[Action, str] = {
    "list": "list",
    "read": "read",
    "write": "write",
    "delete": "delete",
    "copy": "copy objects",
    "multipart": "upload in parts",
    "sign": "sign links",
}
