"""What a Kafka consumer owns, where it stands in it, and which changes of that its caller has still to hear of."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from collector.records import Partition


class _Event(Enum):
    ASSIGNED = "assigned"
    REVOKED = "revoked"
    LOST = "lost"


class Changes(NamedTuple):
    """What ``settle`` brought: to report, and ``kept``, which the client must be put back to where it stood."""

    assigned: tuple[Partition, ...] = ()
    revoked: tuple[Partition, ...] = ()
    kept: tuple[Partition, ...] = ()

    def then(self, later: Changes) -> Changes:
        """Both, as one report: what was only just assigned was nobody's to lose."""
        lost = (partition for partition in later.revoked if partition not in self.assigned)
        return Changes(
            tuple(dict.fromkeys((*self.assigned, *later.assigned))), tuple(dict.fromkeys((*self.revoked, *lost)))
        )


class Holdings:
    """Partitions with the offset to deliver next; ``None``: owned, silent until ``seek``.

    The protocol for joining a group takes everything from every member and gives most of it back a moment later.
    Nobody can have read in between: the next assignment exists only when every member has answered. So a revoked
    partition stays in limbo, silent and unreported, until the assignment that follows says whether it is really gone.
    A partition that was lost (the group went on without this member) is reported in any case.

    ``assigned``, ``revoked`` and ``lost`` may be called from any thread; everything else belongs to the polling one.
    """

    def __init__(self) -> None:
        self._events: deque[tuple[_Event, tuple[Partition, ...]]] = deque()
        self._next: dict[Partition, int | None] = {}
        self._limbo: set[Partition] = set()
        self._ends: dict[Partition, int] = {}
        self.paused: set[Partition] = set()

    def assigned(self, partitions: Iterable[Partition]) -> None:
        """``partitions`` is all that this member owns now."""
        self._events.append((_Event.ASSIGNED, tuple(sorted(partitions))))

    def revoked(self, partitions: Iterable[Partition]) -> None:
        self._events.append((_Event.REVOKED, tuple(sorted(partitions))))

    def lost(self, partitions: Iterable[Partition]) -> None:
        self._events.append((_Event.LOST, tuple(sorted(partitions))))

    def forfeit(self) -> None:
        """This member was away for too long: whatever comes next, all it holds was lost first."""
        self._events.appendleft((_Event.LOST, tuple(sorted(self._next))))

    def settle(self) -> Changes:
        """Apply what happened since the last call."""
        if not self._events:
            return Changes()
        assigned: dict[Partition, None] = {}
        revoked: dict[Partition, None] = {}
        kept: dict[Partition, None] = {}
        while self._events:
            event, partitions = self._events.popleft()
            if event is _Event.REVOKED:
                self._limbo |= self._next.keys() & set(partitions)
                continue
            gone = set(partitions) if event is _Event.LOST else self._next.keys() - set(partitions)
            for partition in sorted(gone & self._next.keys()):
                self._drop(partition)
                kept.pop(partition, None)
                if partition in assigned:  # nobody heard of it
                    del assigned[partition]
                else:
                    revoked[partition] = None
            if event is _Event.ASSIGNED:
                self._limbo.clear()
                for partition in partitions:
                    if partition in self._next:
                        kept[partition] = None
                    else:
                        self._next[partition] = None
                        assigned[partition] = None
        return Changes(tuple(assigned), tuple(revoked), tuple(each for each in kept if each not in assigned))

    def reopen(self, partitions: Iterable[Partition]) -> Changes:
        """Treat ``partitions`` as gone and come back: what they hold is not what it was."""
        again = tuple(sorted(self._next.keys() & set(partitions)))
        for partition in again:
            self._drop(partition)
            self._next[partition] = None
        return Changes(again, again)

    def __contains__(self, partition: Partition) -> bool:
        return partition in self._next

    def __iter__(self) -> Iterator[Partition]:
        return iter(tuple(self._next))

    @property
    def topics(self) -> frozenset[str]:
        return frozenset(partition.topic for partition in self._next)

    def next(self, partition: Partition) -> int | None:
        """The offset to deliver next, or None while the partition is silent."""
        return None if partition in self._limbo else self._next.get(partition)

    def move(self, partition: Partition, offset: int) -> None:
        """Deliver from ``offset`` on, if the partition is still owned."""
        if partition in self._next:
            self._next[partition] = offset

    def wants(self, partition: Partition) -> bool:
        """Should the client fetch it?"""
        return self.next(partition) is not None and partition not in self.paused

    def pause(self, partitions: Collection[Partition]) -> tuple[Partition, ...]:
        """Those that the client has to pause."""
        now = tuple(sorted(self._next.keys() & set(partitions)))
        self.paused |= set(now)
        return now

    def resume(self, partitions: Collection[Partition]) -> tuple[Partition, ...]:
        """Those that the client has to resume."""
        self.paused -= set(partitions)
        return tuple(partition for partition in sorted(set(partitions)) if self.wants(partition))

    def end(self, partition: Partition, offset: int) -> None:
        """The log of ``partition`` was seen to reach ``offset``."""
        self._ends[partition] = max(offset, self._ends.get(partition, 0))

    def lag(self) -> Mapping[Partition, int]:
        """Records to come per partition; 1 where the end is not known yet, so that nobody takes it for read."""
        return {partition: self._lag(partition, offset) for partition, offset in self._next.items()}

    def _lag(self, partition: Partition, offset: int | None) -> int:
        end = self._ends.get(partition)
        if end is None:
            return 1
        return max(0, end - (offset or 0))

    def _drop(self, partition: Partition) -> None:
        self._limbo.discard(partition)
        self.paused.discard(partition)
        self._ends.pop(partition, None)
        self._next.pop(partition, None)
