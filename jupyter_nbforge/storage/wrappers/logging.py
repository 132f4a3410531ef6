"""One line in the log for each operation: what, where, how long, how it ended."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any

from traitlets import Bool

from .observed import ObservedStorage, Operation

OPERATIONS_LOG = "jupyter_nbforge.operations"
"""The logger of the JSON lines."""


class LoggingStorage(ObservedStorage):
    """Logs every operation at DEBUG, and at WARNING one that failed other than by an answer.

    That nothing is there, that something is there already and that a version does not match
    are answers. Data and presigned URLs are never logged. The time is that in the storage,
    not that of a consumer of a body or of a listing.
    """

    json_lines = Bool(
        False,
        config=True,
        help="""Write each operation as a JSON object on a line of its own, instead of into the
        server's log: to standard error, or wherever the logger jupyter_nbforge.operations is
        sent by c.Application.logging_config.""",
    )
    show_paths = Bool(
        True,
        config=True,
        help="""Whether the lines name paths. Off where names of files are private; the sentence
        of an error, which names them too, is then left out, and only its kind remains.""",
    )

    def ended(self, operation: Operation) -> None:
        if self.json_lines:
            level = logging.WARNING if operation.failed else logging.INFO
            _operations_log().log(level, "%s", json.dumps(self._fields(operation, level)))
        elif operation.error is not None and operation.failed and self.show_paths:
            self.log.warning("%s: %s", self._sentence(operation), operation.error)
        elif operation.failed:
            self.log.warning("%s", self._sentence(operation))
        elif self.log.isEnabledFor(logging.DEBUG):
            self.log.debug("%s", self._sentence(operation))

    def _sentence(self, operation: Operation) -> str:
        parts = [f"{operation.name} {operation.path!r}" if self.show_paths else operation.name]
        if operation.source is not None and self.show_paths:
            parts.append(f"from {operation.source!r}")
        parts += [operation.detail, f"{operation.seconds * 1000:.1f} ms"]
        if operation.size is not None:
            parts.append(f"{operation.size} bytes")
        return ", ".join([part for part in parts if part] + [operation.outcome])

    def _fields(self, operation: Operation, level: int) -> dict[str, Any]:
        facts, error = operation.facts, operation.error
        fields: dict[str, Any] = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "level": logging.getLevelName(level),
            "provider": self.provider,
            "operation": operation.name,
            "path": operation.path if self.show_paths else None,
            "source": operation.source if self.show_paths else None,
            "detail": operation.detail or None,
            "seconds": round(operation.seconds, 6),
            "bytes": operation.size,
            "attempts": facts.attempts,
            "requests": facts.requests,
            "outcome": _outcome(operation),
            "error": type(error).__name__ if error is not None else None,
            "message": error.message if operation.failed and error and self.show_paths else None,
            "request_id": facts.request_id or None,
        }
        return {name: value for name, value in fields.items() if value is not None}


def _outcome(operation: Operation) -> str:
    if operation.error is None and not operation.failed:
        return operation.outcome
    return "failed" if operation.failed else "answered"


def _operations_log() -> logging.Logger:
    """The logger of the JSON lines; to standard error if nobody has said where else."""
    log = logging.getLogger(OPERATIONS_LOG)
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.propagate = False
    if log.level == logging.NOTSET:
        log.setLevel(logging.INFO)
    return log
