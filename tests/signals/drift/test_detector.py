"""The detector: fair bets, the promised alarms, and the same bytes however the pairs are cut or shared out."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import reduce
from itertools import product
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals.drift.detector import (
    BLOCK,
    COMPONENTS,
    HALF_LIVES,
    LOG_E_MAX,
    SCALES,
    STAKE_MAX,
    Increment,
    State,
    advance,
    arl_calls,
    bets,
    increment,
    run,
    state_bytes,
    threshold,
)
from signals.drift.features import RANDOM, features
from signals.sketch import DIMENSIONS
from tests.signals.drift.traffic import mixed

ALPHA = 1e-3
portions = st.lists(st.integers(1, 70), min_size=1, max_size=12)


def shifted(calls: int = 300, share: float = 0.5) -> State:
    """A state that has seen a shift: its bets are not 0."""
    return run(State.initial(), mixed(1, calls, new_share=share), mixed(2, calls))[0]


def delay(logs: list[float]) -> float:
    return next((BLOCK * (at + 1) for at, log in enumerate(logs) if log >= threshold(ALPHA)), math.inf)


def test_thresholds_and_run_lengths_follow_from_alpha() -> None:
    assert threshold(ALPHA) == pytest.approx(math.log(1000))
    assert arl_calls(ALPHA) == pytest.approx(20_000)


@pytest.mark.parametrize("alpha", [0, -1, 1, 2, 1e-9, math.nan])
def test_an_alpha_that_no_alarm_could_keep_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        threshold(alpha)


def test_exchanging_a_pair_turns_its_payoff_over() -> None:
    fixed = bets(shifted())
    today, before = mixed(3, 50, new_share=0.5), mixed(4, 50)

    there, back = increment(fixed, today, before), increment(fixed, before, today)

    assert (there.payoff == -back.payoff).all()
    assert (there.payoff_square == back.payoff_square).all()
    assert (there.difference == -back.difference).all()


def test_over_all_exchanges_of_a_block_the_bets_win_nothing() -> None:
    fixed = bets(shifted())
    today, before = mixed(3, 8, new_share=0.5), mixed(4, 8)

    wealth = np.zeros(COMPONENTS)
    for swaps in product([False, True], repeat=8):
        swap = np.array(swaps)[:, None]
        found = increment(fixed, np.where(swap, before, today), np.where(swap, today, before))
        wealth += np.exp(found.log * 2.0**-32) / 2**8

    assert (fixed.stake > 0).any()
    assert wealth == pytest.approx(np.ones(COMPONENTS), abs=1e-8)


def test_stakes_are_bounded_and_the_first_block_stakes_nothing() -> None:
    assert (bets(State.initial()).stake == 0).all()
    assert (bets(shifted(share=1.0)).stake <= STAKE_MAX).all()


def test_quiet_streams_raise_no_alarm() -> None:
    highest = [max(run(State.initial(), mixed(seed, 1_000), mixed(seed + 500, 1_000))[1]) for seed in range(20)]

    assert max(highest) < threshold(ALPHA)


def test_the_process_without_restarts_stays_below_the_detector() -> None:
    state, _ = run(State.initial(), mixed(1, 1_000), mixed(2, 1_000))

    assert (state.log_processes <= state.log_detectors).all()
    assert state.log_e_process <= state.log_e


def test_a_baseline_that_is_used_again_and_again_alarms_on_quiet_streams() -> None:
    """The trap that fresh pairing avoids: this must fail loudly if someone makes it convenient to reuse calls."""
    pool = mixed(99, 300)

    late = [run(State.initial(), mixed(seed, 3_000), np.tile(pool, (10, 1)))[1] for seed in range(4)]

    assert sum(max(logs) >= threshold(ALPHA) for logs in late) >= 3


def test_a_complete_shift_alarms_within_a_hundred_calls() -> None:
    delays = [
        delay(run(State.initial(), mixed(seed, 200, new_share=1.0), mixed(seed + 500, 200))[1]) for seed in range(5)
    ]

    assert max(delays) <= 100


def test_a_change_of_shape_that_leaves_the_mean_is_seen_by_the_random_features() -> None:
    rng = np.random.default_rng(5)
    direction = mixed(1, 1)
    signs = rng.choice([-1.0, 1.0], size=(3_000, 1)).astype(np.float32)
    today, before = 1.5 * signs * direction + 0.1 * mixed(2, 3_000), 0.2 * signs * direction + 0.1 * mixed(3, 3_000)

    state, _ = run(State.initial(), today.astype(np.float32), before.astype(np.float32))

    assert state.log_detectors[len(HALF_LIVES) :].max() > threshold(ALPHA)
    assert state.log_e > threshold(ALPHA)


def test_more_baseline_calls_to_a_call_alarm_sooner() -> None:
    def median(k: int) -> float:
        return float(
            np.median(
                [
                    delay(
                        run(
                            State.initial(),
                            mixed(seed, 900, new_share=0.15),
                            mixed(seed + 500, 900 * k).reshape(900, k, DIMENSIONS),
                        )[1]
                    )
                    for seed in range(5)
                ]
            )
        )

    assert median(4) < median(1)


def test_one_baseline_call_to_a_call_may_come_with_or_without_its_axis() -> None:
    today, before = mixed(1, 100, new_share=0.3), mixed(2, 100)

    assert run(State.initial(), today, before)[1] == run(State.initial(), today, before[:, None])[1]


def reference(today: np.ndarray, before: np.ndarray) -> np.ndarray:
    """log M of each component after whole blocks, by the formulas of the module's docstring, one pair after another."""
    difference = features(today).astype(float) - features(before).astype(float)
    found = []
    for component in range(COMPONENTS):
        part = slice(0, DIMENSIONS) if component < len(HALF_LIVES) else slice(DIMENSIONS, None)
        keep = 0.5 ** (BLOCK / HALF_LIVES[component % len(HALF_LIVES)])
        mean, payoff, second, square, log_m = np.zeros(difference[:, part].shape[1]), 0.0, 0.0, 0.0, 0.0
        for block in range(len(today) // BLOCK):
            length = np.linalg.norm(mean)
            witness = np.rint(mean / length * 2**12) / 2**12 if length else mean
            seen = 1 - keep**block
            scale = max(math.sqrt(square / seen), 1e-6) if seen else 1e-6
            stake = min(max(payoff / max(second, 1e-12 * seen), 0), STAKE_MAX) if seen else 0.0
            rows = difference[block * BLOCK : (block + 1) * BLOCK, part]
            apart = [float(row @ witness) for row in rows]
            paid = [min(max(value / (SCALES * scale), -1), 1) for value in apart]
            log_m = max(0.0, log_m) + sum(math.log(1 + stake * y) for y in paid)
            mean = keep * mean + (1 - keep) * rows.mean(axis=0)
            payoff = keep * payoff + (1 - keep) * sum(paid) / BLOCK
            second = keep * second + (1 - keep) * sum(y * y for y in paid) / BLOCK
            square = keep * square + (1 - keep) * sum(value**2 for value in apart) / BLOCK
        found.append(log_m)
    return np.array(found)


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_the_detector_does_what_its_formulas_say(share: float) -> None:
    today, before = mixed(7, 400, new_share=share), mixed(8, 400)

    state, _ = run(State.initial(), today, before)

    assert state.log_detectors == pytest.approx(reference(today, before), abs=1e-5)


@given(portions)
@settings(max_examples=25, deadline=None)
def test_any_portions_give_the_same_state_to_the_byte(sizes: list[int]) -> None:
    total = sum(sizes)
    today, before = mixed(5, total, new_share=0.4), mixed(6, total)
    whole, logs = run(State.initial(), today, before)

    state, found, at = State.initial(), [], 0
    for size in sizes:
        state, more = run(state, today[at : at + size], before[at : at + size])
        state = State.from_bytes(state.to_bytes())
        found += more
        at += size

    assert state.to_bytes() == whole.to_bytes()
    assert found == logs


@pytest.mark.parametrize("replicas", [1, 4, 32])
def test_replicas_that_share_each_block_agree_with_one_stream(replicas: int) -> None:
    today, before = mixed(5, 600, new_share=0.2), mixed(6, 600)
    single, _ = run(State.initial(), today, before)
    owner = np.random.default_rng(replicas).integers(0, replicas, len(today))

    merged = State.initial()
    for start in range(0, len(today), BLOCK):
        fixed, rows = bets(merged), np.arange(start, start + BLOCK)
        shares = [rows[owner[rows] == replica] for replica in range(replicas)]
        parts = [increment(fixed, today[mine], before[mine]) for mine in reversed(shares)]
        merged = advance(merged, reduce(add, parts))

    assert merged.log_e == pytest.approx(single.log_e, abs=1e-6)
    assert merged.to_bytes() == single.to_bytes()


def test_a_block_takes_no_more_than_its_pairs() -> None:
    state = State.initial()
    too_many = increment(bets(state), mixed(1, BLOCK + 1), mixed(2, BLOCK + 1))

    with pytest.raises(ValueError, match="block"):
        advance(state, too_many)


def test_no_pairs_change_nothing() -> None:
    state = shifted(310)

    after, logs = run(state, mixed(1, 0), mixed(2, 0))

    assert (after.to_bytes(), logs) == (state.to_bytes(), [])
    assert after.calls == 310
    assert advance(state, Increment.empty()).to_bytes() == state.to_bytes()


@pytest.mark.parametrize(
    ("today", "before"),
    [((3, 384), (3, 384)), ((3, DIMENSIONS), (2, DIMENSIONS)), ((3, DIMENSIONS), (3, 0, DIMENSIONS)), ((3,), (3,))],
)
def test_what_is_no_pair_is_refused(today: tuple[int, ...], before: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="pairs"):
        run(State.initial(), np.zeros(today, dtype=np.float32), np.zeros(before, dtype=np.float32))


def test_each_of_the_two_detectors_remembers_less_than_four_kilobytes() -> None:
    assert len(shifted().to_bytes()) == state_bytes() < 2 * 4096
    assert DIMENSIONS == RANDOM  # so that each takes half


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: b"xxxx" + data[4:], lambda data: b""])
def test_other_bytes_are_no_state(spoil) -> None:
    with pytest.raises(ValueError, match="no state"):
        State.from_bytes(spoil(shifted().to_bytes()))


def test_after_an_alarm_a_shift_that_lasts_alarms_again_at_once_and_one_that_ended_does_not() -> None:
    alarmed = shifted(share=1.0)
    _, lasting = run(alarmed.restarted(), mixed(3, 100, new_share=1.0), mixed(4, 100))
    _, ended = run(alarmed.restarted(), mixed(3, 1_000), mixed(4, 1_000))

    assert alarmed.log_e == pytest.approx(LOG_E_MAX)
    assert delay(lasting) <= 60
    assert max(ended) < threshold(ALPHA)


def test_evidence_has_a_ceiling() -> None:
    state = replace(shifted(share=1.0), log_detectors=np.full(COMPONENTS, LOG_E_MAX))

    after, _ = run(state, mixed(3, 200, new_share=1.0), mixed(4, 200))

    assert after.log_e == pytest.approx(LOG_E_MAX)


def test_vectors_of_other_dimensions_have_states_of_their_own() -> None:
    rng = np.random.default_rng(1)
    today, before = rng.normal(size=(2, 100, 384)).astype(np.float32) / 20

    state, logs = run(State.initial(384), today, before)

    assert len(logs) == 5
    assert State.from_bytes(state.to_bytes()).dimensions == 384
