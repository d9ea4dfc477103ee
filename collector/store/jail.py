"""The process of one query: gives up what it does not need, then looks at the query. Talks to sandbox.py alone."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import os
import resource
import sys
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from collector.store.database import OFFLINE
from collector.store.sandbox import Fault, Header, Request
from collector.store.session import make_views

_BATCH_ROWS = 2_048
_THREADS = 2
_CELL_CHARS_MAX = 60  # of the text table
_INTERNAL = ("duckdb_", "pragma_", "pg_settings", "sqlite_master")  # settings, paths and storage
_INDIRECT = ("current_setting", "query", "query_table")  # … by a name in a string
_ALLOWED = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


class _RefusedError(Exception):
    """The answer to the analyst, in a sentence."""

    def __init__(self, message: str, fault: Fault = Fault.QUERY) -> None:
        super().__init__(message)
        self.fault = fault


def main() -> int:
    """Read a request from standard input, answer on standard output."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    out = sys.stdout.buffer
    try:
        try:
            connection = _prepare(request)
        finally:
            out.write(b"ready\n")
            out.flush()
        table, truncated = _run(connection, request)
        body = _FORMATS[request.format](table.replace_schema_metadata({"assay.truncated": str(truncated).lower()}))
        if len(body) > request.answer_bytes_max:
            raise _too_large(request)
        header = Header(rows=len(table), truncated=truncated)
    except (duckdb.Error, _RefusedError, MemoryError, pa.ArrowException, RecursionError) as error:
        header, body = Header(error=_sentence(error), fault=_fault(error)), b""
    out.write(msgspec.json.encode(header) + b"\n" + body)
    out.flush()
    os._exit(0)  # nothing here needs an orderly end, and destructors of a strained process may hang


def _prepare(request: Request) -> duckdb.DuckDBPyConnection:
    """Open the snapshot, make the views, then take every right away that a query could use."""
    os.chdir(request.base if Path(request.base).is_dir() else Path(request.snapshot).parent)
    connection = duckdb.connect(
        request.snapshot,
        read_only=True,
        config={
            **OFFLINE,
            "threads": str(_THREADS),
            "memory_limit": f"{request.memory_bytes_max * 6 // 10 >> 20}MiB",
            "temp_directory": "",
        },
    )
    make_views(connection)
    connection.execute(f"SET allowed_directories = ['{_escaped(str(Path(request.base)))}/']")
    for setting in (
        "python_enable_replacements = false",
        "python_scan_all_frames = false",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    _limit(resource.RLIMIT_AS, _address_space() + request.memory_bytes_max)
    _limit(resource.RLIMIT_CPU, math.ceil(_cpu_seconds() + _THREADS * request.seconds_max) + 1)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, 256)
    _limit(resource.RLIMIT_CORE, 0)
    with contextlib.suppress(OSError, ValueError):  # some systems count the user's other processes: then it stays
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0)) if os.getuid() else None
    return connection


def _run(connection: duckdb.DuckDBPyConnection, request: Request) -> tuple[pa.Table, bool]:
    """The first rows of the answer, and whether there are more."""
    statements = connection.extract_statements(request.query)
    if len(statements) != 1:
        raise _RefusedError(f"one statement at a time, this text holds {len(statements)}")
    if statements[0].type not in _ALLOWED:
        raise _RefusedError(f"only SELECT and EXPLAIN are allowed here, not {statements[0].type.name}")
    _only_views(request.query)
    relation = connection.sql(request.query)  # a relation streams in 1.5 and 2.0; execute() collects all in 2.0
    if relation is None:
        raise _RefusedError("this statement gives no rows")
    reader = relation.to_arrow_reader(_BATCH_ROWS)
    batches, rows, size = [], 0, 0
    for batch in reader:
        batches.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows > request.rows_max:
            break
        if size > 4 * request.answer_bytes_max:
            raise _too_large(request)
    table = pa.Table.from_batches(batches, reader.schema).rename_columns(_distinct(reader.schema.names))
    return table.slice(0, request.rows_max), rows > request.rows_max


def _only_views(query: str) -> None:
    """Refuse what tells of the database instead of the calls. No secret is there; the contract is the views."""
    tokens = duckdb.tokenize(query)
    ends = [at for at, _ in tokens[1:]] + [len(query.encode())]
    words = [
        query.encode()[at:end].decode(errors="replace").strip().strip('"').lower()
        for (at, kind), end in zip(tokens, ends, strict=True)
        if kind not in (duckdb.token_type.string_const, duckdb.token_type.comment)
    ]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        inside = word.startswith(_INTERNAL) or (word in _INDIRECT and following == "(")
        if inside or (word == "data" and following == "."):
            raise _RefusedError(f"{word} is not one of the views: SHOW TABLES lists them")


def _too_large(request: Request) -> _RefusedError:
    message = f"the answer is larger than {request.answer_bytes_max >> 20} MiB; ask for less of it"
    return _RefusedError(message, Fault.SIZE)


def _distinct(names: list[str]) -> list[str]:
    """``a, a`` as ``a, a_1``: a JSON object has room for one of each."""
    found: list[str] = []
    for name in names:
        number, free = 0, name
        while free in found:
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return found


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (value, value))


def _address_space() -> int:
    """Bytes of address space in use: libraries and thread stacks, before any query."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 1 << 30


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _sentence(error: BaseException) -> str:
    if isinstance(error, _RefusedError):
        return str(error)
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError | pa.ArrowMemoryError):
        return "the query needs more memory than is allowed; narrow it by time or aggregate first"
    text = str(error).split("\n\n")[0].split("\nLINE ")[0]
    return " ".join(text.split())[:1_000] or type(error).__name__


def _fault(error: BaseException) -> Fault:
    if isinstance(error, _RefusedError):
        return error.fault
    memory = isinstance(error, duckdb.OutOfMemoryException | MemoryError | pa.ArrowMemoryError)
    return Fault.ROOM if memory else Fault.QUERY


def _json(table: pa.Table) -> bytes:
    names = table.column_names
    rows = [dict(zip(names, row, strict=True)) for row in _plain_rows(table)]
    return msgspec.json.encode(rows) + b"\n"


def _csv(table: pa.Table) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.column_names)
    writer.writerows([_cell(value) for value in row] for row in _plain_rows(table))
    return text.getvalue().encode()


def _arrow(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _text(table: pa.Table) -> bytes:
    rows = [[_shown(value) for value in row] for row in _plain_rows(table)]
    names = table.column_names
    widths = [max([len(name), *(len(row[i]) for row in rows)]) for i, name in enumerate(names)]
    numeric = [
        pa.types.is_integer(f.type) or pa.types.is_floating(f.type) or pa.types.is_decimal(f.type) for f in table.schema
    ]

    def line(cells: list[str]) -> str:
        padded = (c.rjust(w) if right else c.ljust(w) for c, w, right in zip(cells, widths, numeric, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join([line(names), "  ".join("-" * width for width in widths), *map(line, rows), ""]).encode()


def _plain_rows(table: pa.Table) -> list[tuple[Any, ...]]:
    columns = [[_plain(value) for value in column.to_pylist()] for column in table.columns]
    return list(zip(*columns, strict=True)) if columns else []


def _plain(value: Any) -> Any:
    """A value that JSON can say: bytes as hex, times in ISO 8601, what is no number as null."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case bytes():
            return value.hex()
        case datetime() | date() | time():
            return value.isoformat()
        case pa.MonthDayNano():
            return _interval(value)
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case _:
            return str(value)


def _interval(value: pa.MonthDayNano) -> str:
    """As DuckDB shows it: `1 month 3 days 22:00:49.76`."""
    numbers = ((value.months, "month"), (value.days, "day"))
    parts = [f"{number} {unit}{'s' * (abs(number) != 1)}" for number, unit in numbers if number]
    hours, rest = divmod(abs(value.nanoseconds) // 1_000, 3_600 * 10**6)
    minutes, rest = divmod(rest, 60 * 10**6)
    if value.nanoseconds or not parts:
        fraction = f".{rest % 10**6:06}".rstrip("0").rstrip(".")
        sign = "-" if value.nanoseconds < 0 else ""
        parts.append(f"{sign}{hours:02}:{minutes:02}:{rest // 10**6:02}{fraction}")
    return " ".join(parts)


def _cell(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, list | dict) else value


def _shown(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else str(_cell(value))
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= _CELL_CHARS_MAX else text[: _CELL_CHARS_MAX - 1] + "…"


def _escaped(text: str) -> str:
    return text.replace("'", "''")


_FORMATS = {"json": _json, "csv": _csv, "arrow": _arrow, "table": _text}

if __name__ == "__main__":
    sys.exit(main())
