"""Log events that wait for their span, or that their span waited for."""

from __future__ import annotations

from collections import deque
from typing import Final

from collector.config import JoinConfig
from collector.decode.candidate import Candidate, State
from collector.decode.dialects import CHOICE_EVENTS, DETAILS_EVENT, EVENTS_PROMISED
from collector.decode.spans import LogEvent

EVENTS_PER_SPAN_MAX: Final = 512
ORPHANS_MAX: Final = 4_096
NEAR_NANOSECONDS: Final = 100_000_000  # an answer without ids is written as its span ends
_ANSWERS: Final = frozenset({DETAILS_EVENT, *CHOICE_EVENTS})

Key = tuple[str, str]


class _Group:
    __slots__ = ("answered", "events", "joined", "touched")

    def __init__(self, now: float) -> None:
        self.touched = now
        self.events: list[LogEvent] = []
        self.answered = False
        self.joined = False


class EventStore:
    """Events by (trace, span), and those without ids by sender; bounded in time and number."""

    def __init__(self, options: JoinConfig) -> None:
        self._memory_seconds = options.memory_seconds
        self._groups_max = 2 * options.calls_max
        self._groups: dict[Key, _Group] = {}
        self._ages: deque[tuple[float, Key]] = deque()
        self._orphans: deque[tuple[float, LogEvent]] = deque()
        self._senders: dict[Key, float] = {}  # (process, scope) -> when it last sent an event
        self.unjoined = 0
        self.late = 0

    def add(self, event: LogEvent, now: float, candidate: Candidate | None) -> None:
        """Keep an event; the same one delivered again is kept once, from then on."""
        sender = (event.source.process, event.source.scope)
        self._senders.pop(sender, None)  # the dict stays in order of time
        self._senders[sender] = now
        if not event.trace_id or not event.span_id:
            self._orphans.append((now, event))
            if len(self._orphans) > ORPHANS_MAX:
                self._orphans.popleft()
                self.unjoined += 1
            return
        key = (event.trace_id, event.span_id)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(now)
            self._ages.append((now, key))
        elif now > group.touched:
            group.touched = now
        if candidate is not None:
            group.joined = True
        if event in group.events:
            return
        if candidate is not None and candidate.state is not State.PENDING:
            self.late += 1
        if len(group.events) < EVENTS_PER_SPAN_MAX:
            group.events.append(event)
        group.answered |= event.name in _ANSWERS

    def joined(self, candidate: Candidate) -> None:
        """The span of these events is here."""
        group = self._groups.get((candidate.trace_id, candidate.span_id))
        if group is not None:
            group.joined = True

    def answered(self, candidate: Candidate) -> bool:
        """Whether an event with the answer came."""
        group = self._groups.get((candidate.trace_id, candidate.span_id))
        return group is not None and group.answered

    def of(self, candidate: Candidate) -> list[LogEvent]:
        """The candidate's events; they stay, for it may be read again after its partition moved."""
        group = self._groups.get((candidate.trace_id, candidate.span_id))
        return group.events if group is not None else []

    def adopt(self, candidate: Candidate) -> LogEvent | None:
        """An answer without ids that its sender wrote as this span ended (Traceloop's, of streams); it is used up."""
        if not self._orphans:
            return None
        near = [
            (abs(event.at - candidate.ended_at), index)
            for index, (_, event) in enumerate(self._orphans)
            if event.name in CHOICE_EVENTS
            and event.source.process == candidate.process
            and event.source.scope == candidate.scope
            and abs(event.at - candidate.ended_at) <= NEAR_NANOSECONDS
        ]
        if not near:
            return None
        _, index = min(near)
        event = self._orphans[index][1]
        del self._orphans[index]
        return event

    def promised(self, candidate: Candidate) -> bool:
        """Whether this sender's calls come with events: its table says so, or it sent some of late."""
        if (candidate.process, candidate.scope) in self._senders:
            return True
        attributes = candidate.span.attributes if candidate.span is not None else {}
        return any(candidate.scope == scope and key in attributes for scope, key in EVENTS_PROMISED)

    def forget_old(self, now: float) -> None:
        """Let go of what is older than the memory, and of the oldest beyond the bound."""
        ages = self._ages
        while ages and ((full := len(self._groups) > self._groups_max) or ages[0][0] + self._memory_seconds < now):
            _, key = ages.popleft()
            group = self._groups[key]
            if not full and group.touched + self._memory_seconds >= now:
                ages.append((group.touched, key))
                continue
            del self._groups[key]
            if not group.joined:
                self.unjoined += len(group.events)
        while self._orphans and self._orphans[0][0] + self._memory_seconds < now:
            self._orphans.popleft()
            self.unjoined += 1
        while self._senders:
            sender = next(iter(self._senders))
            if self._senders[sender] + self._memory_seconds >= now and len(self._senders) <= self._groups_max:
                break
            del self._senders[sender]
