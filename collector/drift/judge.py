"""One window of calls against the baseline: which are paired, and what that says to each slice's detector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from collector.config import DriftConfig
from collector.drift.baseline import Baseline
from collector.drift.calls import Bytes, Calls
from collector.drift.record import Detector, Place, Row, Slice, Topics
from collector.drift.topics import look_up
from collector.records import DriftSkip
from signals.drift.detector import State, run, threshold
from signals.sketch import unsketch

AHEAD_US = 600_000_000  # as the store counts calls ahead of their log
TOPICS_PER_WINDOW = 4  # so many slices' are looked up
TOPICS_EVERY_WINDOWS = 5  # again, while the evidence stays
_SEEN_HOURS = 72

Seen = dict[int, set[tuple[str, int]]]  # hour -> side and conversation that had its turn
Rows = npt.NDArray[np.intp]


class Window(NamedTuple):
    """A span of the log's time, in seconds since the epoch."""

    begin: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a window amounted to: a row a slice, and the detectors that it changed."""

    rows: tuple[Row, ...]
    detectors: dict[Slice, Detector]
    topics: tuple[Topics, ...]


@dataclass(slots=True)
class Judge:
    """Decides, and remembers only which conversations had their turn. ``load`` reads the calls of an hour that were
    taken in before."""

    config: DriftConfig
    baseline: Baseline
    load: Callable[[int], Calls]
    _seen: Seen = field(default_factory=dict)

    def forget(self) -> None:
        """Read again which conversations had their turn."""
        self._seen.clear()

    def judge(self, calls: Calls, detectors: Mapping[Slice, Detector], window: Window) -> Verdict:
        """Take the calls in; ``detectors`` are those before. A new slice begins one while there is room."""
        for hour in sorted(set(self._seen))[:-_SEEN_HOURS]:
            del self._seen[hour]
        rows, changed, hours, room = [], {}, {}, self.config.slices_max - len(detectors)
        for name, chosen in calls.slices():
            detector = detectors.get(name)
            if detector is None and room <= 0:
                rows.append(_turned_away(name, len(chosen)))
                continue
            if detector is None:
                detector, room = Detector(slice=name), room - 1
            row, changed[name] = self._advance(detector, calls.take(chosen), window)
            rows.append(row)
            hours[name] = int(np.median(calls.hour[chosen]))
        topics = self._topics(changed, hours, window)
        return Verdict(rows=tuple(rows), detectors=changed, topics=topics)

    def _topics(self, changed: dict[Slice, Detector], hours: Mapping[Slice, int], window: Window) -> tuple[Topics, ...]:
        """Look up the topics of some slices whose evidence is high: the new alarms first, then who waited longest."""
        patience = TOPICS_EVERY_WINDOWS * (window.end - window.begin)
        due = [
            detector
            for detector in changed.values()
            if detector.log_e >= self.config.topics_from
            and (detector.alarm_since == window.end or window.end - detector.topics_at >= patience)
        ]
        due.sort(key=lambda each: (each.alarm_since != window.end, each.topics_at, each.slice))
        found = []
        for detector in due[:TOPICS_PER_WINDOW]:
            changed[detector.slice] = msgspec.structs.replace(detector, topics_at=window.end)
            if topics := look_up(self.baseline, detector.slice, hours[detector.slice], window.begin):
                found.append(topics)
        return tuple(found)

    def _advance(self, detector: Detector, calls: Calls, window: Window) -> tuple[Row, Detector]:
        name = detector.slice
        skipped: Counter[str] = Counter()
        chosen = self._chosen(name, calls, skipped)
        current, baseline, phases, used = self._paired(detector, calls.take(chosen), window)
        skipped[DriftSkip.NO_REFERENCE.value] += len(chosen) - len(current)
        before = _state(detector.state)
        after = run(before, unsketch(current), unsketch(baseline))[0] if len(current) else before
        alarmed = after.log_e >= threshold(self.config.alpha)
        since = (detector.alarm_since or window.end) if alarmed else None
        row = Row(
            slice=name,
            calls=len(calls),
            pairs=len(current),
            skipped={reason: n for reason, n in sorted(skipped.items()) if n},
            phases=dict(sorted(phases.items())),
            log_increment=after.log_e_process - before.log_e_process,
            log_e=after.log_e,
            pairs_total=after.calls,
            alarm_since=since,
        )
        return row, msgspec.structs.replace(
            detector,
            state=after.to_bytes() if after.calls else b"",
            log_e=after.log_e,
            used=used,
            alarm_since=since,
            seen=window.end,
        )

    def _chosen(self, name: Slice, calls: Calls, skipped: Counter[str]) -> Rows:
        """Rows that may be paired, in the order of time: one a conversation and hour, at most ``pairs_max``."""
        honest = calls.late_by >= -AHEAD_US
        skipped[DriftSkip.OFF_CLOCK.value] += int(np.count_nonzero(~honest))
        rows = np.flatnonzero(honest)
        rows = rows[np.lexsort((calls.id[rows], calls.time[rows]))]
        first = []
        for row, hour, conversation in zip(
            rows.tolist(), calls.hour[rows].tolist(), calls.conversation[rows].tolist(), strict=True
        ):
            turn, seen = (name.side, conversation), self._turns(hour)
            if turn not in seen:
                seen.add(turn)
                first.append(row)
        skipped[DriftSkip.THINNED.value] += len(rows) - len(first)
        kept = np.array(first, dtype=np.intp)
        if len(kept) > self.config.pairs_max:
            skipped[DriftSkip.CAPPED.value] += len(kept) - self.config.pairs_max
            kept = kept[np.sort(np.argsort(calls.id[kept], kind="stable")[: self.config.pairs_max])]
        return kept

    def _paired(
        self, detector: Detector, calls: Calls, window: Window
    ) -> tuple[Bytes, Bytes, Counter[str], dict[int, Place]]:
        """Sketches of the calls that found a partner, and of their partners."""
        side, used = detector.slice.side, dict(detector.used)
        nothing = calls.sketches[side][:0]
        current, baseline, phases = [nothing], [nothing], Counter[str]()
        for hour in np.unique(calls.hour).tolist():
            mine = calls.sketches[side][calls.hour == hour]
            taken = self.baseline.take(detector.slice, hour, len(mine), window.begin, used)
            used = taken.used
            current.append(mine[: taken.n])
            baseline += taken.sketches
            phases.update(taken.phases)
        return np.concatenate(current), np.concatenate(baseline), phases, used

    def _turns(self, hour: int) -> set[tuple[str, int]]:
        if hour not in self._seen:
            self._seen[hour] = set(_turns(self.load(hour)))
        return self._seen[hour]


def _state(data: bytes) -> State:
    """A detector of another version has nothing to tell: it begins anew."""
    try:
        return State.from_bytes(data) if data else State.initial()
    except ValueError:
        return State.initial()


def _turns(calls: Calls) -> Iterable[tuple[str, int]]:
    for side, present in calls.present.items():
        yield from ((side, conversation) for conversation in calls.conversation[present].tolist())


def _turned_away(name: Slice, n: int) -> Row:
    return Row(
        slice=name, calls=n, pairs=0, skipped={DriftSkip.SLICES.value: n}, log_increment=0.0, log_e=0.0, pairs_total=0
    )
