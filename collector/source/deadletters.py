"""Dead letters: what they say about themselves, and a bounded place on disk for them."""

from __future__ import annotations

import base64
import json
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from collector.records import Rejected
from collector.source import SourceError

log = logging.getLogger(__name__)

CONNECTOR = "assay"
FILE_BYTES_MAX = 16 << 20
FILES_MAX = 16


def headers(rejected: Rejected) -> list[tuple[str, bytes]]:
    """Kafka Connect's names for what a dead letter is about, so that existing tools read them.

    ``exception.class.name`` is the reason (a value of RejectReason), ``exception.message`` the detail.
    """
    record = rejected.record
    texts = {
        "topic": record.partition.topic,
        "partition": str(record.partition.number),
        "offset": str(record.offset),
        "connector.name": CONNECTOR,
        "task.id": "0",
        "stage": "VALUE_CONVERTER",
        "class.name": "collector.decode",
        "exception.class.name": rejected.reason.value,
        "exception.message": rejected.detail,
        "exception.stacktrace": "",
    }
    return [(f"__connect.errors.{name}", text.encode()) for name, text in texts.items()]


class FileLetters:
    """DeadLetters in ``<directory>/letters-<number>.jsonl``: one JSON object a line, key and value in base64.

    A letter is on disk (fsync) when ``send`` returns. At most ``files_max`` files of ``file_bytes_max`` bytes (a single
    larger letter has a file of its own); beyond, the oldest file goes, and ``dropped_files`` counts it.
    """

    def __init__(self, directory: Path, *, file_bytes_max: int = FILE_BYTES_MAX, files_max: int = FILES_MAX) -> None:
        self.dropped_files = 0
        self._directory = directory
        self._file_bytes_max = file_bytes_max
        self._files_max = files_max
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()

    def send(self, rejected: Sequence[Rejected]) -> None:
        with self._lock:
            try:
                for letter in rejected:
                    line = _line(letter)
                    self._room(len(line)).write(line)
                self._sync()
            except OSError as error:
                self._forget()
                raise SourceError(f"dead letters: {self._directory}: {error.strerror}") from None

    def close(self) -> None:
        with self._lock:
            self._forget()

    @property
    def files(self) -> list[Path]:
        """Oldest first."""
        return sorted(self._directory.glob("letters-*.jsonl"))

    def _room(self, size: int) -> IO[bytes]:
        """The file to append to, which has room for ``size`` bytes."""
        if self._file is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            files = self.files
            self._file = self._open(files[-1] if files else self._directory / f"letters-{1:08d}.jsonl")
        if self._file.tell() and self._file.tell() + size > self._file_bytes_max:
            self._sync()
            number = int(self.files[-1].stem.rpartition("-")[2]) + 1
            self._forget()
            self._file = self._open(self._directory / f"letters-{number:08d}.jsonl")
            self._drop_oldest()
        return self._file

    def _open(self, path: Path) -> IO[bytes]:
        file = path.open("ab")
        if file.tell() and not _ends_a_line(path):
            file.write(b"\n")  # a crash left half a letter: it stays alone on its line
        return file

    def _drop_oldest(self) -> None:
        for path in self.files[: -self._files_max]:
            path.unlink()
            self.dropped_files += 1
            log.warning("dead letters: %s dropped, %d files are kept", path.name, self._files_max)

    def _sync(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def _forget(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _line(letter: Rejected) -> bytes:
    record = letter.record
    told = {
        "topic": record.partition.topic,
        "partition": record.partition.number,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "kind": record.kind.value,
        "reason": letter.reason.value,
        "detail": letter.detail,
        "key": _base64(record.key),
        "value": _base64(record.value),
    }
    return json.dumps(told, ensure_ascii=False).encode() + b"\n"


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
