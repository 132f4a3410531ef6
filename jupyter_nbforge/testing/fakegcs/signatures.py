"""Signed URLs, version 4, and service accounts: whether who signed is known, and how long it holds.

The rules are those of "V4 signing process with your own program" in the manual.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, quote, unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from .rules import Refusal, invalid

_ALGORITHM = "GOOG4-RSA-SHA256"
_LONGEST = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Signed:
    """A request whose address carries a signature."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]

    def text(self, parameters: Mapping[str, str]) -> bytes:
        """What was signed."""
        pairs = parse_qsl(self.query, keep_blank_values=True)
        encoded = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in pairs)
        query = "&".join("=".join(pair) for pair in encoded if pair[0] != "X-Goog-Signature")
        names = parameters["X-Goog-SignedHeaders"]
        lines = [f"{name}:{self._header(name)}" for name in names.split(";")]
        payload = self.headers.get("x-goog-content-sha256", "UNSIGNED-PAYLOAD")
        path = quote(unquote(self.path), safe="/~")
        canonical = "\n".join([self.method, path, query, *lines, "", names, payload])
        scope = parameters["X-Goog-Credential"].partition("/")[2]
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        return "\n".join([_ALGORITHM, parameters["X-Goog-Date"], scope, digest]).encode()

    def _header(self, name: str) -> str:
        return " ".join(self.headers.get(name, "").split())


class Signers:
    """The service accounts that are known: e-mail addresses and public keys in PEM.

    Where none is known every signature counts as good.
    """

    def __init__(self, keys: Sequence[tuple[str, str]]) -> None:
        self._keys: dict[str, RSAPublicKey] = {}
        for email, pem in keys:
            key = load_pem_public_key(pem.encode())
            assert isinstance(key, RSAPublicKey)
            self._keys[email] = key

    def check(self, request: Signed) -> None:
        """`Refusal` if the address holds no longer, or is not what its owner signed."""
        parameters = dict(parse_qsl(request.query, keep_blank_values=True))
        if "X-Goog-Algorithm" not in parameters:
            return
        try:
            self._check(request, parameters)
        except (KeyError, ValueError) as error:
            raise invalid(f"The signed address is malformed: {error}", "InvalidURI") from None

    def _check(self, request: Signed, parameters: Mapping[str, str]) -> None:
        since = datetime.strptime(parameters["X-Goog-Date"], "%Y%m%dT%H%M%SZ")
        seconds = int(parameters["X-Goog-Expires"])
        if not 0 < seconds <= _LONGEST:
            raise ValueError(f"X-Goog-Expires={seconds}")
        until = since.replace(tzinfo=timezone.utc) + timedelta(seconds=seconds)
        if datetime.now(timezone.utc) > until:
            raise invalid(f"The address held until {until:%Y-%m-%dT%H:%M:%SZ}.", "ExpiredToken")
        email = parameters["X-Goog-Credential"].partition("/")[0]
        signature = bytes.fromhex(parameters["X-Goog-Signature"])
        if not self._signed(email, signature, request.text(parameters)):
            text = "The signature is not that of this request."
            raise Refusal(403, "forbidden", "SignatureDoesNotMatch", text)

    def accept(self, assertion: str) -> bool:
        """Whether a known account signed this JSON web token, and it is not past its end."""
        head, _, signature = assertion.rpartition(".")
        try:
            claims = json.loads(_decoded(head.partition(".")[2]))
            known = self._signed(claims["iss"], _decoded(signature), head.encode())
            return known and float(claims["exp"]) > datetime.now(timezone.utc).timestamp()
        except (ValueError, KeyError, TypeError):
            return False

    def _signed(self, email: str, signature: bytes, text: bytes) -> bool:
        if not self._keys:
            return True
        key = self._keys.get(email)
        if key is None:
            return False
        try:
            key.verify(signature, text, PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
