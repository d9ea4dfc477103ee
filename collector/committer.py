"""The last stage before the truth: keeps the books of the open partitions, appends their deltas; one thread owns it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import numpy as np

from collector import rows
from collector.chain import Chain, Conflict, Link
from collector.config import ChainConfig
from collector.delta import Delta, DeltaError, Footer, empty_calls, empty_embeddings
from collector.intake import Closed, Opened, Read, Step
from collector.labels import Labels
from collector.ledger import Ledger, Range
from collector.records import Anchor, Partition, Rejected, SnippetDrop
from collector.snippets.making import Pending
from collector.source import DeadLetters
from collector.telemetry import Telemetry
from signals.types import SuiteScores

STALE_SECONDS = 300.0  # half of what the serving process leaves between merging deltas and deleting them
QUIET_FLUSHES = 6  # a partition with nothing to count is committed this much less often: an object costs a request


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a flush did: how far each partition is safe now, and which ranges another writer had taken."""

    committed: dict[Partition, int] = {}
    conflicts: tuple[Partition, ...] = ()


class Keeper(Protocol):
    """Takes snippets of calls that are durable; collector.snippets.writing.Writer is one. Never blocks or raises."""

    def keep(self, snippets: Sequence[Pending]) -> None: ...


@dataclass(slots=True)
class _Book:
    ledger: Ledger
    flushed_at: float
    seen_at: float  # when the chain was seen to end where the ledger starts
    uncommitted: Delta | None = None  # cut, but the store did not take it yet
    rejected: tuple[Rejected, ...] = ()
    snippets: list[Pending] = field(default_factory=list)


@dataclass(slots=True)
class Committer:
    """Single-threaded. After ``flush`` raised (ChainError, SourceError), call it again: nothing was lost or doubled."""

    chain: Chain
    dead_letters: DeadLetters
    telemetry: Telemetry
    config: ChainConfig
    labels: Labels
    suite: rows.SuiteId
    written_by: str
    optional: bool = False  # keep the optional fields of calls
    sketched: bool = True  # whether rows keep what drift is told by
    keeper: Keeper | None = None  # None: no snippets are made
    stale_seconds: float = STALE_SECONDS
    _books: dict[Partition, _Book] = field(default_factory=dict)
    _committed: dict[Partition, int] = field(default_factory=dict)  # not reported yet: a flush may raise half way
    _conflicts: list[Partition] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        """Rows that are scored and not yet durable."""
        return sum(book.ledger.waiting for book in self._books.values())

    def take(self, step: Step, scores: SuiteScores, now: float, snippets: Sequence[Pending] = ()) -> None:
        """Enter a step, the scores of its calls and their snippets into the books."""
        for event in step.events:
            if isinstance(event, Opened):
                self._open(event, now)
            elif isinstance(event, Closed):
                self._close(event.partition)
            elif isinstance(event, Read):
                if book := self._books.get(event.anchor.partition):
                    book.ledger.read(event.anchor.offset, event.timestamp, event.candidates)
            elif book := self._books.get(event.record.partition):
                book.ledger.reject(event)
        for anchor, reason in step.dropped:
            if book := self._books.get(anchor.partition):
                book.ledger.drop(anchor.offset, reason)
        if step.calls:
            self._enter(step, scores, now)
        for snippet in snippets:
            if book := self._books.get(snippet.anchor.partition):
                book.snippets.append(snippet)
            else:
                self._forget(1)

    def due(self, now: float) -> bool:
        """Is there a partition to flush?"""
        return any(self._due(book, now) for book in self._books.values())

    def flush(self, now: float, *, everything: bool = False) -> Outcome:
        """Append what is due. A lost race closes the partition's books: the winner counted that range."""
        for partition, book in list(self._books.items()):
            if not (everything or self._due(book, now)):
                continue
            if book.uncommitted is None:
                cut = book.ledger.cut()
                book.flushed_at = now
                if cut is None:
                    continue
                book.uncommitted = self._delta(cut)
                book.rejected = cut.rejected
            if book.rejected:
                self.dead_letters.send(book.rejected)
                self.telemetry.add("assay_dead_letters_total", len(book.rejected))
                book.rejected = ()
            stale = not 0 <= now - book.seen_at < self.stale_seconds
            try:
                appended = self.chain.append(book.uncommitted, stale=stale)
            except DeltaError:  # of the winner: whoever opens the partition again says so, and the others go on
                appended = Conflict(next=book.uncommitted.footer.next)
            if isinstance(appended, Conflict):
                self._forget(len(self._books.pop(partition).snippets))
                self._conflicts.append(partition)
                self.telemetry.add("assay_appends_total", outcome="conflict")
                continue
            self._appended(partition, appended, now)
            self._keep(book, appended.next)
            book.uncommitted, book.seen_at = None, now
        outcome = Outcome(committed=dict(self._committed), conflicts=tuple(self._conflicts))
        self._committed.clear()
        self._conflicts.clear()
        return outcome

    def _appended(self, partition: Partition, link: Link, now: float) -> None:
        place = {"topic": partition.topic, "partition": str(partition.number)}
        self._committed[partition] = link.next
        self.telemetry.count_delta(link.delta)
        self.telemetry.add("assay_appends_total", outcome="won")
        self.telemetry.add("assay_append_bytes_total", link.size)
        self.telemetry.set("assay_chain_next_offset", link.next, **place)
        self.telemetry.set("assay_last_append_timestamp_seconds", now, **place)

    def _keep(self, book: _Book, end: int) -> None:
        """Hand on what belongs to calls that are durable now: whoever loses a race stores no text."""
        durable = [snippet for snippet in book.snippets if snippet.anchor.offset < end]
        if durable and self.keeper is not None:
            self.keeper.keep(durable)
            book.snippets = [snippet for snippet in book.snippets if snippet.anchor.offset >= end]

    def _forget(self, snippets: int) -> None:
        if snippets:
            self.telemetry.add("assay_snippets_dropped_total", snippets, reason=SnippetDrop.NOT_OURS)

    def _close(self, partition: Partition) -> None:
        if book := self._books.pop(partition, None):
            self._forget(len(book.snippets))
        for metric in ("assay_chain_next_offset", "assay_last_append_timestamp_seconds"):  # somebody else's now
            self.telemetry.set(metric, math.nan, topic=partition.topic, partition=str(partition.number))

    def _open(self, opened: Opened, now: float) -> None:
        ledger = Ledger(opened.stream, opened.start, opened.resume_at)
        ledger.lose(opened.first)
        self.labels.learn(opened.labels)
        self._books[opened.partition] = _Book(ledger, flushed_at=now, seen_at=opened.at)

    def _enter(self, step: Step, scores: SuiteScores, now: float) -> None:
        mine = [index for index, anchor in enumerate(step.anchors) if anchor.partition in self._books]
        if not mine:
            return
        offsets = [anchor.offset for anchor in step.anchors]
        built = rows.build(
            step.calls,
            offsets,
            scores,
            self.suite,
            self.labels,
            now,
            optional=self.optional,
            sketched=self.sketched,
        )
        by_partition = _by_partition(step.anchors, mine)
        for partition, mask in by_partition.items():
            self._books[partition].ledger.score(built if mask.all() else built.take(mask))

    def _due(self, book: _Book, now: float) -> bool:
        if book.uncommitted is not None or book.ledger.waiting >= self.config.flush_calls_max:
            return True
        patience = self.config.flush_seconds * (1 if book.ledger.waiting else QUIET_FLUSHES)
        return not 0 <= now - book.flushed_at < patience  # a clock that was turned back must not hold commits

    def _delta(self, cut: Range) -> Delta:
        latest = cut.resume_at
        footer = Footer(
            topic=cut.stream.topic,
            epoch=cut.stream.epoch,
            partition=cut.stream.partition,
            start=cut.start,
            next=cut.next,
            records=cut.records,
            consumed=cut.consumed,
            dropped=cut.dropped,
            rejected=_reasons(cut),
            lost=cut.lost,
            suites={self.suite.id: self.suite.entries} if cut.rows else {},
            labels=self.labels.snapshot(latest),
            resume_at=latest,
            written_by=self.written_by,
        )
        return Delta(
            footer=footer,
            calls=rows.table(cut.rows) if cut.rows else empty_calls(),
            embeddings=rows.embedding_sums(cut.rows) if cut.rows else empty_embeddings(),
        )


def _reasons(cut: Range) -> dict[str, int]:
    return dict(Counter(rejected.reason.value for rejected in cut.rejected))


def _by_partition(anchors: Sequence[Anchor], mine: Sequence[int]) -> dict[Partition, np.ndarray]:
    masks: dict[Partition, np.ndarray] = {}
    for index in mine:
        partition = anchors[index].partition
        if partition not in masks:
            masks[partition] = np.zeros(len(anchors), dtype=np.bool_)
        masks[partition][index] = True
    return masks
