"""Two files compared without a daemon: has the traffic drifted, in which topics, in which slices. `assay drift`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from signals.drift.detector import BLOCK, State, arl_calls, run, threshold
from signals.drift.pairing import Indices, Pairs, hashed_order, pair, pair_in_phase, thin
from signals.drift.topics import Slice, Topic, slices, topics
from signals.embedding import centroid_distance
from signals.offline import read_exchanges
from signals.sketch import BYTES, SOURCE_DIMENSIONS, sketch, unsketch
from signals.tables import BadLine, Row, TableError
from signals.types import Floats, ScoringSuite, Side

BATCH_ROWS = 256
ROWS_MAX = 1_000_000  # of a file: 300 bytes a row stay in memory
LABELS_MAX = 50  # slices; the rarer ones are OTHER
OTHER = "(other)"
EXCERPT_CHARS = 80
PER_CALL_MAX = 4  # baseline calls to a current one
PAIRS_MIN = 60  # fewer cannot raise an alarm at alpha 1e-3

Explain = Callable[[Path, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A call of one of the files."""

    line: int
    excerpt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SideReport:
    """What happened to one side of the exchanges."""

    side: Side
    baseline_n: int  # calls with such a text, after thinning
    current_n: int
    pairs: int
    per_call: int  # baseline calls to each current one
    phase: str
    distance: float  # of the centroids, 0..1
    log_e: float  # the highest of the detector
    alarm_after: int | None  # pairs until the first alarm
    topics: tuple[Topic, ...]
    slices: tuple[Slice, ...]
    examples: tuple[tuple[tuple[Example, ...], tuple[Example, ...]], ...]  # a topic: of the baseline, of the current


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What `assay drift` prints."""

    alpha: float
    arl_calls: float  # calls between false alarms, at least, in the mean
    timed: bool  # whether the calls were taken in the order of their times
    sides: tuple[SideReport, ...]
    encoder: str  # version of what made the vectors
    left_out: int  # lines
    failures: dict[str, str]  # signal -> exception type; its rows have no vectors

    @property
    def drifted(self) -> bool:
        """Whether a side raised an alarm."""
        return any(side.alarm_after is not None for side in self.sides)


@dataclass(slots=True)
class _Calls:
    """The calls of one file, column by column."""

    lines: list[int] = field(default_factory=list)
    times: list[float | None] = field(default_factory=list)
    conversations: list[str | None] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    excerpts: dict[Side, list[str]] = field(default_factory=lambda: {side: [] for side in Side})
    sketches: dict[Side, list[np.ndarray]] = field(default_factory=lambda: {side: [] for side in Side})
    present: dict[Side, list[bool]] = field(default_factory=lambda: {side: [] for side in Side})
    encoder: str = ""
    left_out: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def compare_files(
    baseline: Path,
    current: Path,
    suite: ScoringSuite,
    explain: Explain,
    *,
    by: str | None = None,
    alpha: float = 1e-3,
    rows_max: int = ROWS_MAX,
) -> Report:
    """Compare the exchanges of two files (fields as of signals.offline.score_file) on both sides.

    Fields used beside the texts: ``time`` (Unix seconds, ISO 8601 or a timestamp): where every row of both files has
    one, calls are taken in its order and paired in phase; otherwise both files count as samples without an order and
    are taken in that of a hash. ``conversation``: one call of each and day takes part. ``by``: a field to slice by.
    Vectors go through signals.sketch, as in the daemon. Raises TableError for a file that cannot be read or that holds
    nothing to compare, and ValueError for an ``alpha`` out of bounds.
    """
    limit = threshold(alpha)
    before, after = (_read(path, suite, explain, by, rows_max) for path in (baseline, current))
    if by is not None and not any(label is not None for calls in (before, after) for label in calls.labels):
        raise TableError(f"no row has a field {by!r} to slice by")
    timed = all(time is not None for calls in (before, after) for time in calls.times)
    sides = tuple(
        _side(side, before, after, timed=timed, by=by, limit=limit)
        for side in Side
        if any(before.present[side]) and any(after.present[side])
    )
    if not sides:
        raise TableError("the files have no side in common: each needs rows with an input, or rows with an output")
    return Report(
        alpha=alpha,
        arl_calls=arl_calls(alpha),
        timed=timed,
        sides=sides,
        encoder=before.encoder or after.encoder,
        left_out=before.left_out + after.left_out,
        failures=before.failures | after.failures,
    )


def _read(path: Path, suite: ScoringSuite, explain: Explain, by: str | None, rows_max: int) -> _Calls:
    calls = _Calls()

    def left_out(number: int, problem: str) -> None:
        calls.left_out += 1
        explain(path, number, problem)

    rows = read_exchanges(path, BATCH_ROWS, left_out)
    while batch := list(islice(rows, BATCH_ROWS)):
        good = []
        for number, row, exchange in batch:
            try:
                calls.times.append(_time(row.get("time")))
            except BadLine as problem:
                left_out(number, str(problem))
                continue
            calls.lines.append(number)
            calls.conversations.append(_label(row, "conversation"))
            calls.labels.append(None if by is None else _label(row, by))
            for side, text in ((Side.INPUT, exchange.input), (Side.OUTPUT, exchange.output)):
                calls.excerpts[side].append(" ".join((text or "")[: 4 * EXCERPT_CHARS].split())[:EXCERPT_CHARS])
            good.append(exchange)
        if len(calls.lines) > rows_max:
            raise TableError(f"{path}: more than {rows_max} rows; compare a part of it")
        scores = suite.score(good)
        calls.failures |= scores.failures
        found = {vectors.side: vectors for vectors in scores.embeddings}
        calls.encoder = next((vectors.version for vectors in scores.embeddings), calls.encoder)
        for side in Side:
            vectors = found[side].vectors if side in found else np.zeros((len(good), SOURCE_DIMENSIONS))
            calls.sketches[side].append(sketch(vectors))
            calls.present[side] += found[side].present.tolist() if side in found else [False] * len(good)
    return calls


def _side(side: Side, before: _Calls, after: _Calls, *, timed: bool, by: str | None, limit: float) -> SideReport:
    was, now = _chosen(before, side, timed), _chosen(after, side, timed)
    old, new = _vectors(before, side, was), _vectors(after, side, now)
    pairs = _pairs(before, was, after, now, timed)
    _, logs = run(State.initial(), new[pairs.current], old[pairs.baseline])
    alarms = [at for at, log in enumerate(logs) if log >= limit]
    found = topics(old, new)
    return SideReport(
        side=side,
        baseline_n=len(was),
        current_n=len(now),
        pairs=len(pairs),
        per_call=pairs.baseline.shape[1],
        phase=pairs.phase.value,
        distance=centroid_distance(old.sum(axis=0), len(old), new.sum(axis=0), len(new)),
        log_e=max(logs, default=0.0),
        alarm_after=(alarms[0] + 1) * BLOCK if alarms else None,
        topics=found,
        slices=_slices(before, was, old, after, now, new) if by is not None else (),
        examples=tuple(
            (
                _examples(before, side, was, topic.baseline_examples),
                _examples(after, side, now, topic.current_examples),
            )
            for topic in found
        ),
    )


def _chosen(calls: _Calls, side: Side, timed: bool) -> Indices:
    """Rows of ``calls`` that take part, in the order in which they do."""
    rows = np.flatnonzero(calls.present[side])
    times = np.array([calls.times[row] if timed else 0.0 for row in rows], dtype=np.float64)
    ids = [str(calls.lines[row]) for row in rows]
    kept = thin([calls.conversations[row] for row in rows], times, ids)
    order = np.argsort(times[kept], kind="stable") if timed else hashed_order([ids[row] for row in kept])
    return np.asarray(rows[kept][order], dtype=np.int64)


def _vectors(calls: _Calls, side: Side, rows: Indices) -> Floats:
    sketches = np.concatenate(calls.sketches[side]) if calls.sketches[side] else np.zeros((0, BYTES), dtype=np.uint8)
    return unsketch(sketches[rows])


def _pairs(before: _Calls, was: Indices, after: _Calls, now: Indices, timed: bool) -> Pairs:
    old, new = [str(before.lines[row]) for row in was], [str(after.lines[row]) for row in now]
    if timed:
        old_times, new_times = [before.times[row] or 0.0 for row in was], [after.times[row] or 0.0 for row in now]
        return pair_in_phase(new, new_times, old, old_times, per_call_max=PER_CALL_MAX)
    return pair(new, old, per_call=int(np.clip(len(old) // max(len(new), 1), 1, PER_CALL_MAX)))


def _slices(before: _Calls, was: Indices, old: Floats, after: _Calls, now: Indices, new: Floats) -> tuple[Slice, ...]:
    labels = [[calls.labels[row] for row in rows] for calls, rows in ((before, was), (after, now))]
    counts = Counter(label for side in labels for label in side)
    kept = {label for label, _ in counts.most_common(LABELS_MAX)}
    bounded = [[label if label in kept else OTHER for label in side] for side in labels]
    return slices(old, bounded[0], new, bounded[1])


def _examples(calls: _Calls, side: Side, rows: Indices, chosen: Sequence[int]) -> tuple[Example, ...]:
    return tuple(Example(line=calls.lines[rows[at]], excerpt=calls.excerpts[side][rows[at]]) for at in chosen)


def _time(value: Any) -> float | None:
    """Unix seconds; a time without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, datetime):
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        if moment is None or (type(moment) in (int, float) and abs(moment) < 2**40):
            return moment if moment is None else float(moment)
    except (ValueError, OverflowError):
        pass
    raise BadLine("time must be Unix seconds or ISO 8601")


def _label(row: Row, name: str) -> str | None:
    value = row.get(name)
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str)
