"""Overload: what is left out, of which traces, and that the level neither flaps nor stays."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from collector.chain import Chain
from collector.config import Config, OverloadConfig
from collector.daemon import Daemon
from collector.records import Kind
from collector.shedding import SHARES, Shedding, depths, positions, shares
from tests.core.build import NOON
from tests.core.test_pipeline import pipeline
from tests.fakes.source import FakeLog
from tests.fakes.suite import HashSuite

CONFIG = OverloadConfig(lag_seconds_max=600, drain_seconds=1_800, step_seconds=60, calm_seconds=300, keep_ratio=0.05)
LOOK_SECONDS = 20.0
HOUR = 3_600.0

levels = st.integers(0, 3 * len(SHARES))
trace_ids = st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), min_size=1, max_size=30)


def traces(count: int) -> list[str]:
    rng = random.Random(0)
    return [f"{rng.getrandbits(128):032x}" for _ in range(count)]


class Plant:
    """A log that grows by a second a second, and a scorer that reads it at a pace which shedding raises."""

    def __init__(self, config: OverloadConfig = CONFIG, steps: int = 2) -> None:
        self.shedding = Shedding(config=config, steps=steps)
        self.now = 0.0
        self.lag = 0.0
        self.levels: list[int] = []

    def run(self, seconds: float, load: float) -> None:
        """``load``: seconds of work that a second of the log brings when nothing is shed; the models are all of it."""
        for _ in range(int(seconds / LOOK_SECONDS)):
            left = 1 - sum(self.shedding.shares) / self.shedding.steps
            self.lag = max(0.0, self.lag + LOOK_SECONDS * (1 - 1 / max(load * left, 1e-3)))
            self.now += LOOK_SECONDS
            self.levels.append(self.shedding.look(self.now, self.lag))

    @property
    def changes(self) -> int:
        return int(np.count_nonzero(np.diff(self.levels)))


@given(levels, st.integers(1, 3), st.floats(0, 1))
def test_a_higher_level_leaves_out_more_and_a_later_step_never_more_than_an_earlier(
    level: int, steps: int, keep: float
) -> None:
    level = min(level, steps * len(SHARES))
    now = shares(level, steps, keep)

    assert len(now) == steps
    assert list(now) == sorted(now, reverse=True)
    assert max(now) <= 1 - keep
    if level:
        assert sum(now) >= sum(shares(level - 1, steps, keep))


@given(trace_ids, levels, levels)
def test_what_a_level_leaves_out_a_higher_one_leaves_out_too(ids: list[str], one: int, other: int) -> None:
    low, high = (depths(ids, shares(level, 3, 0.05)) for level in sorted((one, other)))

    assert (low <= high).all()


@given(trace_ids, levels)
def test_a_trace_is_left_out_whole_whatever_shares_its_batch(ids: list[str], level: int) -> None:
    falling = shares(level, 3, 0.05)

    together = depths(ids, falling)

    assert together.tolist() == [int(depths([trace], falling)[0]) for trace in ids]


@pytest.mark.parametrize("level", [1, 3, 4, 6, 8])
def test_the_share_that_is_left_out_is_the_share_of_the_level(level: int) -> None:
    ids = traces(20_000)
    falling = shares(level, 2, 0.05)

    found = depths(ids, falling)

    for step, share in enumerate(falling):
        assert np.mean(found > step) == pytest.approx(share, abs=0.015)


def test_the_place_of_a_trace_is_the_same_for_ever() -> None:
    assert positions(["0" * 31 + "1", "f" * 32]).round(6).tolist() == [0.669353, 0.108424]


def test_nothing_is_shed_at_level_0() -> None:
    assert Shedding(config=CONFIG, steps=2).depths(traces(3)) is None


def test_without_a_bound_on_the_lag_nothing_is_ever_shed() -> None:
    plant = Plant(OverloadConfig())

    plant.run(48 * HOUR, load=5.0)

    assert plant.shedding.level == 0


def test_a_lag_that_drains_by_itself_sheds_nothing() -> None:
    plant = Plant()
    plant.lag = 8 * HOUR  # the daemon was down over night

    plant.run(2 * HOUR, load=0.05)

    assert plant.changes == 0
    assert plant.lag == 0


def test_a_plant_that_keeps_up_never_sheds() -> None:
    plant = Plant()

    plant.run(48 * HOUR, load=0.95)

    assert plant.changes == 0


@pytest.mark.parametrize("load", [1.1, 1.5, 2.0, 4.0, 8.0])
def test_under_an_overload_the_lag_falls_below_its_bound_again(load: float) -> None:
    plant = Plant()

    plant.run(12 * HOUR, load)

    assert max(plant.levels) > 0
    assert plant.lag <= CONFIG.lag_seconds_max


@pytest.mark.parametrize("load", [1.1, 1.5, 2.0, 4.0])
def test_a_constant_overload_does_not_make_the_level_flap(load: float) -> None:
    plant = Plant()
    plant.run(48 * HOUR, load)
    settled = len(plant.levels)

    plant.run(48 * HOUR, load)

    late = np.diff(plant.levels[settled:])
    assert np.count_nonzero(late) <= 2 * 48 / 6 + 2  # one try, and its undoing, in six hours
    assert np.abs(late).max(initial=0) <= 1


def test_after_the_overload_the_level_goes_back_to_0() -> None:
    plant = Plant()
    plant.run(2 * HOUR, load=4.0)
    raised = plant.shedding.level

    plant.run(24 * HOUR, load=0.3)

    assert raised > 0
    assert plant.shedding.level == 0


def test_the_level_moves_by_one_and_no_faster_than_it_may() -> None:
    plant = Plant()

    plant.run(2 * HOUR, load=20.0)

    changed = np.flatnonzero(np.diff(plant.levels))
    assert np.abs(np.diff(plant.levels)).max() == 1
    assert np.diff(changed).min() * LOOK_SECONDS >= CONFIG.step_seconds


def test_a_lag_that_grew_while_a_store_was_away_or_the_process_froze_sheds_nothing_by_itself() -> None:
    for away in (True, False):
        shedding = Shedding(config=CONFIG, steps=2)
        shedding.look(0.0, 0.0)
        if away:
            shedding.look_away()

        for seconds in range(0, 600, 10):  # two hours later, and a second a second is caught up
            shedding.look(2 * HOUR + seconds, CONFIG.drain_seconds - 2 * seconds)

        assert shedding.level == 0


def test_a_clock_that_is_turned_back_stops_neither_the_way_up_nor_the_way_down() -> None:
    shedding = Shedding(config=OverloadConfig(lag_seconds_max=60), steps=2)
    step, calm = shedding.config.step_seconds, shedding.config.calm_seconds
    shedding.look(NOON, 300)
    shedding.look(NOON - 3_600, 300)

    assert shedding.look(NOON - 3_600 + step, 300 + step) == 1
    shedding.look(NOON - 3_600 + step + 1, 0)
    shedding.look(NOON - 7_200, 0)
    assert shedding.look(NOON - 7_200 + calm, 0) == 0


def test_at_the_highest_level_the_kept_share_still_has_every_signal() -> None:
    shedding = Shedding(config=CONFIG, steps=2)
    for minute in range(30):
        shedding.look(minute * 60.0, 1_000.0 + minute * 60.0)

    found = shedding.depths(traces(20_000))

    assert shedding.level == 2 * len(SHARES)
    assert found is not None
    assert np.mean(found == 0) == pytest.approx(CONFIG.keep_ratio, abs=0.01)


def daemon(tmp_path: Path, **overload: float) -> Daemon:
    return Daemon(Config.model_validate({"source": {"otlp": {}}, "data": tmp_path, "overload": overload}))


def test_by_default_nothing_may_be_shed_and_a_replay_never_is(tmp_path: Path) -> None:
    spans = tmp_path / "spans.pb"
    spans.touch()
    replay = {"source": {"replay": {"traces": [spans]}}, "data": tmp_path, "overload": {"lag_seconds_max": 60}}

    assert daemon(tmp_path)._shedding(HashSuite()) is None
    assert Daemon(Config.model_validate(replay))._shedding(HashSuite()) is None
    assert daemon(tmp_path, lag_seconds_max=60)._shedding(HashSuite()) is not None


def test_the_level_and_what_it_leaves_out_are_metrics(tmp_path: Path) -> None:
    log = FakeLog()
    log.create("otlp_spans", Kind.TRACES, 1)
    told = daemon(tmp_path, lag_seconds_max=60)
    running = pipeline(log, Chain(MemoryStore()), shedding=told._shedding(HashSuite()))
    assert running.shedding is not None
    running.shedding.level = 2

    told.gauges.path(running, running.intake.source, "memory")

    page = told.exporter.render()[0].decode()
    assert "assay_shed_level 2" in page
    assert 'assay_shed_ratio{signal="toxicity"} 0.475' in page
    assert "assay_lag_seconds 0" in page


@pytest.mark.parametrize("chain_up", [True, False])
def test_only_where_the_store_answers_is_a_lag_a_reason_to_shed(chain_up: bool) -> None:
    log = FakeLog()
    log.create("otlp_spans", Kind.TRACES, 1)
    shedding = Shedding(config=CONFIG, steps=2)
    running = pipeline(log, Chain(MemoryStore()), shedding=shedding)
    running.intake.time.now, running.trouble = 1.0, "" if chain_up else "away"

    for now in range(1_000, 2_000, 10):
        running.clock = lambda now=now: float(now)
        running._look()

    assert (shedding.level > 0) == chain_up
