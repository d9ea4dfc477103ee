"""Agreement of raters: equal to the packages that papers cite, with missing ratings, and with an interval."""

from __future__ import annotations

import json
from pathlib import Path

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from bench.measures import DATA, read_set
from collector.cli import main
from signals.raters import LEVELS, agreement, alpha, cohen_kappa, fleiss_kappa, kendall, score_agreement, spearman

NAN = float("nan")
given_ratings = st.lists(
    st.lists(st.sampled_from([1.0, 2.0, 3.0, 4.0, NAN]), min_size=3, max_size=3), min_size=2, max_size=30
).map(lambda rows: np.array(rows).T)
pairs = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=2, max_size=40)
quick = settings(max_examples=80, deadline=None)


def oracle_alpha(ratings: np.ndarray, level: str) -> float:
    """1 - observed over expected disagreement, pair by pair, as Krippendorff defines it."""
    units = [column[~np.isnan(column)] for column in ratings.T]
    units = [unit for unit in units if len(unit) > 1]
    every = np.concatenate(units)
    counts = {value: int((every == value).sum()) for value in np.unique(every)}

    def apart(one: float, other: float) -> float:
        if level == "nominal":
            return float(one != other)
        if level == "interval":
            return (one - other) ** 2
        if level == "ratio":
            return ((one - other) / (one + other)) ** 2
        low, high = sorted((one, other))
        between = sum(n for value, n in counts.items() if low <= value <= high)
        return (between - (counts[one] + counts[other]) / 2) ** 2

    observed = sum(sum(apart(a, b) for a in unit for b in unit) / (len(unit) - 1) for unit in units) / len(every)
    expected = sum(apart(a, b) for a in every for b in every) / (len(every) * (len(every) - 1))
    return 1 - observed / expected


@quick
@given(given_ratings, st.sampled_from(LEVELS))
def test_alpha_is_what_its_definition_says_and_what_the_package_gives(ratings: np.ndarray, level: str) -> None:
    pairable = ratings[:, (~np.isnan(ratings)).sum(axis=0) > 1]
    assume(len(np.unique(pairable[~np.isnan(pairable)])) > 1)

    found = alpha(ratings, level)

    assert found == pytest.approx(oracle_alpha(ratings, level), abs=1e-9)
    assert found == krippendorff.alpha(ratings, level_of_measurement=level)


@quick
@given(pairs)
def test_cohen_kappa_is_that_of_scikit_learn(rated: list[tuple[int, int]]) -> None:
    left, right = np.array(rated, dtype=float).T
    assume(len(np.unique(np.concatenate([left, right]))) > 1)

    assert cohen_kappa(left, right) == pytest.approx(cohen_kappa_score(left, right), abs=1e-9)


def test_fleiss_kappa_is_that_of_his_paper() -> None:
    """Fleiss 1971 in the form of its usual worked example: 10 units, 14 raters, 5 values, kappa .210."""
    counts = [
        *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]),
        *([7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
    ]
    ratings = np.array([np.repeat(np.arange(5.0), row) for row in counts]).T

    assert fleiss_kappa(ratings) == pytest.approx(0.20993, abs=5e-6)


@quick
@given(pairs)
def test_correlations_are_those_of_scipy_and_skip_what_one_side_lacks(rated: list[tuple[int, int]]) -> None:
    left, right = np.array(rated, dtype=float).T
    assume(len(np.unique(left)) > 1 and len(np.unique(right)) > 1)
    gaps = [np.append(side, value) for side, value in ((left, NAN), (right, 3.0))]

    assert spearman(*gaps) == pytest.approx(stats.spearmanr(left, right).statistic, abs=1e-9)
    assert kendall(*gaps) == pytest.approx(stats.kendalltau(left, right).statistic, abs=1e-9)


@pytest.mark.parametrize("ratings", [[[1, 1], [1, 1]], [[1, NAN], [NAN, 2]], [[NAN], [NAN]]])
def test_ratings_that_determine_nothing_give_nan(ratings: list) -> None:
    found = agreement(np.array(ratings, dtype=float), "nominal", rounds=20)

    assert all(np.isnan(estimate.value) for estimate in found)


def test_the_interval_holds_the_value_and_shrinks_with_the_units() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(1, 5, 800)
    ratings = np.array([np.where(rng.random(800) < 0.7, truth, rng.integers(1, 5, 800)) for _ in range(3)], dtype=float)

    few, many = (agreement(ratings[:, :units], "ordinal", rounds=200)[0] for units in (80, 800))

    for estimate in (few, many):
        assert estimate.low < estimate.value < estimate.high
    assert many.high - many.low < 0.6 * (few.high - few.low)
    assert (few.units, many.units) == (80, 800)


def test_a_score_is_told_beside_what_a_rater_reaches() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(size=300)
    ratings = truth + rng.normal(scale=0.5, size=(3, 300))

    found = {estimate.name: estimate.value for estimate in score_agreement(truth, ratings, rounds=50)}

    assert found["score with raters (spearman)"] > found["a rater with the others (spearman)"] > 0.7


def test_the_command_says_it_for_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rated.jsonl"
    rows = [{"ann": rated, "bob": rated if rated < 3 else None, "s": rated / 4} for rated in (1, 2, 3, 4) * 5]
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")

    status = main(["agreement", str(file), "--rater", "ann", "--rater", "bob", "--score", "s", "--json"])

    told = {line["name"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert status == 0
    assert told["alpha (ordinal)"]["value"] == 1
    assert told["alpha (ordinal)"]["units"] == 10
    assert told["score with raters (spearman)"]["value"] == pytest.approx(1)


def test_words_are_nominal_labels_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rated.jsonl"
    rows = [{"ann": word, "bob": word} for word in ("good", "bad", "good")]
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    command = ["agreement", str(file), "--rater", "ann", "--rater", "bob"]

    assert main([*command, "--level", "nominal"]) == 0
    assert "cohen kappa" in capsys.readouterr().out
    assert main(command) == 2
    assert "ann holds words" in capsys.readouterr().err
    assert main(["agreement", str(file), "--rater", "eve"]) == 2


@pytest.mark.skipif(not DATA.is_dir(), reason="the labelled public data are not beside this checkout")
def test_on_public_data_it_gives_what_the_package_gives() -> None:
    preference = read_set("pandalm_pref")
    ratings = np.array([[row[f"annotator{at}"] for row in preference] for at in (1, 2, 3)], dtype=float)

    assert alpha(ratings) == pytest.approx(krippendorff.alpha(ratings, level_of_measurement="nominal"), abs=1e-9)
    assert 0.8 < alpha(ratings) < 0.95
