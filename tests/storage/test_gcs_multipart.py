"""Uploads in parts of GCSStorage: one stream, whatever is lost, and a move at the end."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import google_crc32c
import pytest

from jupyter_nbforge.storage.base import MultipartUpload
from jupyter_nbforge.storage.errors import (
    AlreadyExistsError,
    NotFoundError,
    NotSupportedError,
    PreconditionError,
    StorageError,
    UnavailableError,
)
from jupyter_nbforge.storage.gcs import GCSStorage
from jupyter_nbforge.storage.types import IfAbsent, IfMatch, Version
from jupyter_nbforge.storage.wrappers import RetryStorage
from jupyter_nbforge.testing.processes import free_port

from .conftest import MakeGCS
from .gcs_stub import found, place, query, refusal, resource, stub_gcs
from .stub import Request, answer

UNIT = 256 * 2**10
PARTS = [b"1" * (2 * UNIT), b"2" * (UNIT + 5), b"3" * (UNIT - 2), b"4"]
WHOLE = b"".join(PARTS)


class Store:
    """A store with one resumable upload; `lost` numbers the requests whose answer is lost."""

    def __init__(self, *lost: int) -> None:
        self.lost = set(lost)
        self.before: set[int] = set()
        """Of those, the ones that are lost before they have an effect."""
        self.kept: int | None = None
        """What the store keeps of the next part."""
        self.damaged = False
        self.data = bytearray()
        self.name = ""
        self.properties: dict[str, Any] = {}
        self.objects: dict[str, dict[str, Any]] = {}
        self.bytes: dict[str, bytes] = {}
        self.cancelled = False
        self.log: list[str] = []
        self._host = ""

    def __call__(self, request: Request, number: int) -> bytes:
        self._host = request.headers["host"]
        count = len(self.log) + 1
        if count in self.before:
            self.log.append("nothing")
            return b""
        reply = self._reply(request)
        return b"" if count in self.lost else reply

    def _reply(self, request: Request) -> bytes:
        if request.target.startswith("/session"):
            return self._continue(request)
        what = place(request)
        if what == "POST /upload/o":
            return self._begin(request)
        if "/moveTo/o/" in what:
            return self._move(request, what.partition("/moveTo/o/")[2])
        path = what.partition("/o/")[2]
        self.log.append(f"{request.method} {'temporary' if path == self.name else path}")
        known = self.objects.get(path)
        if request.method == "DELETE":
            self.objects.pop(path, None)
        return refusal(404, "notFound") if known is None else found(known)

    def _begin(self, request: Request) -> bytes:
        self.log.append("begin")
        self.name = query(request)["name"]
        self.properties = json.loads(request.body)
        return answer(200, location=f"http://{self._host}/session?upload_id=SECRETSECRET")

    def _continue(self, request: Request) -> bytes:
        if request.method == "DELETE":
            self.log.append("cancel")
            self.cancelled = True
            return answer(404 if self.name in self.objects else 499)
        span = request.headers["content-range"].removeprefix("bytes ")
        self.log.append(span)
        if self.cancelled:
            return refusal(404, "notFound")
        where, total = span.split("/")
        if where != "*":
            assert int(where.split("-")[0]) == len(self.data)
            assert total != "*" or len(request.body) % UNIT == 0
            self.data += request.body if self.kept is None else request.body[: self.kept]
            self.kept = None
        if total == str(len(self.data)) and self.name not in self.objects:
            self._make()
        if self.name in self.objects:
            return found(self.objects[self.name])
        return answer(308, range=f"bytes=0-{len(self.data) - 1}") if self.data else answer(308)

    def _make(self) -> None:
        data = bytes(self.data) + (b"x" if self.damaged else b"")
        digest = google_crc32c.value(data).to_bytes(4, "big")
        checksum = b64encode(digest).decode()
        described = {**self.properties, "crc32c": checksum, "size": str(len(data))}
        self.objects[self.name] = resource(self.name, **described)
        self.bytes[self.name] = data

    def _move(self, request: Request, target: str) -> bytes:
        self.log.append(f"move {target}")
        if self.name not in self.objects:
            return refusal(404, "notFound")
        wanted = query(request).get("ifGenerationMatch")
        if wanted not in (None, self.objects.get(target, {}).get("generation", "0")):
            return refusal(412, "conditionNotMet")
        self.objects[target] = {**self.objects.pop(self.name), "name": target, "generation": "77"}
        self.bytes[target] = self.bytes.pop(self.name)
        return found(self.objects[target])


async def again(call: Any) -> Any:
    """Call until it does not fail for a moment; what a caller who retries gets."""
    for _ in range(4):
        try:
            return await call()
        except UnavailableError as error:
            if not error.retryable:
                raise
    raise AssertionError("it fails for ever")


async def upload_all(upload: MultipartUpload) -> None:
    for number, part in enumerate(PARTS, start=1):
        await again(lambda number=number, part=part: upload.upload_part(number, part))


@asynccontextmanager
async def begun(store: Store, **options: Any) -> AsyncIterator[tuple[GCSStorage, MultipartUpload]]:
    async with stub_gcs(store, **options) as storage:
        yield storage, await storage.create_multipart_upload("folder/target")


async def test_parts_cost_a_request_each_and_two_more() -> None:
    store = Store()
    async with begun(store) as (_, upload):
        await upload_all(upload)
        meta = await upload.complete(condition=IfAbsent())
    assert store.bytes == {"folder/target": WHOLE}
    assert (meta.path, meta.size, meta.version) == ("folder/target", len(WHOLE), "77")
    assert store.log == [
        "begin",
        f"0-{2 * UNIT - 1}/*",
        f"{2 * UNIT}-{3 * UNIT - 1}/*",
        f"{3 * UNIT}-{4 * UNIT - 1}/*",
        f"{4 * UNIT}-{len(WHOLE) - 1}/{len(WHOLE)}",
        "move folder/target",
    ]


async def test_the_temporary_object_is_hidden_and_beside_the_target() -> None:
    store = Store()
    async with begun(store) as (storage, _):
        assert store.name.startswith("folder/.nbforge-upload-")
        await storage.create_multipart_upload("target")
        assert store.name.startswith(".nbforge-upload-")


@pytest.mark.parametrize("content_type", ["é", "☃", "a\r\nb: c"])
async def test_a_content_type_of_an_upload_breaks_no_header(content_type: str) -> None:
    store = Store()
    requests: list[Request] = []
    async with stub_gcs(store, requests=requests) as storage:
        upload = await storage.create_multipart_upload("a", content_type=content_type)
        await upload.abort()
    assert store.properties["contentType"] == content_type
    assert requests[0].headers["x-upload-content-type"] == "application/octet-stream"
    assert "b" not in requests[0].headers


@pytest.mark.parametrize("order", [(4, 3, 2, 1), (2, 1, 4, 3), (1, 4, 2, 3)])
async def test_parts_that_come_early_wait(order: tuple[int, ...]) -> None:
    store = Store()
    async with begun(store) as (_, upload):
        for number in order:
            await upload.upload_part(number, PARTS[number - 1])
        await upload.complete()
    assert store.bytes == {"folder/target": WHOLE}


async def test_parts_at_once_are_one_stream(make_gcs: MakeGCS) -> None:
    async with aclosing(make_gcs()) as storage:
        upload = await storage.create_multipart_upload("a")
        parts = [bytes([number]) * (UNIT + number) for number in range(20)]
        sending = [upload.upload_part(number, part) for number, part in enumerate(parts, start=1)]
        await asyncio.gather(*reversed(sending))
        meta = await upload.complete()
        assert meta == await storage.head("a")
        async with storage.get("a") as reader:
            assert await reader.read() == b"".join(parts)


async def test_a_number_may_be_missing() -> None:
    store = Store()
    async with begun(store) as (_, upload):
        await upload.upload_part(2, PARTS[1])
        await upload.upload_part(5, PARTS[0])
        await upload.complete()
    assert store.bytes == {"folder/target": PARTS[1] + PARTS[0]}


async def test_an_empty_upload_is_an_empty_object(make_gcs: MakeGCS) -> None:
    async with aclosing(make_gcs()) as storage:
        upload = await storage.create_multipart_upload("a")
        with pytest.raises(StorageError, match="no part"):
            await upload.complete()
        await upload.upload_part(1, b"")
        assert (await upload.complete()).size == 0
        assert (await storage.head("a")).size == 0


# Answers that are lost, and stores that keep less than was sent.


@pytest.mark.parametrize("lost", [2, 3, 4, 5])
@pytest.mark.parametrize("before", [False, True])
async def test_after_a_lost_answer_the_store_is_asked_how_far_it_got(
    lost: int, before: bool
) -> None:
    store = Store(lost)
    store.before = {lost} if before else set()
    async with begun(store) as (_, upload):
        await upload_all(upload)
        meta = await again(upload.complete)
    assert store.bytes == {"folder/target": WHOLE}
    assert meta.size == len(WHOLE)
    assert store.log[lost] == "*/*"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<html>"])
async def test_an_end_that_describes_no_object_is_asked_for_again(body: bytes) -> None:
    store = Store()
    answers = [answer(200, body)]

    def reply(request: Request, number: int) -> bytes:
        said = store(request, number)
        return answers.pop() if answers and store.name in store.objects else said

    async with stub_gcs(reply) as storage:
        upload = await storage.create_multipart_upload("a")
        await upload.upload_part(1, b"data")
        with pytest.raises(UnavailableError) as caught:
            await upload.complete()
        assert (caught.value.retryable, caught.value.outcome_unknown) == (True, True)
        await upload.complete()
    assert store.bytes == {"a": b"data"}


async def test_several_lost_answers_are_no_other_case() -> None:
    store = Store(2, 3, 5, 6, 9, 11)
    async with begun(store) as (_, upload):
        await upload_all(upload)
        await again(upload.complete)
    assert store.bytes == {"folder/target": WHOLE}


@pytest.mark.parametrize("kept", [0, UNIT])
async def test_what_the_store_did_not_keep_is_sent_again(kept: int) -> None:
    store = Store()
    async with begun(store) as (_, upload):
        store.kept = kept
        await upload_all(upload)
        await upload.complete()
    assert store.bytes == {"folder/target": WHOLE}


async def test_a_store_that_keeps_nothing_is_not_asked_for_ever() -> None:
    requests: list[Request] = []

    def reply(request: Request, number: int) -> bytes:
        if request.method == "POST":
            return answer(200, location=f"http://{request.headers['host']}/session")
        return answer(308)

    async with stub_gcs(reply, requests=requests) as storage:
        upload = await storage.create_multipart_upload("a")
        await upload.upload_part(1, PARTS[0])
        with pytest.raises(UnavailableError) as caught:
            await upload.upload_part(2, PARTS[1])
    assert caught.value.retryable
    assert len(requests) == 2


async def test_a_store_that_has_lost_parts_is_told_no_lie() -> None:
    store = Store(3)
    async with begun(store) as (_, upload):
        await upload.upload_part(1, PARTS[0])
        await upload.upload_part(2, PARTS[1])
        with pytest.raises(UnavailableError):
            await upload.upload_part(3, PARTS[2])
        store.data.clear()
        with pytest.raises(StorageError, match="lost parts") as caught:
            await upload.upload_part(3, PARTS[2])
    assert not caught.value.retryable


@pytest.mark.parametrize("checked", [True, False])
async def test_bytes_that_arrive_damaged_never_appear(
    checked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no checksum can be had, the length tells that there is too much or too little."""
    if not checked:
        monkeypatch.setattr("jupyter_nbforge.storage.gcs_resumable.new_checksum", lambda: None)
    store = Store()
    store.damaged = True
    async with begun(store) as (_, upload):
        await upload_all(upload)
        with pytest.raises(UnavailableError, match="damaged"):
            await upload.complete()
    assert store.objects == {}


async def test_the_checksum_is_that_of_all_bytes_once_whatever_was_sent_again() -> None:
    """Of the same length, so that only the checksum tells."""
    store = Store(2, 4)
    async with begun(store) as (_, upload):
        await upload_all(upload)
        store.data[3:4] = b"x"
        with pytest.raises(UnavailableError, match="damaged"):
            await again(upload.complete)
    assert store.objects == {}


async def test_a_move_whose_answer_was_lost_is_recognised() -> None:
    store = Store(6)
    async with begun(store) as (storage, upload):
        await upload_all(upload)
        with pytest.raises(UnavailableError):
            await upload.complete(condition=IfAbsent())
        meta = await upload.complete(condition=IfAbsent())
        assert meta == await storage.head("folder/target")
    assert store.bytes == {"folder/target": WHOLE}


async def test_what_another_wrote_meanwhile_is_not_taken_for_ours() -> None:
    store = Store(6)
    async with begun(store) as (_, upload):
        await upload_all(upload)
        with pytest.raises(UnavailableError):
            await upload.complete(condition=IfAbsent())
        store.objects["folder/target"]["metadata"] = {"mtime": "1.5"}
        with pytest.raises(NotFoundError):
            await upload.complete(condition=IfAbsent())


async def test_a_copy_whose_answer_was_lost_is_recognised() -> None:
    """Where the store does not move: the condition then fails on what we wrote ourselves."""
    store = Store()
    lost = [True]

    def reply(request: Request, number: int) -> bytes:
        if "rewriteTo" not in request.target:
            return store(request, number)
        taken = store.objects.get("folder/target")
        if taken is not None:
            return refusal(412, "conditionNotMet")
        made = {**store.objects[store.name], "name": "folder/target", "generation": "77"}
        store.objects["folder/target"] = made
        return b"" if lost.pop() else found({"done": True, "resource": made})

    async with stub_gcs(reply, atomic_move=False) as storage:
        upload = await storage.create_multipart_upload("folder/target")
        await upload_all(upload)
        with pytest.raises(UnavailableError) as caught:
            await upload.complete(condition=IfAbsent())
        assert caught.value.outcome_unknown
        assert (await upload.complete(condition=IfAbsent())).version == "77"
    assert set(store.objects) == {"folder/target"}


async def test_the_retry_wrapper_makes_all_of_it_one_success() -> None:
    store = Store(2, 5, 8, 10)
    async with stub_gcs(store) as storage:
        retrying = RetryStorage(storage, wait_initial=0.01, wait_max=0.01)
        async with await retrying.create_multipart_upload("folder/target") as upload:
            for number, part in enumerate(PARTS, start=1):
                await upload.upload_part(number, part)
            meta = await upload.complete(condition=IfAbsent())
    assert meta.size == len(WHOLE)
    assert store.bytes == {"folder/target": WHOLE}


# Conditions, other bytes, and giving up.


@pytest.mark.parametrize(
    ("condition", "expected"),
    [(IfAbsent(), AlreadyExistsError), (IfMatch(Version("5")), PreconditionError)],
)
async def test_a_failed_condition_leaves_what_is_there_and_nothing_else(
    condition: IfAbsent | IfMatch, expected: type[StorageError]
) -> None:
    store = Store()
    store.objects["folder/target"] = resource("folder/target", generation="9")
    async with begun(store) as (_, upload):
        await upload_all(upload)
        with pytest.raises(expected):
            await upload.complete(condition=condition)
        assert set(store.objects) == {"folder/target"}
        assert store.objects["folder/target"]["generation"] == "9"
        with pytest.raises(NotFoundError):
            await upload.complete()
        await upload.abort()


async def test_a_part_takes_no_other_bytes_even_while_it_waits() -> None:
    store = Store()
    async with begun(store) as (_, upload):
        await upload.upload_part(2, PARTS[1])
        with pytest.raises(NotSupportedError):
            await upload.upload_part(2, PARTS[0])
        await upload.upload_part(2, PARTS[1])
        await upload.upload_part(1, PARTS[0])
        with pytest.raises(NotSupportedError):
            await upload.upload_part(1, PARTS[0][:-1])
        await upload.complete()
    assert store.bytes == {"folder/target": PARTS[0] + PARTS[1]}


async def test_abort_frees_the_session_once() -> None:
    store = Store()
    async with begun(store) as (_, upload):
        await upload.upload_part(1, PARTS[0])
        await upload.abort()
        await upload.abort()
        with pytest.raises(NotFoundError):
            await upload.upload_part(2, PARTS[1])
    assert store.log == ["begin", "cancel"]


async def test_abort_deletes_what_an_unfinished_end_has_made() -> None:
    """The stream has ended, the answer was lost: there may be an object or not."""
    store = Store(5)
    async with begun(store) as (_, upload):
        await upload_all(upload)
        with pytest.raises(UnavailableError):
            await upload.complete()
        assert set(store.objects) == {store.name}
        await upload.abort()
    assert store.objects == {}
    assert store.log[-2:] == ["cancel", "DELETE temporary"]


async def test_abort_deletes_what_was_not_moved() -> None:
    store = Store()
    store.before = {6}
    async with begun(store) as (_, upload):
        await upload_all(upload)
        with pytest.raises(UnavailableError):
            await upload.complete()
        await upload.abort()
    assert store.objects == {}


async def test_an_abort_that_failed_is_tried_again() -> None:
    store = Store(3)
    async with begun(store) as (_, upload):
        await upload_all_but_last(upload)
        with pytest.raises(UnavailableError):
            await upload.abort()
        await upload.abort()
    assert store.cancelled


async def upload_all_but_last(upload: MultipartUpload) -> None:
    await upload.upload_part(1, PARTS[0])
    await upload.upload_part(2, PARTS[1])


async def test_a_session_that_has_ended_says_so() -> None:
    store = Store()
    async with begun(store) as (_, upload):
        await upload.upload_part(1, PARTS[0])
        store.cancelled = True
        with pytest.raises(NotFoundError, match="ended") as caught:
            await upload.upload_part(2, PARTS[1])
    assert not caught.value.retryable


async def test_a_cancelled_part_is_sent_on_from_where_it_was() -> None:
    store = Store()
    reached = asyncio.Event()
    release = asyncio.Event()

    async with begun(store) as (storage, upload):
        await upload.upload_part(1, PARTS[0])
        held = storage._connection.send

        async def slow(*args: Any, **options: Any) -> Any:
            answered = await held(*args, **options)
            reached.set()
            await release.wait()
            return answered

        storage._connection.send = slow  # type: ignore[method-assign]
        sending = asyncio.create_task(upload.upload_part(2, PARTS[1]))
        await reached.wait()
        sending.cancel()
        await asyncio.wait([sending])
        storage._connection.send = held  # type: ignore[method-assign]
        for number in (2, 3, 4):
            await upload.upload_part(number, PARTS[number - 1])
        await upload.complete()
    assert store.log[2] == "*/*"
    assert store.bytes == {"folder/target": WHOLE}


async def test_the_address_of_the_session_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    caplog.set_level(logging.DEBUG)
    async with begun(store) as (storage, upload):
        await upload_all(upload)
        await upload.complete()
        await storage.head("folder/target")
    assert "/storage/v1/b/bucket/o/folder%2Ftarget" in caplog.text
    assert "SECRETSECRET" not in caplog.text


async def test_the_address_of_the_session_shows_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """The HTTP library's errors have it where there is no connection at all."""
    address = f"http://127.0.0.1:{free_port()}/session?upload_id=SECRETSECRET"
    caplog.set_level(logging.INFO)
    async with stub_gcs(lambda request, number: answer(200, location=address)) as storage:
        upload = await storage.create_multipart_upload("a")
        await upload.upload_part(1, PARTS[0])
        shown = [repr(upload), repr(storage)]
        for call in (upload.upload_part(2, PARTS[1]), upload.complete(), upload.abort()):
            with pytest.raises(UnavailableError) as caught:
                await call
            shown += traceback.format_exception(caught.value)
    assert "SECRETSECRET" not in "".join([*shown, caplog.text])
