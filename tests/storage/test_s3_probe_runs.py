"""When the probe of a store runs, and what happens where it fails."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.errors import (
    AlreadyExistsError,
    PermissionDeniedError,
    PreconditionError,
    UnavailableError,
)
from jupyter_nbforge.storage.s3 import S3Storage
from jupyter_nbforge.storage.s3_probe import PROBE_PREFIX
from jupyter_nbforge.storage.types import IfAbsent, IfMatch
from jupyter_nbforge.storage.wrappers import PrefixStorage
from jupyter_nbforge.testing.s3_dialects import CONDITIONS, WeakerS3, s3_error
from jupyter_nbforge.testing.servers import MotoServer, SeaweedServer

from .conftest import MakeS3
from .helpers import listing
from .probe_world import OTHER, left, probed, refused, said, uploaded, weaker
from .sdk import record, sdk


async def use_every_condition(storage: BaseStorageService) -> None:
    """One write with each kind of condition that holds."""
    meta = await storage.put("a", b"1", condition=IfAbsent())
    meta = await storage.put("a", b"2", condition=IfMatch(meta.version))
    await uploaded(storage, "b", condition=IfAbsent())
    await storage.copy("a", "c", condition=IfAbsent(), source_version=meta.version)
    await storage.delete("a", condition=IfMatch(meta.version))
    versions = {path: (await storage.head(path)).version for path in ("b", "c")}
    await storage.delete_many(versions, versions=versions)


async def test_first_writes_at_the_same_time_share_one_probe(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    async with weaker(seaweed_server, make_s3) as (storage, proxy):
        writes = [storage.put(f"{number}/a", b"1", condition=IfAbsent()) for number in range(20)]
        metas = await asyncio.gather(*writes)
        folders = {key.partition("/")[0] for key in probed(proxy)}
        assert len(folders) == 1
        proxy.take()
        await storage.put("0/a", b"2", condition=IfMatch(metas[0].version))
        assert proxy.take() == {"PUT": 1}


async def test_the_first_conditional_write_of_a_kind_costs_few_requests(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    async with weaker(seaweed_server, make_s3) as (storage, proxy):
        await storage.put("a", b"1")
        await storage.copy("a", "b")
        await storage.delete("b")
        await storage.delete_many(["b"])
        assert proxy.take() == {"PUT": 1, "COPY": 1, "DELETE": 2}
        meta = await storage.put("b", b"2", condition=IfAbsent())
        assert proxy.take() == {"PUT": 5 + 1, "DELETE": 2}
        await storage.copy("b", "c", source_version=meta.version)
        assert proxy.take() == {"PUT": 1, "COPY": 7 + 1, "DELETE": 2}
        await storage.delete_many(["a", "b"], versions={"b": meta.version})
        assert proxy.take() == {"PUT": 2, "DELETE": 2 + 1}
        await uploaded(storage, "b", condition=IfAbsent())
        upload = {"CREATE UPLOAD": 1, "PART": 1, "COMPLETE": 1}
        more = {"PUT": 1, "CREATE UPLOAD": 1, "PART": 1, "COMPLETE": 3, "DELETE": 1}
        assert proxy.take() == Counter(upload) + Counter(more)
        await storage.delete("c", condition=IfMatch((await storage.head("c")).version))
        assert proxy.take() == {"HEAD": 1, "DELETE": 1}


async def test_a_delete_that_comes_first_is_probed_by_itself(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    async with weaker(seaweed_server, make_s3, ignored=CONDITIONS) as (storage, proxy):
        await storage.put("a", b"1")
        proxy.take()
        await refused(PreconditionError, storage.delete("a", condition=IfMatch(OTHER)))
        assert proxy.take() == {"PUT": 1, "DELETE": 1, "HEAD": 1}
        assert await left(storage) == ["a"]


@pytest.mark.parametrize("told", [True, False])
async def test_what_an_administrator_tells_is_not_probed(
    told: bool, seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    kinds = ("put", "copy", "delete", "delete_many")
    options = {f"conditional_{kind}": told for kind in kinds}
    async with weaker(seaweed_server, make_s3, options=options) as (storage, proxy):
        await use_every_condition(storage)
        assert probed(proxy) == set()
        # One more than there are conditions: the size of a copy is not known for sure then.
        looks = 0 if told else 9
        assert proxy.take()["HEAD"] == 2 + looks


async def test_the_capabilities_tell_what_was_found(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    async with weaker(seaweed_server, make_s3, ignored=CONDITIONS) as (storage, _):
        before = storage.capabilities
        assert (before.conditional_put, before.conditional_copy, before.conditional_delete) == (
            *(True, True, True),
        )
        await use_every_condition(storage)
        after = storage.capabilities
        assert (after.conditional_put, after.conditional_copy, after.conditional_delete) == (
            *(False, False, False),
        )


async def test_amazon_is_not_probed(moto_server: MotoServer, make_s3: MakeS3) -> None:
    bucket = make_s3(moto_server).bucket
    storage = S3Storage(
        bucket=bucket, region_name="us-east-1", access_key_id="key", secret_access_key="secret"
    )
    async with aclosing(storage):

        def divert(request: Any, **kwargs: Any) -> None:
            assert urlsplit(request.url).hostname == f"{bucket}.s3.amazonaws.com"
            path = urlsplit(request.url)._replace(scheme="", netloc="").geturl()
            request.url = f"{moto_server.endpoint_url}/{bucket}{path}"

        (await sdk(storage)).meta.events.register("before-send.s3", divert)
        sent = await record(storage)
        await use_every_condition(storage)
    assert [request["url_path"] for request in sent if PROBE_PREFIX in request["url_path"]] == []
    assert sent.operations.count("PutObject") == 2
    assert "IfMatch" not in str(storage._conditions._found)


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", None])
async def test_a_store_named_by_the_sdks_own_configuration_is_probed(
    variable: str | None,
    seaweed_server: SeaweedServer,
    make_s3: MakeS3,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    async with WeakerS3(seaweed_server, ignored=CONDITIONS) as proxy:
        if variable is None:
            (tmp_path / "config").write_text(f"[default]\nendpoint_url = {proxy.endpoint_url}\n")
            monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        else:
            monkeypatch.setenv(variable, proxy.endpoint_url)
        storage = make_s3(seaweed_server, endpoint_url="", addressing_style="path")
        async with aclosing(storage):
            await storage.put("a", b"1")
            await refused(AlreadyExistsError, storage.put("a", b"2", condition=IfAbsent()))
            assert len(probed(proxy)) == 1


# Where it fails.


class Fault:
    """Answers requests for the objects of probes with an HTTP status, while it is `on`."""

    def __init__(self, status: int, operations: Sequence[str] = ("PUT",)) -> None:
        self.status = status
        self.operations = operations
        self.on = True

    async def __call__(self, operation: str, path: str) -> web.StreamResponse | None:
        if self.on and operation in self.operations and PROBE_PREFIX in path:
            return s3_error(self.status, {403: "AccessDenied", 503: "SlowDown"}[self.status])
        return None


@pytest.mark.parametrize("status", [403, 503])
async def test_a_probe_that_fails_stops_no_write_and_is_tried_again(
    status: int,
    seaweed_server: SeaweedServer,
    make_s3: MakeS3,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fault = Fault(status)
    async with weaker(seaweed_server, make_s3, ignored=["PUT If-Match"], intercept=fault) as (
        storage,
        proxy,
    ):
        meta = await storage.put("a", b"1", condition=IfAbsent())
        await refused(AlreadyExistsError, storage.put("a", b"2", condition=IfAbsent()))
        await refused(PreconditionError, storage.put("a", b"2", condition=IfMatch(OTHER)))
        meta = await storage.put("a", b"2", condition=IfMatch(meta.version))
        before = storage.capabilities
        assert before.conditional_put
        assert len(said(caplog)) == 1
        fault.on = False
        proxy.take()
        await storage.put("a", b"3", condition=IfMatch(meta.version))
        assert len(probed(proxy)) == 1
        assert not storage.capabilities.conditional_put
        assert len(said(caplog)) == 2
        assert await left(storage) == ["a"]


async def test_a_write_that_the_store_did_not_answer_is_undone_too(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    unanswered = []

    async with weaker(seaweed_server, make_s3) as (storage, proxy):
        behind = make_s3(seaweed_server, bucket=storage.bucket)

        async def write_and_break(operation: str, path: str) -> web.StreamResponse | None:
            if operation != "PUT" or PROBE_PREFIX not in path:
                return None
            unanswered.append(path)
            await behind.put(path.split("/", 2)[2], b"1")
            return s3_error(500, "InternalError")

        async with aclosing(behind):
            proxy.intercept = write_and_break
            await storage.put("a", b"1", condition=IfAbsent())
        assert len(unanswered) == 1
        assert await left(storage) == ["a"]


async def test_until_a_probe_has_succeeded_a_condition_is_sent_too(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    async with weaker(seaweed_server, make_s3, intercept=Fault(503)) as (storage, _):
        meta = await storage.put("a", b"1", condition=IfAbsent())
        sent = await record(storage)
        await storage.put("a", b"2", condition=IfMatch(meta.version))
    assert sent[-1]["headers"]["If-Match"] == meta.version


async def test_a_read_only_bucket_answers_to_a_write_as_ever(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    async def read_only(operation: str, path: str) -> web.StreamResponse | None:
        return None if operation in ("GET", "HEAD", "LIST") else s3_error(403)

    async with weaker(seaweed_server, make_s3) as (storage, proxy):
        meta = await storage.put("a", b"1")
        versions = {"a": meta.version}
        proxy.intercept = read_only
        for write in (
            storage.put("b", b"1", condition=IfAbsent()),
            storage.put("a", b"2", condition=IfMatch(meta.version)),
            storage.copy("a", "b", condition=IfAbsent(), source_version=meta.version),
            storage.delete("a", condition=IfMatch(meta.version)),
            storage.delete_many(["a"], versions=versions),
        ):
            await refused(PermissionDeniedError, write)
        proxy.intercept = None
        await storage.delete_many(["a"], versions=versions)
        assert await left(storage) == []


async def test_who_may_write_but_not_look_can_write(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    probe_fails = Fault(503)

    async def blind(operation: str, path: str) -> web.StreamResponse | None:
        return s3_error(403) if operation == "HEAD" else await probe_fails(operation, path)

    async with weaker(seaweed_server, make_s3, intercept=blind) as (storage, _):
        await storage.put("a", b"1", condition=IfAbsent())
        await refused(AlreadyExistsError, storage.put("a", b"1", condition=IfAbsent()))


async def test_where_nothing_may_be_deleted_there_is_one_probe_only(
    seaweed_server: SeaweedServer, make_s3: MakeS3, caplog: pytest.LogCaptureFixture
) -> None:
    async def keep_all(operation: str, path: str) -> web.StreamResponse | None:
        return s3_error(403) if operation in ("DELETE", "BATCH") else None

    async with weaker(seaweed_server, make_s3, intercept=keep_all) as (storage, _):
        await storage.put("a", b"1", condition=IfAbsent())
        await refused(AlreadyExistsError, storage.put("a", b"2", condition=IfAbsent()))
        await storage.copy("a", "b", condition=IfAbsent())
        await refused(AlreadyExistsError, storage.copy("a", "b", condition=IfAbsent()))
        assert len([key for key in await left(storage) if PROBE_PREFIX in key]) == 1
    assert len(said(caplog)) == 1
    assert "S3Storage.conditional_" in said(caplog)[0]


# Where somebody is cancelled, or killed.


class Gate:
    """Holds up the n-th request for an object of a probe until it is opened, or drops it then."""

    def __init__(self, number: int, *, drops: bool = False) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self._left = number
        self._drops = drops

    async def __call__(self, operation: str, path: str) -> web.StreamResponse | None:
        if PROBE_PREFIX not in path:
            return None
        self._left -= 1
        if self._left:
            return None
        self.reached.set()
        await self.opened.wait()
        return s3_error(503, "SlowDown") if self._drops else None


@pytest.mark.parametrize("number", [3, 7])
async def test_a_first_write_that_is_cancelled_leaves_the_probe_to_the_others(
    number: int, seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    gate = Gate(number)
    async with weaker(seaweed_server, make_s3, intercept=gate) as (storage, proxy):
        first = asyncio.create_task(storage.put("x/a", b"1", condition=IfAbsent()))
        await gate.reached.wait()
        second = asyncio.create_task(storage.put("y/a", b"1", condition=IfAbsent()))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        gate.opened.set()
        await second
        assert {key.partition("/")[0] for key in probed(proxy)} == {"x"}
        assert await left(storage) == ["y/a"]


async def test_a_write_does_not_wait_for_a_probe_that_hangs(
    seaweed_server: SeaweedServer, make_s3: MakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_nbforge.storage.s3_conditions._PATIENCE", 0.05)
    gate = Gate(2)
    async with weaker(seaweed_server, make_s3, ignored=CONDITIONS, intercept=gate) as (storage, _):
        await storage.put("a", b"1", condition=IfAbsent())
        await refused(AlreadyExistsError, storage.put("a", b"2", condition=IfAbsent()))
        await gate.reached.wait()
        probes = list(storage._conditions._probes.values())
        gate.opened.set()
        await asyncio.wait(probes)
        assert storage._conditions.known("put_match") is not None
        assert await left(storage) == ["a"]


@pytest.mark.parametrize("number", [1, 6])
async def test_a_storage_that_is_closed_meanwhile_leaves_nothing(
    number: int, seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    gate = Gate(number, drops=True)
    async with weaker(seaweed_server, make_s3, intercept=gate) as (storage, _):
        writing = asyncio.create_task(storage.put("a", b"1", condition=IfAbsent()))
        await gate.reached.wait()
        await storage.aclose()
        await refused(UnavailableError, writing)
        gate.opened.set()
        assert await left(storage) == []
        await storage.put("a", b"1", condition=IfAbsent())
        assert await left(storage) == ["a"]


CHILD = """
import asyncio, json, sys
from jupyter_nbforge.storage.s3 import S3Storage
from jupyter_nbforge.storage.types import IfAbsent

storage = S3Storage(**json.loads(sys.argv[1]))
asyncio.run(storage.put("home/x/a", b"1", condition=IfAbsent()))
"""


async def test_what_a_killed_probe_leaves_is_found_by_a_listing_and_swept(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    gate = Gate(4)
    async with weaker(seaweed_server, make_s3, intercept=gate) as (storage, _):
        names = ("bucket", "endpoint_url", "access_key_id", "secret_access_key", "region_name")
        options = {name: getattr(storage, name) for name in names}
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, json.dumps(options)
        )
        await gate.reached.wait()
        child.send_signal(signal.SIGKILL)
        await child.wait()
        gate.opened.set()
        kept = [f"home/x/{PROBE_PREFIX}notes.txt", f"other/{PROBE_PREFIX}{16 * '0'}"]
        for path in kept:
            await storage.put(path, b"1")
        assert len(await left(storage)) == 3
        home = PrefixStorage(storage, "home")
        await home.abort_stale_uploads("", -60)
        assert len(await left(storage)) == 3
        await listing(storage.list_pages("", delimiter=None))
        await home.abort_stale_uploads("", 3600)
        assert len(await left(storage)) == 3
        await home.abort_stale_uploads("", -60)
        assert await left(storage) == sorted(kept)


@pytest.mark.parametrize("server", ["seaweed_server", "moto_server"])
async def test_a_bucket_that_keeps_versions_keeps_none_of_a_probe(
    server: str, request: pytest.FixtureRequest, make_s3: MakeS3
) -> None:
    store = request.getfixturevalue(server)
    async with weaker(store, make_s3, versioned=True) as (storage, _):
        await use_every_condition(storage)
        assert await left(storage) == ["a", "b", "c"]
        assert [await versions_of(storage, path) for path in ("a", "b", "c")] == [3, 2, 2]


async def versions_of(storage: S3Storage, path: str) -> int:
    answer = await (await sdk(storage)).list_object_versions(Bucket=storage.bucket, Prefix=path)
    return len(answer.get("Versions", ())) + len(answer.get("DeleteMarkers", ()))


ROLE = {"accessKey": "folder", "secretKey": "secret-of-the-folder"}


class ServerOfOneFolder(SeaweedServer):
    """Has a second pair of keys, with which one folder of a bucket can be used, and no more."""

    def _write_identities(self) -> None:
        super()._write_identities()
        known = json.loads(self._identities.read_text())
        actions = [f"{action}:bucket/home/*" for action in ("Read", "Write", "List")]
        known["identities"].append({"name": "folder", "credentials": [ROLE], "actions": actions})
        self._identities.write_text(json.dumps(known))


async def test_a_permission_for_one_folder_is_enough(tmp_path: Path) -> None:
    with ServerOfOneFolder(tmp_path, keep=False) as server:
        server.create_bucket("bucket")
        storage = S3Storage(
            bucket="bucket",
            endpoint_url=server.endpoint_url,
            region_name=server.region,
            access_key_id=ROLE["accessKey"],
            secret_access_key=ROLE["secretKey"],
        )
        async with aclosing(storage):
            await refused(PermissionDeniedError, storage.put("a", b"1"))
            await use_every_condition(PrefixStorage(storage, "home"))
            assert len(storage._conditions._found) == 9
