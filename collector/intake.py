"""The first stage: polls, opens partitions at the end of their chains, decodes and assembles; one thread owns it.

A partition is opened where its chain ends, not where Kafka's committed offset lies. It is read again from a little
earlier: that warm-up refills the join memory and counts nothing. Events are read again from where the spans begin that
may still need them: the chain of an events partition is often ahead of that of its spans.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from collector.chain import Chain, ChainError, Link
from collector.config import JoinConfig, LimitsConfig
from collector.decode.assemble import Assembler
from collector.decode.otlp import decode_logs, decode_traces
from collector.decode.spans import Undecodable
from collector.delta import DeltaError, Stream
from collector.records import Anchor, DropReason, Kind, LLMCall, Partition, RawRecord, Rejected, Settled
from collector.source import Polled, Source, SourceError
from collector.streamtime import StreamTime
from collector.telemetry import Telemetry

log = logging.getLogger(__name__)

OPEN_RETRY_SECONDS = 1.0
NAMED_MAX = 20  # partitions in one log line


class IntakeError(Exception):
    """The log and the chain contradict each other; going on would count wrongly."""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A partition begins (again): its books start at ``start``, and everything before belongs to the past."""

    partition: Partition
    stream: Stream
    start: int
    first: int  # the oldest offset the log holds; what lies between ``start`` and it is lost
    resume_at: float
    labels: dict[str, dict[str, int]]
    at: float  # wall time when the chain was seen to end at ``start``


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """A partition is somebody else's now."""

    partition: Partition


class Read(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record was decoded and holds this many candidates."""

    anchor: Anchor
    timestamp: float
    candidates: int


Event = Opened | Closed | Read | Rejected


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one turn brought, in order: events first, verdicts after them."""

    events: Sequence[Event] = ()
    dropped: Sequence[tuple[Anchor, DropReason]] = ()
    anchors: Sequence[Anchor] = ()
    calls: Sequence[LLMCall] = ()
    at: float = 0.0  # log time of the verdicts

    def __bool__(self) -> bool:
        return bool(self.events or self.dropped or self.calls)


@dataclass(slots=True)
class _Open:
    kind: Kind
    start: int  # records before it are warm-up
    since: float  # log time: of spans, what comes is not older; of events, from where they were read again
    counted: frozenset[str] = frozenset()


@dataclass(slots=True)
class Intake:
    """Single-threaded; ``turn`` is its only motion."""

    source: Source
    chain: Chain
    join: JoinConfig
    limits: LimitsConfig
    telemetry: Telemetry
    clock: Callable[[], float]
    start_at: str = "earliest"
    assembler: Assembler = field(init=False)
    time: StreamTime = field(init=False)
    opened: dict[Partition, _Open] = field(default_factory=dict)
    _opening: dict[Partition, float] = field(default_factory=dict)  # partition -> when to try
    _refused: set[Partition] = field(default_factory=set)  # those whose last opening failed
    _paused: frozenset[Partition] = frozenset()

    def __post_init__(self) -> None:
        self.assembler = Assembler(self.join, self.limits)
        self.time = StreamTime(patience_seconds=self.join.memory_seconds)

    @property
    def refused(self) -> int:
        """Partitions that could not be opened when it was last tried; the log says why."""
        return len(self._refused)

    def told(self, *, ready: bool) -> str:
        """The state of the partitions, for a person."""
        if self.refused:
            return f"{len(self.opened)} open, {self.refused} cannot be opened: the log says why"
        return f"{len(self.opened)} open" if ready else "none assigned, or the source is away"

    @property
    def ready(self) -> bool:
        """Every assigned partition was opened."""
        return bool(self.opened) and not self._opening

    def turn(self, timeout_seconds: float, *, blocked: bool = False) -> Step:
        """Poll once. ``blocked``: the stages below are full, so read nothing, but go on living."""
        now = self.clock()
        self._balance(blocked)
        polled = self.source.poll(timeout_seconds)
        if polled.assigned or polled.revoked:
            log.info("partitions: assigned %s; revoked %s", _named(polled.assigned), _named(polled.revoked))
        events: list[Event] = []
        for partition in polled.revoked:
            events += self._close(partition)
        for partition in polled.assigned:
            events += self._close(partition)
            self._opening[partition] = now
        for item in _in_order(polled):
            events += self._rejected(item) if isinstance(item, Rejected) else self._record(item, now)
        # opening comes last: what this poll brought was read from where a partition stood before
        due = [partition for partition, at in self._opening.items() if not now < at <= now + OPEN_RETRY_SECONDS]
        for partition in sorted(due, key=lambda each: (self._events_last(each), self._opening[each])):
            try:
                events += self._open_again(partition, now)
            except DeltaError as error:  # of this partition alone
                self._put_off(partition, now, error)
            except (ChainError, SourceError) as error:
                self._put_off(partition, now, error)
                break  # an outage costs one timeout a turn, not one a partition: who is silent for long is expelled
        if blocked:
            return Step(events=events)
        return _step(events, self.assembler.settle(self._time()), self.time.log_time)

    def reopen(self, partition: Partition) -> Step:
        """Another writer was first: forget what was read and begin where the chain ends now."""
        if partition not in self.opened:
            return Step()
        events = self._close(partition)
        self._opening[partition] = self.clock()
        return Step(events=events)

    def finish(self) -> Step:
        """The source has ended for good: every candidate gets its verdict now."""
        return _step([], self.assembler.flush(), self.time.log_time)

    def _balance(self, blocked: bool) -> None:
        """Pause everything under back-pressure, and go on together: stream time waits for the slowest by itself."""
        wanted = frozenset(self.opened) if blocked else frozenset()
        kept = self._paused & frozenset(self.opened)
        if stop := wanted - kept:
            self.source.pause(stop)
        if go := kept - wanted:
            self.source.resume(go)
        self._paused = wanted

    def _events_last(self, partition: Partition) -> bool:
        return self.source.kind(partition) is Kind.LOGS

    def _time(self) -> float:
        return self.time.advance(self.source.lag(), self.clock(), known=self.source.healthy)

    def _close(self, partition: Partition) -> list[Event]:
        self._opening.pop(partition, None)
        self._refused.discard(partition)
        self._paused -= {partition}
        self.time.forget(partition)
        if self.opened.pop(partition, None) is None:
            return []
        self.assembler.forget(partition)
        return [Closed(partition=partition)]

    def _put_off(self, partition: Partition, now: float, error: Exception) -> None:
        if partition not in self._refused:  # the first of a run of failures
            log.warning("cannot open %s, will try again: %s", partition, error)
        self._refused.add(partition)
        self.telemetry.add("assay_open_retries_total")
        self._opening[partition] = now + OPEN_RETRY_SECONDS

    def _open_again(self, partition: Partition, now: float) -> list[Event]:
        opened = self._open(partition)
        self._refused.discard(partition)
        del self._opening[partition]
        self.source.resume([partition])  # a pause from before the partition was closed would outlive it
        return [opened, *self._rewind(self.opened[partition], now)]

    def _rewind(self, spans: _Open, now: float) -> list[Event]:
        """Begin the events again where spans were opened that may need what is forgotten, or was never read."""
        if spans.kind is Kind.LOGS:
            return []
        forgotten = spans.since < self.time.log_time - self.join.memory_seconds
        late = [
            partition
            for partition, read in self.opened.items()
            if read.kind is Kind.LOGS and (forgotten or spans.since < read.since)
        ]
        events = [event for partition in late for event in self._close(partition)]
        self._opening |= dict.fromkeys(late, now)
        return events

    def _open(self, partition: Partition) -> Opened:
        stream = Stream(partition.topic, self.source.epoch(partition.topic), partition.number)
        at, kind = self.clock(), self.source.kind(partition)
        bounds = self.source.bounds(partition)
        tail = self.chain.head(stream, self._recent)
        if not tail:
            start = bounds.first if self.start_at == "earliest" else bounds.end
            self.opened[partition] = _Open(kind, start, self.clock() if start == bounds.end else 0.0)
            self.source.seek(partition, start)
            return Opened(partition=partition, stream=stream, start=start, first=start, resume_at=0.0, labels={}, at=at)
        head = tail[-1].delta.footer
        if head.next > bounds.end:
            raise IntakeError(
                f"{stream.path}: the chain ends at offset {head.next}, the log already at {bounds.end}: records were "
                "taken back, or the topic was recreated on brokers without topic ids"
            )
        resume_at = head.resume_at
        if kind is Kind.LOGS:
            resume_at = min([resume_at, *(read.since for read in self.opened.values() if read.kind is Kind.TRACES)])
        warm = min(head.next, self.source.offset_at(partition, resume_at - self.join.memory_seconds))
        since = self.clock() if kind is Kind.TRACES and head.next >= bounds.end else resume_at
        counted = frozenset(_call_ids(tail, warm)) if kind is Kind.TRACES else frozenset()
        self.opened[partition] = _Open(kind, head.next, since, counted)
        self.source.seek(partition, max(warm, bounds.first))
        return Opened(
            partition=partition,
            stream=stream,
            start=head.next,
            first=max(bounds.first, head.next),
            resume_at=head.resume_at,
            labels=head.labels,
            at=at,
        )

    def _recent(self, links: list[Link]) -> list[Link]:
        """Of a walked chain, the links that the warm-up will read again, and at least the last."""
        oldest = links[-1].delta.footer.resume_at - self.join.memory_seconds
        return [link for link in links[:-1] if link.delta.footer.resume_at >= oldest] + links[-1:]

    def _rejected(self, rejected: Rejected) -> list[Event]:
        opened = self.opened.get(rejected.record.partition)
        if opened is None or rejected.record.offset < opened.start:
            return []
        return [rejected]

    def _undecodable(self, record: RawRecord, why: Undecodable) -> list[Event]:
        return self._rejected(Rejected(record=record, reason=why.reason, detail=why.detail))

    def _record(self, record: RawRecord, now: float) -> list[Event]:
        opened = self.opened.get(record.partition)
        if opened is None:
            return []
        self.telemetry.add("assay_records_polled_total", topic=record.partition.topic)
        self.telemetry.add("assay_record_bytes_total", len(record.value or b""), topic=record.partition.topic)
        stamp = self.time.saw(record.partition, record.timestamp, now)
        arrived = self.time.arrival(stamp)
        fresh = record.offset >= opened.start
        anchor = Anchor(record.partition, record.offset)
        candidates = 0
        if opened.kind is Kind.TRACES:
            spans = decode_traces(record.value, self.limits)
            if isinstance(spans, Undecodable):
                return self._undecodable(record, spans)
            counted = None if fresh else opened.counted
            candidates = self.assembler.add_spans(spans, anchor=anchor, now=arrived, counted=counted)
        else:
            log_events = decode_logs(record.value, self.limits)
            if isinstance(log_events, Undecodable):
                return self._undecodable(record, log_events)
            self.assembler.add_events(log_events, now=arrived)
        return [Read(anchor=anchor, timestamp=stamp, candidates=candidates)] if fresh else []


def _named(partitions: Iterable[Partition]) -> str:
    found = sorted(partitions)
    more = f" and {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
    return ", ".join(map(str, found[:NAMED_MAX])) + more or "none"


def _in_order(polled: Polled) -> Sequence[RawRecord | Rejected]:
    """Records and rejects as their offsets rise."""
    if not polled.rejected:
        return polled.records
    items: list[RawRecord | Rejected] = [*polled.records, *polled.rejected]
    return sorted(items, key=_place)


def _place(item: RawRecord | Rejected) -> tuple[Partition, int]:
    record = item.record if isinstance(item, Rejected) else item
    return record.partition, record.offset


def _call_ids(links: Iterable[Link], since: int) -> Iterable[str]:
    for link in links:
        calls = link.delta.calls
        columns = (calls.column(name).to_pylist() for name in ("offset", "trace_id", "span_id"))
        for offset, trace_id, span_id in zip(*columns, strict=True):
            if offset >= since:
                yield f"{trace_id.hex()}:{span_id.hex()}"


def _step(events: list[Event], verdicts: Sequence[Settled], at: float) -> Step:
    dropped, anchors, calls = [], [], []
    for settled in verdicts:
        if isinstance(settled.verdict, LLMCall):
            anchors.append(settled.anchor)
            calls.append(settled.verdict)
        else:
            dropped.append((settled.anchor, settled.verdict))
    return Step(events=events, dropped=dropped, anchors=anchors, calls=calls, at=at)
