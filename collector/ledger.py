"""One partition between the log and the chain: what was read, what became of it, how far it may be committed."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

import msgspec
import numpy as np

from collector.delta import Stream
from collector.records import DropReason, Rejected
from collector.rows import Rows


class _Read(msgspec.Struct, gc=False):
    offset: int
    timestamp: float
    candidates: int
    open: int  # candidates without a verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Offsets [start, next) of which everything is known: the stuff of one delta."""

    stream: Stream
    start: int
    next: int
    records: int
    consumed: int
    lost: int
    dropped: dict[str, int]
    rejected: tuple[Rejected, ...]
    rows: tuple[Rows, ...]
    resume_at: float


@dataclass(slots=True)
class Ledger:
    """The books of one partition, begun at the offset where its chain ends.

    ``next`` never passes an unfinished call. A verdict on something that was not read is a broken promise of another
    room and raises AssertionError before anything is committed.
    """

    stream: Stream
    start: int
    resume_at: float = 0.0
    _position: int = field(init=False)
    _lost: int = 0
    _reads: deque[_Read] = field(default_factory=deque)
    _open: dict[int, _Read] = field(default_factory=dict)
    _dropped: list[tuple[int, DropReason]] = field(default_factory=list)
    _rejected: list[Rejected] = field(default_factory=list)
    _rows: list[Rows] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._position = self.start

    @property
    def waiting(self) -> int:
        """Rows that are finished but lie behind an unfinished call, or were not cut yet."""
        return sum(len(rows.offsets) for rows in self._rows)

    def lose(self, until: int) -> None:
        """The log no longer holds the offsets before ``until``."""
        if until > self._position:
            self._lost += until - self._position
            self._position = until

    def read(self, offset: int, timestamp: float, candidates: int) -> None:
        """A record was decoded; each of its candidates will get a verdict."""
        if offset < self._position:
            raise AssertionError(f"{self.stream.path}: read {offset} after {self._position}")
        entry = _Read(offset, timestamp, candidates, candidates)
        self._reads.append(entry)
        if candidates:
            self._open[offset] = entry
        self._position = offset + 1

    def reject(self, rejected: Rejected) -> None:
        """A record could not be decoded."""
        self.read(rejected.record.offset, rejected.record.timestamp, 0)
        self._rejected.append(rejected)

    def drop(self, offset: int, reason: DropReason) -> None:
        """A candidate turned out not to be a call."""
        self._finish(offset, 1)
        self._dropped.append((offset, reason))

    def score(self, rows: Rows) -> None:
        """Candidates turned out to be calls, and here are their rows."""
        offsets, counts = np.unique(rows.offsets, return_counts=True)
        for offset, count in zip(offsets.tolist(), counts.tolist(), strict=True):
            self._finish(offset, count)
        self._rows.append(rows)

    def cut(self) -> Range | None:
        """The finished head of what was read, or None when there is nothing to commit."""
        start, resume_at = self.start, self.resume_at
        records = consumed = 0
        end = self._position
        while self._reads:
            if self._reads[0].open:
                end = self._reads[0].offset
                break
            done = self._reads.popleft()
            records += 1
            consumed += done.candidates
            resume_at = max(resume_at, done.timestamp)
        if end == start:
            return None
        dropped, self._dropped = _split(self._dropped, end)
        rejected = [item for item in self._rejected if item.record.offset < end]
        self._rejected = self._rejected[len(rejected) :]
        rows, self._rows = _split_rows(self._rows, end)
        lost, self._lost = self._lost, 0
        consumed += len(rejected) + lost - len(dropped)
        if consumed != sum(len(part.offsets) for part in rows) + len(rejected) + lost:
            raise AssertionError(
                f"{self.stream.path}: {start}..{end} consumed {consumed}, which its rows do not add up to"
            )
        self.start, self.resume_at = end, resume_at
        return Range(
            stream=self.stream,
            start=start,
            next=end,
            records=records,
            consumed=consumed,
            lost=lost,
            dropped=dict(Counter(reason.value for _, reason in dropped)),
            rejected=tuple(rejected),
            rows=tuple(rows),
            resume_at=resume_at,
        )

    def _finish(self, offset: int, count: int) -> None:
        entry = self._open.get(offset)
        if entry is None or entry.open < count:
            raise AssertionError(f"{self.stream.path}: a verdict too many on offset {offset}")
        entry.open -= count
        if not entry.open:
            del self._open[offset]


def _split(
    dropped: list[tuple[int, DropReason]], end: int
) -> tuple[list[tuple[int, DropReason]], list[tuple[int, DropReason]]]:
    return [item for item in dropped if item[0] < end], [item for item in dropped if item[0] >= end]


def _split_rows(parts: list[Rows], end: int) -> tuple[list[Rows], list[Rows]]:
    ready, rest = [], []
    for part in parts:
        before = part.offsets < end
        if before.all():
            ready.append(part)
        elif not before.any():
            rest.append(part)
        else:
            ready.append(part.take(before))
            rest.append(part.take(~before))
    return ready, rest
