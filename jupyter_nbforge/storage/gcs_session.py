"""Credentials, and HTTP connections that can be broken off: what the SDK's client is made of.

All of this is used in threads, and imports the SDK when it is first used.
"""

from __future__ import annotations

import json
import socket
import warnings
from contextlib import suppress
from functools import cache, partial
from typing import Any

from .facts import note_answer, note_request
from .gcs_options import ClientOptions
from .threads import AbandonedError, Call, check_call, current_call

STORAGE_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
"""To read and change data, and not who may: https://cloud.google.com/storage/docs/oauth-scopes"""
SIGNING_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
"""https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/signBlob"""

_CONNECTIONS_FOR_TOKENS = 2
_FROM_AWS = "urn:ietf:params:aws:token-type:aws4_request"


def load_credentials(options: ClientOptions) -> Any:
    """The configured credentials, else those that the SDK finds; its errors."""
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

    if options.anonymous:
        return AnonymousCredentials()
    try:
        return _found_credentials(options)
    except GoogleAuthError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        # Of a file that is JSON and something else, or no text; what it says may be a secret.
        raise DefaultCredentialsError(type(error).__name__) from None


def _found_credentials(options: ClientOptions) -> Any:
    import google.auth

    if not options.credentials_file:
        return google.auth.default(scopes=[STORAGE_SCOPE])[0]
    external = _external_account(options.credentials_file)
    if external is not None:
        return external
    with warnings.catch_warnings():
        # It warns of files from strangers; this one the administrator has named.
        warnings.simplefilter("ignore", DeprecationWarning)
        return google.auth.load_credentials_from_file(
            options.credentials_file, scopes=[STORAGE_SCOPE]
        )[0]


def _external_account(file: str) -> Any:
    """The credentials of a workload elsewhere, if the file describes some; else None.

    The SDK's function for all kinds would first look for the name of the account's project.
    """
    from google.auth import aws, identity_pool, pluggable

    with open(file, encoding="utf-8") as stream:
        text = stream.read()
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("type") != "external_account":
        return None
    source = found.get("credential_source") or {}
    kind: Any = pluggable if "executable" in source else identity_pool
    if found.get("subject_token_type") == _FROM_AWS:
        kind = aws
    return kind.Credentials.from_info(found, scopes=[STORAGE_SCOPE])


def paid_by(credentials: Any, project: str) -> Any:
    """The same credentials, their own project for quotas replaced by the one that pays.

    gcloud writes one into a person's file. The SDK sends it with each request, in place of the
    header that names who pays, and the store refuses two that differ (UserProjectInconsistent).
    """
    if project and getattr(credentials, "quota_project_id", None):
        return credentials.with_quota_project(project)
    return credentials


def for_signing(credentials: Any) -> Any:
    """The same credentials with the scope that signing needs, where they have scopes."""
    from google.auth.credentials import Scoped

    scoped = isinstance(credentials, Scoped)
    return credentials.with_scopes([SIGNING_SCOPE]) if scoped else credentials


def new_token_request() -> Any:
    """How tokens are asked for: on connections of its own, with the usual certificates."""
    from google.auth.transport.requests import Request

    request = Request()
    _mount(request.session, _CONNECTIONS_FOR_TOKENS)
    return request


def new_session(credentials: Any, token_request: Any, options: ClientOptions) -> Any:
    """A session for the store; its connections are broken off when their call is abandoned."""
    session = _session_class()(
        credentials,
        # Nobody without credentials can renew them.
        refresh_status_codes=() if options.anonymous else (401,),
        auth_request=token_request,
    )
    session.verify = options.verify
    # Else requests would look for a password in ~/.netrc, and send that instead of the token.
    session.auth = _no_password
    session.headers["User-Agent"] = "jupyter-nbforge (gzip)"
    _mount(session, options.max_connections)
    return session


def _mount(session: Any, max_connections: int) -> None:
    for scheme in ("https://", "http://"):
        session.mount(scheme, _adapter_class()(pool_maxsize=max_connections))


def _no_password(request: Any) -> Any:
    return request


@cache
def _session_class() -> type[Any]:
    """The SDK's session, but the configured certificates count more than REQUESTS_CA_BUNDLE.

    Each request is noted.
    """
    from google.auth.transport.requests import AuthorizedSession

    class Session(AuthorizedSession):
        def merge_environment_settings(self, *args: Any) -> Any:
            settings = super().merge_environment_settings(*args)
            # https://github.com/psf/requests/issues/3829
            return settings if self.verify is True else {**settings, "verify": self.verify}

        def send(self, request: Any, **options: Any) -> Any:
            note_request("gs", request.method)
            answer = super().send(request, **options)
            note_answer(answer.headers.get("X-GUploader-UploadID"))
            return answer

    return Session


@cache
def _adapter_class() -> type[Any]:
    from requests.adapters import HTTPAdapter
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Plain(HTTPConnectionPool):
        ConnectionCls = _connection_class(HTTPConnectionPool.ConnectionCls)

    class Secure(HTTPSConnectionPool):
        ConnectionCls = _connection_class(HTTPSConnectionPool.ConnectionCls)

    class Adapter(HTTPAdapter):
        """Sends each request once: the retry wrapper alone knows what was sent before."""

        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = {"http": Plain, "https": Secure}

        def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(*args, **kwargs)
            manager.pool_classes_by_scheme = {"http": Plain, "https": Secure}
            return manager

        def close(self) -> None:
            # urllib3 leaves that to the garbage collector, which may come much later.
            for manager in (self.poolmanager, *self.proxy_manager.values()):
                keys = manager.pools.keys()
                for key in keys:
                    pool = manager.pools.get(key)
                    if pool is not None:
                        pool.close()
            super().close()

    return Adapter


def _connection_class(base: Any) -> type[Any]:
    class Connection(base):  # type: ignore[misc] # known at run time only
        """A connection that knows the call that it works for, and is shut down with it.

        Nothing is sent for a call that was abandoned before, not even where it begins to
        send on a connection that was there already.
        """

        wire: socket.socket | None = None
        """Its socket, which `sock` is not any more under an answer that says it is the last."""
        _call: Call | None = None

        def connect(self) -> None:
            check_call()
            super().connect()
            self.wire = self.sock
            self._watch()

        def putrequest(self, *args: Any, **kwargs: Any) -> None:
            check_call()
            self._watch()
            super().putrequest(*args, **kwargs)

        def _watch(self) -> None:
            self._call = call = current_call()
            if call is not None:
                try:
                    call.on_abandon(partial(self._shut_down_for, call))
                except AbandonedError:
                    self.close()
                    raise

        def _shut_down_for(self, call: Call) -> None:
            # Another call may have got the connection meanwhile.
            if self._call is call:
                shut_down(self)

    return Connection


def shut_down(connection: Any) -> None:
    """Wake a thread that waits on a connection; it finds that at its end."""
    found = getattr(connection, "wire", None)
    if isinstance(found, socket.socket):
        with suppress(OSError):
            # That of SSLSocket would also take the TLS state away under the other thread.
            socket.socket.shutdown(found, socket.SHUT_RDWR)
