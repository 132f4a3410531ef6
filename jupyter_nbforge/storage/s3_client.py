"""The connection to a bucket: how the client is made and what is around each use of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .errors import (
    ConfigurationError,
    MissingExtraError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)
from .facts import note_answer, note_request
from .loops import LoopLimit, PerLoop
from .refusals import Call
from .s3_credentials import KeysSource, provide
from .s3_errors import translated
from .s3_pages import read_page, timestamp
from .s3_values import wants_checksums
from .types import WriteCondition
from .values import is_installed

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_CHUNK_SIZE = 2**20
_AMAZON = re.compile(r"([^/]+\.)?amazonaws\.com(\.cn)?")


class S3Connection:
    """A bucket and, per event loop, the client to it. `options` are those of create_client."""

    def __init__(
        self,
        bucket: str,
        *,
        profile: str | None,
        anonymous: bool,
        config: Mapping[str, Any],
        options: Mapping[str, Any],
        keys: KeysSource | None = None,
    ) -> None:
        if not is_installed("aiobotocore"):
            raise MissingExtraError(
                "S3 storage needs aiobotocore: pip install 'jupyter-nbforge[s3]'."
            )
        self.bucket = bucket
        self.bucket_seen = False
        self.endpoint = str(options.get("endpoint_url") or "Amazon S3")
        self.is_elsewhere: bool | None = None
        """Whether the endpoint is not known as Amazon's; None until there is a client."""
        self.sends_checksums = True
        """Whether writes carry a checksum; True as long as there is no client."""
        self._profile = profile
        self._anonymous = anonymous
        self._config = config
        self._options = options
        self._clients: PerLoop[S3Client] = PerLoop(self._open)
        self._keys = keys
        self._worked = False
        self._refused = False
        self._renewing = LoopLimit(1)
        self._renewals = 0

    async def client(self) -> S3Client:
        """The running loop's client, made on first use."""
        client = await self._clients.get()
        if self._refused and self._renewable:
            # Nobody goes on with the old ones meanwhile.
            async with self._renewing.place():
                if self._refused:
                    await self._renew(client)
                    self._renewals += 1
                    self._refused = False
        return client

    @property
    def _renewable(self) -> bool:
        """Whether the credentials come from where others may be found later."""
        return not (self._anonymous or self._options.get("aws_access_key_id"))

    async def credentials(self) -> dict[str, str]:
        """What requests are signed with now, as the environment variables of AWS; may be none."""
        client: Any = await self.client()
        with self.call(None):
            source = client._request_signer._credentials
            found = None if source is None else await source.get_frozen_credentials()
        if found is None or self._anonymous:
            return {}
        values = {
            "AWS_ACCESS_KEY_ID": found.access_key,
            "AWS_SECRET_ACCESS_KEY": found.secret_key,
            "AWS_SESSION_TOKEN": found.token,
        }
        return {name: value for name, value in values.items() if value}

    async def _renew(self, client: Any) -> None:
        """Let the SDK look for credentials anew: a file it reads but once, whoever renews it."""
        if self._keys is not None:
            self._keys.refuse()
            return
        with self._translated(None):
            found = await asyncio.to_thread(self._find_credentials)
        if found is not None:
            # A new client would break off what the old one has under way.
            client._request_signer._credentials = found

    def _find_credentials(self) -> Any:
        from aiobotocore.session import AioSession

        return asyncio.run(AioSession(profile=self._profile).get_credentials())

    @contextmanager
    def call(
        self, path: str | None, *, condition: WriteCondition | None = None, write: bool = False
    ) -> Iterator[None]:
        """Around each request: SDK errors leave it as storage errors.

        Credentials that have worked and are refused now may have been exchanged for others
        in their file: the request may be made again, with what is found there then.
        So may all that were under way when the first one was refused.
        """
        known, renewals = self._worked or self._refused, self._renewals
        try:
            with self._translated(path, condition, write):
                yield
        except UnauthenticatedError as error:
            error.retryable |= known and self._renewable
            if renewals == self._renewals:
                self._worked, self._refused = False, True
            raise
        self._worked = True

    def _translated(
        self, path: str | None, condition: WriteCondition | None = None, write: bool = False
    ) -> AbstractContextManager[None]:
        return translated(Call(self.bucket, self.endpoint, path, condition, write))

    async def check_bucket(self) -> None:
        """`ConfigurationError` if there is no bucket; asked only until something was found in it.

        A HEAD says 404 for an object that is missing and for a bucket that is: a wrong
        bucket name must not look like an empty store.
        """
        if self.bucket_seen:
            return
        client = await self.client()
        # Who may read objects may still not be allowed to ask for the bucket.
        with suppress(PermissionDeniedError), self.call(None):
            await client.head_bucket(Bucket=self.bucket)
        self.bucket_seen = True

    async def chunks(self, path: str, body: Any) -> AsyncGenerator[bytes, None]:
        """The body of a GET; one that ends early or has another checksum is an error."""
        while True:
            try:
                with self.call(path):
                    chunk: bytes = await body.read(_CHUNK_SIZE)
            except RuntimeError as error:
                # aiohttp's word for a connection that `aclose` has closed meanwhile. Not to be
                # tried again: that would open a client which nobody closes.
                raise UnavailableError(
                    f"The storage was closed while {path!r} was read.", path=path
                ) from error
            if not chunk:
                return
            yield chunk

    async def aclose(self) -> None:
        """Close the clients; idempotent, the connection may be used again afterwards."""
        await self._clients.aclose()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[S3Client]:
        # Importing the SDK, reading its models and looking for credentials takes up to a
        # second, mostly without a pause: so it is done in a thread, by an event loop of that
        # thread. Nothing of a client belongs to a loop before its first request.
        with self._translated(None):
            context, client = await asyncio.to_thread(self._make)
        self.endpoint = client.meta.endpoint_url
        self.sends_checksums = wants_checksums(client)
        self.is_elsewhere = not _AMAZON.fullmatch(urlsplit(self.endpoint).hostname or "")
        try:
            yield client
        finally:
            await context.__aexit__(None, None, None)

    def _make(self) -> tuple[AbstractAsyncContextManager[S3Client], S3Client]:
        import aiobotocore
        from aiobotocore.config import AioConfig
        from aiobotocore.session import AioSession
        from botocore import UNSIGNED
        from botocore.exceptions import BotoCoreError

        config = AioConfig(
            signature_version=UNSIGNED if self._anonymous else "s3v4",
            # The retry wrapper retries, and it alone knows what was sent before.
            retries={"total_max_attempts": 1, "mode": "standard"},
            http_session_cls=_once_session(),
            # Else botocore puts one together for each request, an eighth of its work.
            user_agent=f"aiobotocore/{aiobotocore.__version__}",
            user_agent_extra="jupyter-nbforge",
            **self._config,
        )
        session = AioSession(profile=self._profile)
        if self._keys is not None:
            provide(session, self._keys)
        parsers = session.get_component("response_parser_factory")
        parsers.set_parser_defaults(timestamp_parser=timestamp)
        try:
            context = session.create_client("s3", config=config, **self._options)
            client: S3Client = asyncio.run(context.__aenter__())
        except BotoCoreError:
            raise
        except ValueError as error:
            raise ConfigurationError("AWS_ENDPOINT_URL is not a URL of S3.") from error
        _watch(client)
        return context, client


def _watch(client: S3Client) -> None:
    """Have our handlers called by the client."""
    client.meta.events.register_last("before-call.s3", _send_at_once)
    client.meta.events.register("before-send.s3", _note_request)
    client.meta.events.register("response-received.s3", _note_answer)
    # Typed as Any: the stubs know of no handler that is awaited.
    handler: Any = read_page
    client.meta.events.register("before-parse.s3.ListObjectsV2", handler)


def _send_at_once(params: dict[str, Any], **kwargs: Any) -> None:
    """Take away ``Expect: 100-continue``, which botocore puts on each write.

    It costs a round trip, and aiohttp waits for the answer to it without a timeout.
    """
    params["headers"].pop("Expect", None)


def _note_request(request: Any, **kwargs: Any) -> None:
    note_request("s3", request.method)


def _note_answer(response_dict: dict[str, Any] | None, **kwargs: Any) -> None:
    if response_dict is not None:
        note_answer(response_dict["headers"].get("x-amz-request-id"))


@cache
def _once_session() -> type[Any]:
    """The SDK's HTTP session, but each request is sent once.

    aiohttp by itself sends a PUT again when its connection breaks. A conditional write
    would then meet its own first attempt and be reported as somebody else's.
    """
    from aiobotocore.httpsession import AIOHTTPSession

    class OnceSession(AIOHTTPSession):  # type: ignore[misc] # the SDK has no types
        async def _get_session(self, proxy_url: str | None) -> Any:
            session = await super()._get_session(proxy_url)
            session._retry_connection = False
            return session

    return OnceSession
