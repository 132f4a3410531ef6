"""The conformance suite in the hands of somebody else: no settings, no plugins of ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_nbforge.storage import Capabilities
from jupyter_nbforge.testing import suite
from jupyter_nbforge.testing.conformance import StorageConformance

THEIRS = """
import pytest
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.testing.conformance import StorageConformance

class Forgetful(MemoryStorage):
    async def head(self, path):
        meta = await super().head(path)
        return type(meta)(path, meta.size + 1, meta.last_modified, meta.version)

class TestForgetful(StorageConformance):
    many = 20
    known_weaknesses = {KNOWN}
    unprovable = {UNPROVABLE}

    @pytest.fixture
    def storage(self):
        return Forgetful()

    async def test_of_their_own(self, storage):
        await storage.put("a", b"")
"""

RULES = (
    "test_put_returns_what_head_returns",
    "test_an_empty_object_round_trips",
    "test_of_their_own",
    "test_delete_many_deletes_these_and_no_others",
)


def outcomes(folder: Path, known: dict[str, str], unprovable: dict[str, str]) -> dict[str, str]:
    """What becomes of `RULES` over a storage that breaks the first two of them."""
    test = folder / "test_theirs.py"
    text = THEIRS.replace("{KNOWN}", repr(known)).replace("{UNPROVABLE}", repr(unprovable))
    test.write_text(text)
    command = [sys.executable, "-m", "pytest", "-v", "--rootdir", str(folder), "-c", "/dev/null"]
    selected = [f"{test}::TestForgetful::{rule}" for rule in RULES]
    done = subprocess.run(
        [*command, *selected], cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    found = re.findall(r"::(test_\w+) ([A-Z]+)", done.stdout)
    assert {rule for rule, _ in found} == set(RULES), done.stdout + done.stderr
    return dict(found)


def test_a_broken_rule_fails_and_no_other(tmp_path: Path) -> None:
    assert outcomes(tmp_path, {}, {}) == {
        "test_put_returns_what_head_returns": "FAILED",
        "test_an_empty_object_round_trips": "FAILED",
        "test_of_their_own": "PASSED",
        "test_delete_many_deletes_these_and_no_others": "PASSED",
    }


def test_a_known_weakness_is_expected_and_fails_once_it_is_gone(tmp_path: Path) -> None:
    known = dict.fromkeys((RULES[0], RULES[3]), "https://example.org/1")
    assert outcomes(tmp_path, known, {RULES[1]: "https://example.org/2"}) == {
        "test_put_returns_what_head_returns": "XFAIL",
        "test_an_empty_object_round_trips": "XFAIL",
        "test_of_their_own": "PASSED",
        "test_delete_many_deletes_these_and_no_others": "FAILED",
    }


def _for_a_storage_with(**capabilities: Any) -> type[StorageConformance]:
    return type("TestTheirs", (StorageConformance,), {"capabilities": Capabilities(**capabilities)})


def _wanted(rule: Any) -> dict[str, bool]:
    return dict(getattr(rule, suite._REQUIRED, {}))


@pytest.mark.parametrize("name", sorted(StorageConformance.rules()))
def test_each_rule_is_run_over_a_storage_that_it_is_for(name: str) -> None:
    rule = StorageConformance.rules()[name]
    theirs = _for_a_storage_with(**_wanted(rule))
    assert rule is not None
    assert vars(theirs)[name] is rule
    # Also where a parent of theirs has not the capabilities.
    lacking = _for_a_storage_with(**{flag: not value for flag, value in _wanted(rule).items()})
    assert (vars(lacking)[name] is rule) is not bool(_wanted(rule))
    child = type("TestChild", (lacking,), {"capabilities": theirs.capabilities})
    assert vars(child)[name] is rule


def test_there_are_rules_for_what_a_storage_has_and_for_what_it_lacks() -> None:
    found = {item for rule in StorageConformance.rules().values() for item in _wanted(rule).items()}
    for flag in ("presigned_urls", "multipart", "conditional_put", "conditional_delete"):
        assert {(flag, True), (flag, False)} <= found
    assert {("atomic_move", True), ("presigned_content_type", True)} <= found


def test_a_child_may_put_a_rule_of_its_own_in_place_of_one() -> None:
    def test_an_empty_object_round_trips(self: StorageConformance) -> None:
        """In other words."""

    own = {"test_an_empty_object_round_trips": test_an_empty_object_round_trips}
    theirs = type("TestTheirs", (StorageConformance,), own)
    assert vars(theirs)["test_an_empty_object_round_trips"] is test_an_empty_object_round_trips


def test_a_weakness_of_no_test_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="test_none"):
        type("TestTheirs", (StorageConformance,), {"known_weaknesses": {"test_none[a]": ""}})
