"""Rows for a score that should be high where a label is true: AUROC and recall at one false positive in a hundred."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.measures import Labels, Scores, auroc, interval
from bench.quality.rows import Row

ROUNDS = 300


def recall_at(labels: Labels, scores: Scores, false_positives: float = 0.01) -> float:
    """Share of the positives above the score that at most ``false_positives`` of the negatives exceed."""
    return float((scores[labels] > np.quantile(scores[~labels], 1 - false_positives, method="higher")).mean())


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
    """``scores`` in the order of ``labels``; an abstention is given as the score that it is worth."""
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
