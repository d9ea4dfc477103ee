"""The stages with their threads: an orderly end, an outage, a failure."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest
from obstore.store import MemoryStore

from collector.chain import Chain, ChainError
from collector.committer import Committer
from collector.config import ChainConfig, JoinConfig, LimitsConfig, OverloadConfig
from collector.intake import Intake, IntakeError
from collector.labels import Labels
from collector.pipeline import Pipeline
from collector.records import Kind
from collector.rows import SuiteId
from collector.scoring import Scorer
from collector.shedding import Shedding, positions
from collector.telemetry import Silent
from signals.types import Abstention
from tests.core.build import counted, eventually
from tests.fakes.otlp import FakeCall, traces
from tests.fakes.source import FakeLog, FakeSource
from tests.fakes.suite import HashSuite
from tests.simulation.world import Letters


class Recorder(Silent):
    """Remembers what was counted."""

    def __init__(self) -> None:
        self.calls = 0

    def count_delta(self, delta) -> None:
        self.calls += delta.calls.num_rows


class Slow(HashSuite):
    """Takes its time for every call that it may not leave out."""

    def score(self, exchanges, shed=None):
        left = len(exchanges) - (0 if shed is None else int((shed > 0).sum()))
        time.sleep(0.004 * left)
        return super().score(exchanges, shed)


@pytest.fixture
def log():
    log = FakeLog()
    log.create("otlp_spans", Kind.TRACES, 2)
    return log


def pipeline(
    log: FakeLog,
    chain: Chain,
    suite: HashSuite | None = None,
    shedding: Shedding | None = None,
    batch_calls_max: int = 256,
) -> Pipeline:
    source = FakeSource(log, assigned=log.partitions)
    source.start()
    telemetry = Recorder()
    scorer = suite or HashSuite()
    return Pipeline(
        intake=Intake(
            source=source,
            chain=chain,
            join=JoinConfig(settle_seconds=0.05, window_seconds=0.1, memory_seconds=30),
            limits=LimitsConfig(),
            telemetry=telemetry,
            clock=time.time,
        ),
        scorer=Scorer(scorer, telemetry),
        committer=Committer(
            chain=chain,
            dead_letters=Letters(),
            telemetry=telemetry,
            config=ChainConfig(flush_seconds=0.1),
            labels=Labels(values_max=10, chars_max=20),
            suite=SuiteId.of(scorer.specs),
            written_by="test",
        ),
        telemetry=telemetry,
        clock=time.time,
        shedding=shedding,
        poll_seconds=0.01,
        batch_calls_max=batch_calls_max,
    )


def produce(log: FakeLog, calls: int) -> None:
    now = time.time()
    for number in range(calls):
        log.append(log.partitions[number % 2], traces([FakeCall(number=number, at=now)]), timestamp=now)


def test_what_is_read_ends_in_the_chain_and_is_counted_once_live(log):
    chain = Chain(MemoryStore())
    produce(log, 200)
    running = pipeline(log, chain)
    running.start()
    eventually(lambda: counted(chain) == 200)
    running.drain()

    assert running.join(10)
    assert running.failure is None
    assert running.telemetry.calls == 200
    assert log.committed == dict.fromkeys(log.partitions, 100)


def test_a_drain_commits_what_is_scored_and_the_next_owner_goes_on(log):
    chain = Chain(MemoryStore())
    produce(log, 100)
    first = pipeline(log, chain)
    first.start()
    eventually(lambda: counted(chain) > 0)
    first.drain()
    first.drain()
    assert first.join(10)
    second = pipeline(log, chain)
    second.start()
    eventually(lambda: counted(chain) == 100)
    second.drain()

    assert second.join(10)
    assert counted(chain) == 100


def test_a_drain_that_is_cut_short_commits_what_is_scored_and_the_next_owner_scores_the_rest_once(log):
    chain = Chain(MemoryStore())
    produce(log, 400)
    first = pipeline(log, chain, Slow(), batch_calls_max=10)
    first.start()
    eventually(lambda: counted(chain) > 0)
    first.cut_short()
    assert first.join(1.0)  # scoring the rest would take longer
    scored_first = counted(chain)
    second = pipeline(log, chain)
    second.start()
    eventually(lambda: counted(chain) == 400)
    second.drain()

    assert second.join(10)
    assert first.failure is None
    assert scored_first < 400
    assert counted(chain) == 400


def test_an_outage_of_the_store_loses_nothing(log, monkeypatch):
    chain = Chain(MemoryStore())
    append, left = chain.append, [3]

    def failing(delta, *, stale):
        if left[0]:
            left[0] -= 1
            raise ChainError("away")
        return append(delta, stale=stale)

    monkeypatch.setattr(chain, "append", failing)
    monkeypatch.setattr("collector.pipeline.RETRY_SECONDS", (0.01,))
    produce(log, 50)
    running = pipeline(log, chain)
    running.start()
    eventually(lambda: counted(chain) == 50)
    running.drain()

    assert running.join(10)
    assert running.chain_up


def test_each_partition_that_cannot_be_opened_is_told_once_and_opened_when_it_can(log, monkeypatch, caplog):
    chain = Chain(MemoryStore())
    head, left = chain.head, [4]

    def failing(*arguments):
        if left[0]:
            left[0] -= 1
            raise ChainError("away")
        return head(*arguments)

    monkeypatch.setattr(chain, "head", failing)
    monkeypatch.setattr("collector.intake.OPEN_RETRY_SECONDS", 0.01)
    produce(log, 50)
    running = pipeline(log, chain)
    running.start()
    eventually(lambda: counted(chain) == 50)
    running.drain()

    assert running.join(10)
    told = [record.getMessage().partition(",")[0] for record in caplog.records if record.levelname == "WARNING"]
    assert "cannot open otlp_spans/0" in told
    assert len(told) == len(set(told))


def test_a_stage_that_breaks_its_promise_stops_everything_before_the_chain_moves(log):
    class Broken(HashSuite):
        def score(self, exchanges, shed=None):
            if exchanges:
                raise AssertionError("an invariant is broken")
            return super().score(exchanges, shed)

    chain = Chain(MemoryStore())
    produce(log, 10)
    running = pipeline(log, chain, Broken())
    running.start()

    assert running.join(10)
    assert isinstance(running.failure, AssertionError)
    assert chain.streams() == []


def test_behind_its_bound_it_sheds_whole_traces_counts_every_call_and_ends_shedding_with_the_lag(log):
    config = OverloadConfig(lag_seconds_max=1, drain_seconds=0.001, step_seconds=0.05, calm_seconds=0.2, keep_ratio=0.3)
    chain = Chain(MemoryStore())
    produce(log, 600)
    running = pipeline(log, chain, Slow(), Shedding(config=config, steps=1), batch_calls_max=20)
    running.start()
    eventually(lambda: running.shedding.level > 0)
    eventually(lambda: running.telemetry.calls == 600)
    eventually(lambda: running.shedding.level == 0 and running.lag_seconds < config.lag_seconds_max)
    running.drain()

    assert running.join(10)
    assert running.failure is None
    calls = pa.concat_tables([link.delta.calls for stream in chain.streams() for link in chain.walk(stream)])
    shed = np.array([reason == "shed" for reason in calls.column("unscored").to_pylist()])
    places = positions([trace.hex() for trace in calls.column("trace_id").to_pylist()])
    assert shed.any()
    assert places[shed].max() < 1 - config.keep_ratio
    assert set(calls.column("s_toxicity_output").filter(shed).to_pylist()) == {-Abstention.SHED}


def test_a_chain_that_is_ahead_of_its_log_is_refused(log):
    chain = Chain(MemoryStore())
    produce(log, 20)
    first = pipeline(log, chain)
    first.start()
    eventually(lambda: counted(chain) == 20)
    first.drain()
    assert first.join(10)
    log._shelves[log.partitions[0]].end = 3

    second = pipeline(log, chain)
    second.start()

    assert second.join(10)
    assert isinstance(second.failure, IntakeError)


def test_stopping_twice_or_before_the_start_is_safe(log):
    running = pipeline(log, Chain(MemoryStore()))
    running.drain()
    running.abort()

    assert running.join(1)
