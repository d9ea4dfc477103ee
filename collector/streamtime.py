"""Stream time: how far the slowest partition has come, so that a join window means the same live and in a backlog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from collector.records import Partition


@dataclass(slots=True)
class StreamTime:
    """The smallest log time among partitions that still have a backlog; the wall clock where none has.

    A partition that has a backlog but has delivered nothing for ``patience_seconds`` (its leader is gone) does not hold
    the others. Time never goes back, and never past the wall clock: what an old partition delivers after the others
    have gone on arrives *now*, so that nothing is forgotten before its neighbours could be read.
    """

    patience_seconds: float
    now: float = 0.0
    _seen: dict[Partition, float] = field(default_factory=dict)  # newest log time delivered
    _heard: dict[Partition, float] = field(default_factory=dict)  # wall time of that delivery

    def saw(self, partition: Partition, timestamp: float, wall: float) -> float:
        """A record was delivered; returns its log time, never in the future (producers' clocks may be wrong)."""
        at = min(timestamp, wall) if timestamp > 0 else wall
        self._seen[partition] = max(at, self._seen.get(partition, 0.0))
        self._heard[partition] = wall
        return at

    def advance(self, lag: Mapping[Partition, int], wall: float) -> float:
        """Stream time, given the backlog of every partition."""
        behind = [partition for partition, records in lag.items() if records > 0]
        for partition in behind:
            self._heard.setdefault(partition, wall)
        holding = [each for each in behind if wall - self._heard[each] < self.patience_seconds]
        self.now = max(self.now, min((self._seen.get(each, self.now) for each in holding), default=wall))
        return self.now

    def forget(self, partition: Partition) -> None:
        self._seen.pop(partition, None)
        self._heard.pop(partition, None)
