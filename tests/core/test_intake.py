"""How the intake opens partitions when chain or log do not answer."""

from __future__ import annotations

import pytest
from obstore.store import MemoryStore

from collector.chain import Chain, ChainError
from collector.config import JoinConfig, LimitsConfig
from collector.delta import DeltaError
from collector.intake import OPEN_RETRY_SECONDS, Intake
from collector.records import Kind
from collector.telemetry import Silent
from tests.core.build import NOON
from tests.fakes.source import FakeLog, FakeSource


class Troubled(Chain):
    """A chain with an error for every stream of some partitions."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.errors: dict[int, Exception] = {}
        self.asked: list[int] = []

    def head(self, stream, *keep):
        self.asked.append(stream.partition)
        if error := self.errors.get(stream.partition):
            raise error
        return super().head(stream, *keep)


@pytest.fixture
def chain():
    return Troubled()


@pytest.fixture
def clock():
    return [float(NOON)]


@pytest.fixture
def intake(chain, clock):
    log = FakeLog()
    source = FakeSource(log, assigned=log.create("otlp_spans", Kind.TRACES, 4))
    source.start()
    return Intake(
        source=source,
        chain=chain,
        join=JoinConfig(),
        limits=LimitsConfig(),
        telemetry=Silent(),
        clock=lambda: clock[0],
    )


def opened(intake):
    return sorted(partition.number for partition in intake.opened)


def test_an_outage_of_the_chain_costs_one_opening_a_turn(intake, chain):
    chain.errors = dict.fromkeys(range(4), ChainError("away"))

    intake.turn(0.0)

    assert len(chain.asked) == 1
    assert not intake.ready


def test_after_the_outage_everything_is_opened(intake, chain, clock):
    chain.errors = dict.fromkeys(range(4), ChainError("away"))
    for _ in range(6):
        intake.turn(0.0)
        clock[0] += 0.1
    chain.errors = {}
    clock[0] += OPEN_RETRY_SECONDS

    intake.turn(0.0)

    assert intake.ready
    assert opened(intake) == [0, 1, 2, 3]


@pytest.mark.parametrize("error", [DeltaError("damaged"), ChainError("denied")])
def test_a_partition_that_cannot_be_opened_keeps_no_other_from_it_and_is_told_once(intake, chain, clock, caplog, error):
    chain.errors = {0: error}
    for _ in range(40):
        intake.turn(0.0)
        clock[0] += 0.1

    assert opened(intake) == [1, 2, 3]
    assert (intake.refused, intake.ready) == (1, False)
    assert 3 <= chain.asked.count(0) <= 5
    assert [record.getMessage() for record in caplog.records] == [f"cannot open otlp_spans/0, will try again: {error}"]


def test_a_clock_that_is_turned_back_does_not_put_an_opening_off(intake, chain, clock):
    chain.errors = {0: DeltaError("damaged")}
    intake.turn(0.0)
    chain.errors = {}
    clock[0] -= 3_600

    intake.turn(0.0)

    assert intake.ready
