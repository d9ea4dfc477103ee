"""What a call is compared with: calls of the same phase, each used once, in an order that their texts do not touch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from collector.drift.calls import Bytes, Calls, Hashes, Ints, Mask
from collector.drift.record import Place, Slice
from signals.drift.pairing import Phase

DAY_HOURS = 24
WEEK_HOURS = 7 * DAY_HOURS
HOURS_HELD = 32  # shelves of so many hours stay in memory
_MONDAY = 4 * DAY_HOURS  # hours from the epoch, a Thursday, to the first Monday


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The reference calls of one slice and hour in the order of their use: by minute, then by hash."""

    minute: Ints
    id: Hashes
    sketches: Bytes
    time: Ints  # microseconds since the epoch
    trace: Bytes
    span: Bytes
    kept: Mask  # whose text is kept for evidence, if any is

    def __len__(self) -> int:
        return len(self.minute)

    def after(self, place: Place | None) -> Mask:
        """What was not used yet; a call that came later than its neighbours were used is left out."""
        if place is None:
            return np.ones(len(self), np.bool_)
        later: Mask = self.minute > place.minute
        beside: Mask = (self.minute == place.minute) & (self.id > np.uint64(place.id))
        return np.logical_or(later, beside)

    def ended(self, hour: int, before: float) -> Mask:
        """What lies in minutes that ended by ``before``, in seconds; ``hour`` is that of the shelf."""
        found: Mask = hour * 3_600 + (self.minute + 1) * 60 <= before
        return found

    def take(self, rows: Ints) -> Shelf:
        return Shelf(**{part.name: getattr(self, part.name)[rows] for part in fields(self)})


def shelve(calls: Calls, minute_max: int, kept_max: int = 0) -> dict[Slice, Shelf]:
    """The calls of one hour: one a conversation, at most ``minute_max`` a minute.

    Of all that a minute has, the first ``kept_max`` by their hash are those that the scoring workers keep texts of.
    """
    found = {}
    for name, mine in calls.slices():
        rows = mine[np.lexsort((calls.id[mine], calls.minute[mine]))]
        first = np.sort(np.unique(calls.conversation[rows], return_index=True)[1])
        chosen = first[_rank(calls.minute[rows[first]]) < minute_max]
        taken = calls.take(rows[chosen])
        found[name] = Shelf(
            minute=taken.minute,
            id=taken.id,
            sketches=taken.sketches[name.side],
            time=taken.time,
            trace=taken.trace,
            span=taken.span,
            kept=(_rank(calls.minute[rows]) < kept_max)[chosen],
        )
    return found


def _rank(minutes: Ints) -> Ints:
    """Of each among its equals; ``minutes`` ascend."""
    return np.arange(len(minutes)) - np.searchsorted(minutes, minutes)


@dataclass(slots=True)
class Taken:
    """Reference calls for one slice, in order, and what is used up now."""

    sketches: list[Bytes] = field(default_factory=list)
    phases: Counter[str] = field(default_factory=Counter)
    used: dict[int, Place] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return sum(self.phases.values())


@dataclass(slots=True)
class Baseline:
    """Finds reference calls. ``load`` reads the calls of an hour since the epoch."""

    load: Callable[[int], Calls]
    reference_days: int
    recent_gap_seconds: float | None
    minute_max: int
    kept_max: int = 0  # as for ``shelve``
    _hours: dict[int, dict[Slice, Shelf]] = field(default_factory=dict)

    def forget(self, since: int) -> None:
        """Read the hours from ``since`` on again: more calls of them may have arrived."""
        self._hours = {hour: shelves for hour, shelves in self._hours.items() if hour < since}

    def take(self, name: Slice, hour: int, n: int, now: float, used: Mapping[int, Place]) -> Taken:
        """Up to ``n`` calls to pair with calls of ``hour``; ``now`` is the begin of their window, in seconds."""
        taken = Taken(used={at: place for at, place in used.items() if at >= hour - self._hours_back})
        for phase, at, before in self.sources(name, hour, now):
            if taken.n >= n:
                break
            self._take(name, at, phase, before, n - taken.n, taken)
        return taken

    def sources(self, name: Slice, hour: int, now: float) -> Iterator[tuple[Phase, int, float]]:
        """Hours whose calls are like those of ``hour``, best first, each with the time before which they count.

        Without any of an earlier day, and where the settings allow it, the hours before ``now`` take their place.
        """
        found = False
        for phase, at in self._earlier(hour):
            if name in self.shelves(at):
                found = True
                yield phase, at, float("inf")
        if found or self.recent_gap_seconds is None:
            return
        before = now - self.recent_gap_seconds
        newest = int(before // 3_600)
        for at in range(newest, newest - DAY_HOURS, -1):
            if name in self.shelves(at):
                yield Phase.ANY, at, before

    def shelves(self, hour: int) -> dict[Slice, Shelf]:
        """All slices of an hour."""
        if hour not in self._hours:
            while len(self._hours) >= HOURS_HELD:
                self._hours.pop(next(iter(self._hours)))
            self._hours[hour] = shelve(self.load(hour), self.minute_max, self.kept_max)
        return self._hours[hour]

    @property
    def _hours_back(self) -> int:
        return (self.reference_days + 1) * DAY_HOURS

    def _earlier(self, hour: int) -> Iterator[tuple[Phase, int]]:
        weeks = range(7, self.reference_days + 1, 7)
        yield from ((Phase.HOUR_OF_WEEK, hour - days * DAY_HOURS) for days in weeks)
        for days in range(1, self.reference_days + 1):
            at = hour - days * DAY_HOURS
            if days not in weeks and _weekend(at) == _weekend(hour):
                yield Phase.HOUR_OF_DAY, at

    def _take(self, name: Slice, hour: int, phase: Phase, before: float, n: int, taken: Taken) -> None:
        shelf = self.shelves(hour)[name]
        rows = np.flatnonzero(shelf.after(taken.used.get(hour)) & shelf.ended(hour, before))[:n]
        if len(rows):
            taken.sketches.append(shelf.sketches[rows])
            taken.phases[phase.value] += len(rows)
            taken.used[hour] = Place(int(shelf.minute[rows[-1]]), int(shelf.id[rows[-1]]))


def _weekend(hour: int) -> bool:
    return (hour - _MONDAY) % WEEK_HOURS >= 5 * DAY_HOURS
