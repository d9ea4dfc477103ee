"""One DuckDB file: opened or set aside and begun anew, changed one transaction at a time, by one owner."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from collector.store.views import definitions

FILE = "assay.duckdb"
_SCHEMA = Path(__file__).with_name("schema.sql")
FORMAT = "4"  # of the tables: raise it and every view is built again from its chain
OFFLINE: dict[str, str | bool] = {
    "autoinstall_known_extensions": False,  # each try costs seconds where there is no network
    "autoload_known_extensions": False,
}

PACK_BYTES_MIN = 16 << 20
PACK_GROWTH = 1.1  # since it was packed last, when a snapshot is published
PACK_GROWTH_MAX = 1.35  # at any time
_QUIET = {"threads": "1", "checkpoint_threshold": "4MB"}  # a second thread costs more than it brings to small batches


class StoreError(Exception):
    """The view cannot be used now; the message is for the operator. What the chain holds is safe."""


class StoreBusyError(StoreError):
    """Another process holds the file."""


class StoreDamagedError(StoreError):
    """The file is not what was written; ``Database.renew`` sets it aside."""


class StoreOutdatedError(StoreDamagedError):
    """The file is sound, but was made under other settings or by another version."""


class Database:
    """The file and its one connection; the lock makes it safe to share between threads.

    ``meta`` is what the contents depend on besides the chain (thresholds, format): a file made under another is set
    aside like a damaged one. A file that opens is whole: every block was read once. ``set_aside`` lists what became of
    earlier files since this object exists.
    """

    def __init__(self, path: Path, meta: Mapping[str, str], memory_limit: str) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.set_aside: list[Path] = []
        self._meta = {**meta, "format": FORMAT}
        self._memory_limit = memory_limit
        self._packed_bytes = 0  # after the last packing of this process
        self._looking = 0
        self._seen_off = threading.Condition()  # held while the file is exchanged; told when somebody has looked
        self._connection: duckdb.DuckDBPyConnection | None = None

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def open(self) -> None:
        """Open or create the file; StoreBusyError when another process has it, StoreError when the disk is full."""
        with self.lock:
            if self._connection is not None:
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():
                self._set_aside("orphan", _log_of(self.path))  # the log of a file that somebody deleted
            try:
                self._open()
            except StoreDamagedError as error:
                self.renew("outdated" if isinstance(error, StoreOutdatedError) else "corrupt")

    def renew(self, why: str) -> None:
        """Set the file and its log aside, named by ``why``, and begin an empty one. Nothing is ever deleted."""
        with self.lock:
            self.close()
            try:
                self._set_aside(why, self.path, _log_of(self.path))
            except OSError as error:
                raise StoreError(f"{self.path} cannot be set aside: {error.strerror}") from error
            self._open()

    def close(self) -> None:
        """Safe twice. A failing checkpoint is left to the next open: the log holds it."""
        with self.lock, self._unseen():
            connection, self._connection = self._connection, None
            if connection is not None:
                try:
                    connection.close()
                except duckdb.Error:
                    return

    def scrub(self) -> None:
        """Read every block, so that its checksum is compared; StoreDamagedError, and the next open mends it."""
        with self.read() as connection:
            _scrub(connection)

    def vacuum(self, growth: float = PACK_GROWTH) -> bool:
        """Pack the file where over a quarter of it is free, or where it grew by ``growth`` since it was packed.

        Rows that were replaced leave holes in it, which DuckDB fills in part and does not count as free.

        A copy is made and takes the file's name, so a crash at any point leaves a whole file. Returns whether it did.
        """
        with self.read() as connection:
            ((_, _, _, blocks, _, free, *_),) = rows_of(connection, "PRAGMA database_size")
            size = self.path.stat().st_size
            if size < PACK_BYTES_MIN or (size < growth * self._packed_bytes and free * 4 <= blocks):
                return False
            connection.execute("CHECKPOINT")
            packed = self.path.with_name(f"{self.path.name}.packed")
            packed.unlink(missing_ok=True)
            name = rows_of(connection, "SELECT current_database()")[0][0]
            connection.execute(f"ATTACH '{str(packed).replace(chr(39), chr(39) * 2)}' AS packed")
            connection.execute(f'COPY FROM DATABASE "{name}" TO packed')
            connection.execute("DETACH packed")
            with duckdb.connect(str(packed), config=self._settings) as copy:
                _scrub(copy)
            with self._unseen():
                self.close()
                if _log_of(self.path).exists() or _log_of(packed).exists():
                    return False  # something was not checkpointed: the old file stays
                packed.replace(self.path)
                self._packed_bytes = self.path.stat().st_size
                self._open(scrubbed=True)
            return True

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """All of the block or none of it. Raises StoreError, after closing what is invalid."""
        with self.read() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if self._connection is not None:
                    with _ignored():
                        connection.execute("ROLLBACK")
                raise

    @contextmanager
    def look(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor that reads what is committed when the block begins; it waits for no writer.

        Only while the file is opened or exchanged, which waits for the block, does it wait itself: so ask for nothing
        else of this database inside the block, and be brief.
        """
        cursor = self._cursor()
        try:
            try:
                cursor.execute("BEGIN")
                yield cursor
            finally:
                cursor.close()
                with self._seen_off:
                    self._looking -= 1
                    self._seen_off.notify_all()
        except duckdb.Error as error:
            failure = explain(error)
            if failure is None:
                raise
            self.close()
            raise failure from error

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The connection, for as long as the block lasts; nobody else changes the file meanwhile."""
        with self.lock:
            try:
                self.open()
                assert self._connection is not None  # noqa: S101 - open leaves one
                yield self._connection
            except OSError as error:
                raise StoreError(f"{error.filename or self.path}: {error.strerror}") from error
            except duckdb.Error as error:
                failure = explain(error)
                if failure is None:
                    raise
                self.close()  # after a fatal error DuckDB refuses everything until it is opened again
                raise failure from error

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        while True:
            with self._seen_off:
                if self._connection is not None:
                    self._looking += 1
                    return self._connection.cursor()
            self.open()

    @contextmanager
    def _unseen(self) -> Iterator[None]:
        """While nobody looks, nor begins to."""
        with self._seen_off:
            self._seen_off.wait_for(lambda: not self._looking)
            yield

    @property
    def _settings(self) -> dict[str, str | bool | int | float | list[str]]:
        return {**OFFLINE, **_QUIET, "memory_limit": self._memory_limit}

    def _open(self, *, scrubbed: bool = False) -> None:
        try:
            connection = duckdb.connect(str(self.path), config=self._settings)
            try:
                self._prepare(connection, scrubbed=scrubbed)
            except BaseException:
                connection.close()
                raise
        except duckdb.Error as error:
            raise explain(error) or StoreDamagedError(f"{type(error).__name__}: {_line(error)}") from error
        self._connection = connection

    def _set_aside(self, why: str, *paths: Path) -> None:
        for path in paths:
            if path.exists():
                aside = path.with_name(f"{path.name}.{why}-{int(path.stat().st_mtime)}")
                while aside.exists():
                    aside = aside.with_name(f"{aside.name}-")
                path.rename(aside)
                self.set_aside.append(aside)

    def _prepare(self, connection: duckdb.DuckDBPyConnection, *, scrubbed: bool) -> None:
        connection.execute("SET preserve_insertion_order = false")
        if rows_of(connection, "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'data'") == [(0,)]:
            connection.execute("BEGIN")
            connection.execute(_SCHEMA.read_text(encoding="utf-8"))
            for definition in definitions():
                connection.execute(definition)
            for name, value in sorted(self._meta.items()):
                connection.execute("INSERT INTO data.meta VALUES (?, ?)", [name, value])
            connection.execute("COMMIT")
            return
        found = dict(rows_of(connection, "SELECT name, value FROM data.meta"))
        if found != self._meta:
            raise StoreOutdatedError(f"made under other settings: {sorted(found.items() ^ self._meta.items())}")
        if not scrubbed:
            _scrub(connection)


_DAMAGED = (duckdb.FatalException, duckdb.InternalException, duckdb.IOException, duckdb.SerializationException)


def explain(error: duckdb.Error) -> StoreError | None:
    """What an error of DuckDB means for the file; None: nothing, the statement was wrong."""
    text = _line(error)
    low = text.lower()
    if "could not set lock" in low:
        return StoreBusyError(f"another process holds the view: {text}")
    if any(sign in low for sign in ("no space left", "disk full", "disk quota", "file too large", "out of memory")):
        return StoreError(f"no room for the view: {text}")
    if "permission denied" in low or "read-only file system" in low:
        return StoreError(f"the view cannot be written: {text}")
    if isinstance(error, _DAMAGED) or "corrupt database file" in low:
        return StoreDamagedError(f"the view is damaged: {type(error).__name__}: {text}")
    return None


@contextmanager
def explained() -> Iterator[None]:
    """For a file that is read as it lies, without a Database: what DuckDB raises becomes a StoreError."""
    try:
        yield
    except duckdb.Error as error:
        raise explain(error) or StoreError(_line(error)) from error


def _line(error: duckdb.Error) -> str:
    return " ".join(str(error).split())[:400]


def insert(
    connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table, query: str = "SELECT * FROM incoming"
) -> None:
    """Append an Arrow table; ``query`` maps its columns, as ``incoming``, to the table's."""
    connection.register("incoming", rows)
    try:
        connection.execute(f"INSERT INTO {table} {query}")
    finally:
        connection.unregister("incoming")


def fetch(connection: duckdb.DuckDBPyConnection, query: str) -> pa.Table:
    """The answer as an Arrow table; DuckDB 1.5 and 2.0 both have this way."""
    return connection.sql(query).to_arrow_table()


def rows_of(connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[Any] = ()) -> list[Any]:
    return connection.execute(query, list(parameters)).fetchall()


def _scrub(connection: duckdb.DuckDBPyConnection) -> None:
    for (table,) in rows_of(connection, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'data'"):
        rows_of(connection, f"SELECT bit_xor(hash(scrubbed)) FROM data.{table} AS scrubbed")  # noqa: S608 - names are ours


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


@contextmanager
def _ignored() -> Iterator[None]:
    try:
        yield
    except duckdb.Error:
        return
