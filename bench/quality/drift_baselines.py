"""What a user would pick to watch embeddings for drift: each takes a fixed baseline and a stream, and alarms or not.

All of them see the raw vectors. The windowed ones look at disjoint windows of WINDOW calls, the sequential ones at
each call's cosine distance from the baseline's centroid. They return the calls until the first alarm, or infinity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from river.drift import ADWIN, PageHinkley

Vectors = npt.NDArray[np.float32]
Detector = Callable[[Vectors, Vectors], float]

WINDOW = 200
_CLUSTERS = 20
_COMPONENTS = 10


def psi(baseline: Vectors, stream: Vectors) -> float:
    """Population stability index over k-means clusters, alarm above .2: the rule of thumb."""
    centres = _kmeans(baseline)
    expected = _histogram(baseline, centres)
    for end, window in _windows(stream):
        actual = _histogram(window, centres)
        if float(((actual - expected) * np.log(actual / expected)).sum()) > 0.2:
            return end
    return math.inf


def kolmogorov_smirnov(baseline: Vectors, stream: Vectors) -> float:
    """Two-sample KS on each of the first principal components, 1 % a window after Bonferroni."""
    mean = baseline.mean(axis=0)
    axes = np.linalg.svd(baseline - mean, full_matrices=False)[2][:_COMPONENTS].T
    reference = np.sort((baseline - mean) @ axes, axis=0)
    limit = math.sqrt(-math.log(0.01 / _COMPONENTS / 2) / 2 * (1 / WINDOW + 1 / len(baseline)))
    for end, window in _windows(stream):
        seen = np.sort((window - mean) @ axes, axis=0)
        if max(_ks(reference[:, axis], seen[:, axis]) for axis in range(_COMPONENTS)) > limit:
            return end
    return math.inf


def centroid_threshold(baseline: Vectors, stream: Vectors) -> float:
    """Cosine distance of the window's centroid, above the 99 % quantile of windows drawn from the baseline itself."""
    rng = np.random.default_rng(0)
    half = rng.permutation(len(baseline))
    fixed, rest = baseline[half[: len(half) // 2]].mean(axis=0), baseline[half[len(half) // 2 :]]
    quiet = [_distance(fixed, rest[rng.choice(len(rest), WINDOW, replace=False)].mean(axis=0)) for _ in range(200)]
    limit = float(np.quantile(quiet, 0.99))
    for end, window in _windows(stream):
        if _distance(fixed, window.mean(axis=0)) > limit:
            return end
    return math.inf


def cusum(baseline: Vectors, stream: Vectors) -> float:
    """Two-sided CUSUM (k = .25, h = 8) of the standardised distance (Page 1954)."""
    distances, quiet = _distances(baseline, stream)
    steps = (distances - quiet.mean()) / quiet.std()
    up = down = 0.0
    for at, step in enumerate(steps.tolist(), 1):
        up, down = max(0.0, up + step - 0.25), max(0.0, down - step - 0.25)
        if max(up, down) > 8:
            return at
    return math.inf


def page_hinkley(baseline: Vectors, stream: Vectors) -> float:
    """river's, at its defaults (threshold 50)."""
    return _river(PageHinkley(), baseline, stream)


def page_hinkley_5(baseline: Vectors, stream: Vectors) -> float:
    """river's with a threshold of 5."""
    return _river(PageHinkley(threshold=5), baseline, stream)


def adwin(baseline: Vectors, stream: Vectors) -> float:
    """river's, at its defaults (delta .002), which has seen the baseline first."""
    return _river(ADWIN(), baseline, stream)


BASELINES: dict[str, Detector] = {
    "PSI > .2": psi,
    "KS, 1 % a window": kolmogorov_smirnov,
    "centroid, 1 % a window": centroid_threshold,
    "CUSUM": cusum,
    "Page-Hinkley": page_hinkley,
    "Page-Hinkley, threshold 5": page_hinkley_5,
    "ADWIN": adwin,
}


def _river(detector: ADWIN | PageHinkley, baseline: Vectors, stream: Vectors) -> float:
    distances, quiet = _distances(baseline, stream)
    for value in quiet.tolist():
        detector.update(value)
    for at, value in enumerate(distances.tolist(), 1):
        detector.update(value)
        if detector.drift_detected:
            return at
    return math.inf


def _distances(baseline: Vectors, stream: Vectors) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of the stream and of the half of the baseline that the centroid was not made of."""
    half = len(baseline) // 2
    centre = baseline[:half].mean(axis=0)
    centre /= np.linalg.norm(centre)
    return (1 - stream @ centre).astype(np.float64), (1 - baseline[half:] @ centre).astype(np.float64)


def _windows(stream: Vectors) -> Iterator[tuple[int, Vectors]]:
    for end in range(WINDOW, len(stream) + 1, WINDOW):
        yield end, stream[end - WINDOW : end]


def _distance(left: Vectors, right: Vectors) -> float:
    return 1 - float(left @ right) / float(np.linalg.norm(left) * np.linalg.norm(right))


def _ks(reference: npt.NDArray[np.float32], seen: npt.NDArray[np.float32]) -> float:
    both = np.concatenate([reference, seen])
    left = np.searchsorted(reference, both, side="right") / len(reference)
    return float(np.abs(left - np.searchsorted(seen, both, side="right") / len(seen)).max())


def _histogram(vectors: Vectors, centres: Vectors) -> npt.NDArray[np.float64]:
    counts = np.bincount((vectors @ centres.T).argmax(axis=1), minlength=len(centres))
    return (counts + 0.5) / (len(vectors) + 0.5 * len(centres))


def _kmeans(vectors: Vectors) -> Vectors:
    """Spherical, ten rounds, as good as any for a histogram."""
    centres = vectors[np.random.default_rng(0).choice(len(vectors), _CLUSTERS, replace=False)]
    for _ in range(10):
        owner = (vectors @ centres.T).argmax(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, owner, vectors)
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return centres
