"""The SDK under an `S3Storage`: to see what is sent, and to do what our code never does."""

from __future__ import annotations

from typing import Any

from jupyter_nbforge.storage.s3 import S3Storage


async def sdk(storage: S3Storage) -> Any:
    """The SDK's client of a storage."""
    return await storage._connection.client()


class Sent(list[dict[str, Any]]):
    """The requests of a storage, as the SDK prepared them."""

    @property
    def operations(self) -> list[str]:
        return [request["operation"] for request in self]


async def record(storage: S3Storage) -> Sent:
    """What the storage sends from now on."""
    sent = Sent()

    def note(model: Any, params: dict[str, Any], **kwargs: Any) -> None:
        sent.append({**params, "operation": model.name})

    (await sdk(storage)).meta.events.register_last("before-call.s3", note)
    return sent
