"""Whether an endpoint can be reached, its certificate, its clock: what comes before any SDK."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import anyio

from ...storage.diagnosis import Endpoint, Finding

TIMEOUT = 10.0
"""Seconds for each of: the name, a connection, an answer."""

_PORTS = {"http": 80, "https": 443}
_CERTIFICATE_ENDS_SOON = 14 * 86400
_SKEW_NOTICED = 60
_SKEW_REFUSED = 15 * 60
"""Seconds. S3 and Azure refuse what was signed by a clock that differs by more than that."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect to: the endpoint itself, or the proxy that stands in front of it."""

    endpoint: Endpoint
    url: SplitResult
    proxied: bool

    @classmethod
    def of(cls, endpoint: Endpoint) -> Target:
        """With the proxy that the environment (``HTTPS_PROXY``, ``NO_PROXY``) names."""
        url = urlsplit(endpoint.url)
        proxy = None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)
        if proxy is None:
            return cls(endpoint, url, False)
        return cls(endpoint, urlsplit(proxy if "://" in proxy else f"http://{proxy}"), True)

    @property
    def host(self) -> str:
        return self.url.hostname or ""

    @property
    def port(self) -> int:
        return self.url.port or _PORTS.get(self.url.scheme, 80)

    @property
    def name(self) -> str:
        return f"{'the proxy ' if self.proxied else ''}{self.host}:{self.port}"

    @property
    def is_encrypted(self) -> bool:
        return urlsplit(self.endpoint.url).scheme == "https"

    @property
    def is_here(self) -> bool:
        """Whether it is a server of this machine."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


def tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    """What the SDK trusts there."""
    context = ssl.create_default_context(cafile=endpoint.ca_bundle or None)
    if not endpoint.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def reach(target: Target) -> Finding:
    """The name, then a connection."""
    where = target.endpoint.option if not target.proxied else "HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
    loop = asyncio.get_running_loop()
    try:
        with anyio.fail_after(TIMEOUT):
            looking = loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            found = await looking
    except TimeoutError:
        return Finding("failed", "The DNS does not answer.", "Check the network of this machine.")
    except (OSError, UnicodeError):
        return Finding(
            "failed",
            f"The name {target.host!r} is not known to the DNS.",
            f"Check {where}, and the DNS that this machine uses.",
        )
    began = time.monotonic()
    try:
        with anyio.fail_after(TIMEOUT):
            _, writer = await asyncio.open_connection(target.host, target.port)
    except TimeoutError:
        return _no_connection(target, f"no answer within {TIMEOUT:g} s", where)
    except OSError as error:
        return _no_connection(target, _reason(error), where)
    await _close(writer)
    address = found[0][4][0]
    took = (time.monotonic() - began) * 1000
    return Finding("ok", f"{target.name} ({address}) takes connections, in {took:.0f} ms.")


def _no_connection(target: Target, reason: str, where: str) -> Finding:
    return Finding(
        "failed",
        f"{target.name} takes no connection: {reason}.".capitalize()
        if target.proxied
        else f"{target.name} takes no connection: {reason}.",
        f"Check {where}, that the store is up, and that no firewall is between.",
    )


def _reason(error: OSError) -> str:
    """The operating system's words; asyncio puts several addresses into one text of its own."""
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    words = error.strerror or type(error).__name__
    return words[:1].lower() + words[1:]


async def certificate(target: Target) -> Finding:
    """Whether the SDK would trust the certificate, and how long it holds."""
    if not target.is_encrypted:
        if target.is_here:
            return Finding("not applicable", "Plain http:// to this machine.")
        return Finding(
            "warning",
            "Requests go over plain http://: whoever is in between reads and changes files.",
            f"Use https:// in {target.endpoint.option}.",
        )
    if target.proxied:
        return Finding("not applicable", "Looked at by the SDK, through the proxy.")
    try:
        async with _connected(target) as (_, writer):
            found = writer.get_extra_info("peercert") or {}
    except ssl.SSLCertVerificationError as error:
        return Finding(
            "failed",
            f"The certificate of {target.name} is not trusted: {error.verify_message}.",
            f"Set {_bundle_of(target)} to the file of the authority that signed it, or check "
            f"{target.endpoint.option}.",
        )
    except OSError as error:
        return Finding(
            "failed",
            f"{target.name} speaks no TLS ({type(error).__name__}).",
            f"Check {target.endpoint.option}: http:// or https://, and the port.",
        )
    if not target.endpoint.verify:
        return Finding(
            "warning",
            "The certificate is not checked (verify_tls is off): anybody can pose as the store.",
            f"Turn verify_tls on; {_bundle_of(target)} names an authority of your own.",
        )
    return _lifetime(found["notAfter"])


def _bundle_of(target: Target) -> str:
    return target.endpoint.option.partition(".")[0] + ".ca_bundle"


def _lifetime(not_after: str) -> Finding:
    end = ssl.cert_time_to_seconds(not_after)
    day = time.strftime("%Y-%m-%d", time.gmtime(end))
    if end - time.time() < _CERTIFICATE_ENDS_SOON:
        return Finding(
            "warning",
            f"The certificate is trusted and ends soon, on {day}.",
            "Have it renewed before that.",
        )
    return Finding("ok", f"The certificate is trusted, until {day}.")


async def clock(target: Target) -> Finding:
    """By how much our clock differs from that of the store."""
    if target.proxied:
        return Finding("not applicable", "Not asked through a proxy.")
    before = time.time()
    try:
        date = await _date_of(target)
    except (OSError, ValueError, EOFError, asyncio.LimitOverrunError):
        date = None
    if date is None:
        return Finding("not applicable", "The store does not tell its time.")
    difference = round((before + time.time()) / 2 - date)
    if abs(difference) <= _SKEW_NOTICED:
        return Finding("ok", "The clock of this machine agrees with that of the store.")
    side = "ahead of" if difference > 0 else "behind"
    sentence = f"The clock of this machine is {_span(abs(difference))} {side} that of the store"
    if abs(difference) < _SKEW_REFUSED:
        return Finding("warning", f"{sentence}.", "Set the clock right (NTP).")
    remedy = "Set the clock of this machine right (NTP)."
    return Finding("failed", f"{sentence}: it refuses what is signed.", remedy)


def _span(seconds: int) -> str:
    return f"{round(seconds / 60)} min" if seconds >= 120 else f"{seconds} s"


async def _date_of(target: Target) -> float | None:
    """The Date of the answer to a bare request, as seconds since 1970; None if it has none."""
    async with _connected(target) as (reader, writer):
        host = target.url.netloc.rpartition("@")[2]
        writer.write(f"HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        with anyio.fail_after(TIMEOUT):
            head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"date":
            return email.utils.parsedate_to_datetime(value.decode("latin-1").strip()).timestamp()
    return None


@asynccontextmanager
async def _connected(
    target: Target,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection, with TLS where the endpoint has it."""
    context = tls_context(target.endpoint) if target.is_encrypted else None
    with anyio.fail_after(TIMEOUT):
        reader, writer = await asyncio.open_connection(target.host, target.port, ssl=context)
    try:
        yield reader, writer
    finally:
        await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        with anyio.fail_after(TIMEOUT):
            await writer.wait_closed()
