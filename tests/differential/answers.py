"""An HTTP answer as named values that can be compared, whichever server gave it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.server.api import Answer

from .operations import Operation

CHECKPOINTS_FOLDER = ".ipynb_checkpoints"
"""Where Jupyter's own manager keeps checkpoints, in each folder."""

_HEADERS = ("Location", "Content-Type", "Content-Security-Policy", "X-Content-Type-Options")
_DOWNLOAD_HEADERS = (
    *("Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Length"),
    *("Content-Range", "Etag"),
)
_TIMES = ("last_modified", "created")


def is_time(value: object) -> bool:
    """Whether it is a moment as Jupyter writes it, with its zone."""
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00")).tzinfo is not None
    except ValueError:
        return False


@dataclass
class Seen:
    """What one server has last told of each path: of interest is only whether it stays."""

    times: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)

    def forget(self, path: str) -> None:
        """Something happened to the path and what is below it."""
        for known in (self.times, self.hashes):
            for name in [name for name in known if _is_in(name, path)]:
                del known[name]

    def move(self, path: str, target: str) -> None:
        """All that was known of the path is now known of `target`."""
        for known in (self.times, self.hashes):
            for name in [name for name in known if _is_in(name, path)]:
                known[target + name[len(path) :]] = known.pop(name)


def _is_in(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}/") or not path


def _step_of(known: dict[str, str], path: str, value: str, *, keep: bool) -> str:
    before = known.get(path)
    if keep:
        known[path] = value
    return "first" if before is None else "kept" if before == value else "changed"


def fields_of(operation: Operation, answer: Answer, seen: Seen) -> dict[str, Any]:
    """Everything in the answer that a client may build on, each under a name of its own."""
    if answer.status >= 400:
        return {"status": answer.status, **dict(_of_error(operation, answer))}
    fields: dict[str, Any] = {"status": answer.status, **dict(_headers(answer, _HEADERS))}
    fields["Last-Modified"] = "Last-Modified" in answer.headers
    if operation.is_download:
        return fields | dict(_headers(answer, _DOWNLOAD_HEADERS)) | {"body": answer.body}
    found = json.loads(answer.body) if answer.body else None
    if isinstance(found, list):
        fields["checkpoints"] = len(found)
        found = found[0] if found else None
    if isinstance(found, dict):
        fields |= _of_checkpoint(found) if operation.tail else _of_model(operation, found, seen)
    return fields


def _headers(answer: Answer, names: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
    return ((name, answer.headers.get(name)) for name in names)


def _of_error(operation: Operation, answer: Answer) -> Iterator[tuple[str, Any]]:
    if operation.method == "HEAD" or operation.is_download:
        return  # a page for people
    try:
        found = answer.json
    except ValueError:
        yield "error", "plain text"
        return
    yield "error", sorted(set(found) - {"traceback"})
    yield "message", bool(found.get("message"))
    yield "reason", found.get("reason")


def _of_checkpoint(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "checkpoint": sorted(found),
        "checkpoint id": found["id"],
        "checkpoint time": is_time(found["last_modified"]),
    }


def _of_model(operation: Operation, model: Mapping[str, Any], seen: Seen) -> dict[str, Any]:
    fields: dict[str, Any] = {"model": sorted(model)}
    fields |= _without_content(operation, model, seen, in_listing=False)
    content = model["content"]
    if model["type"] != "directory" or content is None:
        fields["content"] = content
        return fields
    entries = [entry for entry in content if entry["name"] != CHECKPOINTS_FOLDER]
    fields["entries"] = sorted(entry["name"] for entry in entries)
    for entry in entries:
        values = _without_content(operation, entry, seen, in_listing=True)
        fields[f"keys of entry {entry['name']}"] = sorted(entry)
        fields |= {f"{name} of entry {entry['name']}": value for name, value in values.items()}
    return fields


def _without_content(
    operation: Operation, model: Mapping[str, Any], seen: Seen, *, in_listing: bool
) -> dict[str, Any]:
    fields = {name: value for name, value in model.items() if name not in (*_TIMES, "content")}
    fields["created"] = is_time(model["created"])
    fields["last_modified"] = is_time(model["last_modified"])
    if model["type"] == "directory":
        return fields
    path, keep = model["path"], not in_listing
    fresh = operation.writes_content
    time = _step_of(seen.times, path, model["last_modified"], keep=keep)
    fields["time moves"] = "fresh" if fresh else time
    if operation.query.get("hash") == "1" and not in_listing:
        fields["hash moves"] = _step_of(seen.hashes, path, model["hash"], keep=keep)
    return fields
