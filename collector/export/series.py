"""Counters, gauges and histograms as plain numbers and arrays: bounded series in, a consistent copy out.

``prometheus_client``'s own metrics take one value a call; here a whole batch goes in at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from collector.catalog import OPEN_LABELS, OTHER, Metric

Ints = npt.NDArray[np.int64]
Key = tuple[str, ...]  # label values in the order of Metric.labels

LABEL_CHARS_MAX = 120
_FIRST_ROWS = 8
_Number = TypeVar("_Number", bound=np.generic)


class Keys:
    """Admits label sets up to a bound; ``overflowed`` is told about each one that had to become ``__other__``."""

    def __init__(self, metric: Metric, series_max: int, overflowed: Callable[[str], None]) -> None:
        self._metric = metric
        self._series_max = series_max if OPEN_LABELS.intersection(metric.labels) else None
        self._overflowed = overflowed
        self.rows: dict[Key, int] = {}

    def row(self, key: Key) -> int:
        """The row of a label set, new ones in the order of arrival."""
        row = self.rows.get(key)
        if row is None:
            key = tuple(map(clean, key))
            full = self._series_max is not None and len(self.rows) >= self._series_max
            if full and key not in self.rows:
                key = tuple(
                    OTHER if label in OPEN_LABELS else value
                    for label, value in zip(self._metric.labels, key, strict=True)
                )
                self._overflowed(self._metric.name)
            row = self.rows.setdefault(key, len(self.rows))
        return row


def clean(value: str) -> str:
    """A label value that no exposition format and no terminal trips over."""
    if len(value) <= LABEL_CHARS_MAX and value.isascii() and value.isprintable():
        return value
    printable = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in value)
    return printable[:LABEL_CHARS_MAX]


class Scalars:
    """The series of one counter or gauge."""

    def __init__(self, metric: Metric, keys: Keys) -> None:
        self.metric = metric
        self._keys = keys
        self._values: list[float] = []
        for key in metric.start:
            self.add(key, 0.0)

    def add(self, key: Key, value: float) -> None:
        self._values[self._row(key)] += float(value)

    def set(self, key: Key, value: float) -> None:
        """Not-a-number takes the series away until it is set again."""
        self._values[self._row(key)] = float(value)  # one truth value would keep OTLP's whole batch from being sent

    def snapshot(self) -> list[tuple[Key, float]]:
        return [
            (key, self._values[row]) for key, row in self._keys.rows.items() if self._values[row] == self._values[row]
        ]

    def _row(self, key: Key) -> int:
        row = self._keys.row(key)
        if row == len(self._values):
            self._values.append(0.0)
        elif self._values[row] != self._values[row]:
            self._values[row] = 0.0
        return row


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemplars:
    """The newest call in each bucket of each series; a time of -inf means that there is none."""

    traces: npt.NDArray[np.uint8]  # shape (series, buckets, 16)
    values: npt.NDArray[np.float64]  # shape (series, buckets)
    times: npt.NDArray[np.float64]  # shape (series, buckets), seconds since the epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramCopy:
    """What a scrape sees of one histogram."""

    keys: Sequence[Key]
    counts: Ints  # shape (series, buckets), not cumulative; the last bucket is +Inf
    sums: npt.NDArray[np.float64]
    exemplars: Exemplars | None


class Histograms:
    """The series of one histogram.

    A batch holds integers, ``value * scale``: a value that equals an edge stays on its proper side, and sums are exact
    below 2**53.
    """

    def __init__(self, metric: Metric, keys: Keys, *, scale: int = 1, exemplars: bool = False) -> None:
        self.metric = metric
        self._keys = keys
        self._scale = scale
        self._edges = np.rint(np.array(metric.buckets) * scale).astype(np.int64)
        self._counts = np.zeros((_FIRST_ROWS, len(metric.buckets) + 1), dtype=np.int64)
        self._sums = np.zeros(_FIRST_ROWS)
        self._exemplars = _no_exemplars(self._counts.shape) if exemplars else None

    def observe(self, key: Key, value: float) -> None:
        row = self._row(key)
        self._counts[row, bisect_left(self.metric.buckets, value)] += 1
        self._sums[row] += value * self._scale

    def observe_batch(
        self,
        keys: Sequence[Key],
        group: Ints,
        values: Ints,
        evidence: tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]] | None = None,
    ) -> None:
        """Put in ``values / scale``; value ``i`` belongs to the series ``keys[group[i]]``.

        ``evidence`` is the trace id (n, 16) and the time (n,) of each value.
        """
        width = self._counts.shape[1]
        bucket = np.searchsorted(self._edges, values, side="left")
        cell = group * width + bucket
        counts = np.bincount(cell, minlength=len(keys) * width).reshape(-1, width)
        totals = np.bincount(group, weights=values, minlength=len(keys))
        seen = np.flatnonzero(counts.any(axis=1))
        rows = np.full(len(keys), -1, dtype=np.int64)
        rows[seen] = [self._row(keys[index]) for index in seen.tolist()]
        # two keys may share the row of __other__, so a plain fancy += would lose one of them
        np.add.at(self._counts, rows[seen], counts[seen])
        np.add.at(self._sums, rows[seen], totals[seen])
        if evidence is not None and self._exemplars is not None:
            _remember(self._exemplars, (rows[group], bucket), values / self._scale, *evidence)

    def snapshot(self) -> HistogramCopy:
        n = len(self._keys.rows)
        kept = self._exemplars
        return HistogramCopy(
            keys=tuple(self._keys.rows),
            counts=self._counts[:n].copy(),
            sums=self._sums[:n] / self._scale,
            exemplars=kept
            and Exemplars(traces=kept.traces[:n].copy(), values=kept.values[:n].copy(), times=kept.times[:n].copy()),
        )

    def _row(self, key: Key) -> int:
        row = self._keys.row(key)
        if row >= len(self._sums):
            self._counts = _doubled(self._counts)
            self._sums = _doubled(self._sums)
            if old := self._exemplars:
                times = _doubled(old.times)
                times[len(old.times) :] = -np.inf
                self._exemplars = Exemplars(traces=_doubled(old.traces), values=_doubled(old.values), times=times)
        return row


def label_key(metric: Metric, labels: Mapping[str, str]) -> Key:
    """Label values in the catalogue's order; KeyError where names differ from the catalogue's."""
    if len(labels) != len(metric.labels):
        raise KeyError(f"{metric.name} has the labels {metric.labels}, not {tuple(labels)}")
    return tuple([labels[name] for name in metric.labels])


def _no_exemplars(shape: tuple[int, ...]) -> Exemplars:
    return Exemplars(
        traces=np.zeros((*shape, 16), dtype=np.uint8), values=np.zeros(shape), times=np.full(shape, -np.inf)
    )


def _doubled(array: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    return np.concatenate([array, np.zeros_like(array)])


def _remember(
    exemplars: Exemplars,
    cells: tuple[Ints, Ints],
    values: npt.NDArray[np.float64],
    traces: npt.NDArray[np.uint8],
    times: npt.NDArray[np.float64],
) -> None:
    order = np.argsort(times, kind="stable")  # of equal cells the last assignment stays: the newest
    rows, buckets = cells[0][order], cells[1][order]
    fresh = times[order] >= exemplars.times[rows, buckets]
    at, order = (rows[fresh], buckets[fresh]), order[fresh]
    exemplars.traces[at] = traces[order]
    exemplars.values[at] = values[order]
    exemplars.times[at] = times[order]
