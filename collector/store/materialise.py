"""Follows every chain into the store, step by step, and mends what went wrong on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from collector.delta import DeltaError, Stream
from collector.store.database import StoreBusyError, StoreDamagedError, StoreError
from collector.store.store import Store
from collector.store.tables import Applicable

__all__ = ["Materialiser", "Objects", "Step", "Store"]

BATCH_CALLS_MAX = 100_000  # of one transaction, so that memory stays flat while a long chain is caught up
BATCH_DELTAS_MAX = 256
_LOOK_EVERY = 60  # idle steps between two looks whether a stream's place in the chain still exists
_BACKOFF_STEPS_MAX = 32


class Named(Protocol):
    """An object of a chain by its name alone; collector.chain.Object is one."""

    @property
    def start(self) -> int: ...
    @property
    def next(self) -> int | None: ...
    @property
    def path(self) -> str: ...


class Objects(Protocol):
    """A chain as the store reads it; collector.chain.Chain is one."""

    def streams(self) -> Sequence[Stream]: ...
    def walk(self, stream: Stream, start: int | None = None) -> Iterator[Applicable]: ...
    def objects(self, stream: Stream, since: int = 0) -> Sequence[Named]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step did."""

    deltas: int = 0
    calls: int = 0
    rebuilt: str = ""  # why the view was begun anew; "": it was not
    deleted: int = 0  # files set aside earlier, which went for newer ones since this was told last
    failure: str = ""  # what stands in the way, in a sentence; the following steps try again


class Materialiser:
    """Brings a store up to the heads of a chain's streams.

    ``step`` does not raise for the store's troubles: a damaged or deleted file is set aside and built again, a full
    disk is waited out over a growing number of steps; both are told. An error of the object store passes through.
    """

    def __init__(self, chain: Objects, store: Store) -> None:
        self.chain = chain
        self.store = store
        self._failures = 0
        self._skip = 0
        self._failure = ""
        self._idle: dict[Stream, int] = {}
        self._deleted = 0  # as far as it was told

    def step(self) -> Step:
        """Catch up with all streams; returns when no stream has more."""
        if self._skip:
            self._skip -= 1
            return Step(failure=self._failure)
        try:
            done = self._catch_up()
        except StoreDamagedError as error:
            done = self._begin_anew("corrupt", str(error))
        except StoreError as error:
            return self._back_off(error)
        self._failures = 0
        told, self._deleted = self._deleted, self.store.database.deleted
        return replace(done, deleted=self._deleted - told)

    def _catch_up(self) -> Step:
        database, done = self.store.database, Step()
        if database.is_open and not database.path.exists():
            self.store.close()  # what the old handle says is nobody's view
            done = Step(rebuilt=f"{database.path.name} was deleted")
        aside = len(database.set_aside)
        cursors = self.store.cursors()
        if len(database.set_aside) > aside:
            done = Step(rebuilt=f"set aside: {', '.join(path.name for path in database.set_aside[aside:])}")
        for stream in self.chain.streams():
            if self._lost(stream, cursors.get(stream)):
                return self._begin_anew("outdated", f"{stream.path} has no object at {cursors[stream]} any more")
            try:
                for batch in batches(self.chain.walk(stream, cursors.get(stream))):
                    applied = self.store.apply(batch)
                    self._idle[stream] = 1
                    done = replace(done, deltas=done.deltas + applied.deltas, calls=done.calls + applied.calls)
            except DeltaError as error:
                done = replace(done, failure=f"{stream.path}: {error}")  # the other streams go on
        return done

    def _lost(self, stream: Stream, cursor: int | None) -> bool:
        """Whether retention or another's compaction took the place where this store would go on."""
        idle = self._idle.get(stream, 0)
        self._idle[stream] = idle + 1
        if cursor is None or idle % _LOOK_EVERY:
            return False
        after = [
            item for item in self.chain.objects(stream, cursor) if item.start >= cursor or (item.next or 0) > cursor
        ]
        return bool(after) and all(item.start != cursor for item in after)

    def _begin_anew(self, why: str, because: str) -> Step:
        self._idle.clear()
        try:
            self.store.database.renew(why)
            return replace(self._catch_up(), rebuilt=because)
        except StoreError as error:
            return replace(self._back_off(error), rebuilt=because)

    def _back_off(self, error: StoreError) -> Step:
        self._failures += 1
        self._skip = 0 if isinstance(error, StoreBusyError) else min(2**self._failures, _BACKOFF_STEPS_MAX) - 1
        self._failure = str(error)
        return Step(failure=self._failure)


def batches(links: Iterator[Applicable]) -> Iterator[list[Applicable]]:
    """Links in groups that one transaction takes."""
    batch: list[Applicable] = []
    calls = 0
    for link in links:
        batch.append(link)
        calls += link.delta.calls.num_rows
        if calls >= BATCH_CALLS_MAX or len(batch) >= BATCH_DELTAS_MAX:
            yield batch
            batch, calls = [], 0
    if batch:
        yield batch
