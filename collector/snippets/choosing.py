"""Which calls get a snippet: the worst of every minute, for each signal, side, service and model, within a budget.

For the drift page, where that is asked for, also the first of every minute by the hash that drift goes by, for each
service and model: which these are the serving process knows without a word of theirs, and names them as examples.

The order is that of the evidence page: by score, and of equal scores by trace id. So what the page lists as worst was
among the worst of its minute, and has a snippet, however calls are spread over batches and workers.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from collector import catalog
from collector.config import ConfigError, SnippetsConfig
from collector.delta import SCORE_SCALE
from collector.drift.calls import Bytes, ids
from collector.evidence import DRIFT
from collector.records import LLMCall, SnippetDrop
from collector.snippets.record import Key
from signals.types import ScoreColumn, ScoreSpec

MINUTES_MAX = 15  # of calls' own time that are remembered at once
SLICES_MAX = 2_000  # of a minute; calls of further ones get no snippet
SHARED = 0.5  # of the budget is left to slices that have few: the more one has, the more must be left for another
AHEAD_SECONDS_MAX = 60.0  # a call stamped further ahead of the clock would be kept too long

_Slice = tuple[str, str, str]  # column, service, model
_Rank = tuple[int, str]  # score in millionths, negative, or hash; trace id


class Chosen(NamedTuple):
    """A row of a batch that gets a snippet."""

    row: int
    key: Key
    spec: ScoreSpec | None = None  # None: for the drift page


@dataclass(slots=True)
class Chooser:
    """Single-threaded. Raises ConfigError where a signal is named that does not exist."""

    config: SnippetsConfig
    warn_at: float
    dropped: dict[SnippetDrop, int] = field(default_factory=dict)
    _signals: frozenset[str] = field(init=False)
    _minutes: dict[int, dict[_Slice, list[_Rank]]] = field(default_factory=dict)
    _left: float = field(init=False)
    _at: float | None = None

    def __post_init__(self) -> None:
        known = {entry.name for entry in catalog.SIGNALS}
        self._signals = frozenset(known if self.config.signals is None else self.config.signals)
        if unknown := sorted(self._signals - known):
            raise ConfigError(f"evidence.snippets.signals: there is no signal {', '.join(unknown)}")
        self._left = float(self.config.per_minute_max)

    def choose(self, calls: Sequence[LLMCall], columns: Sequence[ScoreColumn], now: float) -> list[Chosen]:
        """Rows that are flagged and among the worst, then those for the drift page; ``now`` is the clock's, seconds."""
        self._refill(now)
        chosen = []
        for column in columns:
            if column.spec.signal not in self._signals:
                continue
            rows = np.flatnonzero(column.values > self.warn_at)  # NaN is not
            scores = np.rint(column.values[rows].astype(np.float64) * SCORE_SCALE).astype(np.int64)
            worst_first = sorted(
                (-score, calls[row].trace_id.lower(), row)
                for score, row in zip(scores.tolist(), rows.tolist(), strict=True)
            )
            for rank, trace_id, row in worst_first:
                call = calls[row]
                if self._admits(call, column.spec.column, (rank, trace_id), now, self.config.calls_per_minute_max):
                    chosen.append(Chosen(row, _key(call, column.spec.column), column.spec))
        return chosen + self._ordinary(calls, now)

    def _ordinary(self, calls: Sequence[LLMCall], now: float) -> list[Chosen]:
        most = self.config.drift_calls_per_minute_max
        if not most:
            return []
        spoken = [row for row, call in enumerate(calls) if call.last_user_text or any(out.text for out in call.outputs)]
        hashes = ids(
            _bytes([calls[row].trace_id for row in spoken], 16), _bytes([calls[row].span_id for row in spoken], 8)
        )
        seen: Counter[tuple[int, str, str]] = Counter()
        chosen = []
        for rank, row in sorted(zip(hashes.tolist(), spoken, strict=True)):
            call = calls[row]
            place = (call.ended_at // 60_000_000_000, call.service, _model(call))
            seen[place] += 1
            if seen[place] <= most and self._admits(call, DRIFT, (rank, call.trace_id.lower()), now, most):
                chosen.append(Chosen(row, _key(call, DRIFT)))
        return chosen

    def _admits(self, call: LLMCall, column: str, rank: _Rank, now: float, most: int) -> bool:
        ended = call.ended_at / 1e9
        if ended > now + AHEAD_SECONDS_MAX:
            return self._drop(SnippetDrop.OFF_CLOCK)
        if ended + self.config.ttl_hours * 3_600 <= now:
            return self._drop(SnippetDrop.EXPIRED)
        slices = self._minute(int(ended // 60))
        place = (column, call.service, _model(call))
        worst = slices.get(place, [])
        if len(worst) == most and rank >= worst[-1]:
            return False
        needed = 1 + SHARED * self.config.per_minute_max * len(worst) / most
        if self._left < needed or (not worst and len(slices) >= SLICES_MAX):
            return self._drop(SnippetDrop.BUDGET)
        self._left -= 1
        slices[place] = worst
        insort(worst, rank)
        del worst[most:]
        return True

    def _minute(self, minute: int) -> dict[_Slice, list[_Rank]]:
        if minute not in self._minutes:
            self._minutes[minute] = {}
            if len(self._minutes) > MINUTES_MAX:
                del self._minutes[next(iter(self._minutes))]
        return self._minutes[minute]

    def _refill(self, now: float) -> None:
        since = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._left = min(float(self.config.per_minute_max), self._left + since * self.config.per_minute_max / 60)

    def _drop(self, reason: SnippetDrop) -> bool:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        return False


def _key(call: LLMCall, column: str) -> Key:
    return Key(call.ended_at // 1_000, call.trace_id.lower(), call.span_id.lower(), column)


def _model(call: LLMCall) -> str:
    return call.request_model or call.response_model or ""


def _bytes(hexes: Sequence[str], width: int) -> Bytes:
    """A row of ``width`` for each id."""
    return np.frombuffer(bytes.fromhex("".join(hexes)), dtype=np.uint8).reshape(len(hexes), width)
