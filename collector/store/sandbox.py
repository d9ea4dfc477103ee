"""Analyst SQL: each query in a process of its own over a snapshot, with limits that the operating system enforces.

DuckDB's own limits are not enough: a single ``repeat`` or ``range`` allocates far beyond its memory limit and hears no
interrupt. So the query runs in ``jail.py``, which gives away its rights before it looks at the query, and the clock
that ends it is out here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

import msgspec

from collector.config import SqlConfig

Format = Literal["table", "json", "csv", "arrow"]
MEDIA_TYPES: dict[Format, str] = {
    "table": "text/plain; charset=utf-8",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
}
QUERY_CHARS_MAX = 65_536
ANSWER_BYTES_MAX = 64 << 20
_START_SECONDS_MAX = 30.0  # for the process to be ready; the query's own clock starts after that


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a query gave, in the format that was asked for."""

    body: bytes
    rows: int
    truncated: bool  # there were more rows than allowed
    media_type: str


class Fault(StrEnum):
    """Whose fault it is that a query gave nothing."""

    QUERY = "query"  # it is wrong, or not allowed
    TIME = "time"  # it took too long
    SIZE = "size"  # it, or its answer, is too large
    ROOM = "room"  # it used more memory or processor time than is allowed
    SERVER = "server"  # the query did nothing wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlError:
    """Why a query gave nothing, in one sentence."""

    message: str
    fault: Fault = Fault.QUERY


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the jail is told, as JSON on its standard input."""

    snapshot: str
    base: str
    query: str
    format: Format
    rows_max: int
    seconds_max: float
    memory_bytes_max: int
    answer_bytes_max: int = ANSWER_BYTES_MAX


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of what the jail says; an answer's body follows it."""

    rows: int = 0
    truncated: bool = False
    error: str | None = None
    fault: Fault = Fault.QUERY


def run_sql(
    snapshot: Path,
    base: Path,
    query: str,
    limits: SqlConfig,
    fmt: Format = "json",
    started: Callable[[Callable[[], None]], None] | None = None,
) -> Answer | SqlError:
    """Run one SELECT over ``snapshot``; ``base`` is where the objects of its calls lie. Never raises for the query.

    ``started`` is given what ends the query early, from any thread; it is safe after the end, too.
    """
    if len(query) > QUERY_CHARS_MAX:
        return SqlError(message=f"the query is longer than {QUERY_CHARS_MAX} characters", fault=Fault.SIZE)
    request = Request(
        snapshot=str(snapshot.absolute()),
        base=str(base.absolute()),
        query=query,
        format=fmt,
        rows_max=limits.rows_max,
        seconds_max=limits.seconds_max,
        memory_bytes_max=limits.memory_bytes_max,
    )
    with subprocess.Popen(
        [sys.executable, "-m", "collector.store.jail"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
        close_fds=True,
        start_new_session=True,
    ) as process:
        if started is not None:
            started(process.kill)
        return _converse(process, request, limits.seconds_max)


def _converse(process: subprocess.Popen[bytes], request: Request, seconds_max: float) -> Answer | SqlError:
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    late = threading.Event()

    def end() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(_START_SECONDS_MAX, end)
    timer.start()
    try:
        try:
            process.stdin.write(msgspec.json.encode(request))
            process.stdin.close()
        except BrokenPipeError:
            return SqlError(message="the query's process did not start", fault=Fault.SERVER)
        process.stdout.readline(64)  # "ready": the query begins now
        timer.cancel()
        if not late.is_set():
            timer = threading.Timer(seconds_max, end)
            timer.start()
        first = process.stdout.readline(1 << 16)
        body = process.stdout.read(ANSWER_BYTES_MAX + 1)
    finally:
        timer.cancel()
        process.kill()
    if late.is_set() and not first.endswith(b"\n"):
        return SqlError(message=f"the query took longer than {seconds_max:g} seconds", fault=Fault.TIME)
    if not first.endswith(b"\n"):
        message = "the query was ended: it used more memory or processor time than is allowed"
        return SqlError(message=message, fault=Fault.ROOM)
    header = msgspec.json.decode(first, type=Header)
    if header.error is not None:
        return SqlError(message=header.error, fault=header.fault)
    return Answer(body=body, rows=header.rows, truncated=header.truncated, media_type=MEDIA_TYPES[request.format])


def _environment() -> dict[str, str]:
    """Nothing of ours but what Python needs to find its modules: no secret, no proxy, no home."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")}
    places = os.pathsep.join(path for path in sys.path if path)
    return {**kept, "PYTHONPATH": places, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1", "TZ": "UTC"}
