"""Snapshots: whole copies of the file, published by rename; any number of readers may open them."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from collector.store.database import OFFLINE, StoreBusyError, StoreDamagedError, StoreError, explain, explained, rows_of
from collector.store.drift import refresh_drift
from collector.store.session import make_views
from collector.store.store import Store
from collector.store.views import HISTOGRAM_QUANTILE, VIEWS

LATEST = "latest.duckdb"
_NAME = re.compile(r"assay-(\d+)\.duckdb")
_COPY = "import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A snapshot that readers now find."""

    path: Path
    bytes: int


class Snapshots:
    """The folder ``<data>/snapshots``: ``assay-<n>.duckdb`` and the symbolic link ``latest.duckdb``."""

    def __init__(self, data: Path, kept: int) -> None:
        self.folder = data / "snapshots"
        self._kept = kept
        self._state: Any = None

    def newest(self) -> Path | None:
        """The newest snapshot, or None."""
        numbered = self._numbered()
        return numbered[max(numbered)] if numbered else None

    def publish(self, store: Store) -> Published | None:
        """Refresh the drift table, pack the file if that is due, copy it and rename the copy; None: nothing is new.

        Writers of the store wait meanwhile; scoring and the chain do not. Raises StoreError.
        """
        with store.database.lock:
            with store.database.transaction() as connection:
                state = _state(connection)
                if state == self._state and self.newest() is not None:
                    return None
                refresh_drift(connection, store.config.baseline)
            store.database.vacuum()
            with store.database.read() as connection:
                connection.execute("CHECKPOINT")
                part = self._begin()
                _copy(store.database.path, part)
        self._state = state
        return self._finish(part)

    def adopt(self, file: Path) -> Published | None:
        """Publish the file of a daemon that is not running; None when one runs, or nothing is newer than the snapshot.

        Never changes ``file``: settings do not matter, and what its log holds is folded into the copy only.
        """
        log, newest = file.with_name(file.name + ".wal"), self.newest()
        written = [path.stat().st_mtime for path in (file, log) if path.exists()]
        if not file.exists() or (newest is not None and newest.stat().st_mtime >= max(written)):
            return None
        part = self._begin()
        part_log = part.with_name(part.name + ".wal")
        try:
            with duckdb.connect(str(file), read_only=True, config=dict(OFFLINE)):  # keeps writers out meanwhile
                _copy(file, part)
                if log.exists():
                    _copy(log, part_log)
            with duckdb.connect(str(part), config=dict(OFFLINE)) as connection:
                connection.execute("CHECKPOINT")
        except duckdb.Error as error:
            part.unlink(missing_ok=True)
            part_log.unlink(missing_ok=True)
            failure = explain(error) or StoreError(str(error))
            if isinstance(failure, StoreBusyError):
                return None
            if isinstance(failure, StoreDamagedError):
                failure = StoreDamagedError(f"{failure}; a daemon that starts builds it again from the chain")
            raise failure from error
        return self._finish(part)

    def _begin(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.glob("*.part*"):
            old.unlink(missing_ok=True)
        return self.folder / f"assay-{max(self._numbered(), default=0) + 1}.duckdb.part"

    def _finish(self, part: Path) -> Published:
        path = part.with_suffix("")
        part.replace(path)
        link = self.folder / f"{LATEST}.new"
        link.unlink(missing_ok=True)
        link.symlink_to(path.name)
        link.replace(self.folder / LATEST)
        numbered = self._numbered()
        for number in sorted(numbered)[: -self._kept]:
            numbered[number].unlink(missing_ok=True)  # whoever has it open keeps it
        return Published(path=path, bytes=path.stat().st_size)

    def _numbered(self) -> dict[int, Path]:
        if not self.folder.is_dir():
            return {}
        return {int(match[1]): path for path in self.folder.iterdir() if (match := _NAME.fullmatch(path.name))}


def export(snapshot: Path, base: Path, output: Path) -> None:
    """Copy a snapshot with its calls to a file that stands alone, or each view to Parquet in a folder.

    ``base`` is where the call objects lie. An existing file is an error: FileExistsError; in a folder, what an earlier
    export left is replaced. StoreError where something cannot be read or written.
    """
    try:
        with explained(), duckdb.connect(config=dict(OFFLINE)) as connection:
            connection.execute(f"ATTACH '{_literal(snapshot)}' AS source (READ_ONLY)")
            if output.suffix == ".duckdb":
                _export_file(connection, base, output)
            else:
                _export_folder(connection, base, output)
    except FileExistsError:
        raise
    except OSError as error:
        raise StoreError(f"{output}: {error.strerror}") from error


def _export_folder(connection: duckdb.DuckDBPyConnection, base: Path, output: Path) -> None:
    connection.execute("USE source")
    make_views(connection, f"{base}/")
    output.mkdir(parents=True, exist_ok=True)
    for name in VIEWS:
        target = _literal(output / f"{name}.parquet")
        connection.execute(f"COPY (FROM {name}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")


def _export_file(connection: duckdb.DuckDBPyConnection, base: Path, output: Path) -> None:
    if output.exists():
        raise FileExistsError(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    connection.execute(f"ATTACH '{_literal(output)}' AS target")
    connection.execute("USE target; CREATE SCHEMA data")
    tables = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'source' AND schema_name = 'data'"
    for (table,) in rows_of(connection, tables):
        connection.execute(f"CREATE TABLE data.{table} AS FROM source.data.{table}")
    connection.execute(HISTOGRAM_QUANTILE)
    for view in VIEWS.values():
        if not view.per_session:
            connection.execute(f"CREATE VIEW {view.name} AS {view.sql}")
    make_views(connection, f"{base}/", kind="TABLE")


def _state(connection: duckdb.DuckDBPyConnection) -> Any:
    cursors = rows_of(connection, "SELECT * FROM data.cursors ORDER BY ALL")
    drift = rows_of(connection, "SELECT next FROM data.drift_position")
    return cursors, drift, rows_of(connection, "SELECT count(*), min(start), min(first_time) FROM data.deltas")


def _copy(source: Path, target: Path) -> None:
    """By another process: closing a file drops every POSIX lock this one holds on it, DuckDB's included."""
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-I", "-S", "-c", _COPY, str(source), str(target)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        target.unlink(missing_ok=True)
        raise StoreError(f"the snapshot could not be copied: {done.stderr.strip().splitlines()[-1:]}")


def _literal(path: Path) -> str:
    return str(path).replace("'", "''")
