"""Files of exchanges in and scored files out, row by row in bounded batches: JSONL, Parquet, CSV (out only)."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

LINE_BYTES_MAX = 16 << 20
Row = dict[str, Any]


class TableError(Exception):
    """A file cannot be read or written at all; the message is for the person who named it."""


class BadLine(Exception):  # noqa: N818 - a finding about one line, which the reader goes on after
    """Why one line is no row."""


def read_rows(path: Path, batch: int) -> Iterator[tuple[int, Row | BadLine]]:
    """Rows with their line number (of a Parquet file: the row's, from 1), in order; a bad line is a value."""
    if path.suffix not in (".jsonl", ".ndjson", ".parquet"):
        raise TableError(f"{path}: the input must be .jsonl or .parquet")
    try:
        yield from _read_parquet(path, batch) if path.suffix == ".parquet" else _read_lines(path)
    except OSError as error:
        raise TableError(f"{path}: {error.strerror or error}") from None
    except pa.ArrowInvalid as error:
        raise TableError(f"{path}: not Parquet: {error}") from None


def _read_parquet(path: Path, batch: int) -> Iterator[tuple[int, Row]]:
    number = 0
    with pq.ParquetFile(path) as file:
        for part in file.iter_batches(batch_size=batch):
            for row in part.to_pylist():
                number += 1
                yield number, row


def _read_lines(path: Path) -> Iterator[tuple[int, Row | BadLine]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LINE_BYTES_MAX + 1):
            number += 1
            if len(line) > LINE_BYTES_MAX:
                while line and not line.endswith(b"\n"):
                    line = file.readline(LINE_BYTES_MAX)
                yield number, BadLine(f"longer than {LINE_BYTES_MAX >> 20} MiB")
            elif line.strip():
                yield number, _parse(line)


def _parse(line: bytes) -> Row | BadLine:
    try:
        row = json.loads(line, parse_constant=lambda _: None)  # NaN is how some tools spell null
    except UnicodeDecodeError:
        return BadLine("not UTF-8")
    except json.JSONDecodeError as error:
        return BadLine(f"not JSON: {error.msg} at column {error.colno}")
    except (RecursionError, ValueError):  # too deep, or a number of thousands of digits
        return BadLine("JSON beyond all measure")
    return row if isinstance(row, dict) else BadLine("a JSON value, but not an object")


class Writer(Protocol):
    """Takes rows in order; the file is whole after ``close``."""

    def write(self, rows: Sequence[Row]) -> None: ...
    def close(self) -> None: ...


def open_writer(path: Path, target: Path, schema: Mapping[str, pa.DataType], batch_metadata: str) -> Writer:
    """A writer of the format that ``target`` is named for, into ``path``; ``schema`` says the columns in order."""
    if target.suffix in (".jsonl", ".ndjson"):
        return _Lines(path)
    if target.suffix == ".csv":
        return _Csv(path, schema)
    if target.suffix == ".parquet":
        return _Parquet(path, schema, batch_metadata)
    raise TableError(f"{target}: the output must be .jsonl, .parquet or .csv")


class _Lines:
    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8", newline="\n")

    def write(self, rows: Sequence[Row]) -> None:
        self._file.writelines(json.dumps(row, default=str) + "\n" for row in rows)

    def close(self) -> None:
        self._file.close()


class _Csv:
    def __init__(self, path: Path, schema: Mapping[str, pa.DataType]) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._file, list(schema), restval=None, extrasaction="ignore")
        self._writer.writeheader()

    def write(self, rows: Sequence[Row]) -> None:
        self._writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path, schema: Mapping[str, pa.DataType], suite: str) -> None:
        self._schema = pa.schema(list(schema.items()), metadata={"assay.suite": suite})
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, rows: Sequence[Row]) -> None:
        columns = {
            field.name: [
                _cell(row.get(field.name)) if pa.types.is_string(field.type) else row.get(field.name) for row in rows
            ]
            for field in self._schema
        }
        self._writer.write_table(pa.table(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def infer_schema(path: Path, batch: int) -> dict[str, pa.DataType]:
    """Columns of a file in order of appearance; a JSONL field of mixed or nested values is text (its JSON)."""
    if path.suffix == ".parquet":
        try:
            schema = pq.read_schema(path)
        except OSError as error:
            raise TableError(f"{path}: {error.strerror or error}") from None
        except pa.ArrowInvalid as error:
            raise TableError(f"{path}: not Parquet: {error}") from None
        return {field.name: field.type for field in schema}
    kinds: dict[str, set[type]] = {}
    for _, row in read_rows(path, batch):
        if not isinstance(row, BadLine):
            for name, value in row.items():
                kinds.setdefault(name, set()).update(() if value is None else (_kind(value),))
    return {name: _arrow(found) for name, found in kinds.items()}


def _kind(value: Any) -> type:
    fits = not isinstance(value, int) or -(2**63) <= value < 2**63
    return type(value) if fits else str


def _arrow(kinds: set[type]) -> pa.DataType:
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    if kinds and kinds <= {int, float}:
        return pa.float64()
    return pa.string()


def _cell(value: Any) -> Any:
    """Text as UTF-8 can hold it; anything nested as JSON."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, (bool, int, float)):
        return value if value is None else str(value) if not isinstance(value, float) else value
    return json.dumps(value, default=str)
