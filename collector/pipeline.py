"""Wires the stages with threads and bounded queues: intake, scoring, commit; start, drain, stop. No arithmetic here."""

from __future__ import annotations

import itertools
import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

import msgspec

from collector.chain import ChainError
from collector.committer import Committer, Outcome
from collector.decode.context import context_text
from collector.intake import Intake, Step
from collector.records import Partition
from collector.scoring import Scorer
from collector.shedding import Shedding
from collector.snippets.making import Maker, Pending
from collector.source import SourceError
from collector.telemetry import Telemetry
from signals.types import SuiteScores

log = logging.getLogger(__name__)

QUEUE_STEPS_MAX = 2
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)

_Item = TypeVar("_Item")


class _Signpost(Enum):
    END = "nothing more will come"
    IDLE = "nothing came in time"


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """A step, what the suite says of its calls, and what may be kept of their texts."""

    step: Step
    scores: SuiteScores
    snippets: tuple[Pending, ...] = ()


@dataclass(slots=True)
class Pipeline:
    """Three threads and two queues.

    ``start`` returns at once; ``drain`` asks for an orderly end and ``join`` waits for it: what is read is scored and
    committed, what still waits for its window is read again by the next owner. ``cut_short`` leaves out what is not
    scored yet. A step is scored in batches, so that commits go on, and an end comes soon, under a backlog.
    ``failure`` is set when a stage raised what it must not: the process has to end, and the offsets have not moved.
    Stopping twice, or unstarted, is safe.
    """

    intake: Intake
    scorer: Scorer
    committer: Committer
    telemetry: Telemetry
    clock: Callable[[], float]
    shedding: Shedding | None = None  # None: whatever the lag, every call is scored by every signal
    snippets: Maker | None = None  # None: no text is kept
    poll_seconds: float = 0.1
    batch_calls_max: int = 256
    failure: BaseException | None = None
    trouble: str = ""  # why the chain does not take what is scored; "": it does
    _scoring_at: float = math.inf  # stream time of the step that is scored now; inf: none is
    _scoring: queue.Queue[Step | _Signpost] = field(default_factory=lambda: queue.Queue(QUEUE_STEPS_MAX))
    _committing: queue.Queue[Scored | _Signpost] = field(default_factory=lambda: queue.Queue(QUEUE_STEPS_MAX))
    _outcomes: queue.SimpleQueue[Outcome] = field(default_factory=queue.SimpleQueue)
    _draining: threading.Event = field(default_factory=threading.Event)
    _cutting: threading.Event = field(default_factory=threading.Event)
    _aborting: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for name, stage in (("intake", self._take_in), ("scoring", self._score), ("commit", self._commit)):
            thread = threading.Thread(target=self._guarded, args=(stage,), name=f"assay-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def drain(self) -> None:
        """Stop reading; score what was read and commit it."""
        self._draining.set()

    def cut_short(self) -> None:
        """Drain, but score no further batch: the next owner reads the rest again."""
        self._draining.set()
        self._cutting.set()

    def abort(self) -> None:
        """Stop everything at once; what is not committed will be read again."""
        self._draining.set()
        self._aborting.set()

    def join(self, timeout_seconds: float | None = None) -> bool:
        """Wait until every stage has ended; True when they have. Then the last commits are handed on as hints."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if self.running:
            return False
        self._apply_outcomes()
        return True

    @property
    def chain_up(self) -> bool:
        return not self.trouble

    @property
    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    @property
    def waiting(self) -> dict[str, int]:
        """What is on its way, by place: calls in the join and as rows, steps in the queues."""
        return {
            "join": self.intake.assembler.waiting,
            "scoring": self._scoring.qsize(),
            "committing": self._committing.qsize(),
            "rows": self.committer.waiting,
        }

    @property
    def lag_seconds(self) -> float:
        """How old the part of the log is that is read or, if that is older, scored now; 0 before anything was read."""
        at = min(self.intake.time.log_time, self._scoring_at)
        return max(0.0, self.clock() - at) if at else 0.0

    def _guarded(self, stage: Callable[[], None]) -> None:
        try:
            stage()
        except BaseException as error:
            self.failure = self.failure or error
            self.abort()

    def _take_in(self) -> None:
        held: deque[Step] = deque()  # steps the scoring stage has no room for yet, in order
        while not self._draining.is_set():
            held.extend(self.intake.reopen(partition) for partition in self._apply_outcomes())
            started = time.monotonic()
            held.append(self.intake.turn(self.poll_seconds, blocked=bool(held)))
            self.telemetry.observe("assay_stage_seconds", time.monotonic() - started, stage="intake")
            self._look()
            if getattr(self.intake.source, "finished", False):
                held.append(self.intake.finish())
                self._draining.set()
            self._hand_on(held)
        for step in held:
            self._put(self._scoring, step)
        self._put(self._scoring, _Signpost.END)

    def _look(self) -> None:
        if self.shedding is None:
            return
        if self.chain_up and self.intake.source.healthy:
            self.shedding.look(self.clock(), self.lag_seconds)
        else:
            self.shedding.look_away()

    def _hand_on(self, held: deque[Step]) -> None:
        while held:
            try:
                if held[0]:
                    self._scoring.put_nowait(held[0])
            except queue.Full:
                return
            held.popleft()

    def _score(self) -> None:
        while isinstance(step := self._get(self._scoring), Step):
            self._scoring_at = step.at or math.inf
            for part in _batches(step, self.batch_calls_max):
                if self._cutting.is_set():
                    break
                started = time.monotonic()
                shed = self.shedding.depths([call.trace_id for call in part.calls]) if self.shedding else None
                contexts = [context_text(call) for call in part.calls]
                scores = self.scorer.score(part.calls, contexts, shed)
                kept = self._excerpts(part, contexts, scores)
                self.telemetry.observe("assay_stage_seconds", time.monotonic() - started, stage="scoring")
                self._put(self._committing, Scored(step=part, scores=scores, snippets=kept))
            self._scoring_at = math.inf
        self._put(self._committing, _Signpost.END)

    def _excerpts(self, step: Step, contexts: list[str | None], scores: SuiteScores) -> tuple[Pending, ...]:
        if self.snippets is None:
            return ()
        return self.snippets.make(step.calls, contexts, step.anchors, scores.columns, self.clock())

    def _commit(self) -> None:
        item: Scored | _Signpost = _Signpost.IDLE
        while item is not _Signpost.END:
            item = self._get(self._committing, timeout_seconds=self.poll_seconds)
            started = time.monotonic()
            if isinstance(item, Scored):
                self.committer.take(item.step, item.scores, self.clock(), item.snippets)
            ended = item is _Signpost.END and not self._aborting.is_set()
            if ended or self.committer.due(self.clock()):
                self._flush(everything=ended)
            if item is not _Signpost.IDLE:
                self.telemetry.observe("assay_stage_seconds", time.monotonic() - started, stage="commit")

    def _flush(self, *, everything: bool) -> None:
        """Retry until the chain has taken it; only an abort gives up, and then the range is read again."""
        for attempt in itertools.count():
            if self._aborting.is_set():
                return
            try:
                self._outcomes.put(self.committer.flush(self.clock(), everything=everything))
            except (ChainError, SourceError) as error:
                if self.chain_up:  # the first of a run of failures
                    log.warning("cannot commit, will try again: %s", error)
                self.trouble = str(error)
                self.telemetry.add("assay_append_retries_total")
                self._aborting.wait(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
            else:
                if not self.chain_up:
                    log.info("commits are taken again")
                self.trouble = ""
                return

    def _apply_outcomes(self) -> list[Partition]:
        conflicts: list[Partition] = []
        committed: dict[Partition, int] = {}
        while not self._outcomes.empty():
            outcome = self._outcomes.get()
            committed.update(outcome.committed)
            conflicts += outcome.conflicts
        if committed:
            self.intake.source.commit(committed)
        return conflicts

    def _put(self, to: queue.Queue[_Item | _Signpost], item: _Item | _Signpost) -> None:
        while not self._aborting.is_set():
            try:
                to.put(item, timeout=0.2)
            except queue.Full:
                continue
            return

    def _get(self, of: queue.Queue[_Item | _Signpost], timeout_seconds: float | None = None) -> _Item | _Signpost:
        while not self._aborting.is_set():
            try:
                return of.get(timeout=timeout_seconds or 0.2)
            except queue.Empty:
                if timeout_seconds is not None:
                    return _Signpost.IDLE
        return _Signpost.END


def _batches(step: Step, calls_max: int) -> list[Step]:
    if len(step.calls) <= calls_max:
        return [step]
    cuts = range(0, len(step.calls), calls_max)
    parts = [(step.anchors[at : at + calls_max], step.calls[at : at + calls_max]) for at in cuts]
    first = Step(events=step.events, dropped=step.dropped, anchors=parts[0][0], calls=parts[0][1])
    return [first, *(Step(anchors=anchors, calls=calls) for anchors, calls in parts[1:])]
