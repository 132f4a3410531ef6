"""Signed URLs, version 4: signed by a key at hand, or by Google for an account.

https://cloud.google.com/storage/docs/access-control/signed-urls
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from functools import cache
from typing import Any

from .errors import NotSupportedError
from .gcs_client import GCSConnection, Opened
from .gcs_errors import About, GarbledError, RefusedError
from .gcs_values import link_parameters
from .types import LinkOptions

IAM_ENDPOINT = "https://iamcredentials.{universe}"
"""https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/signBlob"""


async def signed_url(
    connection: GCSConnection,
    path: str,
    expires_in: float,
    options: LinkOptions,
    account: str,
    payer: str,
) -> str:
    """As `get_presigned_url`; `account` signs, or if it is empty whoever the server is.

    `payer` is the project that pays for a bucket with requester pays. `NotSupportedError`
    where the credentials are of a person, who cannot sign.
    """

    def work() -> str:
        opened = connection.opened()
        blob = opened.client.bucket(connection.bucket).blob(path)
        url: str = blob.generate_signed_url(
            version="v4",
            expiration=math.ceil(expires_in),
            method=options.get("method", "GET"),
            api_access_endpoint=connection.endpoint,
            credentials=_signer(connection, opened, path, account),
            query_parameters={"userProject": payer} if payer else None,
            **link_parameters(options),
        )
        return url

    with connection.call(path):
        return await connection.run(work)


def _signer(connection: GCSConnection, opened: Opened, path: str, account: str) -> Any:
    """Credentials of the SDK that sign; to be called in a thread."""
    from google.auth.credentials import Signing

    credentials = opened.session.credentials
    if not account and isinstance(credentials, Signing):
        return credentials
    found = account or _account_of(connection, opened)
    if not found:
        raise NotSupportedError(
            "The server's Google credentials cannot sign a URL; use those of a service account, or "
            "name one in GCSStorage.signing_account.",
            path=path,
        )
    return _remote_signer_class()(connection, opened, found)


def _account_of(connection: GCSConnection, opened: Opened) -> str | None:
    """The service account that the credentials stand for; None for a person, say."""
    credentials = opened.signing_session.credentials
    if not hasattr(credentials, "service_account_email"):
        return None
    # That of a machine or pod is known only once it has given a token.
    connection.renew(opened, opened.signing_session)
    found: str | None = credentials.service_account_email
    return found


@cache
def _remote_signer_class() -> type[Any]:
    from google.auth.credentials import Signing

    class RemoteSigner(Signing):
        """Signs with the key that Google keeps for an account."""

        def __init__(self, connection: GCSConnection, opened: Opened, account: str) -> None:
            self._connection = connection
            self._opened = opened
            self._account = account

        @property
        def signer_email(self) -> str:
            return self._account

        @property
        def signer(self) -> Any:
            return self

        def sign_bytes(self, message: bytes) -> bytes:
            endpoint = IAM_ENDPOINT.format(universe=self._opened.client.universe_domain)
            url = f"{endpoint}/v1/projects/-/serviceAccounts/{self._account}:signBlob"
            answer = self._opened.signing_session.post(
                url,
                json={"payload": b64encode(message).decode()},
                timeout=self._connection.timeout,
                allow_redirects=False,
            )
            if answer.status_code != 200:
                raise RefusedError(answer.status_code, answer.headers, answer.content, About.SIGNER)
            try:
                return b64decode(json.loads(answer.content)["signedBlob"])
            except (LookupError, TypeError, ValueError) as error:
                raise GarbledError from error

    return RemoteSigner
