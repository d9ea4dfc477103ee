"""A durable append-only log with offsets on one SQLite file: what the built-in receiver writes and its source reads.

What survives: an append that has returned survives ``kill -9`` and, where the disk honours fsync, a power loss too
(WAL with ``synchronous=FULL``: one fsync a commit, shared by every request that waits for it). The stricter mode is
not a luxury. Offsets name the deltas of the chain, so a log that came back *shorter* than the chain believes would
hand out used offsets again and new records would be taken for counted ones. What a power loss may tear is an append
that nobody was told of.

SQLite checks no payload, so each record carries a CRC-32; a record that does not match is reported as damaged and
its neighbours are still read.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import uuid
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from collector.source import Bounds

APPLICATION_ID = 0x41535359  # "ASSY": a file of another application is refused, never renamed
FORMAT = 1
BUSY_SECONDS = 10.0
TRIM_RECORDS_MAX = 2_000  # a transaction; keeps the writers' wait short
JOURNAL_BYTES_MAX = 64 << 20
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_log = logging.getLogger(__name__)


class LogError(Exception):
    """The log cannot be used now; the message is for the operator."""


class LogFullError(LogError):
    """The file has reached its bound, or the disk is full; room comes back when old records are trimmed."""


class Entry(NamedTuple):
    """One record of the log; ``value`` is None where the stored bytes no longer match their checksum."""

    offset: int
    timestamp: float  # seconds since the epoch, as the log stamped it; never falls within a topic
    value: bytes | None


class LocalLog:
    """An ordered log per topic, offsets from 0 and without holes; safe to use from several threads.

    A file that SQLite finds damaged when it is opened is renamed aside (``replaced`` says where to) and a new log
    with a new ``epoch`` begins. Anything else that keeps it from opening raises ``LogError``.
    """

    def __init__(self, path: Path, topics: Sequence[str], *, bytes_max: int, clock: Callable[[], float]) -> None:
        if not all(topic.isidentifier() for topic in topics):
            raise ValueError(f"topics must be identifiers: {topics}")
        self.path = path
        self.replaced: Path | None = None
        self._topics = tuple(topics)
        self._bytes_max = bytes_max
        self._clock = clock
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogError(f"{path.parent}: {error.strerror}") from None
        try:
            self._open()
        except sqlite3.Error as error:
            if not _is_damage(error):
                raise LogError(f"{path}: {error}") from None
            self.replaced = _set_aside(path)
            _log.error("%s is damaged (%s); kept as %s, a new log begins", path, error, self.replaced)
            try:
                self._open()
            except sqlite3.Error as again:
                raise LogError(f"{path}: {again}") from None

    # -- writing

    def append(self, entries: Sequence[tuple[str, bytes]]) -> list[int]:
        """Append pairs of one of the log's topics and a value, all or none; returns their offsets once durable.

        Raises LogFullError or LogError; then none of them is in the log.
        """
        with self._write_lock:
            offsets, ends = self._append(entries)
            self._held |= {topic: Bounds(self._held[topic].first, end) for topic, end in ends.items()}
        return offsets

    def trim(self, topic: str, before: int) -> int:
        """Delete records below offset ``before``, at most TRIM_RECORDS_MAX of them; returns how many went."""
        with self._write_lock:
            first, end = self._held[topic]
            upto = min(before, end, first + TRIM_RECORDS_MAX)
            if upto <= first:
                return 0
            with self._transaction():
                self._writer.execute(f"DELETE FROM {topic} WHERE offset < ?", (upto,))  # noqa: S608
                self._writer.execute("UPDATE bounds SET first = ? WHERE topic = ?", (upto, topic))
            self._held[topic] = Bounds(upto, end)
        return upto - first

    def used_ratio(self) -> float:
        """How full the file is, 0..1 of its bound; free pages inside the file count as room."""
        with self._reading() as reader:
            pages, free, size = (
                reader.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
            )
        return float((pages - free) * size / self._bytes_max)

    # -- reading

    def read(self, topic: str, offset: int, *, records_max: int, bytes_max: int) -> list[Entry]:
        """Records from ``offset`` on, in order; stops after ``records_max`` or once ``bytes_max`` is passed.

        A record on a page that SQLite cannot follow comes as an entry without value, alone in its batch.
        """
        entries: list[Entry] = []
        size, damaged = 0, False
        query = f"SELECT offset, timestamp, crc, value FROM {topic} WHERE offset >= ? ORDER BY offset LIMIT ?"  # noqa: S608
        with self._reading() as reader:
            try:
                for at, timestamp, crc, value in reader.execute(query, (offset, records_max)):
                    entries.append(Entry(at, timestamp, value if zlib.crc32(value) == crc else None))
                    size += len(value)
                    if size >= bytes_max:
                        break
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                damaged = True
        if entries or not damaged or offset >= self._held[topic].end:
            return entries
        if records_max > 1:  # the cursor reads a row ahead, so the damage may lie behind the first record
            return self.read(topic, offset, records_max=1, bytes_max=bytes_max)
        return [Entry(offset, self._clock(), None)]

    def bounds(self, topic: str) -> Bounds:
        """The oldest offset that is still held, and one past the newest; from memory, it never waits."""
        return self._held[topic]

    def offset_at(self, topic: str, timestamp: float) -> int:
        """The first offset whose record is not older than ``timestamp``; the end if there is none."""
        query = f"SELECT timestamp FROM {topic} WHERE offset = ?"  # noqa: S608
        with self._reading() as reader:
            reader.execute("BEGIN")  # one view of the bounds and of what lies between them
            try:
                first, end = self._bounds(reader, topic)
                return first + bisect_left(  # stamps never fall, so no index is needed
                    range(first, end), timestamp, key=lambda at: reader.execute(query, (at,)).fetchone()[0]
                )
            finally:
                reader.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file; safe twice. Appends and reads afterwards raise LogError."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.close()

    # -- inside

    def _append(self, entries: Sequence[tuple[str, bytes]]) -> tuple[list[int], dict[str, int]]:
        with self._transaction():
            ends = {topic: self._bounds(self._writer, topic).end for topic in {topic for topic, _ in entries}}
            latest = {topic: self._latest(self._writer, topic) for topic in ends}
            offsets = []
            for topic, value in entries:
                offsets.append(ends[topic])
                row = (ends[topic], max(self._clock(), latest[topic]), zlib.crc32(value), value)
                self._writer.execute(f"INSERT INTO {topic} VALUES (?, ?, ?, ?)", row)  # noqa: S608
                latest[topic] = row[1]
                ends[topic] += 1
            for topic, end in ends.items():
                self._writer.execute("UPDATE bounds SET end = ? WHERE topic = ?", (end, topic))
        return offsets, ends

    def _open(self) -> None:
        self._writer = self._connect()
        try:
            self._prepare(self._writer)
            self._reader = self._connect()
        except BaseException:
            self._writer.close()
            raise
        try:
            self.epoch: str = self._reader.execute("SELECT epoch FROM incarnation").fetchone()[0]
            self._held = {topic: self._bounds(self._reader, topic) for topic in self._topics}
            for topic in self._topics:  # the tail is where a damaged file shows itself first
                self._latest(self._reader, topic)
        except BaseException:
            self._reader.close()
            self._writer.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)

    def _prepare(self, writer: sqlite3.Connection) -> None:
        owner = writer.execute("PRAGMA application_id").fetchone()[0]
        tables = writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        version = writer.execute("PRAGMA user_version").fetchone()[0]
        if tables and owner != APPLICATION_ID:
            raise LogError(f"{self.path} is a database of another application")
        if tables and version != FORMAT:
            raise LogError(f"{self.path} has format {version}, this Assay reads {FORMAT}")
        if writer.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise LogError(f"{self.path}: its file system cannot hold a write-ahead log")
        writer.execute("PRAGMA synchronous = FULL")
        page_bytes = writer.execute("PRAGMA page_size").fetchone()[0]
        writer.execute(f"PRAGMA max_page_count = {max(16, self._bytes_max // page_bytes)}")
        writer.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX}")
        writer.execute("BEGIN IMMEDIATE")
        try:
            writer.execute("CREATE TABLE IF NOT EXISTS incarnation (epoch TEXT NOT NULL)")
            writer.execute("CREATE TABLE IF NOT EXISTS bounds (topic TEXT PRIMARY KEY, first INT, end INT)")
            if writer.execute("SELECT count(*) FROM incarnation").fetchone()[0] == 0:
                writer.execute("INSERT INTO incarnation VALUES (?)", (uuid.uuid4().hex,))
            for topic in self._topics:
                writer.execute(
                    f"CREATE TABLE IF NOT EXISTS {topic}"
                    " (offset INTEGER PRIMARY KEY, timestamp REAL NOT NULL, crc INT NOT NULL, value BLOB NOT NULL)"
                )
                writer.execute("INSERT OR IGNORE INTO bounds VALUES (?, 0, 0)", (topic,))
            writer.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            writer.execute(f"PRAGMA user_version = {FORMAT}")
        except BaseException:
            writer.execute("ROLLBACK")
            raise
        writer.execute("COMMIT")

    @staticmethod
    def _bounds(connection: sqlite3.Connection, topic: str) -> Bounds:
        first, end = connection.execute("SELECT first, end FROM bounds WHERE topic = ?", (topic,)).fetchone()
        return Bounds(first, end)

    @staticmethod
    def _latest(connection: sqlite3.Connection, topic: str) -> float:
        row = connection.execute(f"SELECT timestamp FROM {topic} ORDER BY offset DESC LIMIT 1").fetchone()  # noqa: S608
        return float(row[0]) if row else 0.0

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            full = _code(error) == sqlite3.SQLITE_FULL
            raise (LogFullError if full else LogError)(f"{self.path}: {error}") from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._read_lock:
            try:
                yield self._reader
            except sqlite3.Error as error:
                raise LogError(f"{self.path}: {error}") from error


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # extended codes keep the primary one in the low byte


def _is_damage(error: sqlite3.Error) -> bool:
    return _code(error) in _DAMAGE


def _set_aside(path: Path) -> Path:
    """Rename a damaged file and what belongs to it; the journal of an old file must not be played into a new one."""
    number = 1
    while (kept := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    try:
        path.rename(kept)
        for suffix in ("-wal", "-shm"):
            companion = path.with_name(path.name + suffix)
            if companion.exists():
                companion.rename(kept.with_name(kept.name + suffix))
    except OSError as error:
        raise LogError(f"{path} is damaged and cannot be renamed: {error.strerror}") from None
    return kept
