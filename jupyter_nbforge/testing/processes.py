"""Servers as child processes: started, watched and ended by whoever needs one.

Nothing of what a server speaks is known here. They listen on 127.0.0.1 only, on a port that
was free, and end with the process that started them, however that ends. Only the standard
library is imported.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from typing_extensions import Self

_PORTS = range(12_000, 22_000)
"""Below the ports that the system gives to outgoing connections, gRPC ports included."""

_ATTEMPTS = 4
_LOG_TAIL = 20

# The watcher ends the server when the pipe at its standard input closes: that is, also when
# the process that started it is killed. `exec` makes the server the process that Popen knows.
_WATCHED = (
    'exec 3<&0; (read -r _; kill -TERM $$) <&3 3<&- >/dev/null 2>&1 & exec "$@" </dev/null 3<&-'
)

NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens URLs of this machine directly, whatever proxy the environment names."""


class ServerError(RuntimeError):
    """A local server could not be started; the message ends with the tail of its log."""


class _EndedEarlyError(Exception):
    """The child ended before it answered."""


class ServerProcess:
    """A server in a child process; a context manager around `start` and `stop`.

    A subclass says what to run (`_prepare`) and when it answers (`_is_ready`).
    """

    name: ClassVar[str]
    start_timeout: ClassVar[float] = 60.0
    """Seconds until it must answer; the machine may be busy with other tests."""
    stop_timeout: float = 2.0
    """Seconds that it has to end by itself after SIGTERM before it is killed."""
    environ: Mapping[str, str] | None = None
    """The child's environment variables; None: those of this process."""

    def __init__(self) -> None:
        self.endpoint_url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._own_log: Path | None = None

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
            self._process = _spawn(command, log, self.environ)
            try:
                self._wait_until_ready(log)
            except _EndedEarlyError as error:
                self.stop()
                # Another process may have taken a port since it was found free.
                if attempt == _ATTEMPTS or not self._may_move():
                    raise ServerError(str(error)) from None
            except BaseException:
                # An interrupt too: a process that nobody knows of would never end.
                self.stop()
                raise
            else:
                return

    def stop(self) -> None:
        """End the process that `start` made, and only that; idempotent."""
        process, self._process = self._process, None
        if process is not None:
            _end(process, self.stop_timeout)
        log, self._own_log = self._own_log, None
        if log is not None:
            log.unlink(missing_ok=True)

    def _prepare(self) -> tuple[Sequence[str], Path]:
        """Choose ports, set `endpoint_url`; returns the command and the file for its log."""
        raise NotImplementedError

    def _is_ready(self) -> bool:
        raise NotImplementedError

    def _may_move(self) -> bool:
        """Whether other ports may be tried."""
        return True

    def _temporary_log(self) -> Path:
        """A file for the log that `stop` removes."""
        if self._own_log is None:
            handle, name = tempfile.mkstemp(prefix=f"{self.name}-", suffix=".log")
            os.close(handle)
            self._own_log = Path(name)
        return self._own_log

    def _has_logged(self, text: str) -> bool:
        """Whether the child itself wrote `text` to its temporary log.

        An answer alone may be another server's, which took the port a moment before.
        """
        return self._own_log is not None and text in self._own_log.read_text(errors="replace")

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


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    while True:
        port = random.choice(_PORTS)
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Whether a server could listen on this TCP port of 127.0.0.1."""
    with socket.socket() as candidate:
        if os.name == "posix":
            # As servers do; else a port that was in use seconds ago would count as taken.
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answer_of(url: str) -> bytes | None:
    """The body of a GET that answers with success at once, else None."""
    try:
        with NO_PROXY.open(url, timeout=5) as response:
            return bytes(response.read())
    except OSError:
        return None


def _spawn(
    command: Sequence[str], log: Path, environ: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
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
            env=environ,
        )


def _end(process: subprocess.Popen[bytes], timeout: float) -> None:
    """End a child and its watcher: by SIGTERM, `timeout` seconds later by SIGKILL."""
    process.terminate()
    try:
        process.wait(timeout)
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


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_TAIL:])
