"""The client of Cloud Storage, shared by all event loops, and the requests made through it.

Of the SDK its client, its session, its credentials and its signing of URLs are used. The
requests to objects are made here, on its session, because its own methods cost more: a
download does not have the metadata (only the XML API sends both), an upload of more than
8 MiB is a session of several requests, a rewrite has a body (at which the store may take
nothing over from the source), and a listing makes an object of its own of every entry.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from .errors import (
    ConfigurationError,
    MissingExtraError,
    PermissionDeniedError,
    StorageError,
    UnavailableError,
)
from .gcs_body import Body
from .gcs_credentials import credentials_from, provided
from .gcs_errors import About, GarbledError, RefusedError, translated
from .gcs_options import ClientOptions
from .gcs_session import (
    STORAGE_SCOPE,
    for_signing,
    load_credentials,
    new_session,
    new_token_request,
    paid_by,
)
from .gcs_values import Payload, Places, expected_generation, generation_of
from .loops import LoopLimit
from .refusals import Call
from .threads import ThreadBridge, check_call
from .types import Version, WriteCondition
from .values import is_installed, unlogged

if TYPE_CHECKING:
    from google.cloud.storage import Client

T = TypeVar("T")

_LOGGERS = ("urllib3.connectionpool", "google.auth.transport.requests")
"""Tell at DEBUG the address of each request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer that is a success."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """What it says; `ValueError` if that is no answer of the JSON API."""
        value = json.loads(self.body)
        if not isinstance(value, dict):
            raise ValueError(f"not an object: {type(value).__name__}")
        return value


@dataclass(frozen=True, slots=True)
class Opened:
    """What `aclose` closes."""

    client: Client
    session: Any
    signing_session: Any
    """With the scope that signing needs; asked only for signatures."""
    token_request: Any

    def close(self) -> None:
        for session in (self.session, self.signing_session, self.token_request.session):
            session.close()


class GCSConnection:
    """A bucket and the client to it."""

    def __init__(self, bucket: str, *, options: ClientOptions) -> None:
        if not is_installed("google.cloud.storage"):
            raise MissingExtraError(
                "Google Cloud Storage needs google-cloud-storage: "
                "pip install 'jupyter-nbforge[gcs]'."
            )
        self.bucket = bucket
        self.places = Places(bucket)
        self.bucket_seen = False
        self.endpoint = options.endpoint_url or "Google Cloud Storage"
        self.timeout = options.timeout
        self._options = options
        function = options.credentials_provider
        self._source = None if function is None else credentials_from(function)
        self._bridge = ThreadBridge(options.max_connections, name="nbforge-gcs")
        # A body holds its connection between its chunks too, when no thread works for it.
        self._connections = LoopLimit(options.max_connections)
        self._guard = threading.Lock()
        self._renewing = threading.Lock()
        self._opened: Opened | None = None
        self._bodies: WeakSet[Body] = WeakSet()

    async def run(self, function: Callable[[], T]) -> T:
        """The function's result, computed in one of the threads that the client has."""
        return await self._bridge.run(function)

    def call(
        self, path: str | None, *, condition: WriteCondition | None = None, write: bool = False
    ) -> AbstractContextManager[None]:
        """Around each use of the client: SDK errors leave it as storage errors."""
        return translated(Call(self.bucket, self.endpoint, path, condition, write))

    async def send(
        self,
        method: str,
        place: str,
        parse: Callable[[Answer], T],
        *,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        payload: Callable[[], Payload] | None = None,
        about: About = About.OBJECT,
        accepted: tuple[int, ...] = (),
    ) -> T:
        """Make one request and return what `parse` makes of the answer.

        `place` is below the endpoint or a URL; `payload` and `parse` are called in the thread.
        A status that is neither a success nor `accepted` raises `RefusedError`.
        """

        def work() -> T:
            body = None if payload is None else payload()
            named = dict(headers or {})
            if body is not None:
                named["Content-Type"] = body.content_type
            data = b"" if body is None else body.content
            response = self._request(method, place, parameters, headers=named, data=data)
            status, content = response.status_code, response.content
            if not (200 <= status < 300 or status in accepted):
                raise RefusedError(status, response.headers, content, about)
            parsed = _parsed(parse, Answer(status, response.headers, content))
            self.bucket_seen = True
            return parsed

        async with self._connections.place():
            return await self.run(work)

    @asynccontextmanager
    async def reading(
        self,
        path: str,
        headers: Mapping[str, str],
        if_match: Version | None,
        if_none_match: Version | None,
    ) -> AsyncIterator[Body | None]:
        """The answer to a read, within; None where the range begins after the end."""
        async with self._connections.place():
            with self.call(path):
                body = await self._open(path, headers, if_match, if_none_match)
            try:
                yield body
            finally:
                if body is not None:
                    body.close()

    async def _open(
        self,
        path: str,
        headers: Mapping[str, str],
        if_match: Version | None,
        if_none_match: Version | None,
    ) -> Body | None:
        """Begin to read an object by the XML API.

        Of conditions that exclude a generation the XML API's description says nothing, though
        Google's own clients send one; so the answer is looked at as well.
        """
        named = dict(headers)
        if if_match is not None:
            named["x-goog-if-generation-match"] = expected_generation(path, if_match)
        if if_none_match is not None and generation_of(if_none_match) is not None:
            named["x-goog-if-generation-not-match"] = if_none_match
        body = await self.run(partial(self._begin, self.places.media(path), named))
        if body is None:
            return None
        generation = body.resource["generation"]
        if generation == if_none_match or if_match not in (None, generation):
            body.close()
            raise RefusedError(304 if generation == if_none_match else 412)
        return body

    def _begin(self, place: str, headers: Mapping[str, str]) -> Body | None:
        payer = self._options.user_project
        named = {**headers, **({"x-goog-user-project": payer} if payer else {})}
        # Without this the store unpacks what is stored packed: then no size would be right.
        named["Accept-Encoding"] = "gzip"
        response = self._request("GET", place, None, headers=named, stream=True)
        if response.status_code not in (200, 206):
            content = response.content
            if response.status_code == 416:
                return None
            raise RefusedError(response.status_code, response.headers, content)
        body = Body(response)
        self.bucket_seen = True
        self._bodies.add(body)
        return body

    def _request(
        self, method: str, place: str, parameters: Mapping[str, str] | None, **options: Any
    ) -> Any:
        opened = self.opened()
        self.renew(opened, opened.session)
        asked = dict(parameters or {})
        if place.startswith(("/storage/", "/upload/")) and self._options.user_project:
            asked["userProject"] = self._options.user_project
        options |= {"params": asked, "timeout": self.timeout, "allow_redirects": False}
        if place.startswith("/"):
            return opened.session.request(method, f"{self.endpoint}{place}", **options)
        # The store gave this address, and who knows it may write.
        with unlogged(*_LOGGERS):
            return opened.session.request(method, place, **options)

    def renew(self, opened: Opened, session: Any) -> None:
        """Get a token if there is none that is valid; of several threads only one asks."""
        with self._renewing:
            check_call()
            request = partial(opened.token_request, timeout=self.timeout)
            session.credentials.before_request(request, "GET", self.endpoint, {})

    async def check_bucket(self) -> None:
        """`ConfigurationError` if there is no bucket; asked only until something was found in it.

        The JSON API answers alike for an object that is missing and for a bucket that is: a
        wrong bucket name must not look like an empty store. Who may use objects may mostly
        list them, but not ask for the bucket itself.
        """
        if self.bucket_seen:
            return
        one = {"maxResults": "1", "fields": "prefixes"}
        with suppress(PermissionDeniedError), self.call(None):
            await self.send(
                "GET", self.places.objects, Answer.json, parameters=one, about=About.BUCKET
            )
        # Also where it may not be listed: the next answer would be the same.
        self.bucket_seen = True

    async def chunks(self, path: str, body: Body) -> AsyncGenerator[bytes, None]:
        """The body of a GET; one that ends early or has another checksum is an error."""
        # Not to be tried again: that would open a client which nobody closes.
        closed = UnavailableError(f"The storage was closed while {path!r} was read.", path=path)
        while True:
            if body.closed:
                raise closed
            try:
                with self.call(path):
                    chunk = await self.run(body.read)
            except StorageError as error:
                if body.closed:
                    raise closed from error
                raise
            if not chunk:
                return
            yield chunk

    async def aclose(self) -> None:
        """Close the client; idempotent, the connection may be used again afterwards."""
        self._bridge.close()
        for body in list(self._bodies):
            body.close()
        # Whoever makes the client just now holds the lock for a while.
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._guard:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def opened(self) -> Opened:
        """The client, made on first use; to be called in a thread."""
        with self._guard:
            check_call()
            if self._opened is None:
                self._opened = self._make()
                self.endpoint = self._opened.client.api_endpoint.rstrip("/")
            return self._opened

    def _make(self) -> Opened:
        from google.cloud.storage import Client

        options = self._options
        if self._source is None:
            credentials = load_credentials(options)
        else:
            credentials = provided(self._source, STORAGE_SCOPE)
        token_request = new_token_request()
        payer = paid_by(credentials, options.user_project)
        session = new_session(payer, token_request, options)
        signing = for_signing(credentials)
        universe = getattr(credentials, "universe_domain", None)
        try:
            client = Client(
                project=options.project or None,
                credentials=payer,
                _http=session,
                client_options={
                    "api_endpoint": options.endpoint_url or None,
                    "universe_domain": universe or None,
                },
            )
        except ValueError as error:
            raise ConfigurationError(
                "The Google credentials belong to another cloud than GCSStorage.endpoint_url."
            ) from error
        signing_session = new_session(signing, token_request, options)
        return Opened(client, session, signing_session, token_request)


def _parsed(parse: Callable[[Answer], T], answer: Answer) -> T:
    try:
        return parse(answer)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise GarbledError from error
