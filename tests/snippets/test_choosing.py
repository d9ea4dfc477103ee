"""The worst calls of every minute are chosen, as the page ranks them, and never more than the budget has."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.config import ConfigError
from collector.drift.calls import ids
from collector.evidence import DRIFT
from collector.records import LLMCall, SnippetDrop
from collector.snippets.choosing import Chooser, Chosen
from signals.types import ScoreSpec, Side
from tests.core.build import NOON, call
from tests.snippets.build import HOUR, TOXICITY, chooser, column

PLENTY = 10_000


def traffic(seed: int, n: int, minutes: int = 1) -> tuple[list[LLMCall], list[float]]:
    rng = random.Random(seed)
    calls = [
        call(
            trace_id=f"{rng.getrandbits(128):032x}",
            service=rng.choice(["shop", "desk"]),
            ended_at=(NOON // 60 * 60 - 60 * rng.randrange(minutes)) * 10**9 + rng.randrange(10**9),
        )
        for _ in range(n)
    ]
    return calls, [rng.choice([0.2, 0.6, 0.9, 1.0, rng.random()]) for _ in calls]


@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 40))
def test_the_worst_of_a_minute_are_chosen_however_they_are_batched(seed: int, most: int, batch: int) -> None:
    calls, scores = traffic(seed, 60, minutes=3)
    choosing = chooser(calls_per_minute_max=most, per_minute_max=PLENTY)
    chosen = set()
    for at in range(0, len(calls), batch):
        part = choosing.choose(calls[at : at + batch], [column(scores[at : at + batch])], NOON)
        chosen |= {one.key.trace_id for one in part}

    by_slice = defaultdict(list)
    for one, score in zip(calls, scores, strict=True):
        if np.float32(score) > 0.5:
            by_slice[one.service, one.ended_at // (60 * 10**9)].append(
                (-round(float(np.float32(score)) * 1e6), one.trace_id)
            )
    for ranked in by_slice.values():
        assert {trace_id for _, trace_id in sorted(ranked)[:most]} <= chosen


def test_a_call_is_named_by_its_end_its_ids_and_what_flagged_it() -> None:
    (chosen,) = chooser().choose([call(7)], [column([0.9])], NOON + 7)

    assert (chosen.row, chosen.spec) == (0, TOXICITY)
    assert chosen.key.path == f"20260921T14/{(NOON + 7) * 10**6:016d}-{8:032x}-{8:016x}-toxicity_output.json"


@pytest.mark.parametrize("score", [0.0, 0.5, float("nan")])
def test_what_is_not_flagged_is_not_chosen(score: float) -> None:
    assert chooser().choose([call()], [column([score])], NOON) == []


def test_only_the_signals_asked_for_are_looked_at() -> None:
    pii = column([1.0], ScoreSpec(signal="pii", side=Side.INPUT, version="1"))

    chosen = chooser(signals=("pii",)).choose([call()], [column([0.9]), pii], NOON)

    assert [one.key.column for one in chosen] == ["pii_input"]


def test_a_signal_that_does_not_exist_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"evidence\.snippets\.signals: there is no signal toxicty"):
        chooser(signals=("toxicty", "pii"))


@pytest.mark.parametrize(
    ("seconds", "reason"), [(61, SnippetDrop.OFF_CLOCK), (10**9, SnippetDrop.OFF_CLOCK), (-HOUR, SnippetDrop.EXPIRED)]
)
def test_a_call_that_would_be_kept_too_long_or_is_too_old_gets_none(seconds: float, reason: SnippetDrop) -> None:
    choosing = chooser(ttl_hours=1)

    assert choosing.choose([call(ended_at=int((NOON + seconds) * 10**9))], [column([0.9])], NOON) == []
    assert choosing.dropped == {reason: 1}


def test_a_minute_has_a_budget_that_comes_back_with_time() -> None:
    choosing = chooser(calls_per_minute_max=100, per_minute_max=60)
    calls, scores = traffic(1, 200)
    scores = [0.9] * len(scores)

    first = choosing.choose(calls, [column(scores)], NOON)
    later = choosing.choose(traffic(2, 200)[0], [column(scores)], NOON + 30)

    assert 30 <= len(first) <= 60
    assert 0 < len(later) <= 30
    assert choosing.dropped[SnippetDrop.BUDGET] > 0


def test_a_loud_slice_leaves_some_of_the_budget_to_the_others() -> None:
    choosing = chooser(calls_per_minute_max=5, per_minute_max=40)
    rising = np.linspace(0.6, 1.0, 500).tolist()  # each worse than all before
    quiet = [call(number, service=f"quiet-{number}", ended_at=NOON * 10**9) for number in range(15)]

    for number, score in enumerate(rising):
        choosing.choose([call(number, service="loud", ended_at=NOON * 10**9)], [column([score])], NOON)
    chosen = choosing.choose(quiet, [column([0.6] * len(quiet))], NOON)

    assert Counter(quiet[one.row].service for one in chosen) == Counter(one.service for one in quiet)


@given(st.lists(st.tuples(st.integers(-(10**6), 10**6), st.text(max_size=3)), max_size=200))
def test_what_it_remembers_is_bounded_whatever_the_calls_say(seen: list[tuple[int, str]]) -> None:
    choosing = chooser(per_minute_max=PLENTY, ttl_hours=2_000)

    for seconds, service in seen:
        choosing.choose([call(ended_at=(NOON + seconds) * 10**9, service=service)], [column([0.9])], NOON)

    assert len(choosing._minutes) <= 15


def ordinary(choosing: Chooser, calls: list[LLMCall]) -> list[Chosen]:
    """What is chosen of calls that no signal flags."""
    return choosing.choose(calls, [column([0.1] * len(calls))], NOON)


def test_ordinary_calls_are_chosen_only_where_that_is_asked_for() -> None:
    calls, _ = traffic(3, 20)

    assert ordinary(chooser(), calls) == []
    assert {(one.spec, one.key.column) for one in ordinary(chooser(drift_calls_per_minute_max=2), calls)} == {
        (None, DRIFT)
    }


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 40))
def test_the_first_of_a_minute_by_drift_s_hash_are_chosen_in_whatever_batches_and_workers(
    seed: int, most: int, batch: int
) -> None:
    calls, _ = traffic(seed, 60, minutes=3)
    workers = [chooser(drift_calls_per_minute_max=most, per_minute_max=PLENTY) for _ in range(2)]
    chosen = set()
    for number, at in enumerate(range(0, len(calls), batch)):
        chosen |= {one.key.trace_id for one in ordinary(workers[number % 2], calls[at : at + batch])}

    by_slice = defaultdict(list)
    for one in calls:
        ids_of = [np.frombuffer(bytes.fromhex(each), np.uint8)[None] for each in (one.trace_id, one.span_id)]
        by_slice[one.service, one.ended_at // (60 * 10**9)].append((int(ids(*ids_of)[0]), one.trace_id))
    for ranked in by_slice.values():
        assert {trace_id for _, trace_id in sorted(ranked)[:most]} <= chosen
    assert len(chosen) < len(calls)


def test_of_calls_without_a_word_none_is_chosen_and_old_ones_are_counted_as_so_many_as_would_be() -> None:
    silent = [call(number, last_user_text=None, outputs=()) for number in range(9)]
    old = [call(number, ended_at=0) for number in range(9)]
    choosing = chooser(drift_calls_per_minute_max=2)

    assert ordinary(choosing, []) == ordinary(choosing, silent) == []
    assert ordinary(choosing, old) == []
    assert choosing.dropped == {SnippetDrop.EXPIRED: 2}


def test_a_flagged_call_may_be_an_ordinary_one_too() -> None:
    chosen = chooser(drift_calls_per_minute_max=1).choose([call()], [column([0.9])], NOON)

    assert [one.key.column for one in chosen] == ["toxicity_output", DRIFT]
