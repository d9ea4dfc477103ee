"""A snippet is stored only where its call was counted, and nothing that happens to snippets touches the counting."""

from __future__ import annotations

import threading
import time

import pytest
from obstore.store import LocalStore, MemoryStore

from collector.chain import Chain, ChainError, Conflict
from collector.committer import Committer
from collector.config import ChainConfig, JoinConfig, LimitsConfig
from collector.delta import Stream
from collector.intake import Closed, Intake, Opened, Read, Step
from collector.labels import Labels
from collector.pipeline import Pipeline
from collector.records import Kind, SnippetDrop
from collector.rows import SuiteId
from collector.scoring import Scorer
from collector.snippets.record import Key
from collector.snippets.writing import QUEUE_MAX, Writer
from tests.core import build
from tests.core.build import counted, eventually
from tests.fakes.otlp import FakeCall, traces
from tests.fakes.source import FakeLog, FakeSource
from tests.fakes.suite import HashSuite
from tests.simulation.world import Letters
from tests.snippets.build import Clock, Counts, Memory, maker, pending, shelf


class Kept:
    """Takes what it is given, as the writer does."""

    def __init__(self) -> None:
        self.keys: list[Key] = []

    def keep(self, snippets) -> None:
        self.keys += [one.key for one in snippets]


def committer(chain: Chain, keeper: object, telemetry: Counts | None = None, name: str = "one") -> Committer:
    return Committer(
        chain=chain,
        dead_letters=Letters(),
        telemetry=telemetry or Counts(),
        config=ChainConfig(flush_seconds=0.1),
        labels=Labels(values_max=10, chars_max=20),
        suite=SuiteId.of([build.TOXICITY]),
        written_by=name,
        keeper=keeper,  # type: ignore[arg-type]
    )


def opened(start: int = 0) -> Opened:
    return Opened(
        partition=build.PARTITION,
        stream=build.STREAM,
        start=start,
        first=start,
        resume_at=0.0,
        labels={},
        at=build.NOON,
    )


def take(committing: Committer, offsets: range, *, open_at: int | None = None) -> None:
    """Read, score and flag the calls of some offsets."""
    events = [
        *([opened(open_at)] if open_at is not None else []),
        *(Read(anchor=build.anchor(offset), timestamp=float(build.NOON), candidates=1) for offset in offsets),
    ]
    step = Step(
        events=tuple(events),
        anchors=tuple(build.anchor(offset) for offset in offsets),
        calls=tuple(build.call(offset) for offset in offsets),
    )
    committing.take(step, build.scores(len(offsets)), build.NOON, [pending(offset) for offset in offsets])


def flush(committing: Committer) -> None:
    committing.flush(build.NOON + 60, everything=True)


def test_snippets_are_handed_on_when_their_calls_are_durable_and_not_before() -> None:
    kept = Kept()
    committing = committer(Chain(MemoryStore()), kept)

    take(committing, range(3), open_at=0)
    before = list(kept.keys)
    flush(committing)
    take(committing, range(3, 5))
    flush(committing)

    assert before == []
    assert kept.keys == [pending(offset).key for offset in range(5)]


def test_snippets_of_calls_behind_an_unfinished_one_wait_with_them() -> None:
    kept = Kept()
    committing = committer(Chain(MemoryStore()), kept)
    take(committing, range(2), open_at=0)
    unfinished = Read(anchor=build.anchor(2), timestamp=float(build.NOON), candidates=1)
    committing.take(Step(events=(unfinished,), anchors=(), calls=()), build.scores(0), build.NOON)
    take(committing, range(3, 4))

    flush(committing)

    assert kept.keys == [pending(offset).key for offset in range(2)]


def test_whoever_loses_the_race_stores_no_text() -> None:
    chain, telemetry = Chain(MemoryStore()), Counts()
    winner, loser = Kept(), Kept()
    one, other = committer(chain, winner), committer(chain, loser, telemetry, "other")
    take(one, range(3), open_at=0)
    take(other, range(2), open_at=0)

    flush(one)
    flush(other)

    assert len(winner.keys) == 3
    assert loser.keys == []
    assert telemetry.dropped() == {SnippetDrop.NOT_OURS: 2}


def test_a_partition_that_is_taken_away_takes_its_snippets_along() -> None:
    telemetry, kept = Counts(), Kept()
    committing = committer(Chain(MemoryStore()), kept, telemetry)
    take(committing, range(2), open_at=0)

    committing.take(Step(events=(Closed(partition=build.PARTITION),)), build.scores(0), build.NOON)
    take(committing, range(2, 4))
    flush(committing)

    assert kept.keys == []
    assert telemetry.dropped() == {SnippetDrop.NOT_OURS: 4}


def test_an_append_whose_answer_was_lost_hands_them_on_once() -> None:
    class Forgetful(Chain):
        """Takes a delta and does not say so, once."""

        lost = 0

        def append(self, delta, *, stale=False):
            found = super().append(delta, stale=stale)
            if not self.lost:
                self.lost += 1
                raise ChainError("timeout")
            return found

    kept = Kept()
    committing = committer(Forgetful(MemoryStore()), kept)
    take(committing, range(3), open_at=0)

    with pytest.raises(ChainError, match="timeout"):
        flush(committing)
    between = list(kept.keys)
    flush(committing)

    assert between == []
    assert kept.keys == [pending(offset).key for offset in range(3)]


def test_a_process_that_dies_before_it_stores_them_loses_them_and_no_call() -> None:
    chain, memory = Chain(MemoryStore()), Memory()
    dying = committer(chain, Writer(shelf(memory), Counts()))  # its thread never runs
    take(dying, range(3), open_at=0)
    flush(dying)

    writer = Writer(shelf(memory), Counts())
    writer.start()
    heir = committer(chain, writer, name="heir")
    take(heir, range(3, 5), open_at=3)
    flush(heir)
    writer.close()

    assert [(link.start, link.next) for link in chain.walk(build.STREAM)] == [(0, 3), (3, 5)]
    assert {Key.of(path) for path in memory.objects} == {pending(offset).key for offset in (3, 4)}


def test_a_range_that_is_read_again_after_a_death_is_stored_once() -> None:
    chain, memory = Chain(MemoryStore()), Memory()
    for name in ("first", "again"):  # the second one's range is already counted
        writer = Writer(shelf(memory), Counts())
        writer.start()
        committing = committer(chain, writer, name=name)
        take(committing, range(3), open_at=0)
        flush(committing)
        writer.close()

    assert len(memory.objects) == 3
    assert isinstance(chain.append(build.delta(0, 3)), Conflict)


def test_the_writer_stores_what_it_is_given_and_counts_it() -> None:
    memory, telemetry = Memory(), Counts()
    writer = Writer(shelf(memory), telemetry)
    writer.start()

    writer.keep([pending(0), pending(1), pending(0, "another text")])
    writer.close()
    writer.close()

    assert set(memory.objects) == {pending(0).key.path, pending(1).key.path}
    assert telemetry.counts["snippets_written_total", ""] == 2
    assert telemetry.dropped() == {SnippetDrop.TAKEN: 1}


def test_a_store_that_is_away_costs_snippets_and_no_time(caplog: pytest.LogCaptureFixture) -> None:
    memory, telemetry = Memory(away=True), Counts()
    writer = Writer(shelf(memory), telemetry)
    writer.start()
    writer.keep([pending(number) for number in range(3)])
    eventually(lambda: telemetry.dropped() == {SnippetDrop.STORE: 3})
    memory.away = False
    writer.keep([pending(9)])
    writer.close()

    assert list(memory.objects) == [pending(9).key.path]
    assert len(caplog.records) == 1
    assert "idiot" not in caplog.text


def test_a_store_that_hangs_fills_a_queue_and_blocks_nobody() -> None:
    gate, telemetry = threading.Event(), Counts()

    class Hanging(Memory):
        def create(self, path: str, data: bytes) -> bool:
            gate.wait(30)
            return super().create(path, data)

    memory = Hanging()
    writer = Writer(shelf(memory), telemetry)
    writer.start()
    began = time.monotonic()
    writer.keep([pending(number) for number in range(QUEUE_MAX + 50)])
    took = time.monotonic() - began
    gate.set()
    writer.close()

    assert took < 10
    assert 49 <= telemetry.dropped()[SnippetDrop.QUEUE] <= 50
    assert len(memory.objects) + telemetry.dropped()[SnippetDrop.QUEUE] == QUEUE_MAX + 50


def test_closing_a_writer_that_never_ran_is_safe() -> None:
    Writer(shelf(), Counts()).close()


@pytest.mark.parametrize("away", [False, True])
def test_the_pipeline_counts_every_call_whatever_becomes_of_snippets(away: bool) -> None:
    log = FakeLog()
    log.create("otlp_spans", Kind.TRACES, 2)
    now = time.time()
    for number in range(100):
        log.append(log.partitions[number % 2], traces([FakeCall(number=number, at=now)]), timestamp=now)
    chain, memory, telemetry, scorer = Chain(MemoryStore()), Memory(away=away), Counts(), HashSuite()
    source = FakeSource(log, assigned=log.partitions)
    source.start()
    writer = Writer(shelf(memory, Clock(now)), telemetry)
    writer.start()
    join = JoinConfig(settle_seconds=0.05, window_seconds=0.1, memory_seconds=30)
    committing = committer(chain, writer, telemetry)
    committing.suite = SuiteId.of(scorer.specs)
    running = Pipeline(
        intake=Intake(
            source=source, chain=chain, join=join, limits=LimitsConfig(), telemetry=telemetry, clock=time.time
        ),
        scorer=Scorer(scorer, telemetry),
        committer=committing,
        telemetry=telemetry,
        clock=time.time,
        snippets=maker(telemetry, calls_per_minute_max=100, per_minute_max=1_000),
        poll_seconds=0.01,
    )
    running.start()
    eventually(lambda: counted(chain) == 100)
    running.drain()
    assert running.join(10)
    writer.close()

    assert running.failure is None
    flagged = {
        (row["trace_id"].hex(), row["span_id"].hex(), name.removeprefix("s_"))
        for stream in chain.streams()
        for link in chain.walk(stream)
        for row in link.delta.calls.to_pylist()
        for name, score in row.items()
        if name.startswith("s_") and score > 500_000
    }
    stored = {key[1:] for path in memory.objects if (key := Key.of(path))}
    assert flagged
    assert stored == (set() if away else flagged)
    assert telemetry.dropped().get(SnippetDrop.STORE, 0) == (len(flagged) if away else 0)


def test_streams_of_the_chain_know_nothing_of_snippets(tmp_path) -> None:
    chain = Chain(LocalStore(str(tmp_path)), tmp_path)
    committing = committer(chain, Writer(shelf(chain), Counts()))
    take(committing, range(2), open_at=0)
    flush(committing)
    assert shelf(chain).put(pending(0).key, pending(0).snippet) is None

    assert chain.streams() == [Stream("otlp_spans", "e1", 0)]
