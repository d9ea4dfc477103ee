"""One server process of the tests: started with its output in a file, watched until it answers, ended alone."""

from __future__ import annotations

import errno
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS_MAX = 180.0  # a loaded machine of two cores; a healthy one needs four
STOP_SECONDS_MAX = 30.0
LOG_TAIL_BYTES = 4_000
POLL_SECONDS = 0.05
# Below the range from which Linux hands out ports to clients: a server that restarts finds its own port free again.
PORTS = range(15_000, 32_000)


class ServerError(RuntimeError):
    """A server did not start, or ended by itself; the message carries the end of its log."""


class Process:
    """A server's process. Its output goes to `log`, so that no pipe can fill; `stop` and `kill` end it and only it."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        log: Path,
        *,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ):
        self.name = name
        self.log = log
        self._argv = [str(part) for part in argv]
        self._cwd = cwd or log.parent
        self._environ = {**os.environ, **(environ or {})}
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The running process."""
        if self._popen is None:
            raise ServerError(f"{self.name} is not running")
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    def start(self, ready: Callable[[], bool], *, seconds_max: float = START_SECONDS_MAX) -> None:
        """Start it and return once `ready()` is true; raise ServerError when it ends or takes longer."""
        if self.running:
            raise ServerError(f"{self.name} runs already")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(
                self._argv,
                cwd=self._cwd,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            self._wait(ready, seconds_max)
        except BaseException:
            self.kill()
            raise

    def _wait(self, ready: Callable[[], bool], seconds_max: float) -> None:
        deadline = time.monotonic() + seconds_max
        while not ready():
            if not self.running:
                code = self._popen.returncode if self._popen else None
                raise ServerError(f"{self.name} ended with {code} while starting:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} was not ready after {seconds_max:.0f} s:\n{self.log_tail()}")
            time.sleep(POLL_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP and SIGCONT, to the running process."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """Ask it to end, and kill it when it takes too long; nothing happens when it does not run."""
        if self._popen is None:
            return
        if self.running:
            self._popen.terminate()
            try:
                self._popen.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self._popen.kill()
        self._popen.wait()
        self._popen = None

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._popen is None:
            return
        self._popen.kill()
        self._popen.wait()
        self._popen = None

    def log_tail(self) -> str:
        """The end of what it has written."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return "(it wrote nothing)"


class Server:
    """What every server of the harness has: a folder, a log in it, a process, and `with` to start and end it."""

    name: str

    def __init__(self, directory: Path):
        self.directory = directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log = self.directory / f"{self.name}.log"
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The running process: its pid, signals such as SIGSTOP, the end of its log."""
        if self._process is None:
            raise ServerError(f"{self.name} is not running")
        return self._process

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it; return once it answers. ServerError, with the end of its log, when it does not."""
        raise NotImplementedError

    def stop(self) -> None:
        """Shut it down cleanly; its data and ports stay for the next `start`."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """End it at once, as a crash would; its data and ports stay for the next `start`."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _run(
        self,
        argv: Sequence[str | Path],
        ready: Callable[[], bool],
        *,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._process = Process(self.name, argv, self.log, environ=environ, cwd=cwd)
        self._process.start(ready)


def free_ports(count: int) -> list[int]:
    """Distinct ports of the loopback that nothing listens on now."""
    held: list[socket.socket] = []
    try:
        # the system's randomness: a test that seeds `random` must not make two servers meet
        for port in random.SystemRandom().sample(PORTS, len(PORTS)):
            candidate = socket.socket()
            held.append(candidate)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError as error:
                held.pop().close()
                if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                    raise
            if len(held) == count:
                return [taken.getsockname()[1] for taken in held]
    finally:
        for taken in held:
            taken.close()
    raise ServerError("no port is free")


def listens(port: int) -> bool:
    """Whether something accepts connections on that port of the loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
