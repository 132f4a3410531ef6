"""The connection to a container: how the client is made and what is around each use of it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import ssl
import time
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from .azure_credentials import AzureSource, ProvidedToken
from .azure_errors import GarbledAnswerError, translated
from .azure_options import Account
from .azure_values import answer_of, match_arguments
from .errors import ConfigurationError, MissingExtraError, UnauthenticatedError, UnavailableError
from .facts import note_answer, note_request
from .loops import PerLoop
from .refusals import Call
from .types import IfMatch, WriteCondition
from .values import is_installed

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.pipeline import AsyncPipeline
    from azure.core.pipeline.transport import AioHttpTransport
    from azure.storage.blob.aio import BlobClient, BlobServiceClient, ContainerClient

API_VERSION = "2024-08-04"
"""The version of the service that is asked for, whatever the SDK's newest is: what is sent and
what is answered stays the same, and an emulator or Azure Stack need not know a newer one."""

MAX_PUT_SIZE = 5000 * 2**20
"""Bytes of one Put Blob: https://learn.microsoft.com/rest/api/storageservices/put-blob#remarks"""

_USER_AGENT = "jupyter-nbforge"
_SCOPE = "https://storage.azure.com/.default"
_TOKEN_RESERVE = 300.0
"""Seconds that a token must still hold, as the SDK demands of its own."""

_CHUNK_SIZE = 2**20
_LARGE = 2**18
"""Bytes from which the checksum of a chunk is worth a thread."""


class Bearer:
    """The token of an identity, for requests that the SDK does not put it on.

    Kept until shortly before it ends: the Azure CLI's identity starts a process for each.
    """

    def __init__(self, credential: AsyncTokenCredential) -> None:
        self._credential = credential
        self._lock = asyncio.Lock()
        self._token: AccessToken | None = None

    async def header(self) -> str:
        """The value of an Authorization header."""
        async with self._lock:
            if self._token is None or self._token.expires_on < time.time() + _TOKEN_RESERVE:
                self._token = await self._credential.get_token(_SCOPE)
        return f"Bearer {self._token.token}"


@dataclass(frozen=True, slots=True)
class AzureClient:
    """The SDK's clients of one event loop; `bearer` is None where a key or SAS signs.

    `pipeline` is for what their own calls cannot do, see `send`.
    """

    service: BlobServiceClient
    container: ContainerClient
    bearer: Bearer | None
    pipeline: AsyncPipeline[Any, Any]

    def blob(self, path: str) -> BlobClient:
        return self.container.get_blob_client(path)

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> Any:
        """The SDK's response to a request of our own, its body still to be read.

        The SDK's own calls read a body whole before they give the first byte of it, make
        several requests of one larger than 32 MiB, and take 0.25 s of the event loop to parse
        a listing of 1,000 blobs. So GET, HEAD and the listing are sent past them.
        """
        from azure.core.exceptions import HttpResponseError
        from azure.core.pipeline.transport import HttpRequest

        own = {"x-ms-version": API_VERSION, "x-ms-date": formatdate(usegmt=True)}
        request = HttpRequest(method, url, headers={**own, **headers})
        request.format_parameters(dict(query))
        response = (await self.pipeline.run(request, stream=True)).http_response
        if response.status_code >= 300:
            try:
                await response.load_body()
            finally:
                response.internal_response.close()
            raise HttpResponseError(response=response)
        return response


class AzureConnection:
    """A container and, per event loop, the clients to it."""

    def __init__(
        self,
        account: Account,
        container: str,
        *,
        anonymous: bool,
        identity: str | None,
        max_connections: int,
        timeouts: tuple[float, float],
        verify: bool | str,
        tokens: AzureSource | None = None,
    ) -> None:
        if not all(map(is_installed, ("azure.storage.blob", "azure.identity", "aiohttp"))):
            raise MissingExtraError(
                "Azure storage needs azure-storage-blob[aio] and azure-identity: "
                "pip install 'jupyter-nbforge[azure]'."
            )
        self.account = account
        self.bucket = container
        self.endpoint = account.url
        self.by_token = not (anonymous or account.key or account.sas)
        self._identity = identity
        self._max_connections = max_connections
        self._timeouts = timeouts
        self._verify = verify
        self._tokens = tokens
        self._clients: PerLoop[AzureClient] = PerLoop(self._open)

    async def client(self) -> AzureClient:
        """The running loop's client, made on first use."""
        return await self._clients.get()

    @contextmanager
    def call(
        self, path: str | None, *, condition: WriteCondition | None = None, write: bool = False
    ) -> Iterator[None]:
        """Around each use of the client: SDK errors leave it as storage errors."""
        call = Call(self.bucket, self.endpoint, path, condition, write)
        try:
            with translated(call, by_token=self.by_token):
                yield
        except UnauthenticatedError as error:
            refused = None if self._tokens is None else self._tokens.refuse()
            error.retryable |= refused is not None  # False: another that was under way did it
            raise

    async def head(self, path: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
        """What a HEAD of this very blob says (see `answer_of`); `headers` are conditions."""
        client = await self.client()
        with self.call(path):
            response = await client.send("HEAD", client.blob(path).url, headers, {})
            response.internal_response.release()
            return answer_of(response.headers)

    async def get(
        self, path: str, headers: Mapping[str, str]
    ) -> tuple[Mapping[str, Any], Any] | None:
        """The answer to a GET and the SDK's response, whose body is still to be read.

        None for a range that begins beyond the end.
        """
        from azure.core.exceptions import HttpResponseError

        client = await self.client()
        with self.call(path):
            try:
                response = await client.send("GET", client.blob(path).url, headers, {})
            except HttpResponseError as error:
                if error.status_code != 416:
                    raise
                return None
            try:
                return answer_of(response.headers), response
            except GarbledAnswerError:
                response.internal_response.close()
                raise

    async def delete(self, path: str, condition: IfMatch | None, *, snapshots: bool = True) -> None:
        """Delete this very blob, with its snapshots; `NotFoundError`."""
        options: dict[str, Any] = {"delete_snapshots": "include"} if snapshots else {}
        client = await self.client()
        with self.call(path, condition=condition, write=True):
            await client.blob(path).delete_blob(**options, **match_arguments(condition))

    async def chunks(
        self, path: str, answer: Mapping[str, Any], response: Any
    ) -> AsyncGenerator[bytes, None]:
        """The body of a GET; one that ends early or has another checksum is an error.

        The last chunk is given when all have been checked: nobody sees a damaged body whole.
        """
        digest = hashlib.md5(usedforsecurity=False)
        md5 = None if answer["content_range"] else answer["content_md5"]
        missing = int(response.headers.get("Content-Length", 0))
        held = b""
        while chunk := await self._read(path, response.internal_response.content):
            missing -= len(chunk)
            if md5 is not None:
                await _update(digest, chunk)
            if held:
                yield held
            held = chunk
        if missing > 0:
            raise UnavailableError(
                f"The data of {path!r} ended early; try again.", path=path, retryable=True
            )
        if md5 is not None and digest.digest() != b64decode(md5):
            # Not to be read on from here: the rest has no checksum that would show the damage.
            raise UnavailableError(
                f"The data of {path!r} was damaged on the way, or does not fit the checksum that"
                " was once kept with it; try again.",
                path=path,
            )
        if held:
            yield held

    async def _read(self, path: str, content: Any) -> bytes:
        try:
            with self.call(path):
                chunk: bytes = await content.read(_CHUNK_SIZE)
        except RuntimeError as error:
            # Of a connection that `aclose` has closed meanwhile. Not to be tried again: that
            # would open a client which nobody closes.
            raise UnavailableError(
                f"The storage was closed while {path!r} was read.", path=path
            ) from error
        return chunk

    async def aclose(self) -> None:
        """Close the clients; idempotent, the connection may be used again afterwards."""
        await self._clients.aclose()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[AzureClient]:
        # Importing the SDK takes up to a second and certificates some more: in a thread.
        with self.call(None):
            tls = await asyncio.to_thread(_prepare, self._verify, self.by_token)
        async with AsyncExitStack() as opened:
            session = await opened.enter_async_context(_session(self._max_connections, tls))
            credential: AsyncTokenCredential | None = None
            if self.by_token:
                credential = await opened.enter_async_context(self._credential())
            transport = self._transport(session)
            service = await opened.enter_async_context(self._service(transport, credential))
            container = service.get_container_client(self.bucket)
            pipeline = _pipeline(transport, service, credential)
            bearer = Bearer(credential) if credential is not None else None
            yield AzureClient(service, container, bearer, pipeline)

    def _credential(self) -> Any:
        if self._tokens is not None:
            return ProvidedToken(self._tokens)
        from azure.identity.aio import DefaultAzureCredential

        identity = {"managed_identity_client_id": self._identity} if self._identity else {}
        try:
            return DefaultAzureCredential(**identity)
        except ValueError as error:
            raise ConfigurationError(
                "The AZURE_* variables of the server describe no identity; check them."
            ) from error

    def _transport(self, session: Any) -> AioHttpTransport:
        from azure.core.pipeline.transport import AioHttpTransport

        connect, read = self._timeouts
        wrapped: Any = _Session(session)
        return AioHttpTransport(
            session=wrapped, session_owner=False, connection_timeout=connect, read_timeout=read
        )

    def _service(
        self, transport: AioHttpTransport, credential: AsyncTokenCredential | None
    ) -> BlobServiceClient:
        from azure.storage.blob.aio import BlobServiceClient

        key = {"account_name": self.account.name, "account_key": self.account.key}
        return BlobServiceClient(
            self.account.url,
            credential=(key if self.account.key else self.account.sas or credential),
            api_version=API_VERSION,
            transport=transport,
            # The retry wrapper retries, and it alone knows what was sent before.
            retry_total=0,
            permit_redirects=False,
            max_single_put_size=MAX_PUT_SIZE,
            user_agent=_USER_AGENT,
        )


def _prepare(verify: bool | str, by_token: bool) -> ssl.SSLContext | bool:
    """Import the SDK; what aiohttp is to be told of certificates."""
    import azure.storage.blob.aio

    if by_token:
        import azure.identity.aio  # noqa: F401
    return ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify


def _pipeline(
    transport: AioHttpTransport,
    service: BlobServiceClient,
    credential: AsyncTokenCredential | None,
) -> AsyncPipeline[Any, Any]:
    """What signs and sends a request of our own; a SAS is in the URL already."""
    from azure.core.pipeline import AsyncPipeline
    from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy, UserAgentPolicy

    policies: list[Any] = [UserAgentPolicy(_USER_AGENT)]
    if credential is not None:
        policies.append(AsyncBearerTokenCredentialPolicy(credential, _SCOPE))
    elif service.credential is not None:
        # What the SDK made of the account key.
        policies.append(service.credential)
    return AsyncPipeline(transport, policies=policies)


@asynccontextmanager
async def _session(max_connections: int, tls: ssl.SSLContext | bool) -> AsyncIterator[Any]:
    """An HTTP session that sends each request once, and gives bodies as they are stored.

    aiohttp by itself sends a PUT again when its connection breaks. A conditional write would
    then meet its own first attempt and be reported as somebody else's.
    """
    import aiohttp

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=max_connections, ssl=tls),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
        # With True it would also send the passwords of ~/.netrc, instead of what signs.
        trust_env=False,
    ) as session:
        setattr(session, "_retry_connection", False)  # noqa: B010  nothing public says so
        yield session


class _Session:
    """What the SDK uses of an aiohttp session; large bodies go out in pieces."""

    auto_decompress = False

    def __init__(self, session: Any) -> None:
        self._session = session

    async def __aenter__(self) -> _Session:
        return self

    async def request(self, method: str, url: str, *, data: Any = None, **options: Any) -> Any:
        body = _Body(data) if isinstance(data, bytes) and len(data) > _LARGE else data
        options["proxy"] = _proxy_for(url)
        note_request("az", method)
        answer = await self._session.request(method, url, data=body, **options)
        note_answer(answer.headers.get("x-ms-request-id"))
        return answer


def _proxy_for(url: str) -> str | None:
    """The proxy that the environment (``HTTPS_PROXY``, ``NO_PROXY``) names for `url`."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)


class _Body(io.BytesIO):
    """Bytes that aiohttp sends in pieces: all at once they would stop the event loop.

    It takes the length of the buffer, for which `BytesIO` would copy it all first.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data = data

    def getbuffer(self) -> memoryview:
        return memoryview(self._data)


async def _update(digest: Any, chunk: bytes) -> None:
    if len(chunk) > _LARGE:
        await asyncio.to_thread(digest.update, chunk)
    else:
        digest.update(chunk)
