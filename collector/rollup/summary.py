"""Summaries: rows of additive integers under keys and windows; every operation is ``reduce``, a sum over equal keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collector.rollup.histogram import INDEX_MAX, INDEX_MIN, Buckets, Ints, no_buckets

EXEMPLARS_MAX = 3
NO_LEAST = np.iinfo(np.int64).max  # the identity of min
NO_MOST = -1  # and of max: values are never negative
_CODES_MAX = 1 << 62
_LIMB = np.int64(32)
_LIMB_MASK = np.int64((1 << 32) - 1)


class Words(NamedTuple):
    """A column of strings: ``values`` are distinct, ``codes`` index them."""

    codes: npt.NDArray[np.int64]
    values: tuple[str, ...]

    @classmethod
    def of(cls, strings: Sequence[str]) -> Words:
        values, codes = np.unique(np.asarray(strings, dtype=object), return_inverse=True)
        return cls(codes.astype(np.int64), tuple(values.tolist()))

    def strings(self) -> list[str]:
        return [self.values[code] for code in self.codes.tolist()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the columns of a summary are called."""

    keys: tuple[str, ...]
    counts: tuple[str, ...]  # plain sums, each far below 2^63
    sums: tuple[str, ...]  # sums of large integers, kept in two limbs
    extremes: tuple[str, ...]  # each has a least and a most
    histograms: tuple[str, ...]  # each has a zeros column among the counts: "<name>_zeros"


class Exemplars(NamedTuple):
    """The worst calls of the rows, sorted by row, then score falling, then trace id."""

    row: Ints
    score: Ints  # millionths
    trace: npt.NDArray[np.uint64]  # shape (n, 2): the big-endian halves of the id


class Wide(NamedTuple):
    """Exact sums beyond 63 bits: ``high * 2^32 + low`` with ``0 <= low < 2^32``."""

    high: Ints
    low: Ints

    @classmethod
    def of(cls, values: Ints) -> Wide:
        return cls(values >> _LIMB, values & _LIMB_MASK)

    def exact(self) -> list[list[int]]:
        """The sums as Python integers, row by row."""
        high, low = self.high.tolist(), self.low.tolist()
        return [[(h << 32) + lo for h, lo in zip(*row, strict=True)] for row in zip(high, low, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Rows in canonical form: unique, sorted by window and keys; ``values`` of the words sorted and all in use."""

    shape: Shape
    window: Ints  # start of the window, seconds since the epoch
    keys: tuple[Words, ...]
    counts: Ints  # shape (n, len(shape.counts))
    sums: Wide  # both of shape (n, len(shape.sums))
    least: Ints  # shape (n, len(shape.extremes)); NO_LEAST where there is none
    most: Ints  # as least; NO_MOST where there is none
    histograms: tuple[Buckets, ...]
    exemplars: Exemplars

    def __len__(self) -> int:
        return len(self.window)

    def count(self, name: str) -> Ints:
        """One column of the counts."""
        return self.counts[:, self.shape.counts.index(name)]


def empty(shape: Shape) -> Summary:
    """The summary of nothing: the identity of merge."""

    def none(width: int) -> Ints:
        return np.empty((0, width), np.int64)

    return Summary(
        shape=shape,
        window=np.empty(0, np.int64),
        keys=tuple(Words(np.empty(0, np.int64), ()) for _ in shape.keys),
        counts=none(len(shape.counts)),
        sums=Wide(none(len(shape.sums)), none(len(shape.sums))),
        least=none(len(shape.extremes)),
        most=none(len(shape.extremes)),
        histograms=tuple(no_buckets() for _ in shape.histograms),
        exemplars=Exemplars(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 2), np.uint64)),
    )


def merge(parts: Iterable[Summary], shape: Shape) -> Summary:
    """The summary of all that the parts summarise; they need not be in canonical form."""
    found = [part for part in parts if len(part)]
    if not found:
        return empty(shape)
    starts = np.cumsum([0, *(len(part) for part in found)])[:-1].tolist()
    return reduce(
        Summary(
            shape=shape,
            window=np.concatenate([part.window for part in found]),
            keys=tuple(_concat_words([part.keys[i] for part in found]) for i in range(len(shape.keys))),
            counts=np.concatenate([part.counts for part in found]),
            sums=Wide(
                np.concatenate([part.sums.high for part in found]), np.concatenate([part.sums.low for part in found])
            ),
            least=np.concatenate([part.least for part in found]),
            most=np.concatenate([part.most for part in found]),
            histograms=tuple(
                Buckets(
                    np.concatenate([part.histograms[i].row + at for part, at in zip(found, starts, strict=True)]),
                    np.concatenate([part.histograms[i].bucket for part in found]),
                    np.concatenate([part.histograms[i].n for part in found]),
                )
                for i in range(len(shape.histograms))
            ),
            exemplars=Exemplars(
                np.concatenate([part.exemplars.row + at for part, at in zip(found, starts, strict=True)]),
                np.concatenate([part.exemplars.score for part in found]),
                np.concatenate([part.exemplars.trace for part in found]),
            ),
        )
    )


def coarsen(summary: Summary, seconds: int) -> Summary:
    """The same calls in windows of ``seconds``, a multiple of the present ones; windows begin at the epoch."""
    return reduce(replace(summary, window=summary.window // seconds * seconds))


def reduce(rows: Summary) -> Summary:
    """Rows of equal window and keys become one, in canonical form."""
    if not len(rows):
        return empty(rows.shape)
    keys = tuple(_canonical(words) for words in rows.keys)
    code = _codes(rows.window, keys)
    order = _order(code)
    ordered = code[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    group = np.empty(len(code), np.int64)  # of each old row, the new one
    group[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(code))))
    first = order[starts]
    low = _add(rows.sums.low, order, starts)
    return Summary(
        shape=rows.shape,
        window=rows.window[first],
        keys=tuple(Words(words.codes[first], words.values) for words in keys),
        counts=_add(rows.counts, order, starts),
        sums=Wide(_add(rows.sums.high, order, starts) + (low >> _LIMB), low & _LIMB_MASK),
        least=np.minimum.reduceat(np.take(rows.least, order, axis=0), starts, axis=0),
        most=np.maximum.reduceat(np.take(rows.most, order, axis=0), starts, axis=0),
        histograms=tuple(_add_buckets(buckets, group) for buckets in rows.histograms),
        exemplars=_worst(rows.exemplars, group),
    )


def _add(values: Ints, order: Ints, starts: Ints) -> Ints:
    if not values.shape[1]:
        return values[: len(starts)]
    return np.add.reduceat(np.take(values, order, axis=0), starts, axis=0)


def _order(codes: Ints) -> Ints:
    """The stable order of codes that are not negative; those of 16 bits get a radix sort."""
    return np.argsort(codes.astype(np.uint16) if codes.max() < 1 << 16 else codes, kind="stable")


def _canonical(words: Words) -> Words:
    used = np.flatnonzero(np.bincount(words.codes, minlength=len(words.values)))
    values = sorted(words.values[code] for code in used.tolist())
    place = {value: code for code, value in enumerate(values)}
    recode = np.zeros(len(words.values), np.int64)
    for code in used.tolist():
        recode[code] = place[words.values[code]]
    return Words(recode[words.codes], tuple(values))


def _concat_words(columns: Sequence[Words]) -> Words:
    place: dict[str, int] = {}
    codes = []
    for column in columns:
        recode = np.array([place.setdefault(value, len(place)) for value in column.values], dtype=np.int64)
        codes.append(recode[column.codes])
    return Words(np.concatenate(codes), tuple(place))


def _codes(window: Ints, keys: Sequence[Words]) -> Ints:
    """One integer a row that orders as the window, then the keys in turn."""
    oldest, newest = int(window.min()), int(window.max())
    if (newest - oldest) // 60 >= 1 << 24:  # a few absurd timestamps must not eat the digits
        code = np.unique(window, return_inverse=True)[1].astype(np.int64)
    else:
        code = (window - oldest) // max(int(np.gcd.reduce(window - oldest)), 1)
    span = int(code.max()) + 1
    for words in keys:
        if span * len(words.values) >= _CODES_MAX:
            code = np.unique(code, return_inverse=True)[1].astype(np.int64)
            span = int(code.max()) + 1
        code = code * len(words.values) + words.codes
        span *= len(words.values)
    return code


def _add_buckets(buckets: Buckets, group: Ints) -> Buckets:
    if not len(buckets.row):
        return no_buckets()
    width = INDEX_MAX - INDEX_MIN + 1
    cell = group[buckets.row] * width + (buckets.bucket.astype(np.int64) - INDEX_MIN)
    order = _order(cell)
    ordered = cell[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    row, slot = np.divmod(ordered[starts], width)
    return Buckets(row, (slot + INDEX_MIN).astype(np.int16), np.add.reduceat(buckets.n[order], starts))


def _worst(exemplars: Exemplars, group: Ints) -> Exemplars:
    """The EXEMPLARS_MAX distinct worst of each new row, ties by the smaller trace id."""
    if not len(exemplars.row):
        return exemplars
    row = group[exemplars.row]
    by_row = _order(row)
    row = row[by_row]
    score, trace = exemplars.score[by_row], exemplars.trace[by_row]
    starts = np.flatnonzero(np.concatenate([[True], row[1:] != row[:-1]]))
    sizes = np.diff(np.append(starts, len(row)))
    # score, then the first 43 bits of the id: enough to find candidates without sorting everything by the whole id
    rank = (score << np.int64(43)) | ((1 << 43) - 1 - (trace[:, 0] >> np.uint64(21)).astype(np.int64))
    left = rank.copy()
    for _ in range(EXEMPLARS_MAX):
        best = np.repeat(np.maximum.reduceat(left, starts), sizes)
        left[left == best] = -1
    chosen = np.flatnonzero(left < 0)  # whoever shared one of the three best ranks
    row, score, trace = row[chosen], score[chosen], trace[chosen]
    order = np.lexsort((trace[:, 1], trace[:, 0], -score, row))
    row, score, trace = row[order], score[order], trace[order]
    new = np.ones(len(row), np.bool_)
    new[1:] = (row[1:] != row[:-1]) | (score[1:] != score[:-1]) | (trace[1:] != trace[:-1]).any(axis=1)
    row, score, trace = row[new], score[new], trace[new]
    place = np.arange(len(row)) - np.searchsorted(row, row, side="left")
    kept = place < EXEMPLARS_MAX
    return Exemplars(row[kept], score[kept], trace[kept])
