"""Joins the spans, events and documents of a trace, and tells each request to a model once.

Time is the caller's: every method takes the stream's time in seconds, and the same inputs in the same order give the
same verdicts. Memory is bounded by JoinConfig: what is forgotten early is counted.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence

import msgspec

from collector.config import JoinConfig, LimitsConfig
from collector.decode import calls
from collector.decode.build import build_call
from collector.decode.candidate import Candidate, State, candidate_of
from collector.decode.documents import documents_for, retrieval_of
from collector.decode.eventstore import EventStore
from collector.decode.gold import Gold, answers_item, gold_of
from collector.decode.spans import LogEvent, Span
from collector.decode.trace import Trace
from collector.decode.twins import Twins, pair
from collector.records import Anchor, Document, DropReason, Partition, Settled

TRACES_PER_CALL = 10  # traces remembered for each call that may wait
SPANS_PER_TRACE_MAX = 4_096
TWINS_TOLD_MAX = 4
NESTED_MAX = 512  # of the candidates below one, as many tell whether it wraps several requests


class Assembler:
    """Every registered candidate gets exactly one ``Settled``, or is forgotten with its partition.

    A candidate with text settles ``settle_seconds`` after it, or the event that answers it, arrived; one without waits
    ``window_seconds`` for events or a fuller report of the same request, and so does one of an experiment for the span
    of its item, which holds the gold answer. The first report that was emitted stays; while
    two wait, the one with text wins. Verdicts, ids and documents are remembered for ``memory_seconds``.
    """

    def __init__(self, options: JoinConfig, limits: LimitsConfig) -> None:
        self._options = options
        self._limits = limits
        self._traces: dict[str, Trace] = {}
        self._ages: deque[tuple[float, str]] = deque()
        self._events = EventStore(options)
        self._twins = Twins()
        self._pending: dict[int, Candidate] = {}
        self._due: list[tuple[float, int]] = []
        self._ready: list[tuple[Anchor, int, Settled]] = []
        self._sequence = 0
        self.settled_early = 0  # candidates that the bound settled before their time
        self.traces_evicted = 0  # traces that the bound forgot before their time
        self.spans_unremembered = 0  # spans of traces that are too large to remember whole

    @property
    def waiting(self) -> int:
        """Candidates without a verdict."""
        return len(self._pending) + len(self._ready)

    @property
    def unjoined_events(self) -> int:
        """Log events whose span never came within the memory."""
        return self._events.unjoined

    @property
    def late_events(self) -> int:
        """Log events that came after their call was told."""
        return self._events.late

    def add_spans(
        self, spans: Sequence[Span], *, anchor: Anchor, now: float, counted: Container[str] | None = None
    ) -> int:
        """Take in the spans of one record; returns how many candidates it registered for ``anchor``.

        ``counted`` is given in the warm-up, for records before the chain's head: nothing is settled for them, and a
        candidate whose call id is in it is remembered as told, any other as dropped.
        """
        registered = 0
        for span in spans:
            if calls.is_call(span):
                registered += self._add_candidate(span, anchor, now, counted)
            else:
                self._add_other(span, now)
        return registered

    def add_events(self, events: Sequence[LogEvent], *, now: float) -> None:
        """Take in log events; those without ids are matched by sender and time when a call settles."""
        for event in events:
            candidate = self._candidate(event.trace_id, event.span_id)
            self._events.add(event, now, candidate)
            if candidate is not None and candidate.state is State.PENDING and self._events.answered(candidate):
                self._hasten(candidate, now + self._options.settle_seconds)

    def settle(self, now: float) -> list[Settled]:
        """The verdicts that are due at ``now``, in order of anchor; also forgets what is too old."""
        due: list[Candidate] = []
        while self._due and self._due[0][0] <= now:
            deadline, sequence = heapq.heappop(self._due)
            candidate = self._pending.get(sequence)
            if candidate is not None and candidate.deadline <= deadline:
                due.append(candidate)
        early = len(self._pending) - len(due) - self._options.calls_max
        if early > 0:
            taken = {candidate.sequence for candidate in due}
            oldest = [candidate for sequence, candidate in self._pending.items() if sequence not in taken][:early]
            self.settled_early += len(oldest)
            due += oldest
        settled = self._settle_all(due)
        self._forget_old(now)
        return settled

    def flush(self) -> list[Settled]:
        """Every verdict that is still open, now: the input has ended."""
        return self._settle_all(list(self._pending.values()))

    def forget(self, partition: Partition) -> None:
        """The partition is somebody else's: its candidates and verdicts vanish; documents and events stay."""
        for candidate in [*self._pending.values()]:
            if candidate.anchor.partition == partition:
                del self._pending[candidate.sequence]
        for trace in self._traces.values():
            for candidate in trace.remove_anchored(partition):
                self._twins.remove(candidate)
                candidate.part()
        self._ready = [entry for entry in self._ready if entry[0].partition != partition]

    def _candidate(self, trace_id: str, span_id: str) -> Candidate | None:
        trace = self._traces.get(trace_id)
        return trace.calls.get(span_id) if trace is not None else None

    def _trace(self, trace_id: str, now: float) -> Trace:
        trace = self._traces.get(trace_id)
        if trace is None:
            trace = self._traces[trace_id] = Trace(now, {})
            self._ages.append((now, trace_id))
        elif now > trace.touched:
            trace.touched = now
        return trace

    def _add_other(self, span: Span, now: float) -> None:
        retrieval = retrieval_of(span)
        gold = gold_of(span, self._limits.text_chars_max)
        if retrieval is None and gold is None and not span.parent_id:
            return  # a root links nothing that its children do not name
        trace = self._trace(span.trace_id, now)
        if trace.size >= SPANS_PER_TRACE_MAX:
            self.spans_unremembered += 1
            return
        trace.add_other(span.span_id, span.parent_id)
        if retrieval is not None:
            trace.add_retrieval(retrieval)
        if gold is not None:
            self._add_gold(trace, span.span_id, gold, now)

    def _add_gold(self, trace: Trace, span_id: str, gold: Gold, now: float) -> None:
        trace.add_gold(span_id, gold)
        for candidate in trace.calls.values():
            if candidate.state is State.PENDING and candidate.item == span_id:
                self._hasten(candidate, now + self._options.settle_seconds)

    def _add_candidate(self, span: Span, anchor: Anchor, now: float, counted: Container[str] | None) -> int:
        trace = self._trace(span.trace_id, now)
        known = trace.calls.get(span.span_id)
        self._sequence += 1
        if counted is not None:
            self._remember(span, anchor, trace, known, told=f"{span.trace_id}:{span.span_id}" in counted)
            return 0
        if known is not None:
            self._ready.append((anchor, self._sequence, Settled(anchor=anchor, verdict=DropReason.DUPLICATE)))
            return 1
        candidate = candidate_of(span, anchor, self._sequence)
        trace.calls[span.span_id] = candidate
        self._twins.add(candidate)
        self._pending[candidate.sequence] = candidate
        self._events.joined(candidate)
        told = candidate.rank > calls.NOTHING or self._events.answered(candidate) or candidate.redacted
        quick = told and (candidate.item is None or candidate.item in (trace.golds or ()))
        options = self._options
        self._hasten(candidate, now + (options.settle_seconds if quick else options.window_seconds))
        return 1

    def _remember(self, span: Span, anchor: Anchor, trace: Trace, known: Candidate | None, *, told: bool) -> None:
        """A candidate of the past, whose verdict the chain already holds."""
        if known is not None:
            if not told or known.state is not State.PENDING:
                return
            self._drop(known, DropReason.DUPLICATE)
            self._twins.remove(known)
        candidate = candidate_of(span, anchor, self._sequence)
        candidate.state = State.TOLD if told else State.DROPPED
        trace.calls[span.span_id] = candidate
        self._twins.add(candidate)
        self._events.joined(candidate)
        candidate.release()

    def _hasten(self, candidate: Candidate, deadline: float) -> None:
        if deadline < candidate.deadline:
            candidate.deadline = deadline
            heapq.heappush(self._due, (deadline, candidate.sequence))

    def _settle_all(self, due: Iterable[Candidate]) -> list[Settled]:
        for _, _, candidate in sorted((candidate.anchor, candidate.sequence, candidate) for candidate in due):
            if candidate.state is State.PENDING:
                self._decide(candidate)
        ready, self._ready = self._ready, []
        ready.sort()  # sequences differ, so verdicts are never compared
        return [settled for _, _, settled in ready]

    def _decide(self, candidate: Candidate) -> None:
        trace = self._traces[candidate.trace_id]
        for rival, reason, better in self._rivals(candidate, trace):
            if rival.state is State.DROPPED:
                continue
            if rival.state is State.TOLD or not better:
                if reason is DropReason.TWIN and rival.state is State.PENDING and candidate.span is not None:
                    rival.tell_twin(candidate.span, TWINS_TOLD_MAX)
                self._drop(candidate, reason)
                return
            if rival.span is not None and (rival.native or rival not in trace.above(candidate)):
                candidate.tell_twin(rival.span, TWINS_TOLD_MAX)  # not a wrapper: it may add several requests up
        self._tell(candidate, trace)

    def _rivals(self, candidate: Candidate, trace: Trace) -> Iterator[tuple[Candidate, DropReason, bool]]:
        """Other reports of the candidate's request: what it is if it loses, and whether it is the better report."""
        nested: list[Candidate] = []
        if len(trace.calls) > 1:
            below, above = trace.below(candidate), trace.above(candidate)
            nested = [*below, *above]
            for inner in below:
                yield inner, DropReason.WRAPPER, not self._inner_wins(candidate, inner, trace)
            for outer in above:
                yield outer, DropReason.TWIN, self._inner_wins(outer, candidate, trace)
        for twin in self._twins.of(candidate, self._free):
            if twin not in nested:
                yield twin, DropReason.TWIN, _better(candidate, twin)

    def _inner_wins(self, outer: Candidate, inner: Candidate, trace: Trace) -> bool:
        """Of two nested candidates: whether the inner is the call and the outer its wrapper."""
        if outer.native != inner.native:
            pair(outer, inner)
            return outer.native
        others = [
            each
            for each in trace.below(outer)[-NESTED_MAX:]
            if each.native == inner.native and each.state is not State.DROPPED
        ]
        if len(others) > 1 and max(each.started_at for each in others) >= min(each.ended_at for each in others):
            return True  # several requests one after the other are not one request
        return self._rank(inner) >= self._rank(outer)

    def _rank(self, candidate: Candidate) -> int:
        return calls.MESSAGES if self._events.answered(candidate) else candidate.rank

    def _free(self, candidate: Candidate) -> bool:
        trace = self._traces.get(candidate.trace_id)
        return trace is None or not any(
            outer.native != candidate.native for outer in (*trace.above(candidate), *trace.below(candidate))
        )

    def _tell(self, candidate: Candidate, trace: Trace) -> None:
        span = candidate.span
        if span is None:
            raise RuntimeError("a candidate without a verdict has lost its span")
        events = self._events.of(candidate)
        if candidate.rank == calls.NOTHING and not self._events.answered(candidate):
            adopted = self._events.adopt(candidate)
            events = [*events, adopted] if adopted is not None else events
        call = build_call(
            span,
            events=events,
            documents=self._documents(candidate, span, trace) if trace.retrievals else (),
            twins=candidate.twins or (),
            unjoined=not events and candidate.rank == calls.NOTHING and self._events.promised(candidate),
            limits=self._limits,
        )
        if call.reference is None and (gold := trace.gold_above(candidate)) is not None:
            alone = not any(True for _ in self._others(candidate, trace))
            if answers_item(call, gold, alone=alone):
                call = msgspec.structs.replace(call, reference=gold.reference)
        candidate.state = State.TOLD
        self._settled(candidate, Settled(anchor=candidate.anchor, verdict=call))
        candidate.release(call)

    def _documents(self, candidate: Candidate, span: Span, trace: Trace) -> tuple[Document, ...]:
        ended = (other.ended_at for other in self._others(candidate, trace))
        return documents_for(span, trace.retrievals.values() if trace.retrievals else (), trace.parent, ended)

    def _others(self, candidate: Candidate, trace: Trace) -> Iterator[Candidate]:
        """The trace's other requests, as far as they are known."""
        return (
            other
            for other in trace.calls.values()
            if other is not candidate and other.state is not State.DROPPED and other is not candidate.partner
        )

    def _drop(self, candidate: Candidate, reason: DropReason) -> None:
        candidate.state = State.DROPPED
        self._twins.remove(candidate)
        self._settled(candidate, Settled(anchor=candidate.anchor, verdict=reason))
        candidate.release()

    def _settled(self, candidate: Candidate, settled: Settled) -> None:
        self._pending.pop(candidate.sequence, None)
        self._ready.append((candidate.anchor, candidate.sequence, settled))

    def _forget_old(self, now: float) -> None:
        self._events.forget_old(now)
        ages, memory = self._ages, self._options.memory_seconds
        traces_max = TRACES_PER_CALL * self._options.calls_max
        for _ in range(len(ages)):
            full = len(self._traces) > traces_max
            if not full and ages[0][0] + memory >= now:
                break
            _, trace_id = ages.popleft()
            trace = self._traces[trace_id]
            if trace.waiting or (not full and trace.touched + memory >= now):
                ages.append((max(trace.touched, now - memory), trace_id))
                continue
            self.traces_evicted += trace.touched + memory >= now
            for candidate in trace.calls.values():
                self._twins.remove(candidate)
                candidate.part()
            del self._traces[trace_id]


def _better(left: Candidate, right: Candidate) -> bool:
    """Whether ``left`` is the report to keep of two that no parent link orders; never both ways round."""
    if left.native != right.native:
        return right.native
    return (-left.rank, left.started_at, left.span_id) < (-right.rank, right.started_at, right.span_id)
