"""The figures for Prometheus, in its client's default registry, which Jupyter Server shows.

Every label has few values, known beforehand: no path, no bucket and no name of a person is
one. `provider` is the scheme of the storage's URL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

M = TypeVar("M", bound=MetricWrapperBase)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


def _metric(kind: type[M], name: str, text: str, labels: Sequence[str] = (), **more: Any) -> M:
    """A metric, made once in a process however often this module is loaded."""
    # The registry has no public way to find what is there, and refuses a name for ever.
    known = getattr(REGISTRY, "_names_to_collectors", {})
    found: Any = known.get(f"{name}_total") or known.get(name)
    return found if found is not None else kind(name, text, labels, **more)


OPERATIONS = _metric(
    Counter,
    "nbforge_storage_operations",
    "Operations on the store, all their attempts together; outcome is ok, cancelled or an error.",
    ("provider", "operation", "outcome"),
)
OPERATION_SECONDS = _metric(
    Histogram,
    "nbforge_storage_operation_seconds",
    "Time that an operation took, with its attempts and the waits between them.",
    ("provider", "operation"),
    buckets=_SECONDS,
)
ATTEMPTS = _metric(
    Counter,
    "nbforge_storage_attempts",
    "Attempts at operations, each of them one call to the provider; each page of a listing is one.",
    ("provider", "operation", "outcome"),
)
ATTEMPT_SECONDS = _metric(
    Histogram,
    "nbforge_storage_attempt_seconds",
    "Time that one attempt took at the store, without any wait of ours.",
    ("provider", "operation"),
    buckets=_SECONDS,
)
REQUESTS = _metric(
    Counter,
    "nbforge_storage_requests",
    "HTTP requests sent to the store, by the operation that they were made for.",
    ("provider", "operation", "method"),
)
RETRIES = _metric(
    Counter,
    "nbforge_storage_retries",
    "Attempts after the first one, by the error that made them necessary.",
    ("provider", "operation", "cause"),
)
RETRIES_REFUSED = _metric(
    Counter,
    "nbforge_storage_retries_refused",
    "Failures that were not tried again because the retry budget was used up.",
    ("provider",),
)
READ_BYTES = _metric(
    Counter, "nbforge_storage_read_bytes", "Bytes of objects from the store.", ("provider",)
)
WRITTEN_BYTES = _metric(
    Counter, "nbforge_storage_written_bytes", "Bytes of objects sent to the store.", ("provider",)
)
OPEN_READS = _metric(
    Gauge, "nbforge_storage_open_reads", "Reads that are open at the store.", ("provider",)
)
LAST_ANSWER = _metric(
    Gauge,
    "nbforge_storage_last_answer_timestamp_seconds",
    "When the store last answered, in seconds since 1970.",
    ("provider",),
)
CACHE_READS = _metric(
    Counter,
    "nbforge_storage_cache_reads",
    "Whole reads: confirmed (sent by no one, the copy here is current), shared (with an equal"
    " read under way) or fetched.",
    ("provider", "result"),
)
SHORT_MEMORY = _metric(
    Counter,
    "nbforge_storage_short_memory_questions",
    "Questions that our own last reads and writes may answer: remembered, or asked of the store.",
    ("provider", "question", "result"),
)
STORE_UP = _metric(
    Gauge,
    "nbforge_storage_up",
    "Whether the store answered when the health route last looked: 1 or 0.",
    ("provider",),
)
CONFLICTS = _metric(
    Counter,
    "nbforge_contents_conflicts",
    "Saves and restores that were refused because somebody else has changed the file.",
    ("kind",),
)
UPLOADS = _metric(Gauge, "nbforge_contents_uploads", "Uploads that are under way.")
UPLOAD_BUFFER = _metric(
    Gauge, "nbforge_contents_upload_buffer_bytes", "Memory that parts of uploads take."
)
LOOP_DELAY = _metric(
    Histogram,
    "nbforge_event_loop_delay_seconds",
    "How late a timer of the server's event loop was, looked at once a second.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
