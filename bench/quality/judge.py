"""Rows for a score that should be high where a label is true: AUROC and recall at one false positive in a hundred."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.measures import Labels, Scores, auroc, interval
from bench.quality.rows import Row

ROUNDS = 300


def recall_at(labels: Labels, scores: Scores, false_positives: float = 0.01) -> float:
    """Share of the positives above the score that no more than ``false_positives`` of the negatives exceed."""
    if labels.all() or not labels.any():
        return float("nan")
    falling = np.sort(scores[~labels])[::-1]
    return float((scores[labels] > falling[int(false_positives * len(falling))]).mean())


def separation(
    family: str,
    who: str,
    on: str,
    labels: Labels,
    scores: Scores,
    *,
    baseline: bool = False,
    recall: bool = True,
    target: float | None = None,
) -> Iterator[Row]:
    """``scores`` in the order of ``labels``; ValueError for NaN: whoever measures says what an abstention is worth."""
    if np.isnan(scores).any():
        raise ValueError(f"{who} on {on}: NaN among the scores")
    low, high = interval(labels, scores, rounds=ROUNDS)
    yield Row(
        family=family,
        who=who,
        on=on,
        measure="AUROC",
        value=auroc(labels, scores),
        low=low,
        high=high,
        n=len(labels),
        target=target,
        baseline=baseline,
    )
    if recall:
        low, high = interval(labels, scores, recall_at, rounds=ROUNDS)
        yield Row(
            family=family,
            who=who,
            on=on,
            measure="recall at 1 % FP",
            value=recall_at(labels, scores),
            low=low,
            high=high,
            n=len(labels),
            baseline=baseline,
        )
