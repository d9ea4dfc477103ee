"""An in-memory broker and a consumer of it: the source protocol without a network, a thread or a clock."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from collector.records import Kind, Partition, RawRecord, Rejected, RejectReason
from collector.source import Bounds, Polled, SourceError


class _Entry(NamedTuple):
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None
    corrupt: bool


@dataclass(slots=True)
class _Shelf:
    """One partition: what it holds, the oldest offset it promises, the offset of the next append."""

    entries: list[_Entry] = field(default_factory=list)
    first: int = 0
    end: int = 0

    def at(self, offset: int) -> int:
        return bisect_left(self.entries, offset, key=lambda entry: entry.offset)


class FakeLog:
    """Topics with partitions that any number of ``FakeSource`` read at the same time.

    >>> log = FakeLog()
    >>> traces, = log.create("otlp_spans", Kind.TRACES)
    >>> log.append(traces, b"one", timestamp=1.0), log.skip(traces), log.append(traces, b"two", timestamp=2.0)
    (0, 1, 2)
    """

    def __init__(self) -> None:
        self._kinds: dict[str, Kind] = {}
        self._epochs: dict[str, int] = {}
        self._shelves: dict[Partition, _Shelf] = {}
        self.committed: dict[Partition, int] = {}

    def create(self, topic: str, kind: Kind, partitions: int = 1) -> tuple[Partition, ...]:
        """A new, empty topic; also how a deleted topic comes back, with another epoch."""
        self._kinds[topic] = kind
        self._epochs[topic] = self._epochs.get(topic, 0) + 1
        for old in [partition for partition in self._shelves if partition.topic == topic]:
            del self._shelves[old]
        made = tuple(Partition(topic, number) for number in range(partitions))
        self._shelves |= {partition: _Shelf() for partition in made}
        return made

    def append(
        self,
        partition: Partition,
        value: bytes | None,
        *,
        timestamp: float = 0.0,
        key: bytes | None = None,
        corrupt: bool = False,
    ) -> int:
        """The offset of the new record; a ``corrupt`` one arrives as a reject."""
        shelf = self._shelves[partition]
        shelf.entries.append(_Entry(shelf.end, timestamp, key, value, corrupt))
        shelf.end += 1
        return shelf.end - 1

    def skip(self, partition: Partition, count: int = 1) -> int:
        """Use up ``count`` offsets that no consumer will see, as a transaction's marker does; the first of them."""
        shelf = self._shelves[partition]
        shelf.end += count
        return shelf.end - count

    def remove(self, partition: Partition, offset: int) -> None:
        """Take one record out, as compaction does; the others keep their offsets."""
        shelf = self._shelves[partition]
        shelf.entries = [entry for entry in shelf.entries if entry.offset != offset]

    def truncate(self, partition: Partition, first: int) -> None:
        """Forget what is older than ``first``, as retention does."""
        shelf = self._shelves[partition]
        shelf.first = max(shelf.first, min(first, shelf.end))
        shelf.entries = shelf.entries[shelf.at(shelf.first) :]

    @property
    def partitions(self) -> tuple[Partition, ...]:
        return tuple(sorted(self._shelves))

    def kind(self, topic: str) -> Kind:
        return self._kinds[topic]

    def epoch(self, topic: str) -> str:
        return f"fake-{self._epochs[topic]}"

    def bounds(self, partition: Partition) -> Bounds:
        shelf = self._shelves[partition]
        return Bounds(shelf.first, shelf.end)

    def offset_at(self, partition: Partition, timestamp: float) -> int:
        shelf = self._shelves[partition]
        return next((entry.offset for entry in shelf.entries if entry.timestamp >= timestamp), shelf.end)

    def read(self, partition: Partition, offset: int, records_max: int) -> tuple[list[RawRecord | Rejected], int]:
        """Up to ``records_max`` records from ``offset`` (or the oldest kept) on, and where the next read begins."""
        shelf = self._shelves[partition]
        start = shelf.at(offset)
        taken = shelf.entries[start : start + records_max]
        kind = self._kinds[partition.topic]
        drained = start + len(taken) == len(shelf.entries)
        return [_deliver(partition, kind, entry) for entry in taken], (
            max(offset, shelf.end) if drained else taken[-1].offset + 1 if taken else offset
        )


def _deliver(partition: Partition, kind: Kind, entry: _Entry) -> RawRecord | Rejected:
    record = RawRecord(
        partition=partition,
        offset=entry.offset,
        timestamp=entry.timestamp,
        kind=kind,
        value=None if entry.corrupt else entry.value,
        key=None if entry.corrupt else entry.key,
    )
    if entry.corrupt:
        return Rejected(record=record, reason=RejectReason.CORRUPT_BATCH, detail="made corrupt by the test")
    return record


class FakeSource:
    """A consumer of a ``FakeLog`` whose rebalances and outages are scripted by the test.

    Nothing stops two sources from owning one partition: that is how a zombie is played. ``assign`` and ``revoke``
    take effect in the next ``poll``, as a rebalance does. Polls take from the partitions in turn and at most
    ``records_per_poll`` records, so that a seed decides nothing here.
    """

    def __init__(
        self, log: FakeLog, *, assigned: Iterable[Partition] = (), records_per_poll: int = 100, name: str = "fake"
    ) -> None:
        self.name = name
        self.down = False  # the test's switch for an outage
        self.start_error: str | None = None
        self._stalled = 0
        self._ends: dict[Partition, int] = {}  # as the last answer told them
        self._log = log
        self._records_per_poll = records_per_poll
        self._positions: dict[Partition, int | None] = {}  # None: assigned, silent until seek
        self._paused: set[Partition] = set()
        self._changes: list[tuple[bool, Partition]] = [(True, partition) for partition in assigned]
        self._turn = 0
        self._healthy = False
        self._closed = False

    # what the test does

    def assign(self, *partitions: Partition) -> None:
        self._changes += [(True, partition) for partition in partitions]

    def revoke(self, *partitions: Partition) -> None:
        self._changes += [(False, partition) for partition in partitions]

    def stall(self, polls: int) -> None:
        """The next polls come before any answer of the brokers: they bring nothing, and the lag is an old one."""
        self._stalled = polls

    @property
    def owned(self) -> tuple[Partition, ...]:
        """What the last poll left assigned."""
        return tuple(sorted(self._positions))

    # the protocol

    def start(self) -> None:
        if self.start_error is not None:
            raise SourceError(self.start_error)
        self._healthy = True

    def poll(self, timeout_seconds: float) -> Polled:
        if self._closed:
            return Polled()
        self._healthy = not self.down
        if self.down:
            return Polled()
        if self._stalled:
            self._stalled -= 1
            return Polled()
        assigned, revoked = self._rebalance()
        records: list[RawRecord] = []
        rejected: list[Rejected] = []
        for entry in self._take():
            if isinstance(entry, Rejected):
                rejected.append(entry)
            else:
                records.append(entry)
        self._ends |= {each: self._log.bounds(each).end for each in self._positions.keys() - self._paused}
        return Polled(records=records, rejected=rejected, assigned=assigned, revoked=revoked)

    def seek(self, partition: Partition, offset: int) -> None:
        if partition in self._positions:
            self._positions[partition] = offset

    def bounds(self, partition: Partition) -> Bounds:
        self._reachable()
        bounds = self._log.bounds(partition)
        self._ends[partition] = bounds.end
        return bounds

    def offset_at(self, partition: Partition, timestamp: float) -> int:
        self._reachable()
        return self._log.offset_at(partition, timestamp)

    def kind(self, partition: Partition) -> Kind:
        return self._log.kind(partition.topic)

    def epoch(self, topic: str) -> str:
        self._reachable()
        return self._log.epoch(topic)

    def pause(self, partitions: Collection[Partition]) -> None:
        self._paused |= set(partitions) & self._positions.keys()

    def resume(self, partitions: Collection[Partition]) -> None:
        self._paused -= set(partitions)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        if not self.down:
            self._log.committed |= {
                partition: offset for partition, offset in offsets.items() if partition in self._positions
            }

    def lag(self) -> Mapping[Partition, int]:
        return {
            partition: max(0, self._ends.get(partition, end) - max(first, first if position is None else position))
            for partition, position in sorted(dict(self._positions).items())  # a copy: any thread may ask
            for first, end in [self._log.bounds(partition)]
        }

    @property
    def healthy(self) -> bool:
        return self._healthy

    def close(self) -> None:
        self._closed = True
        self._healthy = False

    def _rebalance(self) -> tuple[list[Partition], list[Partition]]:
        before = set(self._positions)
        touched: dict[Partition, list[bool]] = defaultdict(list)
        for arrives, partition in self._changes:
            touched[partition].append(arrives)
            if not arrives:
                self._positions.pop(partition, None)
                self._paused.discard(partition)
            elif partition not in self._positions:
                self._positions[partition] = None
        self._changes = []
        revoked = [partition for partition, steps in touched.items() if partition in before and False in steps]
        assigned = [
            partition
            for partition in touched
            if partition in self._positions and (partition not in before or partition in revoked)
        ]
        return assigned, revoked

    def _take(self) -> Iterable[RawRecord | Rejected]:
        ready = sorted(
            partition
            for partition, position in self._positions.items()
            if position is not None and partition not in self._paused
        )
        left = self._records_per_poll
        for turn in range(len(ready)):
            if left == 0:
                break
            partition = ready[(self._turn + turn) % len(ready)]
            position = self._positions[partition]
            assert position is not None  # ready holds only these
            entries, self._positions[partition] = self._log.read(partition, position, left)
            left -= len(entries)
            yield from entries
        self._turn += 1

    def _reachable(self) -> None:
        if self.down:
            raise SourceError(f"{self.name}: the log does not answer")
