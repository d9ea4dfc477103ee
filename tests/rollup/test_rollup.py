"""The rollups against an oracle in plain Python over the raw calls."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.delta import KEYS
from collector.rollup import (
    SCORES,
    TRAFFIC,
    CallColumns,
    ScoreValues,
    Summary,
    Thresholds,
    Words,
    coarsen,
    empty,
    fold_scores,
    fold_traffic,
    merge,
)
from collector.rollup.fold import CONTENTS, NUMBERS, REASONS
from collector.rollup.histogram import INDEX_MAX, INDEX_MIN, bounds, index_of, quantile
from signals.types import Abstention

NOON = 1_790_000_000
THRESHOLDS = Thresholds.of(0.5, 0.8)
SPECS = (("toxicity", "input", "1"), ("toxicity", "output", "1+abcd"))


@dataclass(frozen=True)
class Call:
    """One call as a person would write it down; a score is millionths, a reason, or None: not in its suite."""

    second: int
    service: str
    model: str
    trace: int
    scores: tuple[int | Abstention | None, int | Abstention | None]
    error: bool
    content: str
    latency: int | None
    tokens: int | None


score = st.one_of(
    st.none(),
    st.sampled_from([reason for reason in Abstention if reason is not Abstention.NONE]),
    st.sampled_from([0, 1, 499_999, 500_000, 500_001, 800_001, 1_000_000]),
    st.integers(0, 1_000_000),
)
calls_of = st.lists(
    st.builds(
        Call,
        second=st.sampled_from([0, 1, 59, 60, 3_599, 3_600, 86_400, -NOON, 4_000_000_000]),
        service=st.sampled_from(["shop", "desk", ""]),
        model=st.sampled_from(["gpt", "claude", "__other__", "ü"]),
        trace=st.sampled_from([0, 1, 2, 3, 1 << 64, (1 << 64) + 1, (1 << 85), (1 << 128) - 1]),
        scores=st.tuples(score, score),
        error=st.booleans(),
        content=st.sampled_from(CONTENTS),
        latency=st.one_of(st.none(), st.sampled_from([0, 1, 2**53]), st.integers(0, 10**8)),
        tokens=st.one_of(st.none(), st.sampled_from([0, 2**53]), st.integers(0, 10**6)),
    ),
    max_size=30,
)


def columns(calls: list[Call]) -> CallColumns:
    def number(values: list[int | None]) -> np.ndarray:
        return np.array([-1 if value is None else value for value in values], dtype=np.int64)

    def coded(value: int | Abstention | None) -> int:
        if value is None:
            return int(np.iinfo(np.int32).min)
        return -int(value) if isinstance(value, Abstention) else value

    keys = {"service": [c.service for c in calls], "model": [c.model for c in calls]}
    halves = [(c.trace >> 64, c.trace & (1 << 64) - 1) for c in calls]
    return CallColumns(
        time=np.array([(NOON + c.second) * 1_000_000 + 5 for c in calls], dtype=np.int64),
        keys=tuple(Words.of(keys.get(key, [""] * len(calls))) for key in KEYS),
        trace=np.array(halves, dtype=np.uint64).reshape(len(calls), 2),
        error=np.array([c.error for c in calls], dtype=np.bool_),
        unscored=np.array([unscored(c) for c in calls], dtype=np.int64),
        content=np.array([CONTENTS.index(c.content) for c in calls], dtype=np.int64),
        unjoined=np.array([c.trace == 1 for c in calls], dtype=np.bool_),
        dropped_attributes=np.array([c.trace % 7 for c in calls], dtype=np.int64),
        numbers={
            name: number([c.latency if name in ("latency", "ttft") else c.tokens for c in calls]) for name in NUMBERS
        },
        scores=tuple(
            ScoreValues(
                signal=signal,
                side=side,
                version=version,
                values=np.array([coded(c.scores[i]) for c in calls], dtype=np.int32),
            )
            for i, (signal, side, version) in enumerate(SPECS)
        ),
    )


def unscored(call: Call) -> int:
    reasons = [s for s in call.scores if isinstance(s, Abstention)]
    scored = any(s is not None and not isinstance(s, Abstention) for s in call.scores)
    return 0 if scored or not reasons else int(reasons[0])


def fold(calls: list[Call]) -> tuple[Summary, Summary]:
    return fold_scores(columns(calls), 60, THRESHOLDS), fold_traffic(columns(calls), 60)


def oracle_index(value: int) -> int:
    index = INDEX_MIN
    while index < INDEX_MAX and value**16 > (10**96 * 2**index if index >= 0 else 10**96 // 2**-index):
        index += 1
    return index


def oracle_scores(calls: list[Call], seconds: int) -> dict[tuple[Any, ...], dict[str, Any]]:
    raw: dict[tuple[Any, ...], list[tuple[Call, int | Abstention]]] = defaultdict(list)
    for call in calls:
        window = (NOON + call.second) // seconds * seconds
        for (signal, side, version), value in zip(SPECS, call.scores, strict=True):
            if value is not None:
                raw[window, call.service, call.model, signal, side, version].append((call, value))
    found = {}
    for key, rows in raw.items():
        values = [value for _, value in rows if not isinstance(value, Abstention)]
        worst = sorted({(-value, call.trace) for call, value in rows if not isinstance(value, Abstention) and value})
        buckets: dict[int, int] = defaultdict(int)
        for value in values:
            if value:
                buckets[oracle_index(value)] += 1
        found[key] = {
            "n": len(values),
            "score_zeros": values.count(0),
            "exceed_warn": sum(value > 500_000 for value in values),
            "exceed_critical": sum(value > 800_000 for value in values),
            **{f"unscored_{r}": sum(v is Abstention[r.upper()] for _, v in rows) for r in REASONS},
            "sums": [sum(values), sum(value * value for value in values)],
            "least": min(values, default=None),
            "most": max(values, default=None),
            "buckets": dict(buckets),
            "exemplars": [(-negative, trace) for negative, trace in worst[:3]],
        }
    return found


def told(summary: Summary) -> dict[tuple[Any, ...], dict[str, Any]]:
    """A summary of scores in the oracle's words."""
    keys = {name: words.strings() for name, words in zip(summary.shape.keys, summary.keys, strict=True)}
    sums = summary.sums.exact()
    found = {}
    for row in range(len(summary)):
        where = [keys[name][row] for name in ("service", "model", "signal", "side", "signal_version")]
        mine = summary.histograms[0].row == row
        worst = summary.exemplars.row == row
        scored = bool(summary.count("n")[row])
        found[int(summary.window[row]), *where] = {
            **{name: int(summary.count(name)[row]) for name in summary.shape.counts},
            "sums": sums[row],
            "least": int(summary.least[row, 0]) if scored else None,
            "most": int(summary.most[row, 0]) if scored else None,
            "buckets": dict(
                zip(
                    summary.histograms[0].bucket[mine].tolist(),
                    summary.histograms[0].n[mine].tolist(),
                    strict=True,
                )
            ),
            "exemplars": [
                (int(s), (int(high) << 64) + int(low))
                for s, (high, low) in zip(
                    summary.exemplars.score[worst].tolist(), summary.exemplars.trace[worst].tolist(), strict=True
                )
            ],
        }
    return found


def blob(value: Any) -> Any:
    """Everything of a summary, down to dtypes and bytes."""
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tobytes())
    if isinstance(value, Summary):
        return tuple((field.name, blob(getattr(value, field.name))) for field in fields(value))
    if isinstance(value, tuple):
        return tuple(blob(item) for item in value)
    return value


@given(calls_of)
def test_a_rollup_says_what_the_raw_scores_say(calls):
    assert told(fold(calls)[0]) == oracle_scores(calls, 60)


@given(calls_of)
def test_a_rollup_of_traffic_says_what_the_calls_say(calls):
    summary = fold(calls)[1]

    raw: dict[tuple[Any, ...], list[Call]] = defaultdict(list)
    for call in calls:
        raw[(NOON + call.second) // 60 * 60, call.service, call.model].append(call)
    services, models = summary.keys[0].strings(), summary.keys[2].strings()
    places = list(zip(summary.window.tolist(), services, models, strict=True))
    sums = dict(zip(places, summary.sums.exact(), strict=True))
    assert sorted(places) == places == sorted(raw)
    for row, place in enumerate(places):
        mine = raw[place]
        latencies = [call.latency for call in mine if call.latency is not None]
        expected = {
            "n": len(mine),
            "errors": sum(call.error for call in mine),
            "scored": sum(unscored(call) == 0 for call in mine),
            "unjoined": sum(call.trace == 1 for call in mine),
            "dropped_attributes": sum(call.trace % 7 for call in mine),
            "latency_n": len(latencies),
            "latency_zeros": latencies.count(0),
            **{f"content_{state}": sum(call.content == state for call in mine) for state in CONTENTS},
            **{f"unscored_{r}": sum(unscored(call) == code for call in mine) for code, r in enumerate(REASONS, 1)},
        }
        assert {name: int(summary.count(name)[row]) for name in expected} == expected
        assert sums[place][3] == sum(latencies)
        assert sums[place][0] == sum(call.tokens or 0 for call in mine)
        assert summary.histograms[0].n[summary.histograms[0].row == row].sum() == sum(map(bool, latencies))


@given(calls_of, calls_of)
def test_folding_together_or_apart_gives_the_same_bytes(one, other):
    for together, left, right in zip(fold(one + other), fold(one), fold(other), strict=True):
        assert blob(merge([left, right], together.shape)) == blob(together)


@given(calls_of, st.randoms(use_true_random=False), st.integers(1, 5))
def test_any_order_and_any_grouping_gives_the_same_bytes(calls, random, groups):
    whole = fold(calls)
    shuffled = random.sample(calls, len(calls))
    parts = [fold(shuffled[start::groups]) for start in range(groups)]
    random.shuffle(parts)

    for at, shape in enumerate((SCORES, TRAFFIC)):
        found = empty(shape)
        for part in parts:
            found = merge([found, part[at]] if random.random() < 0.5 else [part[at], found], shape)
        assert blob(found) == blob(whole[at])


@given(calls_of, st.sampled_from([3_600, 86_400]))
def test_a_coarser_rollup_is_the_rollup_of_the_coarser_windows(calls, seconds):
    minutes, traffic = fold(calls)

    assert told(coarsen(minutes, seconds)) == oracle_scores(calls, seconds)
    assert blob(coarsen(minutes, seconds)) == blob(fold_scores(columns(calls), seconds, THRESHOLDS))
    assert blob(coarsen(coarsen(traffic, 3_600), 86_400)) == blob(fold_traffic(columns(calls), 86_400))


def test_nothing_is_the_identity():
    for shape, summary in zip((SCORES, TRAFFIC), fold([]), strict=True):
        assert len(summary) == 0
        assert blob(merge([], shape)) == blob(summary) == blob(empty(shape))


def test_sums_stay_exact_beyond_64_bits():
    calls = [
        Call(0, "shop", "gpt", number, (1_000_000, None), False, "captured", 2**53, 2**53) for number in range(2_048)
    ]
    scores, traffic = fold(calls)
    for _ in range(13):  # 16.8 million calls: their squares alone need 64 bits
        scores, traffic = merge([scores, scores], SCORES), merge([traffic, traffic], TRAFFIC)

    n = 2_048 * 2**13
    assert scores.sums.exact() == [[n * 10**6, n * 10**12]]
    assert n * 10**12 > 2**63
    assert traffic.sums.exact()[0][:3] == [n * 2**53] * 3


def test_the_same_worst_call_is_shown_once_and_ties_go_to_the_smaller_trace():
    calls = [
        Call(0, "shop", "gpt", trace, (900_000, None), False, "captured", None, None)
        for trace in (9, 9, 7, (1 << 90) + 1, 1 << 90, 8)
    ]

    (row,) = told(fold(calls)[0]).values()

    assert row["exemplars"] == [(900_000, 7), (900_000, 8), (900_000, 9)]


def test_a_good_score_is_no_exemplar():
    (row,) = told(fold([Call(0, "a", "b", 5, (0, None), False, "captured", None, None)])[0]).values()

    assert row["exemplars"] == []


@given(st.integers(1, 2**53))
def test_every_integer_lies_in_exactly_its_bucket(value):
    index = int(index_of(np.array([value]))[0])

    slot = index - INDEX_MIN
    assert value <= bounds()[slot]
    assert slot == 0 or value > bounds()[slot - 1]
    assert math.isclose(bounds()[slot], 10**6 * 2 ** (index / 16), rel_tol=1e-6, abs_tol=1)


def test_the_bounds_are_exact_and_a_score_of_one_ends_a_bucket():
    assert bounds()[-INDEX_MIN] == 1_000_000
    assert bounds()[-INDEX_MIN - 16] == 500_000
    assert bounds()[0] < 1 <= bounds()[1]
    assert bounds()[-1] >= 2**53


@settings(max_examples=50)
@given(st.lists(st.integers(0, 1_000_000), min_size=1, max_size=200), st.sampled_from([1, 500, 950, 990, 1000]))
def test_an_estimated_quantile_is_within_a_bucket_of_the_true_one(values, permille):
    calls = [Call(0, "a", "b", n, (value, None), False, "captured", None, None) for n, value in enumerate(values)]
    summary = fold(calls)[0]
    estimate = int(
        quantile(
            permille,
            rows=len(summary),
            buckets=summary.histograms[0],
            zeros=summary.count("score_zeros"),
            least=summary.least[:, 0],
            most=summary.most[:, 0],
        )[0]
    )

    true = sorted(values)[max(math.ceil(len(values) * permille / 1000), 1) - 1]
    assert abs(estimate - true) <= 0.045 * true + 1
    assert min(values) <= estimate <= max(values)


def test_a_window_of_abstentions_has_no_quantile():
    summary = fold([Call(0, "a", "b", 1, (Abstention.NO_TEXT, None), False, "none", None, None)])[0]

    found = quantile(
        500,
        rows=1,
        buckets=summary.histograms[0],
        zeros=summary.count("score_zeros"),
        least=summary.least[:, 0],
        most=summary.most[:, 0],
    )
    assert found.tolist() == [-1]


@pytest.mark.parametrize("shape", [SCORES, TRAFFIC])
def test_names_of_a_shape_are_distinct(shape):
    names = [*shape.keys, *shape.counts, *shape.sums]
    assert len(set(names)) == len(names)
