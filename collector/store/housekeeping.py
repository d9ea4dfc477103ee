"""What keeps view and chain small: retention, compaction and the removal of objects that nobody reads any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from collector import delta as deltas
from collector.compaction import merge_deltas, plan
from collector.delta import Delta, Stream
from collector.store.materialise import Objects
from collector.store.retention import Retired, retire
from collector.store.store import Store
from collector.store.tables import Applicable


class Mutable(Objects, Protocol):
    """A chain that may be compacted; collector.chain.Chain is one."""

    def read(self, path: str) -> bytes: ...
    def put_merged(self, delta: Delta) -> Applicable: ...
    def delete(self, paths: Sequence[str]) -> None: ...


class Housekeeper:
    """Jobs of the one process that serves; repeating is safe. Errors of store and object store pass through."""

    def __init__(self, chain: Mutable, store: Store) -> None:
        self._chain = chain
        self._store = store
        self._superfluous: set[str] = set()

    def retire(self, now: float) -> Retired:
        """Drop what is too old at ``now`` (seconds since the epoch), read what stays, pack the file if that is due."""
        retired = retire(self._store, now)
        if not self._store.database.vacuum():
            self._store.database.scrub()
        return retired

    def compact(self, now: float) -> int:
        """Merge every run that is due; returns how many objects were replaced. The old ones stay until ``sweep``."""
        config, replaced = self._store.config.store, 0
        for stream in self._store.cursors():
            runs = plan(
                self._store.held(stream),
                now=now,
                after_deltas=config.compact_after_deltas,
                grace_seconds=config.compact_grace_seconds,
            )
            for run in runs:
                merged = merge_deltas([deltas.decode(self._chain.read(item.path)) for item in run])
                self._store.replace(self._chain.put_merged(merged))
                replaced += len(run)
        return replaced

    def sweep(self) -> int:
        """Delete objects that the view has passed and does not hold: retired, replaced, or a zombie's.

        Only those that the sweep before has seen as well, so a query over an older snapshot still finds its files:
        publish a snapshot between two sweeps, and leave minutes between them. Returns how many were deleted.
        """
        superfluous: list[str] = []
        held: set[str] = set()
        for stream, cursor in self._store.cursors().items():
            mine = self._store.held(stream)
            held.update(item.path for item in mine)
            superfluous += self._passed(stream, cursor, {item.path for item in mine}, mine[0].start if mine else cursor)
        due = [path for path in superfluous if path in self._superfluous]
        self._chain.delete(due)
        self._store.files.sweep(held | self._superfluous.union(superfluous))
        self._superfluous = set(superfluous)
        return len(due)

    def _passed(self, stream: Stream, cursor: int, held: set[str], first: int) -> list[str]:
        """Replaced ones first, then the retired from the front: wherever this ends, a walk reaches the head."""
        passed = [item for item in self._chain.objects(stream) if item.start < cursor and item.path not in held]
        passed.sort(key=lambda item: (item.start < first, item.start, item.next is not None))
        return [item.path for item in passed]
