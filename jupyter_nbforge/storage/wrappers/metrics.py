"""Counts for Prometheus: operations as their callers see them, and attempts at the store."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from .. import metrics
from ..base import BaseStorageService
from ..types import ListPage
from .observed import ObservedStorage, Operation

_SENDS = ("put", "upload_part")


class MetricsStorage(ObservedStorage):
    """Counts operations with all their attempts, and knows when the store last answered."""

    def __init__(self, inner: BaseStorageService, **kwargs: Any) -> None:
        super().__init__(inner, **kwargs)
        self.last_answer: float | None = None
        """When the store last answered, by `time.monotonic`; None: not yet."""

    def ended(self, operation: Operation) -> None:
        provider, name, outcome = self.provider, operation.name, operation.outcome
        metrics.OPERATIONS.labels(provider, name, outcome).inc()
        metrics.OPERATION_SECONDS.labels(provider, name).observe(operation.seconds)
        # A link is signed here, mostly without a word from the store.
        if outcome != "cancelled" and not operation.failed and name != "get_presigned_url":
            self.last_answer = time.monotonic()
            metrics.LAST_ANSWER.labels(provider).set_to_current_time()


class AttemptMetricsStorage(ObservedStorage):
    """Counts each attempt, next to the provider, and the bytes that it moves.

    What waits for a place of the limit, or for the next attempt, is not yet here.
    """

    def ended(self, operation: Operation) -> None:
        provider, name = self.provider, operation.name
        metrics.ATTEMPTS.labels(provider, name, operation.outcome).inc()
        metrics.ATTEMPT_SECONDS.labels(provider, name).observe(operation.seconds)
        if name in _SENDS:
            metrics.WRITTEN_BYTES.labels(provider).inc(operation.size or 0)

    async def list_pages(
        self,
        prefix: str,
        *,
        delimiter: str | None = "/",
        start_after: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[ListPage]:
        pages = self.inner.list_pages(
            prefix, delimiter=delimiter, start_after=start_after, page_size=page_size
        )
        asked = False
        while True:
            noted = Operation("list_pages", prefix)
            page = None
            try:
                with noted.timed():
                    page = await anext(pages, None)
            finally:
                # The end of a listing is known with its last page, but for one that has none.
                if page is not None or not asked or noted.outcome != "ok":
                    self.ended(noted)
            if page is None:
                return
            asked = True
            yield page

    def opened(self, change: int) -> None:
        metrics.OPEN_READS.labels(self.provider).inc(change)

    def received(self, size: int) -> None:
        metrics.READ_BYTES.labels(self.provider).inc(size)
