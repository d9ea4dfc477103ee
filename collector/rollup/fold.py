"""Calls become summaries: each call is a row of its own, and ``reduce`` adds the rows up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collector.delta import KEYS
from collector.records import Content
from collector.rollup.histogram import Buckets, Ints, index_of
from collector.rollup.summary import NO_LEAST, NO_MOST, Exemplars, Shape, Summary, Wide, Words, empty, merge, reduce
from signals.types import Abstention

NOT_IN_SUITE = np.iinfo(np.int32).min  # this suite has no such signal: not eligible, not counted
UNKNOWN = -1  # a number that the call does not tell
REASONS = tuple(reason.name.lower() for reason in Abstention if reason is not Abstention.NONE)
CONTENTS = tuple(content.value for content in Content)
NUMBERS = ("input_tokens", "output_tokens", "cache_read_tokens", "latency", "ttft")
_TIMED = ("latency", "ttft")

SCORES = Shape(
    keys=(*KEYS, "signal", "side", "signal_version"),
    counts=("n", "score_zeros", "exceed_warn", "exceed_critical", *(f"unscored_{reason}" for reason in REASONS)),
    sums=("score_sum", "score_sum_squares"),
    extremes=("score",),
    histograms=("score",),
)
TRAFFIC = Shape(
    keys=KEYS,
    counts=(
        *("n", "errors", "scored", "unjoined", "dropped_attributes"),
        *(f"unscored_{reason}" for reason in REASONS),
        *(f"content_{content}" for content in CONTENTS),
        *(f"{number}_n" for number in NUMBERS),
        *(f"{number}_zeros" for number in _TIMED),
    ),
    sums=tuple(f"{number}_sum" for number in NUMBERS),
    extremes=_TIMED,
    histograms=_TIMED,
)


class Thresholds(NamedTuple):
    """Above these, in millionths, a score counts as a warning, or as critical."""

    warn: int
    critical: int

    @classmethod
    def of(cls, warn_at: float, critical_at: float) -> Thresholds:
        return cls(round(warn_at * 1_000_000), round(critical_at * 1_000_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreValues:
    """One signal's scores of a batch: millionths, ``-Abstention``, or NOT_IN_SUITE."""

    signal: str
    side: str
    version: str
    values: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallColumns:
    """A batch of calls as arrays of one length; unknown numbers are UNKNOWN."""

    time: Ints  # microseconds since the epoch
    keys: tuple[Words, ...]  # in the order of KEYS
    trace: npt.NDArray[np.uint64]  # shape (n, 2): the big-endian halves of the trace id
    error: npt.NDArray[np.bool_]
    unscored: npt.NDArray[np.int64]  # Abstention codes; NONE: some signal scored it
    content: npt.NDArray[np.int64]  # places in CONTENTS
    unjoined: npt.NDArray[np.bool_]
    dropped_attributes: Ints
    numbers: dict[str, Ints]  # NUMBERS -> column; tokens, or microseconds
    scores: tuple[ScoreValues, ...]

    def __len__(self) -> int:
        return len(self.time)

    def before(self, time: float) -> CallColumns:
        """Those that lie before a time, in microseconds since the epoch."""
        rows = self.time < time
        return replace(
            self,
            time=self.time[rows],
            keys=tuple(Words(words.codes[rows], words.values) for words in self.keys),
            trace=self.trace[rows],
            error=self.error[rows],
            unscored=self.unscored[rows],
            content=self.content[rows],
            unjoined=self.unjoined[rows],
            dropped_attributes=self.dropped_attributes[rows],
            numbers={name: values[rows] for name, values in self.numbers.items()},
            scores=tuple(replace(scores, values=scores.values[rows]) for scores in self.scores),
        )


def fold_scores(calls: CallColumns, seconds: int, thresholds: Thresholds) -> Summary:
    """The scores of a batch, per window of ``seconds``, keys, signal, side and signal version."""
    parts = [_score_rows(calls, scores, seconds, thresholds) for scores in calls.scores]
    return merge(parts, SCORES)


def fold_traffic(calls: CallColumns, seconds: int) -> Summary:
    """The calls of a batch whatever their scores, per window of ``seconds`` and keys."""
    n = len(calls)
    if not n:
        return empty(TRAFFIC)
    every = np.arange(n)
    counts = np.zeros((n, len(TRAFFIC.counts)), np.int64)
    place = TRAFFIC.counts.index
    counts[:, place("n")] = 1
    counts[:, place("errors")] = calls.error
    counts[:, place("scored")] = calls.unscored == Abstention.NONE
    counts[:, place("unjoined")] = calls.unjoined
    counts[:, place("dropped_attributes")] = calls.dropped_attributes
    unscored = np.flatnonzero(calls.unscored != Abstention.NONE)
    counts[unscored, place(f"unscored_{REASONS[0]}") + calls.unscored[unscored] - 1] = 1
    counts[every, place(f"content_{CONTENTS[0]}") + calls.content] = 1
    for number in NUMBERS:
        counts[:, place(f"{number}_n")] = calls.numbers[number] >= 0
    for timed in _TIMED:
        counts[:, place(f"{timed}_zeros")] = calls.numbers[timed] == 0
    times = np.stack([calls.numbers[timed] for timed in _TIMED], axis=1)
    return reduce(
        Summary(
            shape=TRAFFIC,
            window=_window(calls.time, seconds),
            keys=calls.keys,
            counts=counts,
            sums=Wide.of(np.maximum(np.stack([calls.numbers[number] for number in NUMBERS], axis=1), 0)),
            least=np.where(times >= 0, times, NO_LEAST),
            most=times,  # UNKNOWN is NO_MOST
            histograms=tuple(_singles(calls.numbers[timed]) for timed in _TIMED),
            exemplars=empty(TRAFFIC).exemplars,
        )
    )


def _score_rows(calls: CallColumns, scores: ScoreValues, seconds: int, thresholds: Thresholds) -> Summary:
    rows = np.flatnonzero(scores.values != NOT_IN_SUITE)
    n = len(rows)
    if not n:
        return empty(SCORES)
    values = scores.values[rows].astype(np.int64)
    scored = values >= 0
    counts = np.zeros((n, len(SCORES.counts)), np.int64)
    place = SCORES.counts.index
    counts[:, place("n")] = scored
    counts[:, place("score_zeros")] = values == 0
    counts[:, place("exceed_warn")] = values > thresholds.warn
    counts[:, place("exceed_critical")] = values > thresholds.critical
    unscored = np.flatnonzero(~scored)
    counts[unscored, place(f"unscored_{REASONS[0]}") - values[unscored] - 1] = 1
    known = np.maximum(values, 0)
    worst = np.flatnonzero(values > 0)
    one = np.zeros(n, np.int64)
    return reduce(
        Summary(
            shape=SCORES,
            window=_window(calls.time[rows], seconds),
            keys=(
                *(Words(words.codes[rows], words.values) for words in calls.keys),
                *(Words(one, (word,)) for word in (scores.signal, scores.side, scores.version)),
            ),
            counts=counts,
            sums=Wide.of(np.stack([known, known * known], axis=1)),
            least=np.where(scored, values, NO_LEAST)[:, None],
            most=np.where(scored, values, NO_MOST)[:, None],
            histograms=(_singles(values),),
            exemplars=Exemplars(worst, values[worst], calls.trace[rows[worst]]),
        )
    )


def _singles(values: Ints) -> Buckets:
    """Each positive value in a histogram of its own."""
    rows = np.flatnonzero(values > 0)
    return Buckets(rows, index_of(values[rows]), np.ones(len(rows), np.int64))


def _window(time: Ints, seconds: int) -> Ints:
    return time // (seconds * 1_000_000) * seconds
