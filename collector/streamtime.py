"""Stream time: how far the slowest partition has come, so that a join window means the same live and in a backlog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from collector.records import Partition

GAP_SECONDS = 1.0  # between two turns: more is a freeze, a machine that slept, or stages below that were full
CALM_SECONDS = 1.0  # twice as long as a fetch that finds nothing waits at a broker
CALM_TURNS = 3


@dataclass(slots=True)
class StreamTime:
    """The smallest log time among partitions that still have a backlog; the wall clock where none has.

    So a verdict depends on what lies in the log and not on when a process ran: an event within the join window of its
    span (in log time, on the partitions of one worker) is read before the window has passed. What is known of the
    backlog must be true for that. It is in doubt while the source has lost the log, and after a gap between two turns;
    then time stands for ``CALM_TURNS`` turns and ``CALM_SECONDS``, in which all partitions are asked again.

    Nothing holds time for longer than ``patience_seconds``: neither an outage, nor a partition that has a backlog and
    delivers nothing (its leader is gone). Time never goes back, and never past the wall clock: what an old partition
    delivers after the others have gone on arrives *now*, so that nothing is forgotten before its neighbours are read.
    Where the wall clock itself is turned back, time goes on from where it stood, ahead of the log by what was turned,
    until the clock leaps forward again.
    """

    patience_seconds: float
    now: float = 0.0
    _ahead: float = 0.0  # of log time: as far as the wall clock was turned back
    _wall: float = 0.0  # the newest wall time heard of
    _seen: dict[Partition, float] = field(default_factory=dict)  # newest log time delivered
    _heard: dict[Partition, float] = field(default_factory=dict)  # wall time of that delivery
    _turned: float | None = None  # wall time of the last turn
    _lost: float | None = None  # wall time since when the source has lost the log
    _doubted: float | None = None  # wall time since when the backlog is in doubt, though the log is there
    _turns: int = 0  # since then

    def saw(self, partition: Partition, timestamp: float, wall: float) -> float:
        """A record was delivered; returns its log time, never in the future (producers' clocks may be wrong)."""
        self._mind(wall)
        at = min(timestamp, wall) if timestamp > 0 else wall
        self._seen[partition] = max(at, self._seen.get(partition, 0.0))
        self._heard[partition] = wall
        return at

    def advance(self, lag: Mapping[Partition, int], wall: float, *, known: bool = True) -> float:
        """Stream time, given the backlog of every partition; not ``known``: the source cannot ask for it now."""
        self._mind(wall)
        if self._in_doubt(wall, known=known):
            return self.now
        behind = [partition for partition, records in lag.items() if records > 0]
        for partition in behind:
            self._heard.setdefault(partition, wall)
        holding = [each for each in behind if wall - self._heard[each] < self.patience_seconds]
        at = min((self._seen.get(each, self.log_time) for each in holding), default=wall)
        self.now = max(self.now, min(at, wall) + self._ahead)  # a stamp of before the clock was turned is ahead of it
        return self.now

    @property
    def log_time(self) -> float:
        """The present in the log's own time, which stamps and the wall clock are compared with."""
        return self.now - self._ahead

    def arrival(self, timestamp: float) -> float:
        """When in stream time a record of this log time arrives: not before the present."""
        return max(timestamp + self._ahead, self.now)

    def forget(self, partition: Partition) -> None:
        self._seen.pop(partition, None)
        self._heard.pop(partition, None)

    def _mind(self, wall: float) -> None:
        """Stay in step with a wall clock that somebody sets."""
        leap, self._wall = wall - self._wall, wall
        if leap > GAP_SECONDS:
            self._ahead = max(0.0, self._ahead - leap)
        self._ahead = max(self._ahead, self.now - wall)

    def _in_doubt(self, wall: float, *, known: bool) -> bool:
        gap = 0.0 if self._turned is None else wall - self._turned
        self._turned = wall
        leapt = not -GAP_SECONDS <= gap < self.patience_seconds  # nobody was patient meanwhile
        if not known:
            self._lost = wall if self._lost is None or leapt else self._lost
            self._doubted, self._turns = wall, 0
            return wall - self._lost < self.patience_seconds
        self._lost = None
        if leapt or (self._doubted is None and gap > GAP_SECONDS):
            self._doubted, self._turns = wall, 0
        if self._doubted is None:
            return False
        self._turns += 1
        if self._turns <= CALM_TURNS or wall - self._doubted < CALM_SECONDS:
            return True
        self._doubted = None
        self._heard.clear()  # nobody could be heard in the gap
        return False
