"""Raters: how far people agree with each other, and a score with them; for choosing thresholds and trusting labels.

Ratings are a matrix of raters by units, NaN where a rater did not rate a unit. Every statistic comes with the middle
95 % over resampled units. ``agreement`` speaks of raters, ``score_agreement`` of a score beside them: a score that
agrees with the raters' mean as well as one rater does with the others' has nothing more to learn from these labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import krippendorff
import numpy as np
import numpy.typing as npt
from scipy import stats

Level = Literal["nominal", "ordinal", "interval", "ratio"]
LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval", "ratio")
Ratings = npt.NDArray[np.float64]
ROUNDS = 1_000
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A statistic with its 95 % interval; NaN where the ratings do not determine it."""

    name: str
    value: float
    low: float
    high: float
    units: int  # that it rests on


def alpha(ratings: Ratings, level: Level = "nominal") -> float:
    """Krippendorff's alpha (2011), by the krippendorff package: 1 full agreement, 0 as by chance; NaN if undetermined.

    It takes any number of raters and missing ratings; units that fewer than two rated do not count.
    """
    ratings = np.asarray(ratings, dtype=np.float64)
    paired = ratings[:, np.count_nonzero(~np.isnan(ratings), axis=0) > 1]
    if len(np.unique(paired[~np.isnan(paired)])) < 2:
        return float("nan")
    return float(krippendorff.alpha(paired, level_of_measurement=level))


def cohen_kappa(left: npt.ArrayLike, right: npt.ArrayLike) -> float:
    """Cohen's kappa (1960) of two raters over the units that both rated; NaN where both use a single value."""
    one, other = _both(left, right)
    if not len(one):
        return float("nan")
    values = np.unique([one, other])
    expected = sum(float((one == value).mean() * (other == value).mean()) for value in values)
    return float(((one == other).mean() - expected) / (1 - expected)) if expected < 1 else float("nan")


def fleiss_kappa(ratings: Ratings) -> float:
    """Fleiss' kappa (1971) over the units that every rater rated; NaN where all use a single value."""
    whole = ratings[:, ~np.isnan(ratings).any(axis=0)]
    raters, units = whole.shape
    if raters < 2 or not units:
        return float("nan")
    counts = np.stack([(whole == value).sum(axis=0) for value in np.unique(whole)])
    observed = float((counts * (counts - 1)).sum() / (units * raters * (raters - 1)))
    expected = float(((counts.sum(axis=1) / (units * raters)) ** 2).sum())
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")


def spearman(left: npt.ArrayLike, right: npt.ArrayLike) -> float:
    """Spearman's rank correlation over the units that both have; NaN where a side is constant."""
    return _correlation(left, right, lambda one, other: float(stats.spearmanr(one, other).statistic))


def kendall(left: npt.ArrayLike, right: npt.ArrayLike) -> float:
    """Kendall's tau-b over the units that both have; NaN where a side is constant."""
    return _correlation(left, right, lambda one, other: float(stats.kendalltau(one, other).statistic))


def agreement(ratings: Ratings, level: Level = "nominal", *, rounds: int = ROUNDS, seed: int = SEED) -> list[Estimate]:
    """How far the raters agree: alpha, and of nominal ratings the kappa that papers quote for so many raters."""
    ratings = np.asarray(ratings, dtype=np.float64)
    measures: dict[str, Callable[[Ratings], float]] = {f"alpha ({level})": lambda found: alpha(found, level)}
    if level == "nominal" and len(ratings) == 2:
        measures["cohen kappa"] = lambda found: cohen_kappa(found[0], found[1])
    elif level == "nominal":
        measures["fleiss kappa"] = fleiss_kappa
    return [_estimate(name, ratings, measure, rounds, seed) for name, measure in measures.items()]


def score_agreement(
    score: npt.ArrayLike, ratings: Ratings, *, rounds: int = ROUNDS, seed: int = SEED
) -> list[Estimate]:
    """How a score goes with the raters' mean, beside how each rater goes with the mean of the others (their mean).

    ``ratings`` must be ordered (numbers that mean more or less). A score of Assay rises with badness: against ratings
    that rise with quality a good one is negative.
    """
    ratings = np.asarray(ratings, dtype=np.float64)
    joined = np.vstack([np.asarray(score, dtype=np.float64), ratings])
    measures: dict[str, Callable[[Ratings], float]] = {
        "score with raters (spearman)": lambda found: spearman(found[0], _means(found[1:])),
        "score with raters (kendall)": lambda found: kendall(found[0], _means(found[1:])),
    }
    if len(ratings) > 1:
        measures["a rater with the others (spearman)"] = lambda found: _among(found[1:])
    return [_estimate(name, joined, measure, rounds, seed) for name, measure in measures.items()]


def _among(ratings: Ratings) -> float:
    alone = [spearman(ratings[at], _means(np.delete(ratings, at, axis=0))) for at in range(len(ratings))]
    known = [value for value in alone if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _means(ratings: Ratings) -> Ratings:
    """The mean rating of each unit; NaN where nobody rated it."""
    given = ~np.isnan(ratings)
    total = np.where(given, ratings, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, given.sum(axis=0), out=np.full(len(total), np.nan), where=given.any(axis=0)))


def _both(left: npt.ArrayLike, right: npt.ArrayLike) -> tuple[Ratings, Ratings]:
    one, other = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    known = ~(np.isnan(one) | np.isnan(other))
    return one[known], other[known]


def _correlation(left: npt.ArrayLike, right: npt.ArrayLike, measure: Callable[[Ratings, Ratings], float]) -> float:
    one, other = _both(left, right)
    if len(one) < 2 or (one == one[0]).all() or (other == other[0]).all():
        return float("nan")
    return measure(one, other)


def _estimate(name: str, columns: Ratings, measure: Callable[[Ratings], float], rounds: int, seed: int) -> Estimate:
    units = columns.shape[1]
    rng = np.random.default_rng(seed)
    drawn = np.array([measure(columns[:, rng.integers(0, units, units)]) for _ in range(rounds if units else 0)])
    known = drawn[~np.isnan(drawn)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (float("nan"), float("nan"))
    rated = int((np.count_nonzero(~np.isnan(columns), axis=0) > 1).sum())
    return Estimate(name=name, value=measure(columns) if units else float("nan"), low=low, high=high, units=rated)
