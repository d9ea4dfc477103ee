"""Reference metrics against what people say of the same answers, and how far the people agree.

mtRAG has a human answer to each question and ratings of the models' answers: each metric of the distance from the human
answer is correlated (Spearman) with the raters' mean, by dimension. A rater against the others is what a person
reaches; length and context novelty, which need no reference, are what there is without one. The agreement of the raters
stands by itself. Exact match is left out: no answer is word by word the human's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.measures import read_set
from bench.quality.rows import Row
from signals.raters import Estimate, Ratings, agreement, score_agreement
from signals.reference_metrics import meteor
from signals.suite import SuiteOptions, load_suite
from signals.types import Exchange

FAMILY = "reference"
ROUNDS = 300
SIGNALS = ("reference", "reference_bertscore", "context_novelty")
DIMENSIONS = ("faithfulness", "appropriateness", "completeness", "naturalness")


def measure(data: Path) -> Iterator[Row]:
    rated = [row for row in read_set("mtrag_human", data) if row["model"] != "reference"]
    gold = {row["id"].split("|")[0]: row["response"] for row in read_set("mtrag_human", data) if _is_gold(row)}
    rows = [row for row in rated if row["id"].split("|")[0] in gold]
    references = [gold[row["id"].split("|")[0]] for row in rows]
    scores = _scores(rows, references)
    for dimension in DIMENSIONS:
        yield from _dimension(dimension, scores, _ratings(rows, dimension))
    yield from _raters(data)


def _is_gold(row: dict[str, Any]) -> bool:
    return bool(row["model"] == "reference")


def _scores(rows: Sequence[dict[str, Any]], references: Sequence[str]) -> dict[str, np.ndarray]:
    """By name, higher is worse; the last ones need no reference."""
    suite = load_suite(SuiteOptions(enabled=SIGNALS, device="cpu"))
    exchanges = [
        Exchange(output=row["response"], context="\n".join(row["context"]), reference=reference)
        for row, reference in zip(rows, references, strict=True)
    ]
    found = {column.spec.signal: column.values.astype(np.float64) for column in suite.score(exchanges).columns}
    suite.close()
    del found["reference_exact"]
    novelty = found.pop("context_novelty")
    return found | {
        "meteor": 1 - np.array([meteor(each.output or "", [each.reference or ""]) for each in exchanges]),
        "context_novelty": novelty,
        "length": np.array([float(len(row["response"])) for row in rows]),
    }


def _ratings(rows: Sequence[dict[str, Any]], dimension: str) -> Ratings:
    """Raters by units; higher is better."""
    told = [row["human_faithfulness"] if dimension == "faithfulness" else row["human"][dimension] for row in rows]
    most = max(map(len, told))
    return np.array([[float(value) for value in given] + [np.nan] * (most - len(given)) for given in told]).T


def _dimension(dimension: str, scores: dict[str, np.ndarray], ratings: Ratings) -> Iterator[Row]:
    on = f"mtrag_human, {dimension}"
    for name, score in scores.items():
        with_raters, _, among = score_agreement(-score, ratings, rounds=ROUNDS)
        yield _row(name, on, "Spearman", with_raters, baseline=name == "length")
    yield _row("a rater with the others", on, "Spearman", among, baseline=True)


def _raters(data: Path) -> Iterator[Row]:
    preference = read_set("pandalm_pref", data)
    votes = np.array([[float(row[f"annotator{at}"]) for row in preference] for at in (1, 2, 3)])
    yield _row("the raters", "pandalm_pref, preference", "alpha", agreement(votes, "nominal", rounds=ROUNDS)[0])
    rows = read_set("mtrag_human", data)
    for dimension in DIMENSIONS:
        (alpha,) = agreement(_ratings(rows, dimension), "ordinal", rounds=ROUNDS)
        yield _row("the raters", f"mtrag_human, {dimension}", "alpha", alpha)


def _row(who: str, on: str, measured: str, estimate: Estimate, *, baseline: bool = False) -> Row:
    return Row(
        family=FAMILY,
        who=who,
        on=on,
        measure=measured,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        n=estimate.units,
        baseline=baseline,
    )
