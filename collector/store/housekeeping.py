"""What keeps view and chain small: retention, compaction and the removal of objects that nobody reads any more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Protocol

from collector import delta as deltas
from collector.compaction import Held, merge_deltas, plan
from collector.delta import Delta, Stream
from collector.store.materialise import Named, Objects
from collector.store.retention import Retired, retire
from collector.store.store import Store
from collector.store.tables import Applicable


class Mutable(Objects, Protocol):
    """A chain that may be compacted; collector.chain.Chain is one."""

    def read(self, path: str) -> bytes: ...
    def put_merged(self, delta: Delta) -> Applicable: ...
    def delete(self, paths: Sequence[str]) -> None: ...


class Housekeeper:
    """Jobs of the process that serves; repeating is safe. Errors of store and object store pass through.

    One process serves a chain at a time. Where it is two after all (a rollout that overlaps, a second copy), they do
    the same work twice and delete nothing that the chain needs: what goes is decided by the chain's own objects.
    """

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
            replaced += self._adopt(stream)
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
        """Delete objects that the view has passed, does not hold and no walk needs: retired, replaced, or a zombie's.

        Only those that the sweep before has seen as well, so a query over an older snapshot still finds its files:
        publish a snapshot between two sweeps, and leave minutes between them. Returns how many were deleted.
        """
        superfluous: list[str] = []
        held: set[str] = set()
        for stream, cursor in self._store.cursors().items():
            mine = self._store.held(stream)
            held.update(item.path for item in mine)
            superfluous += self._passed(stream, cursor, mine)
        due = [path for path in superfluous if path in self._superfluous]
        self._chain.delete(due)
        self._store.files.sweep(held | self._superfluous.union(superfluous))
        self._superfluous = set(superfluous)
        return len(due)

    def _adopt(self, stream: Stream) -> int:
        """Hold what was merged by another process, or by this one before it was killed, where it fits what is held."""
        held = self._store.held(stream)
        paths, ends = {item.path for item in held}, {item.next for item in held}
        begins, adopted = {item.start for item in held}, 0
        for item in _preferred(self._chain.objects(stream)).values():
            if item.next is None or item.path in paths or item.start not in begins or item.next not in ends:
                continue
            for link in islice(self._chain.walk(stream, item.start), 1):
                if link.path == item.path:
                    self._store.replace(link)
                    adopted += sum(link.start <= one.start < link.next for one in held)
        return adopted

    def _passed(self, stream: Stream, cursor: int, held: Sequence[Held]) -> list[str]:
        """Replaced ones first, then the retired from the front: wherever this ends, a walk reaches the head."""
        first = held[0].start if held else cursor
        objects = self._chain.objects(stream)
        kept = _needed(objects, held) | {item.path for item in held}
        passed = [item for item in objects if item.start < cursor and item.path not in kept]
        passed.sort(key=lambda item: (item.start < first, item.start, item.next is not None))
        return [item.path for item in passed]


def _needed(objects: Sequence[Named], held: Sequence[Held]) -> set[str]:
    """The objects that a walk from the first held one passes; all that lie beyond a place where it cannot be known."""
    if not held:
        return set()
    ends = {item.path: item.next for item in held}
    at, known, needed = held[0].start, _preferred(objects), set()
    while at in known:
        item = known[at]
        needed.add(item.path)
        end = item.next or ends.get(item.path)
        if end is None:  # a delta whose merged object, which this view holds, somebody has deleted
            break
        at = end
    return needed | {item.path for item in objects if item.start >= at}


def _preferred(objects: Sequence[Named]) -> dict[int, Named]:
    """Of the objects with one start that which a walk takes."""
    found: dict[int, Named] = {}
    for item in objects:
        found.setdefault(item.start, item)
    return found
