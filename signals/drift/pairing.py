"""Pairing: which baseline call each current call is compared with, alike in every process and each used once.

Traffic has hours and weekdays, so a call is paired with one of the same phase. Calls of one conversation resemble
each other, which breaks the exchangeability that the detector rests on, so they are thinned first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

HOUR = 3600
DAY = 24 * HOUR
WEEK = 7 * DAY
SPAN_SECONDS = DAY
"""Of a conversation, one call in this time takes part by default."""

_THURSDAY = 3  # the day on which the epoch fell, Monday being 0


class Phase(StrEnum):
    """What two calls of a pair have in common, strictest first."""

    HOUR_OF_WEEK = "hour_of_week"
    HOUR_OF_DAY = "hour_of_day"
    ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """Which calls are compared: row i of ``current`` with row i of ``baseline``."""

    current: Indices  # (n,) ascending: the order of the calls is the order of the bets
    baseline: Indices  # (n, k), no value twice
    phase: Phase

    def __len__(self) -> int:
        return len(self.current)


def hour_of_day(times: npt.ArrayLike) -> Indices:
    """Unix seconds to 0..23, UTC."""
    return np.asarray(np.floor_divide(times, HOUR), dtype=np.int64) % 24


def hour_of_week(times: npt.ArrayLike) -> Indices:
    """Unix seconds to 0..167: hours since Monday 00:00 UTC."""
    return (np.asarray(np.floor_divide(times, HOUR), dtype=np.int64) + 24 * _THURSDAY) % 168


def thin(
    conversations: Sequence[Hashable], times: npt.ArrayLike, ids: Sequence[str], span_seconds: float = SPAN_SECONDS
) -> Indices:
    """Rows to keep, ascending: one call a conversation in each span of ``span_seconds``, the one of the least hash.

    ``conversations`` holds a key a call, None where it belongs to none (such a call is always kept). Spans are cut at
    multiples of ``span_seconds`` since the epoch, so that every process thins alike.
    """
    spans = np.floor_divide(np.asarray(times, dtype=np.float64), span_seconds).tolist()
    kept: dict[tuple[Hashable, float], tuple[bytes, int]] = {}
    alone: list[int] = []
    for row, (conversation, span, call) in enumerate(zip(conversations, spans, ids, strict=True)):
        if conversation is None:
            alone.append(row)
            continue
        candidate = (_key(call), row)
        if (known := kept.get((conversation, span))) is None or candidate < known:
            kept[conversation, span] = candidate
    return np.array(sorted([*alone, *(row for _, row in kept.values())]), dtype=np.int64)


def pair(
    current_ids: Sequence[str],
    baseline_ids: Sequence[str],
    current_buckets: npt.ArrayLike | None = None,
    baseline_buckets: npt.ArrayLike | None = None,
    *,
    per_call: int = 1,
    phase: Phase = Phase.ANY,
) -> Pairs:
    """Pair calls in the order given with baseline calls of their bucket, in the order of a keyed hash of their ids.

    ``per_call`` baseline calls go to each current call and none is used twice. A current call for which its bucket
    has none left is left out, so no pair ever crosses buckets. Without buckets there is one.
    """
    today, before = _buckets(current_buckets, len(current_ids)), _buckets(baseline_buckets, len(baseline_ids))
    shelves: dict[int, list[int]] = defaultdict(list)
    for row in hashed_order(baseline_ids)[::-1].tolist():
        shelves[before[row]].append(row)
    rows: list[int] = []
    taken: list[list[int]] = []
    for row, bucket in enumerate(today):
        shelf = shelves.get(bucket, [])
        if len(shelf) >= per_call:
            rows.append(row)
            taken.append([shelf.pop() for _ in range(per_call)])
    return Pairs(
        current=np.array(rows, dtype=np.int64),
        baseline=np.array(taken, dtype=np.int64).reshape(-1, per_call),
        phase=phase,
    )


def pair_in_phase(
    current_ids: Sequence[str],
    current_times: npt.ArrayLike,
    baseline_ids: Sequence[str],
    baseline_times: npt.ArrayLike,
    *,
    per_call_max: int = 1,
    covered_min: float = 0.9,
) -> Pairs:
    """Pair by hour of the week; by hour of the day where that leaves too many calls alone; else with any call.

    A phase is used where it pairs at least ``covered_min`` of the calls that could be paired at all, with as many
    baseline calls to each, up to ``per_call_max``, as keep that so. Times are Unix seconds. The baseline calls must be
    earlier ones, and it is the caller who sees to that.
    """
    enough = covered_min * min(len(current_ids), len(baseline_ids))
    phases: tuple[tuple[Phase, npt.ArrayLike | None, npt.ArrayLike | None], ...] = (
        (Phase.HOUR_OF_WEEK, hour_of_week(current_times), hour_of_week(baseline_times)),
        (Phase.HOUR_OF_DAY, hour_of_day(current_times), hour_of_day(baseline_times)),
        (Phase.ANY, None, None),
    )
    for phase, today, before in phases:
        for per_call in range(per_call_max, 0, -1):
            found = pair(current_ids, baseline_ids, today, before, per_call=per_call, phase=phase)
            if len(found) >= enough:
                return found
    raise AssertionError("one baseline call of any phase to each call covers what can be covered")


def hashed_order(ids: Sequence[str]) -> Indices:
    """Rows in the order of a keyed hash of their ids: a shuffle that every process repeats."""
    return np.array(sorted(range(len(ids)), key=lambda row: (_key(ids[row]), row)), dtype=np.int64)


def _buckets(buckets: npt.ArrayLike | None, n: int) -> list[int]:
    return [0] * n if buckets is None else np.asarray(buckets, dtype=np.int64).tolist()


def _key(call: str) -> bytes:
    return blake2b(call.encode("utf-8", "surrogatepass"), digest_size=8, key=b"assay drift pairs").digest()
