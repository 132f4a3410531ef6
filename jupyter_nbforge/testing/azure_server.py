"""A real Azure Blob server on this machine, as a child process: Azurite, installed on demand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlencode, urlsplit

from .certificates import write_certificate
from .nodejs import find_node, installed
from .processes import NO_PROXY, ServerError, ServerProcess, free_port

VERSION = "3.37.0"
ACCOUNT_NAME = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""Azurite's account and its key, the same everywhere; documented, no secret."""

_API_VERSION = "2021-12-02"


class AzuriteServer(ServerProcess):
    """Azurite's blob service, in memory; `endpoint_url` ends in the account's name.

    The first start on a machine installs it with npm, from the network, into the user's
    cache directory, or the one that NBFORGE_AZURITE_DIR names. With `oauth` it speaks TLS,
    takes bearer tokens such as `token` makes, and clients verify it with `certificate`.
    """

    name = "azurite"
    start_timeout: ClassVar[float] = 120.0

    account_name = ACCOUNT_NAME
    account_key = ACCOUNT_KEY

    def __init__(self, *, oauth: bool = False) -> None:
        super().__init__()
        self.oauth = oauth
        self.certificate: Path | None = None
        """The file of the certificate while the server runs with TLS, else None."""

    def stop(self) -> None:
        super().stop()
        if self.certificate is not None:
            shutil.rmtree(self.certificate.parent)
            self.certificate = None

    def token(self, *, expires_in: float = 3600.0, **claims: Any) -> str:
        """A bearer token of no identity provider; the server reads it, but checks no signature.

        `claims` go over its own; `expires_in` may be negative.
        """
        now = int(time.time())
        known = {
            "aud": "https://storage.azure.com",
            "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
            "oid": "00000000-0000-0000-0000-000000000001",
            "tid": "00000000-0000-0000-0000-000000000000",
            "iat": now - 3600,
            "nbf": now - 3600,
            "exp": int(now + expires_in),
        }
        header = {"alg": "HS256", "typ": "JWT"}
        return ".".join([_encoded(header), _encoded({**known, **claims}), "bm9uZQ"])

    def create_container(self, name: str) -> None:
        """Make a container; one that exists already is no error."""
        status, body = self._signed("PUT", f"/{quote(name)}", {"restype": "container"})
        if status not in (201, 409):
            raise ServerError(f"{self.name} answered {status} to container {name}: {body}")

    @property
    def connection_string(self) -> str:
        """What the SDK's ``from_connection_string`` takes."""
        scheme = urlsplit(self.endpoint_url).scheme
        return (
            f"DefaultEndpointsProtocol={scheme};AccountName={self.account_name};"
            f"AccountKey={self.account_key};BlobEndpoint={self.endpoint_url};"
        )

    def _prepare(self) -> tuple[Sequence[str], Path]:
        script = installed("azurite", VERSION, variable="NBFORGE_AZURITE_DIR")
        port = free_port()
        scheme = "https" if self.oauth else "http"
        self.endpoint_url = f"{scheme}://127.0.0.1:{port}/{self.account_name}"
        command = [*find_node().node, str(script / "dist" / "src" / "blob" / "main.js")]
        command += ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
        # Without the last flag an SDK that is newer than Azurite is refused.
        command += ["--silent", "--disableTelemetry", "--inMemoryPersistence"]
        command += ["--skipApiVersionCheck"]
        if self.oauth:
            directory = Path(tempfile.mkdtemp(prefix="azurite-"))
            self.certificate, key = write_certificate(directory)
            command += ["--oauth", "basic", "--cert", str(self.certificate), "--key", str(key)]
        return command, self._temporary_log()

    def _is_ready(self) -> bool:
        if not self._has_logged("successfully listens"):
            return False
        try:
            return self._signed("GET", "/", {"comp": "list"})[0] == 200
        except OSError:
            return False

    def _signed(self, method: str, path: str, query: Mapping[str, str]) -> tuple[int, str]:
        """Status and body of a request with a Shared Key signature and no body of its own."""
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _API_VERSION}
        resource = f"/{self.account_name}{urlsplit(self.endpoint_url).path}{path}"
        lines = [method, *[""] * 11]
        lines += [f"{name}:{value}" for name, value in sorted(headers.items())]
        lines += [resource, *(f"{name}:{value}" for name, value in sorted(query.items()))]
        key = base64.b64decode(self.account_key)
        digest = hmac.digest(key, "\n".join(lines).encode(), hashlib.sha256)
        signature = base64.b64encode(digest).decode()
        headers["Authorization"] = f"SharedKey {self.account_name}:{signature}"
        url = f"{self.endpoint_url}{path}?{urlencode(query)}"
        request = urllib.request.Request(url, headers=headers, method=method)
        try:
            with self._opener().open(request, timeout=30) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(errors="replace")

    def _opener(self) -> urllib.request.OpenerDirector:
        if self.certificate is None:
            return NO_PROXY
        context = ssl.create_default_context(cafile=self.certificate)
        secure = urllib.request.HTTPSHandler(context=context)
        return urllib.request.build_opener(urllib.request.ProxyHandler({}), secure)


def _encoded(part: Mapping[str, Any]) -> str:
    """A part of a JSON web token."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
