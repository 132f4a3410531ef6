"""Events: the same gestures emit what Jupyter's own manager emits for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_events import EventLogger
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

from .api import Store, notebook_model, text_model

Event = tuple[str, str, str | None]
"""Action, path and source path."""


async def _events(manager: Any, gestures: Callable[[Any], Awaitable[None]]) -> list[Event]:
    seen: list[Event] = []

    async def listen(logger: EventLogger, schema_id: str, data: dict[str, Any]) -> None:
        seen.append((data["action"], data["path"], data.get("source_path")))

    events = manager.event_logger
    events.add_listener(schema_id=manager.event_schema_id, listener=listen)
    await gestures(manager)
    await events.gather_listeners()
    return seen


async def _editing(manager: Any) -> None:
    """What a person does in a session."""
    await manager.new_untitled(path="", type="directory")
    await manager.new_untitled(path="Untitled Folder", type="notebook")
    await manager.get("Untitled Folder/Untitled.ipynb")
    await manager.get("Untitled Folder/Untitled.ipynb", content=False, require_hash=True)
    await manager.save(notebook_model("x"), "Untitled Folder/Untitled.ipynb")
    checkpoint = await manager.create_checkpoint("Untitled Folder/Untitled.ipynb")
    await manager.restore_checkpoint(checkpoint["id"], "Untitled Folder/Untitled.ipynb")
    await manager.update({"path": "Untitled Folder/book.ipynb"}, "Untitled Folder/Untitled.ipynb")
    await manager.update({"path": "d"}, "Untitled Folder")
    await manager.get("d")
    await manager.get("d", content=False)
    await manager.new(text_model("x"), "d/a.txt")
    await manager.save(text_model("y"), "d/a.txt")
    for chunk in (1, 2, -1):
        await manager.save({**text_model("part"), "chunk": chunk}, "up.txt")
    await manager.trust_notebook("d/book.ipynb")
    await manager.delete("d/a.txt")
    await manager.delete("up.txt")
    await manager.file_exists("up.txt")
    await manager.dir_exists("d")


async def _copying(manager: Any) -> None:
    await manager.new({"type": "directory"}, "d")
    await manager.new(text_model("x"), "d/a.txt")
    await manager.copy("d/a.txt", "d")
    await manager.copy("d/a.txt", "")
    await manager.copy("d", "")


@pytest.fixture
def reference(tmp_path: Path) -> AsyncLargeFileManager:
    """Jupyter's own manager on an empty directory."""
    root = tmp_path / "reference"
    root.mkdir()
    return AsyncLargeFileManager(root_dir=str(root), delete_to_trash=False)


async def test_editing_emits_the_same_events(
    store: Store, manager: Any, reference: AsyncLargeFileManager
) -> None:
    expected = await _events(reference, _editing)
    assert {action for action, _, _ in expected} == {"get", "save", "rename", "delete"}
    assert await _events(manager, _editing) == expected


async def test_copying_emits_the_same_events_but_for_the_reads_that_it_saves(
    store: Store, manager: Any, reference: AsyncLargeFileManager
) -> None:
    expected = _but_reads(await _events(reference, _copying))
    assert {action for action, _, _ in expected} == {"save", "copy"}
    assert _but_reads(await _events(manager, _copying)) == expected


def _but_reads(events: list[Event]) -> list[Event]:
    # Jupyter's manager writes the path of a copy in the root with a slash before it.
    return [(action, path.lstrip("/"), of) for action, path, of in events if action != "get"]
