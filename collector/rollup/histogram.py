"""Exponential histograms of integers that count millionths of a unit (a score, or a second).

The buckets are those of Prometheus native histograms, schema 4: bucket ``i`` holds ``(2^((i-1)/16), 2^(i/16)]`` units,
so a value is known to 4.4 % of itself wherever it lies. Near 0 that is very fine, near 1 the last bucket is
0.958 .. 1; what matters up there is counted exactly, against the thresholds. Zero has a count of its own.
"""

from __future__ import annotations

from functools import cache
from math import isqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

SCHEMA = 4
INDEX_MIN, INDEX_MAX = -319, 531  # from below a millionth of a unit to 2^53 millionths (285 years, as seconds)
_PER_OCTAVE = 1 << SCHEMA
_UNIT = 1_000_000


class Buckets(NamedTuple):
    """Sparse histograms of the rows of a summary, as coordinates sorted by row, then bucket."""

    row: Ints
    bucket: npt.NDArray[np.int16]
    n: Ints


@cache
def bounds() -> Ints:
    """The largest integer of each bucket from INDEX_MIN to INDEX_MAX; exact on every machine, no float involved."""
    unit = _UNIT**_PER_OCTAVE
    tops = (unit << i if i >= 0 else unit >> -i for i in range(INDEX_MIN, INDEX_MAX + 1))
    found = np.array([isqrt(isqrt(isqrt(isqrt(top)))) for top in tops], dtype=np.int64)  # the 16th root, floored
    found.flags.writeable = False
    return found


def index_of(values: Ints) -> npt.NDArray[np.int16]:
    """The bucket of each positive integer; beyond the last bucket, the last."""
    found = np.searchsorted(bounds(), values, side="left") + INDEX_MIN
    return np.minimum(found, INDEX_MAX).astype(np.int16)


def no_buckets() -> Buckets:
    return Buckets(np.empty(0, np.int64), np.empty(0, np.int16), np.empty(0, np.int64))


def quantile(
    permille: int, *, rows: int, buckets: Buckets, zeros: Ints, least: Ints, most: Ints
) -> npt.NDArray[np.int64]:
    """Per row the estimated quantile in millionths, -1 for a row without values.

    The rank is ``ceil(n * permille / 1000)``; inside a bucket values are taken to lie evenly, and the estimate never
    leaves the row's ``least`` .. ``most``.
    """
    before = np.concatenate([[0], np.cumsum(buckets.n)])
    begin = np.searchsorted(buckets.row, np.arange(rows), side="left")
    end = np.searchsorted(buckets.row, np.arange(rows), side="right")
    n = zeros + before[end] - before[begin]
    rank = (n * permille + 999) // 1000 - zeros  # within the buckets; <= 0: among the zeros
    inside = np.flatnonzero(rank > 0)
    found = np.where(n > 0, 0, -1).astype(np.int64)
    if len(inside):
        target = before[begin[inside]] + rank[inside]
        at = np.searchsorted(before[1:], target, side="left")
        slot = buckets.bucket[at].astype(np.int64) - INDEX_MIN
        low, high = bounds()[np.maximum(slot - 1, 0)], bounds()[slot]
        share = (target - before[at]) / buckets.n[at]
        estimate = low + np.floor((high - low) * share).astype(np.int64)
        found[inside] = np.clip(estimate, least[inside], most[inside])
    return found
