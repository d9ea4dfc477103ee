"""Attribution: which topics of the traffic grew or shrank, and which slices carry the change.

Baseline and current vectors are clustered together (spherical k-means), and each cluster's share of the baseline is
compared with its share of the current calls. Names are left to the reader: the calls nearest each centre say what a
topic is about.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from signals.embedding import centroid_distance
from signals.types import Bools, Floats

Indices = npt.NDArray[np.int64]

TOPICS_MAX = 24
EXAMPLES = 3
CONFIDENCE = 0.95
"""Of all intervals of one answer together."""

FIT_MAX = 8_192  # vectors that the centres are fitted to; every vector is then assigned
_CALLS_PER_TOPIC = 40
_ROUNDS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A group's part of the calls before and after, and the difference with an interval."""

    before: float  # 0..1 of the baseline calls
    after: float  # 0..1 of the current calls
    low: float  # of after - before
    high: float

    @property
    def change(self) -> float:
        return self.after - self.before

    @property
    def significant(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One cluster; examples are row numbers, foremost and nearest to the centre first."""

    share: Share
    baseline_examples: tuple[int, ...]
    current_examples: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One value of a label: how much of the traffic it is, and how far it moved itself."""

    label: Hashable
    share: Share
    baseline_n: int
    current_n: int
    distance: float  # between its own centroids; NaN where it is on one side only
    part: float  # of the movement of the whole centroid along its direction; all parts add up to 1


def topics(
    baseline: Floats, current: Floats, *, most: int = TOPICS_MAX, foremost: tuple[Bools, Bools] | None = None
) -> tuple[Topic, ...]:
    """Topics of ``baseline`` (n, d) and ``current`` (m, d) by the size of their change, the greatest first.

    The number of clusters grows with the calls, from 2 to ``most``. Intervals are Newcombe's for a difference of two
    shares (1998, his method 10: Wilson's intervals combined), widened for the number of topics (Bonferroni), so that
    with probability CONFIDENCE none of them leaves out a difference of 0 that is there. The same vectors give the same
    topics, in any process. Empty where a side has no vectors. ``foremost`` rows, (n,) and (m,), come first among the
    examples.
    """
    if not len(baseline) or not len(current):
        return ()
    near = nearness(np.concatenate([baseline, current]), most=most)
    owner = near.argmax(axis=1)
    split, found = len(baseline), []
    first = np.zeros(len(near), np.bool_) if foremost is None else np.concatenate(foremost)
    for topic in range(near.shape[1]):
        before, after = np.flatnonzero(owner[:split] == topic), np.flatnonzero(owner[split:] == topic)
        found.append(
            Topic(
                share=share(len(before), split, len(after), len(current), comparisons=near.shape[1]),
                baseline_examples=_nearest(before, near[:split, topic], first[:split]),
                current_examples=_nearest(after, near[split:, topic], first[split:]),
            )
        )
    return tuple(sorted(found, key=lambda topic: -abs(topic.share.change)))


def nearness(vectors: Floats, *, most: int = TOPICS_MAX) -> npt.NDArray[np.float64]:
    """Cosines of ``vectors`` (n, d) with the centres of their topics, shape (n, topics): a text's topic is its nearest.

    The number of topics grows with the texts, from 2 to ``most``.
    """
    pooled = _unit(vectors.astype(np.float64))
    centres = _centres(pooled, int(np.clip(len(pooled) // _CALLS_PER_TOPIC, 2, most)))
    return np.asarray(pooled @ centres.T)


def slices(
    baseline: Floats,
    baseline_labels: Sequence[Hashable],
    current: Floats,
    current_labels: Sequence[Hashable],
) -> tuple[Slice, ...]:
    """One Slice a label, the one that carries most of the change first.

    With D the difference of the two means of all calls, a slice with sums S before and S' after has the part
    ``(S'/m - S/n - (share' - share) * mean) . D / |D|**2``, ``mean`` being that of all baseline calls: a slice that
    only grew counts by how unlike the rest it is.
    """
    if not len(baseline) or not len(current):
        return ()
    before, after = baseline.astype(np.float64), current.astype(np.float64)
    mean = before.mean(axis=0)
    moved = after.mean(axis=0) - mean
    length = float(moved @ moved)
    old, new = _rows(baseline_labels), _rows(current_labels)
    labels = list(dict.fromkeys([*old, *new]))
    none = np.zeros(0, dtype=np.int64)
    found = []
    for label in labels:
        was, now = old.get(label, none), new.get(label, none)
        change = share(len(was), len(before), len(now), len(after), comparisons=len(labels))
        pull = after[now].sum(axis=0) / len(after) - before[was].sum(axis=0) / len(before) - change.change * mean
        found.append(
            Slice(
                label=label,
                share=change,
                baseline_n=len(was),
                current_n=len(now),
                distance=centroid_distance(before[was].sum(axis=0), len(was), after[now].sum(axis=0), len(now)),
                part=float(pull @ moved) / length if length > 0 else 0.0,
            )
        )
    return tuple(sorted(found, key=lambda part: -part.part))


def share(before_n: int, before_of: int, after_n: int, after_of: int, *, comparisons: int = 1) -> Share:
    """A share of ``before_n`` in ``before_of`` against one of ``after_n`` in ``after_of``, both > 0."""
    z = _normal_quantile(1 - (1 - CONFIDENCE) / (2 * comparisons))
    before, after = before_n / before_of, after_n / after_of
    before_low, before_high = wilson(before, before_of, z)
    after_low, after_high = wilson(after, after_of, z)
    change = after - before
    return Share(
        before=before,
        after=after,
        low=change - math.hypot(after - after_low, before_high - before),
        high=change + math.hypot(after_high - after, before - before_low),
    )


def wilson(share: float, n: int, z: float) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share seen in ``n``, ``z`` standard errors wide to each side."""
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _normal_quantile(probability: float) -> float:
    """By bisection of the error function: a few microseconds, and no library."""
    low, high = 0.0, 9.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle / math.sqrt(2)) < 2 * probability - 1 else (low, middle)
    return low


def _centres(vectors: npt.NDArray[np.float64], k: int) -> npt.NDArray[np.float64]:
    """Unit centres of spherical k-means (Dhillon and Modha 2001) on an even part of the vectors.

    The first centre is the vector nearest to the mean; each further one is the vector farthest from all before, among
    those nearer than an outlier (the 90th percentile): deterministic, spread, and no single odd call becomes a topic.
    """
    part = vectors[np.linspace(0, len(vectors) - 1, min(len(vectors), FIT_MAX)).astype(np.int64)]
    chosen = [part[int((part @ part.mean(axis=0)).argmax())]]
    best = part @ chosen[0]
    while len(chosen) < k:
        order = np.argsort(best, kind="stable")
        chosen.append(part[order[len(order) // 10]])
        best = np.maximum(best, part @ chosen[-1])
    centres = np.array(chosen)
    for _ in range(_ROUNDS):
        owner = (part @ centres.T).argmax(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, owner, part)
        moved = np.where(np.bincount(owner, minlength=k)[:, None] > 0, _unit(sums), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _nearest(rows: Indices, near: npt.NDArray[np.float64], first: Bools) -> tuple[int, ...]:
    order = np.lexsort((-near[rows], ~first[rows]))[:EXAMPLES]
    return tuple(rows[order].tolist())


def _rows(labels: Sequence[Hashable]) -> dict[Hashable, Indices]:
    rows: dict[Hashable, list[int]] = {}
    for row, label in enumerate(labels):
        rows.setdefault(label, []).append(row)
    return {label: np.array(found, dtype=np.int64) for label, found in rows.items()}


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
