"""The records of drift in the chain's store: ``drift/<number>``, and ``drift/merged/<begin>-<end>`` for runs of them.

Put if absent, like deltas: of two processes that decide about the same window one wins, and the other takes what the
winner decided.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import msgspec

from collector.delta import DeltaError
from collector.drift.record import FULL_EVERY, Detector, Record, Slice, decode, encode

FOLDER = "drift"
RUN = 2 * FULL_EVERY  # records that are merged together
_PLAIN = re.compile(rf"{FOLDER}/(\d{{20}})")
_MERGED = re.compile(rf"{FOLDER}/merged/(\d{{20}})-(\d{{20}})")


class Objects(Protocol):
    """The store of objects; collector.chain.Chain is one."""

    def create(self, path: str, data: bytes) -> bool: ...
    def names(self, folder: str) -> Sequence[str]: ...
    def read(self, path: str) -> bytes: ...
    def delete(self, paths: Sequence[str]) -> None: ...


class _Object(NamedTuple):
    begin: int
    end: int
    path: str


@dataclass(slots=True)
class Head:
    """Where the log ends, and what all detectors remember there."""

    next: int = 0
    end: float = 0.0  # of the newest record's window
    positions: dict[str, int] = field(default_factory=dict)
    detectors: dict[Slice, Detector] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        """Go on by one record; AssertionError for any other than the next."""
        if record.number != self.next:
            raise AssertionError(f"drift record {record.number} where {self.next} is due")
        if record.full:
            self.detectors = {}
        self.detectors |= {detector.slice: detector for detector in record.detectors}
        self.next, self.end, self.positions = record.number + 1, record.end, dict(record.positions)


class DriftLog:
    """Every method may raise ChainError of the store, and DeltaError for a damaged object."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._superfluous: set[str] = set()

    def append(self, record: Record) -> bool:
        """Make a decision durable; False: somebody else has decided about this number."""
        return self._objects.create(_plain(record.number), encode([record]))

    def records(self, begin: int) -> Iterator[Record]:
        """From number ``begin``, or the oldest that is kept, to the end."""
        at = begin
        while left := [item for item in self._list() if item.end > at]:
            if at == begin:
                at = max(at, left[0].begin)
            known = {item.begin: item for item in left}
            if _covering(known, at) is None:
                raise DeltaError(f"drift record {at} is missing, and yet {left[0].path} exists")
            while item := _covering(known, at):
                try:
                    data = self._objects.read(item.path)
                except FileNotFoundError:
                    break  # merged since it was listed: list again
                yield from (record for record in decode(data) if record.number >= at)
                at = item.end

    def head(self) -> Head:
        """The end of the log; an empty one for an empty log."""
        newest = max((item.end for item in self._list()), default=0)
        head = Head(next=max(newest - 1, 0) // FULL_EVERY * FULL_EVERY)
        for record in self.records(head.next):
            head.take(record)
        return head

    def compact(self, keep_from: float) -> int:
        """Merge full runs before the newest full record and delete runs that ended before ``keep_from``.

        What was replaced is deleted by the next call. Returns how many objects were written or are superfluous.
        """
        found = self._list()
        merged = {item.begin for item in found if item.end - item.begin > 1}
        last_full = (max((item.end for item in found), default=0) - 1) // FULL_EVERY * FULL_EVERY
        plain = {item.begin: item for item in found if item.end - item.begin == 1}
        written = 0
        for begin in sorted({number // RUN * RUN for number in plain} - merged):
            run = [plain[number] for number in range(begin, begin + RUN) if number in plain]
            if len(run) == RUN and begin + RUN <= last_full:
                self._merge(run)
                written += 1
        written += self._sweep(keep_from)
        return written

    def _merge(self, run: Sequence[_Object]) -> None:
        records = [msgspec.structs.replace(self._one(item), detectors=(), full=False) for item in run]
        path = f"{FOLDER}/merged/{run[0].begin:020d}-{run[-1].end:020d}"
        if not self._objects.create(path, encode(records)) and decode(self._objects.read(path)) != records:
            raise AssertionError(f"{path} does not say what its records say")

    def _one(self, item: _Object) -> Record:
        (record,) = decode(self._objects.read(item.path))
        if record.number != item.begin:
            raise DeltaError(f"{item.path} claims to be record {record.number}")
        return record

    def _sweep(self, keep_from: float) -> int:
        """Delete what was superfluous at the last sweep as well, so that a reader of then has finished."""
        found = self._list()
        merged = [item for item in found if item.end - item.begin > 1]
        covered = {number for item in merged for number in range(item.begin, item.end)}
        superfluous = [item.path for item in found if item.end - item.begin == 1 and item.begin in covered]
        for item in merged:
            if decode(self._objects.read(item.path))[-1].end >= keep_from:
                break
            superfluous.append(item.path)
        self._objects.delete([path for path in superfluous if path in self._superfluous])
        self._superfluous = set(superfluous)
        return len(superfluous)

    def _list(self) -> list[_Object]:
        """By begin; of two with the same begin the merged one last."""
        found = []
        for path in self._objects.names(FOLDER):
            if match := _PLAIN.fullmatch(path):
                found.append(_Object(int(match[1]), int(match[1]) + 1, path))
            elif match := _MERGED.fullmatch(path):
                found.append(_Object(int(match[1]), int(match[2]), path))
        return sorted(found)


def _covering(known: Mapping[int, _Object], number: int) -> _Object | None:
    """The object that holds a record: a merged one holds a whole run."""
    run = known.get(number // RUN * RUN)
    return run if run is not None and run.end > number else known.get(number)


def _plain(number: int) -> str:
    return f"{FOLDER}/{number:020d}"
