"""A notebook that has not changed is not paid for again, and one that has is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from nbformat.sign import NotebookNotary
from nbformat.warnings import MissingIDFieldWarning

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.contents import pieces, validation
from jupyter_nbforge.storage.local import LocalStorage
from jupyter_nbforge.storage.memory import MemoryStorage
from tests.server.api import notebook_with_output

from .conftest import Managers
from .gestures import notebook


class Count:
    """Counts the calls of a function, and makes them."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self.calls = 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return self._function(*args)


@pytest.fixture
def validations(monkeypatch: pytest.MonkeyPatch) -> Count:
    count = Count(validation.is_plainly_valid)
    monkeypatch.setattr(validation, "is_plainly_valid", count)
    return count


@pytest.fixture
def digests(manager: NBForgeContentsManager, monkeypatch: pytest.MonkeyPatch) -> Count:
    count = Count(manager.notary.compute_signature)
    monkeypatch.setattr(NotebookNotary, "compute_signature", lambda notary, nb: count(nb))
    return count


async def test_what_was_opened_is_neither_validated_nor_digested_when_opened_again(
    manager: NBForgeContentsManager, validations: Count, digests: Count
) -> None:
    await manager.save(notebook("1"), "a.ipynb")
    await manager.get("a.ipynb")
    validations.calls = digests.calls = 0
    again = await manager.get("a.ipynb")
    assert (validations.calls, digests.calls) == (0, 0)
    assert again == await manager.get("a.ipynb")


async def test_what_was_saved_is_not_validated_when_opened(
    manager: NBForgeContentsManager, validations: Count
) -> None:
    await manager.save(notebook("1"), "a.ipynb")
    validations.calls = 0
    await manager.get("a.ipynb")
    assert validations.calls == 0


async def test_what_somebody_else_has_changed_is_validated(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await manager.save(notebook("1"), "a.ipynb")
    assert "message" not in await manager.get("a.ipynb")
    broken = {**notebook("1")["content"], "surplus": 1}
    await store.put("a.ipynb", json.dumps(broken).encode())
    for _ in range(2):
        assert "surplus" in (await manager.get("a.ipynb"))["message"]


async def test_a_notebook_without_ids_is_given_some_at_every_opening(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    content = json.loads(json.dumps(notebook("1")["content"]))
    for cell in content["cells"]:
        cell.pop("id", None)
    content["nbformat_minor"] = 5
    await store.put("a.ipynb", json.dumps(content).encode())
    for _ in range(2):
        with pytest.warns(MissingIDFieldWarning):
            model = await manager.get("a.ipynb")
        assert all(cell["id"] for cell in model["content"]["cells"])


async def test_a_notebook_that_was_trusted_meanwhile_is_trusted_when_opened_again(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    other = notebook_with_output()
    await store.put("a.ipynb", json.dumps(other["content"]).encode())
    for _ in range(2):
        assert not manager.notary.check_cells((await manager.get("a.ipynb"))["content"])
    await manager.trust_notebook("a.ipynb")
    assert manager.notary.check_cells((await manager.get("a.ipynb"))["content"])


async def test_other_bytes_under_a_version_that_repeats_itself_are_not_trusted(
    managers: Managers, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    manager = managers(LocalStorage(root=str(root)))
    await manager.save(notebook_with_output(), "a.ipynb")
    await manager.trust_notebook("a.ipynb")
    assert manager.notary.check_cells((await manager.get("a.ipynb"))["content"])
    file = root / "a.ipynb"
    moment = file.stat()
    file.write_bytes(file.read_bytes().replace(b"<script>1", b"<script>2"))
    os.utime(file, ns=(moment.st_atime_ns, moment.st_mtime_ns))
    assert not manager.notary.check_cells((await manager.get("a.ipynb"))["content"])


async def test_of_an_invalid_notebook_no_long_text_is_quoted_whole_or_shortened(
    manager: NBForgeContentsManager, store: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE", 50)
    content = notebook("x" * 2000)["content"]
    content["cells"][0]["surplus"] = 1
    model = {"type": "notebook", "format": "json", "content": content}
    for answer in (await manager.save(model, "a.ipynb"), await manager.get("a.ipynb")):
        assert "surplus" in answer["message"]
        assert "x" * 50 in answer["message"]
        assert "x" * 60 not in answer["message"]
    assert (await manager.get("a.ipynb"))["content"]["cells"][0]["source"] == "x" * 2000
    async with store.get("a.ipynb") as reader:
        assert b"x" * 2000 in await reader.read()
