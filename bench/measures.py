"""How well a score separates two labels, with an interval; plain numpy, so that a number is the same everywhere."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def read_set(name: str, data: Path = DATA) -> list[dict[str, Any]]:
    """The rows of a labelled set, in its order."""
    with gzip.open(data / name / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def auroc(labels: Labels, scores: Scores) -> float:
    """Probability that a positive scores above a negative, ties half; NaN where a class is absent."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return float("nan")
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(labels: Labels, scores: Scores) -> float:
    """Area under precision over recall, by steps."""
    hits = labels[np.argsort(-scores, kind="stable")]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def calibration_error(labels: Labels, probabilities: Scores, bins: int = 10) -> float:
    """Expected calibration error over ``bins`` equal widths."""
    at = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = [abs(labels[at == b].sum() - probabilities[at == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(labels))


def interval(
    labels: Labels,
    scores: Scores,
    measure: Callable[[Labels, Scores], float] = auroc,
    *,
    rounds: int = 1_000,
    seed: int = 0,
    groups: npt.NDArray[np.int64] | None = None,
) -> tuple[float, float]:
    """The middle 95% of ``measure`` over resampled rows; with ``groups``, a number a row, whole groups are drawn."""
    rng = np.random.default_rng(seed)
    if groups is None:
        draws = (rng.integers(0, len(labels), len(labels)) for _ in range(rounds))
    else:
        members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        drawn = (rng.integers(0, len(members), len(members)) for _ in range(rounds))
        draws = (np.concatenate([members[group] for group in draw]) for draw in drawn)
    values = [measure(labels[rows], scores[rows]) for rows in draws]
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)
