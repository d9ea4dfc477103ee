"""Compaction: which runs of deltas become one, and how; pure, the chain does the reading and writing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from collector.delta import Delta, Footer, completed, merge_embeddings

MERGED_CALLS_MAX = 100_000  # so an embedding sum of a merged delta still fits int32, and a query reads what it needs
DAY = 86_400
AHEAD_SECONDS = 600.0  # an event this far ahead of its log's time has a wrong clock
LATE_SECONDS = 300.0  # and one this far behind came late; both are counted in their own window all the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One object of a chain as a store knows it."""

    start: int
    next: int
    path: str
    calls: int
    log_time: float  # seconds since the epoch; 0: no record was read yet


def plan(
    held: Sequence[Held], *, now: float, after_deltas: int, grace_seconds: float, calls_max: int = MERGED_CALLS_MAX
) -> list[list[Held]]:
    """Runs of neighbours to merge, each of at least two.

    A run is due when it holds ``after_deltas`` objects, or when the next one would fill it beyond ``calls_max`` calls.
    Objects whose log time is within ``grace_seconds`` of ``now`` stay as they are, and so does what fills half of
    ``calls_max`` by itself. Merged objects are merged again, so the number of objects of a day stays logarithmic; with
    the first object of another day a run is due as well, for none spans two: how far ahead of it a call may be stamped
    to be in windows is told by the day (UTC) that an object was read on.
    """
    runs: list[list[Held]] = []
    run: list[Held] = []

    def close(full: bool) -> None:
        if len(run) >= (2 if full else after_deltas):
            runs.append(list(run))
        run.clear()

    for item in held:
        if item.log_time > now - grace_seconds:
            break
        if run and item.log_time // DAY != run[-1].log_time // DAY:
            close(full=True)
        if item.calls > calls_max // 2:
            close(full=False)
            continue
        if sum(one.calls for one in run) + item.calls > calls_max:
            close(full=True)
        run.append(item)
        if len(run) == after_deltas:
            close(full=False)
    return runs


def merge_deltas(run: Sequence[Delta]) -> Delta:
    """One delta that says what the run says; AssertionError unless each begins where the one before it ends."""
    footers = [delta.footer for delta in run]
    for one, other in pairwise(footers):
        if one.stream != other.stream or one.next != other.start:
            raise AssertionError(f"{one.stream.path}: {one.start}..{one.next} is not followed by {other.start}")
    first, last = footers[0], footers[-1]
    off = [off_clock(delta) for delta in run]
    calls = pa.concat_tables([completed(delta.calls) for delta in run], promote_options="default").unify_dictionaries()
    return Delta(
        footer=Footer(
            topic=first.topic,
            epoch=first.epoch,
            partition=first.partition,
            start=first.start,
            next=last.next,
            records=sum(footer.records for footer in footers),
            consumed=sum(footer.consumed for footer in footers),
            dropped=_added(footer.dropped for footer in footers),
            rejected=_added(footer.rejected for footer in footers),
            lost=sum(footer.lost for footer in footers),
            ahead=sum(ahead for ahead, _ in off),
            late=sum(late for _, late in off),
            suites={name: entries for footer in footers for name, entries in footer.suites.items()},
            labels=last.labels,  # each footer tells all that was admitted so far
            resume_at=max(footer.resume_at for footer in footers),
            written_by="compaction",
        ),
        calls=calls.combine_chunks(),
        embeddings=merge_embeddings([delta.embeddings for delta in run]),
    )


def off_clock(delta: Delta) -> tuple[int, int]:
    """How many calls lie far ahead of, and far behind, the log time of their range."""
    footer = delta.footer
    if footer.ahead is not None and footer.late is not None:
        return footer.ahead, footer.late  # merged: the ranges that these were counted in are gone
    if footer.resume_at <= 0:
        return 0, 0
    time = delta.calls.column("time").cast(pa.int64()).to_numpy()
    ahead = np.count_nonzero(time > (footer.resume_at + AHEAD_SECONDS) * 1e6)
    return int(ahead), int(np.count_nonzero(time < (footer.resume_at - LATE_SECONDS) * 1e6))


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))
