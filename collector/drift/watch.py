"""The watch: takes in what was counted, window by window, decides what it means, and makes that durable.

Calls are taken in the order in which they became durable: a window is a span of the log's time, so nothing is late,
and a client's wrong clock moves no window. How far every stream is taken in is part of the decision, so each call is
taken in once, by whichever process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from collector.config import DriftConfig
from collector.drift.baseline import DAY_HOURS, Baseline
from collector.drift.calls import File, read, read_hour
from collector.drift.judge import Judge, Window
from collector.drift.log import DriftLog, Head
from collector.drift.record import FULL_EVERY, Detector, Record, Slice

OFFSETS_MAX = 200_000  # of one window, so that memory stays flat while a long chain is caught up
_HOUR = 3_600


@dataclass(slots=True)
class Watch:
    """Owned by one thread. ``step`` may raise ChainError, DeltaError or, where compaction has moved a file,
    FileNotFoundError; then nothing was decided, and it may be called again."""

    log: DriftLog
    base: Path  # of the files' paths
    config: DriftConfig
    written_by: str
    kept_max: int = 0  # of a minute's calls of a slice, the first by their hash: their texts are kept for evidence
    head: Head | None = None
    _files: Sequence[File] = ()
    _judge: Judge = field(init=False)
    _baseline: Baseline = field(init=False)

    def __post_init__(self) -> None:
        config = self.config
        self._baseline = Baseline(
            load=lambda hour: read_hour(self.base, self._files, hour),
            reference_days=config.reference_days,
            recent_gap_seconds=config.recent_gap_seconds,
            minute_max=math.ceil(config.pairs_max * max(1.0, 60.0 / config.window_seconds)),
            kept_max=self.kept_max,
        )
        self._judge = Judge(
            config=config,
            baseline=self._baseline,
            load=lambda hour: read_hour(self.base, self._files, hour, self._positions),
        )

    def catch_up(self) -> Head:
        """Take what any process has decided since; returns the end of the log."""
        if self.head is None:
            self.head = self.log.head()
        for record in self.log.records(self.head.next):
            self.head.take(record)
            self._judge.forget()  # another process has taken calls in
        return self.head

    def step(self, files: Sequence[File], now: float) -> Record | None:
        """Decide about the oldest window that has ended at ``now``; None: there is none, or another was first.

        ``files`` are all objects with sketches that the store holds.
        """
        if not self._due(files, self.head or self.catch_up(), now):
            return None
        head = self.catch_up()  # only now: to ask an object store costs
        due = self._due(files, head, now)
        if not due:
            return None
        self._files = files
        decided = False
        try:
            record = self._decide(due, head)
            decided = self.log.append(record)
        finally:
            if not decided:
                self._judge.forget()  # those turns were not taken
        if not decided:
            return None
        head.take(record)
        return record

    @property
    def _positions(self) -> dict[str, int]:
        return self.head.positions if self.head is not None else {}

    def _due(self, files: Sequence[File], head: Head, now: float) -> list[File]:
        """The files of the oldest window with calls that were not taken in; of each stream the first ones."""
        left = [file for file in _rising(files) if file.next > head.positions.get(file.stream, 0)]
        if not left:
            return []
        end = self._window(left).end
        if now < end + self.config.grace_seconds:
            return []
        chosen: list[File] = []
        waiting: set[str] = set()
        offsets = 0
        for file in sorted(left, key=lambda file: (file.log_time, file.stream, file.start)):
            if file.log_time >= end or offsets >= OFFSETS_MAX or file.stream in waiting:
                waiting.add(file.stream)  # the files behind it as well, or it would be passed over
            else:
                chosen.append(file)
                offsets += file.next - max(file.start, head.positions.get(file.stream, 0))
        return chosen

    def _window(self, files: Sequence[File]) -> Window:
        seconds = self.config.window_seconds
        begin = min(file.log_time for file in files) // seconds * seconds
        return Window(begin, begin + seconds)

    def _decide(self, due: Sequence[File], head: Head) -> Record:
        window = self._window(due)
        kept = {
            name: detector
            for name, detector in head.detectors.items()
            if detector.seen >= window.end - (self.config.reference_days + 1) * DAY_HOURS * _HOUR
        }
        self._baseline.forget(int(window.begin // _HOUR) - 1)
        verdict = self._judge.judge(read(self.base, due, head.positions), kept, window)
        positions = dict(head.positions)
        for file in due:
            positions[file.stream] = max(positions.get(file.stream, 0), file.next)
        full = head.next % FULL_EVERY == 0 or len(kept) < len(head.detectors)
        told: dict[Slice, Detector] = kept | verdict.detectors if full else verdict.detectors
        return Record(
            number=head.next,
            begin=window.begin,
            end=window.end,
            alpha=self.config.alpha,
            positions=positions,  # of streams without files, too: a view that is built again lacks some for a while
            rows=verdict.rows,
            topics=verdict.topics,
            detectors=tuple(told[name] for name in sorted(told)),
            full=full,
            written_by=self.written_by,
        )


def _rising(files: Sequence[File]) -> list[File]:
    """The files with log times that never fall along a stream."""
    newest: dict[str, float] = {}
    found = []
    for file in sorted(files, key=lambda file: (file.stream, file.start)):
        newest[file.stream] = max(file.log_time, newest.get(file.stream, 0.0))
        found.append(file._replace(log_time=newest[file.stream]))
    return found
