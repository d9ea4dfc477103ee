"""Dead letters read again: what lay in the files or the topic when reading began, one at a time."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from collector.records import Partition
from collector.source import SourceError
from collector.source.deadletters import FileLetters

_TIMES_END = 253_402_300_800  # of what a date can tell: the year 10000


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A rejected record as it was kept. At least once: one record may be in two letters."""

    partition: Partition  # of the record, as is all that follows
    offset: int
    timestamp: float  # seconds since the epoch; 0: unknown
    reason: str  # a value of RejectReason, of whichever version wrote the letter
    key: bytes | None
    value: bytes | None  # None or b"": nothing was left of it
    place: str  # where the letter lies, for a person


class Letterbox(Protocol):
    """A place where letters lie."""

    @property
    def name(self) -> str: ...
    @property
    def unreadable(self) -> int:
        """Entries passed so far that are no letters of ours."""
        ...

    def letters(self) -> Iterator[Letter]:
        """Each that is there at the beginning; SourceError where the place cannot be read."""
        ...


class Resender(Protocol):
    """Puts records back where they came from."""

    def send(self, letter: Letter) -> None:
        """Returns when key and value are durable as a new record of the letter's partition; else SourceError."""
        ...

    def close(self) -> None: ...


class FileLetterbox:
    """The files of FileLetters; a daemon may go on writing them, or drop the oldest."""

    def __init__(self, directory: Path) -> None:
        self.name = str(directory)
        self.unreadable = 0
        self._directory = directory

    def letters(self) -> Iterator[Letter]:
        try:
            sizes = {path: path.stat().st_size for path in FileLetters(self._directory).files}
            for path, size in sizes.items():
                yield from self._of(path, size)
        except OSError as error:
            raise SourceError(f"dead letters: {error.filename}: {error.strerror}") from None

    def _of(self, path: Path, size: int) -> Iterator[Letter]:
        read = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                read += len(line)
                if read > size:
                    return
                letter = _letter(line, f"{path.name}:{number}")
                if letter is not None:
                    yield letter
                elif line.strip():
                    self.unreadable += 1  # a crash leaves half a letter


def _letter(line: bytes, place: str) -> Letter | None:
    try:
        told = json.loads(line)
        if not 0 <= told["timestamp"] < _TIMES_END:
            return None
        return Letter(
            partition=Partition(str(told["topic"]), int(told["partition"])),
            offset=int(told["offset"]),
            timestamp=float(told["timestamp"]),
            reason=str(told["reason"]),
            key=_bytes(told["key"]),
            value=_bytes(told["value"]),
            place=place,
        )
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)
