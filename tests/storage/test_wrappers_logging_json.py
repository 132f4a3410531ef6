"""The JSON lines of LoggingStorage: one object each, complete, and without what is private."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from jupyter_nbforge.storage import NotFoundError, UnavailableError
from jupyter_nbforge.storage.facts import note_answer, note_request
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.types import ObjectMeta
from jupyter_nbforge.storage.wrappers import LoggingStorage, RetryStorage
from jupyter_nbforge.storage.wrappers.logging import OPERATIONS_LOG
from jupyter_nbforge.testing.faults import Fault, FaultyStorage

from .helpers import put_all
from .test_wrappers_logging import LOG, Signing

TIMES = ("time", "seconds")


class Telling(Signing):
    """Tells of requests, as the providers of clouds do."""

    async def head(self, path: str) -> ObjectMeta:
        note_request("memory", "HEAD")
        note_answer("request-7")
        return await super().head(path)


class World:
    def __init__(self, **options: Any) -> None:
        self.faulty = FaultyStorage(Telling())
        retry = RetryStorage(
            self.faulty,
            wait_initial=0,
            wait_max=0,
            show_paths=options.get("show_paths", True),
            log=LOG,
        )
        self.storage = LoggingStorage(retry, json_lines=True, log=LOG, **options)
        self.written = io.StringIO()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The objects, without the times."""
        found = [json.loads(line) for line in self.written.getvalue().splitlines()]
        return [{key: line[key] for key in line if key not in TIMES} for line in found]


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """The logger of the lines, as it is before anybody has used it."""
    log = logging.getLogger(OPERATIONS_LOG)
    kept = log.handlers, log.propagate, log.level
    log.handlers, log.propagate = [], True
    log.setLevel(logging.NOTSET)
    yield log
    log.handlers, log.propagate = kept[:2]
    log.setLevel(kept[2])


@pytest.fixture
def world(log: logging.Logger, request: pytest.FixtureRequest) -> World:
    world = World(**getattr(request, "param", {}))
    log.addHandler(logging.StreamHandler(world.written))
    return world


async def test_an_operation_is_one_object_on_a_line(world: World) -> None:
    await world.storage.put("f/a", b"data!")
    await world.storage.head("f/a")
    await world.storage.copy("f/a", "b")
    common = {"level": "INFO", "provider": "memory", "attempts": 1, "outcome": "ok"}
    assert world.lines == [
        {**common, "operation": "put", "path": "f/a", "bytes": 5, "requests": 0},
        {
            **common,
            "operation": "head",
            "path": "f/a",
            "bytes": 5,
            "requests": 1,
            "request_id": "request-7",
        },
        {
            **common,
            "operation": "copy",
            "path": "b",
            "bytes": 5,
            "requests": 0,
            "source": "f/a",
        },
    ]


async def test_an_operation_tells_of_all_its_attempts(world: World) -> None:
    await put_all(world.faulty, ["a"])
    failure = Fault("head", error=lambda: UnavailableError("down", retryable=True), times=2)
    world.faulty.faults.append(failure)
    await world.storage.head("a")
    await world.storage.head("a")
    assert [line["attempts"] for line in world.lines] == [3, 1]
    assert [line["requests"] for line in world.lines] == [1, 1]


async def test_an_answer_is_told_apart_from_a_failure(world: World) -> None:
    with pytest.raises(NotFoundError):
        await world.storage.head("missing")
    world.faulty.faults.append(Fault("head", error=lambda: UnavailableError("It is down.")))
    with pytest.raises(UnavailableError):
        await world.storage.head("a")
    answered, failed = world.lines
    assert (answered["level"], answered["outcome"]) == ("INFO", "answered")
    assert (answered["error"], "message" in answered) == ("NotFoundError", False)
    assert (failed["level"], failed["outcome"]) == ("WARNING", "failed")
    assert (failed["error"], failed["message"]) == ("UnavailableError", "It is down.")


async def test_no_line_has_data_or_a_link(world: World) -> None:
    assert "sesame" in await world.storage.get_presigned_url("a")
    await world.storage.put("a", b"sesame", content_type="sesame", metadata={"word": "sesame"})
    assert len(world.lines) == 2
    assert "sesame" not in world.written.getvalue()


async def test_a_path_with_a_line_end_is_still_one_line(world: World) -> None:
    with pytest.raises(NotFoundError):
        await world.storage.head("b\u2028c")
    assert len(world.written.getvalue().splitlines()) == 1


@pytest.mark.parametrize("world", [{"show_paths": False}], indirect=True)
async def test_paths_are_left_out_where_they_are_private(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await put_all(world.faulty, ["private/a"])
    for times in (1, 9):
        world.faulty.faults.append(
            Fault("*", error=lambda: UnavailableError("'private/a'!", retryable=True), times=times)
        )
        if times == 1:
            await world.storage.copy("private/a", "private/b")
    with pytest.raises(UnavailableError):
        await world.storage.head("private/a")
    assert [line["outcome"] for line in world.lines] == ["ok", "failed"]
    assert "private" not in world.written.getvalue()
    assert "copy failed; attempt 2 of 5 follows. UnavailableError" in caplog.text
    assert "private" not in caplog.text


async def test_paths_are_left_out_of_the_lines_for_people_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    faulty = FaultyStorage(MemoryStorage())
    storage = LoggingStorage(faulty, show_paths=False, log=LOG)
    await storage.put("private/a", b"1")
    await storage.copy("private/a", "private/b")
    faulty.faults.append(Fault("head", error=lambda: UnavailableError("'private/a' is lost.")))
    with pytest.raises(UnavailableError):
        await storage.head("private/a")
    assert "put, " in caplog.text
    assert "UnavailableError" in caplog.text
    assert "private" not in caplog.text


async def test_the_lines_go_to_standard_error_unless_somebody_says_where(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    await World().storage.put("a", b"1")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["operation"] == "put"
