"""How well a score separates two labels, with an interval; plain numpy, so that a number is the same everywhere."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


class SetError(Exception):
    """A labelled set is not there, or not as it should be; the message is for whoever named the folder."""


def set_path(name: str, data: Path = DATA) -> Path:
    return data / name / f"{name}.jsonl.gz"


def read_set(name: str, data: Path = DATA, fields: Iterable[str] = ()) -> list[dict[str, Any]]:
    """The rows of a labelled set, in its order, each with ``fields``. Raises SetError."""
    path, rows = set_path(name, data), []
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                row = json.loads(line)
                if missing := [field for field in fields if field not in row]:
                    raise SetError(f"{path}: line {number} has no field {', '.join(missing)}")
                rows.append(row)
    except FileNotFoundError:
        raise SetError(f"{path} is not there") from None
    except (OSError, EOFError, ValueError) as error:  # no gzip, cut off, no UTF-8, no JSON
        raise SetError(f"{path}: line {len(rows) + 1}: {error}") from None
    return rows


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
