"""What a store really does with the conditions of a write, found out by trying them.

Stores that speak S3 differ: some refuse a condition, some ignore it without a word, on every
write or on copies, joins or deletes only, and some want ETags without their quotes.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Any, Literal, TypeAlias

from .base import MultipartUpload
from .errors import (
    AlreadyExistsError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    StorageError,
    UnauthenticatedError,
)
from .paths import parent_of
from .s3_batch import send_batch
from .s3_client import S3Connection
from .s3_multipart import S3Upload
from .s3_values import headers_of, payload, version_of
from .types import IfAbsent, IfMatch, Version, WriteCondition
from .workers import errors_of

PROBE_PREFIX = ".nbforge-probe-"
"""How the names of the hidden objects of a probe begin."""

Feature: TypeAlias = Literal[
    "put_absent",
    "put_match",
    "complete_absent",
    "complete_match",
    "copy_absent",
    "copy_match",
    "copy_source",
    "delete_match",
    "batch_match",
]
"""A condition of an operation: that there is no object, or this version, or this source."""

Sent: TypeAlias = Mapping[str, str]
"""The parameters of a request that state conditions."""

_UNASKED = (StorageError, NotSupportedError)
"""What a request gets that states a condition which the store does not know: HTTP 400 or 501."""

_OTHER = Version('"00000000000000000000000000000000"')


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of one condition.

    `taken`: a request with it is served where it holds, with ETags `quoted` or not. `kept`:
    one is refused where it does not hold.
    """

    taken: bool
    kept: bool
    quoted: bool = True

    def etag(self, version: Version) -> str:
        """The version as this store wants it."""
        return version if self.quoted else version.strip('"')

    def parameters(self, condition: WriteCondition) -> dict[str, str]:
        """What is to be sent for the condition: nothing, if it is not taken."""
        if not self.taken:
            return {}
        if isinstance(condition, IfAbsent):
            return {"IfNoneMatch": "*"}
        return {"IfMatch": self.etag(condition.version)}


HONOURED = Found(taken=True, kept=True)
UNKNOWN = Found(taken=True, kept=False)
OFF = Found(taken=False, kept=False)


class Reply(Enum):
    """How the store answers to a request with a condition."""

    DONE = "it did what was asked"
    REFUSED = "it says that the condition does not hold"
    NOT_TAKEN = "it does not take the condition"


class Trial:
    """Objects to try conditions on, beside `path`; the end of the block deletes them.

    What is `found` so far stays when a request fails. `denied`: the store does not let them
    be deleted, so no more should be made.
    """

    def __init__(self, connection: S3Connection, path: str, options: Mapping[str, Any]) -> None:
        parent = parent_of(path)
        self._folder = f"{parent}/" if parent else ""
        self._connection = connection
        self._options = options
        self._number = 0
        self._versions: dict[str, Version] = {}
        self._made: dict[str, list[str]] = {}
        """Per key that has an object, the ids of its versions in a bucket that keeps versions."""
        self._unsure: set[str] = set()
        """Keys of writes of which no answer has come."""
        self._upload: MultipartUpload | None = None
        self._on_join: Sent = {}
        self.found: dict[Feature, Found] = {}
        self.denied = False

    async def __aenter__(self) -> Trial:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        aborting = [] if self._upload is None else [self._upload.abort()]
        removing = [self._remove(key) for key in {*self._made, *self._unsure}]
        failed = await asyncio.gather(*map(errors_of, (*aborting, *removing)))
        errors = [error for found in failed for error in found]
        self.denied = any(isinstance(error, PermissionDeniedError) for error in errors)
        if errors:
            raise errors[0]

    def key(self) -> str:
        """The path of an object that nobody else knows of."""
        return f"{self._folder}{PROBE_PREFIX}{secrets.token_hex(8)}"

    def made(self) -> str | None:
        """The path of an object that was made here; None: there is none."""
        return next(iter(self._made), None)

    def version(self, key: str) -> Version:
        """Of what was written last there."""
        return self._versions[key]

    async def put(self, key: str, sent: Sent) -> Reply:
        """Write other bytes than before."""
        self._number += 1
        client = await self._connection.client()
        body = await payload(client, b"%d" % self._number)
        request: dict[str, Any] = {**body, **headers_of(None, None), **self._options, **sent}
        writing = client.put_object(Bucket=self._connection.bucket, Key=key, **request)
        return await self._write(key, sent, writing)

    async def copy(self, source: str, key: str, sent: Sent) -> Reply:
        client = await self._connection.client()
        bucket = self._connection.bucket
        request: dict[str, Any] = {**self._options, **sent}
        origin: Any = {"Bucket": bucket, "Key": source}
        writing = client.copy_object(Bucket=bucket, Key=key, CopySource=origin, **request)
        return await self._write(key, sent, writing)

    async def join(self, key: str, sent: Sent) -> Reply:
        """Complete the upload that was not completed before, or a new one."""
        reply = await self._join(key, sent)
        # A store may drop an upload that it refuses to join.
        return reply or await self._join(key, sent) or Reply.NOT_TAKEN

    async def _join(self, key: str, sent: Sent) -> Reply | None:
        upload = await self._begun(key)
        self._on_join = sent
        try:
            reply = await self._write(key, sent, upload.join(None))
        except NotFoundError:
            self._upload = None
            return None
        if reply is Reply.DONE:
            self._upload = None
        return reply

    async def _begun(self, key: str) -> S3Upload:
        if not isinstance(self._upload, S3Upload):
            headers = headers_of(None, None)
            self._upload = upload = await S3Upload.begin(
                self._connection, key, headers, self._options, self._conditions_on_join
            )
            await upload.upload_part(1, b"part")
        return self._upload

    async def _conditions_on_join(self, path: str, condition: WriteCondition | None) -> Sent:
        return self._on_join

    async def delete(self, key: str, sent: Sent, **which: str) -> Reply:
        """Delete what is there, or `which` version."""
        client = await self._connection.client()
        request: dict[str, Any] = {**sent, **which}
        deleting = client.delete_object(Bucket=self._connection.bucket, Key=key, **request)
        # A bare HTTP 400 to a DELETE is taken for one about credentials.
        reply, answer = await self._ask(key, sent, deleting, (*_UNASKED, UnauthenticatedError))
        if reply is Reply.DONE and not which:
            self._deleted(key, answer.get("VersionId"))
        return reply

    async def delete_both(self, etags: Sent) -> Mapping[str, StorageError] | None:
        """Delete all keys by one request, each at its ETag; the errors. None: not taken."""
        try:
            answer, errors = await send_batch(self._connection, list(etags), etags, quiet=False)
        except StorageError as error:
            if type(error) not in _UNASKED:
                raise
            return None
        for entry in answer.get("Deleted", ()):
            self._deleted(entry["Key"], entry.get("DeleteMarkerVersionId"))
        return errors

    def _deleted(self, key: str, marker: str | None) -> None:
        """Nothing is left, or in a bucket that keeps versions all of them and a marker."""
        if marker:
            self._made.setdefault(key, []).append(marker)
        else:
            self._made.pop(key, None)

    async def _write(self, key: str, sent: Sent, writing: Awaitable[Mapping[str, Any]]) -> Reply:
        self._unsure.add(key)
        try:
            reply, answer = await self._ask(key, sent, writing)
        except StorageError as error:
            if not error.outcome_unknown:
                self._unsure.discard(key)
            raise
        self._unsure.discard(key)
        if reply is Reply.DONE:
            result: Mapping[str, Any] = answer.get("CopyObjectResult", answer)
            self._versions[key] = version_of(result["ETag"])
            made = self._made.setdefault(key, [])
            made += [answer["VersionId"]] if "VersionId" in answer else []
        return reply

    async def _ask(
        self,
        key: str,
        sent: Sent,
        asking: Awaitable[Mapping[str, Any]],
        unasked: Sequence[type[StorageError]] = _UNASKED,
    ) -> tuple[Reply, Mapping[str, Any]]:
        """The answer; an error that may be about something else than the condition is raised."""
        condition = IfMatch(_OTHER) if sent else None
        try:
            with self._connection.call(key, condition=condition, write=True):
                return Reply.DONE, await asking
        except (AlreadyExistsError, PreconditionError):
            return Reply.REFUSED, {}
        except StorageError as error:
            if not sent or type(error) not in unasked:
                raise
            return Reply.NOT_TAKEN, {}

    async def _remove(self, key: str) -> None:
        for error in await errors_of(self._delete_all(key)):
            if not error.retryable:
                raise error
            await self._delete_all(key)

    async def _delete_all(self, key: str) -> None:
        ids = dict.fromkeys(self._made.get(key, ()))
        try:
            for version_id in ids:
                await self.delete(key, {}, VersionId=version_id)
        except PermissionDeniedError:
            ids.clear()  # then a marker hides them, as after every delete in such a bucket
        if not ids or key in self._unsure:
            with suppress(NotFoundError):
                await self.delete(key, {})


async def try_puts(trial: Trial) -> None:
    """If-None-Match and If-Match of a write: 5 requests."""
    key, missing = trial.key(), trial.key()
    put = partial(trial.put, key)
    trial.found["put_absent"] = await _absent(put)
    matched = await _match(put, partial(trial.version, key))
    trial.found["put_match"] = await _missing_too(matched, partial(trial.put, missing))


async def try_deletes(trial: Trial) -> None:
    """If-Match of a delete: 2 requests, and one to make an object if there is none."""
    key = trial.made()
    if key is None:
        key = trial.key()
        await trial.put(key, {})
    deleted = await _match(partial(trial.delete, key), partial(trial.version, key))
    trial.found["delete_match"] = deleted


async def try_joins(trial: Trial) -> None:
    """If-None-Match and If-Match where an upload in parts is completed: 7 requests."""
    key = trial.key()
    await trial.put(key, {})
    join = partial(trial.join, key)
    reply = await join({"IfNoneMatch": "*"})
    matched = await _match(join, partial(trial.version, key))
    taken, kept = reply is not Reply.NOT_TAKEN, reply is Reply.REFUSED
    trial.found["complete_absent"] = Found(taken, kept)
    trial.found["complete_match"] = matched


async def try_copies(trial: Trial) -> None:
    """The conditions of a copy on its target and on its source: 10 requests."""
    source, target, missing = trial.key(), trial.key(), trial.key()
    await trial.put(source, {})
    copy = partial(trial.copy, source, target)
    trial.found["copy_absent"] = await _absent(copy)
    matched = await _match(copy, partial(trial.version, target))
    trial.found["copy_match"] = await _missing_too(matched, partial(trial.copy, source, missing))
    trial.found["copy_source"] = await _match(
        copy, partial(trial.version, source), "CopySourceIfMatch"
    )


async def try_batches(trial: Trial) -> None:
    """The ETags in a DeleteObjects request: 4 requests."""
    changed, same = trial.key(), trial.key()
    await trial.put(changed, {})
    await trial.put(same, {})
    found = OFF
    for quoted in (True, False):
        tried = Found(taken=True, kept=False, quoted=quoted)
        etags = {changed: tried.etag(_OTHER), same: tried.etag(trial.version(same))}
        errors = await trial.delete_both(etags)
        if errors is not None and same not in errors:
            found = replace(tried, kept=isinstance(errors.get(changed), PreconditionError))
            break
    trial.found["batch_match"] = found


async def _absent(create: Callable[[Sent], Awaitable[Reply]]) -> Found:
    """Create an object that does not exist, and then again; it exists afterwards."""
    if await create({"IfNoneMatch": "*"}) is not Reply.DONE:
        await create({})
        return OFF
    return Found(taken=True, kept=await create({"IfNoneMatch": "*"}) is Reply.REFUSED)


async def _match(
    write: Callable[[Sent], Awaitable[Reply]],
    version: Callable[[], Version],
    parameter: str = "IfMatch",
) -> Found:
    """Write at another version than the present one, and then at that."""
    for quoted in (True, False):
        found = Found(taken=True, kept=False, quoted=quoted)
        reply = await write({parameter: found.etag(_OTHER)})
        if reply is Reply.DONE:
            return found
        if await write({parameter: found.etag(version())}) is Reply.DONE:
            return replace(found, kept=reply is Reply.REFUSED)
    # What was refused for another reason than its condition is refused again, as an error.
    await write({})
    return OFF


async def _missing_too(found: Found, write: Callable[[Sent], Awaitable[Reply]]) -> Found:
    """`found`, unless a version is taken for that of an object that does not exist."""
    if not found.kept:
        return found
    reply = await write({"IfMatch": found.etag(_OTHER)})
    return replace(found, kept=reply is Reply.REFUSED)
