"""A whole fleet in one thread: a log, workers that own, lose and share its partitions, and a store that fails.

Everything that a real fleet does at its worst is a step here, drawn from a seed: records of many calls, rebalances,
kill -9 (a worker's objects vanish), zombies (a worker goes on with partitions that are somebody else's), freezes (a
worker goes on seconds later with what it knew of the log), clocks that are turned back by an hour and set right again,
lost answers of the store, outages, transaction markers, corrupt and undecodable records, and a housekeeper that merges
deltas under everybody's hands. The world knows which calls it produced, and that each one's text lies in the log.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from obstore.store import MemoryStore

from collector.chain import Chain, ChainError, Conflict, Link
from collector.committer import Committer
from collector.compaction import merge_deltas
from collector.config import ChainConfig, JoinConfig, LimitsConfig
from collector.decode.context import context_text
from collector.delta import Delta
from collector.intake import Intake, Step
from collector.labels import Labels
from collector.records import Content, Kind, Partition, Rejected
from collector.rows import SuiteId
from collector.scoring import Scorer
from collector.telemetry import Silent
from signals.types import SuiteScores
from tests.fakes.otlp import FakeCall, logs, traces
from tests.fakes.source import FakeLog, FakeSource
from tests.fakes.suite import HashSuite

JOIN = JoinConfig(settle_seconds=2, window_seconds=10, memory_seconds=60)
LIMITS = LimitsConfig()
PARTITIONS = 3
SWEEP_SECONDS = 10.0  # between merging deltas and deleting them, at least
OUTAGE_SECONDS_MAX = 45.0  # stream time waits no longer than memory_seconds


class ShakyChain(Chain):
    """A chain whose store is away now and then, before or after the object was written."""

    def __init__(self, store: MemoryStore, rng: random.Random) -> None:
        super().__init__(store)
        self._rng = rng
        self.shaky = True

    def append(self, delta: Delta, *, stale: bool = False) -> Link | Conflict:
        if self.shaky and self._rng.random() < 0.05:
            raise ChainError("away")
        appended = super().append(delta, stale=stale)
        if self.shaky and self._rng.random() < 0.05:
            raise ChainError("the answer was lost")
        return appended


@dataclass
class Letters:
    """Dead letters that are all kept."""

    sent: list[Rejected] = field(default_factory=list)

    def send(self, rejected: list[Rejected]) -> None:
        self.sent += rejected

    def close(self) -> None: ...


class Worker:
    """One process of role score, stepped by hand."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.source = FakeSource(world.log, name=name, records_per_poll=world.rng.choice([3, 20]))
        self.source.start()
        self.intake = Intake(
            source=self.source,
            chain=world.chain,
            join=JOIN,
            limits=LIMITS,
            telemetry=Silent(),
            clock=lambda: self.clock,
        )
        suite = HashSuite()
        self.scorer = Scorer(suite, Silent())
        self.committer = Committer(
            chain=world.chain,
            dead_letters=world.letters,
            telemetry=Silent(),
            config=ChainConfig(flush_seconds=3, flush_calls_max=40),
            labels=Labels(values_max=50, chars_max=50),
            suite=SuiteId.of(suite.specs),
            written_by=name,
            stale_seconds=SWEEP_SECONDS / 2,
        )
        self.steps: list[Step] = []
        self.thaws_at = 0.0
        self.back_at = float("inf")
        self.turned = 0.0  # how wrong its clock is, seconds

    @property
    def clock(self) -> float:
        return self.world.now + self.turned

    def read(self) -> None:
        self.steps.append(self.intake.turn(0.0, blocked=len(self.steps) > 3))

    def work(self) -> None:
        """Score and enter the oldest step, flush what is due, hear of lost races."""
        if self.steps:
            step = self.steps.pop(0)
            scores = (
                self.scorer.score(step.calls, [context_text(call) for call in step.calls])
                if step.calls
                else SuiteScores(columns=())
            )
            self.committer.take(step, scores, self.clock)
        if self.committer.due(self.clock):
            try:
                outcome = self.committer.flush(self.clock)
            except ChainError:
                return
            self.source.commit(outcome.committed)
            self.steps += [self.intake.reopen(partition) for partition in outcome.conflicts]


class World:
    """Everything, and the seed that decides."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = 1_790_000_000.0
        self.log = FakeLog()
        self.spans = self.log.create("otlp_spans", Kind.TRACES, PARTITIONS)
        self.events = self.log.create("otlp_logs", Kind.LOGS, PARTITIONS)
        self.chain = ShakyChain(MemoryStore(), self.rng)
        self.letters = Letters()
        self.workers: list[Worker] = []
        self.owner: dict[int, Worker] = {}  # by the number of a pair of partitions
        self.produced: dict[str, FakeCall] = {}
        self.spoiled: Counter[Partition] = Counter()
        self.merged: list[tuple[float, str]] = []  # deltas that were merged and are not deleted yet, since when
        self.number = 0
        self.clocks_fail = seed % 2 == 1  # by an hour: a clock that far behind the log cannot wait for events in it

    # what happens

    def produce(self) -> None:
        """A batch of calls into one pair of partitions: some with their text in events, some with twins."""
        pair = self.rng.randrange(PARTITIONS)
        calls = [self._call() for _ in range(self.rng.randint(1, 8))]
        later = [call for call in calls if not call.content]
        spans = list(calls)
        told = [call for call in calls if call.content]
        if told and self.rng.random() < 0.3:  # a span around the span of a request
            child = self.rng.choice(told)
            self.number += 1
            spans.append(FakeCall(number=self.number, trace=child.number, at=child.at, seconds=1.0))
            spans[calls.index(child)] = wrapped = FakeCall(
                number=child.number, parent=self.number, at=child.at, content=child.content
            )
            self.produced[wrapped.call_id] = wrapped
        self.log.append(self.spans[pair], traces(spans), timestamp=self.now)
        if later:
            self.log.append(self.events[pair], logs(later), timestamp=self.now)
        if self.rng.random() < 0.2:  # the Collector delivers again after a lost acknowledgement
            self.log.append(self.spans[pair], traces(spans), timestamp=self.now)

    def spoil(self) -> None:
        partition = self.rng.choice(self.spans + self.events)
        corrupt = self.rng.random() < 0.5
        self.log.append(partition, self.rng.randbytes(40) + b"\xff", timestamp=self.now, corrupt=corrupt)
        self.spoiled[partition] += 1

    def marker(self) -> None:
        self.log.skip(self.rng.choice(self.spans + self.events), self.rng.randint(1, 3))

    def start(self) -> None:
        if len(self.workers) < 4:
            self.workers.append(Worker(self, f"worker-{self.number}"))

    def kill(self) -> None:
        if len(self.workers) > 1:
            dead = self.workers.pop(self.rng.randrange(len(self.workers)))
            for pair in range(PARTITIONS):
                if self.owner.get(pair) is dead:
                    self._give(pair)

    def freeze(self) -> None:
        worker = self.rng.choice(self.workers)
        worker.thaws_at = self.now + self.rng.uniform(1, 30)
        worker.source.stall(self.rng.randint(1, 2))

    def rebalance(self) -> None:
        """Pairs move; one time in three the old owner is frozen and does not hear of it: a zombie."""
        pair = self.rng.randrange(PARTITIONS)
        zombie = self.rng.random() < 0.33
        old = self.owner.get(pair)
        if old is not None and not zombie:
            old.source.revoke(self.spans[pair], self.events[pair])
        self._give(pair)

    def exorcise(self) -> None:
        """A zombie hears at last what it no longer owns."""
        for worker in self.workers:
            for partition in worker.source.owned:
                if self.owner.get(partition.number) is not worker:
                    worker.source.revoke(partition)

    def outage(self) -> None:
        worker = self.rng.choice(self.workers)
        worker.source.down = not worker.source.down
        worker.back_at = self.now + OUTAGE_SECONDS_MAX

    def turn_clock(self) -> None:
        wrong = [0.0, self.rng.uniform(-5, 5), *[-3_600.0] * self.clocks_fail]
        self.rng.choice(self.workers).turned = self.rng.choice(wrong)

    def compact(self) -> None:
        """Merge neighbours of some chain, and delete what was merged some time before."""
        due = [path for at, path in self.merged if at + SWEEP_SECONDS < self.now]
        self.chain.delete(due)
        self.merged = [each for each in self.merged if each[1] not in due]
        streams = self.chain.streams()
        links = list(self.chain.walk(self.rng.choice(streams))) if streams else []
        begin = self.rng.randrange(len(links)) if links else 0
        run = links[begin : begin + self.rng.randint(2, 6)]
        if len(run) > 1:
            self.chain.put_merged(merge_deltas([link.delta for link in run]))
            self.merged += [(self.now, link.path) for link in run]

    def _give(self, pair: int) -> None:
        """Spans and events of one number go to one worker, as range assignment sees to it."""
        if self.workers:
            self.owner[pair] = self.rng.choice(self.workers)
            self.owner[pair].source.assign(self.spans[pair], self.events[pair])

    def _call(self) -> FakeCall:
        self.number += 1
        call = FakeCall(
            number=self.number,
            at=self.now,
            service=self.rng.choice(["shop", "docs"]),
            content=self.rng.random() < 0.7,
        )
        self.produced[call.call_id] = call
        return call

    # the play

    def run(self, steps: int) -> None:
        self.start()
        for pair in range(PARTITIONS):
            self._give(pair)
        acts = [self.produce] * 6 + [self.spoil, self.marker, self.start, self.kill, self.rebalance, self.rebalance]
        acts += [self.exorcise, self.outage, self.freeze, self.turn_clock, self.compact]
        for _ in range(steps):
            self.now += self.rng.random()
            self.rng.choice(acts)()
            for worker in self.workers:
                worker.source.down &= self.now < worker.back_at
                if self.now < worker.thaws_at:
                    continue
                if self.rng.random() < 0.7:
                    worker.read()
                if self.rng.random() < 0.7:
                    worker.work()
        self.settle()

    def settle(self) -> None:
        """The faults end; what is left of the fleet finishes its work."""
        self.chain.shaky = False
        for worker in self.workers:
            worker.source.down = False
        self.exorcise()
        for pair in range(PARTITIONS):
            if self.owner.get(pair) not in self.workers:
                self._give(pair)
        for _ in range(400):
            self.now += 1.0
            for worker in self.workers:
                worker.read()
                worker.work()
                worker.work()

    # what must be true

    def counted(self) -> Counter[str]:
        return Counter(
            f"{trace.hex()}:{span.hex()}"
            for stream in self.chain.streams()
            for link in self.chain.walk(stream)
            for trace, span in zip(
                link.delta.calls.column("trace_id").to_pylist(),
                link.delta.calls.column("span_id").to_pylist(),
                strict=True,
            )
        )

    def textless(self) -> list[str]:
        """Counted calls that were told without their text."""
        return [
            f"{row['trace_id'].hex()}:{row['span_id'].hex()}"
            for stream in self.chain.streams()
            for link in self.chain.walk(stream)
            for row in link.delta.calls.select(["trace_id", "span_id", "content"]).to_pylist()
            if row["content"] != Content.CAPTURED
        ]

    def totals(self, name: str) -> int:
        return sum(
            sum(value.values()) if isinstance(value := getattr(link.delta.footer, name), dict) else value
            for stream in self.chain.streams()
            for link in self.chain.walk(stream)
        )

    def unfinished(self) -> dict[Partition, tuple[int, int]]:
        """Partitions whose chain does not reach the end of the log."""
        behind = {}
        for partition in (*self.spans, *self.events):
            end = max((entry.offset + 1 for entry in self.log._shelves[partition].entries), default=0)
            links = [
                link
                for stream in self.chain.streams()
                if (stream.topic, stream.partition) == partition
                for link in self.chain.walk(stream)
            ]
            head = links[-1].next if links else 0
            if head < end:
                behind[partition] = (head, end)
        return behind
