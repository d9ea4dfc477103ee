"""Overload: how far behind is too far, what is left unscored then, and of which traces. No clock of its own.

What goes first is the suite's own order, a step at a time (``ScoringSuite.shed_order``: models of their own, then what
has texts encoded that no other signal needs, then the pass that the others share; signals without a model never). Each
level leaves out what the level before does and a share more: the first step for a quarter, a half, three quarters and
all of the traces that may be left out, then the second step for a quarter, and so on. Which traces is a keyed hash of
the trace id: a trace is left out whole, and replicas and replays at the same level leave out the same. ``keep_ratio``
of the traces keep every signal at every level. A process begins at level 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from collector.config import OverloadConfig
from signals.types import Depths

SHARES = (0.25, 0.5, 0.75, 1.0)  # of the traces that may be left out at all
RESUME_RATIO = 0.2  # of the lag that may be; below it is calm
PATIENCE_GROWTH = 2.0  # of the calm that the next step down needs, after a step down that failed
PATIENCE_SECONDS_MAX = 21_600.0
GAP_SECONDS = 10.0  # between two looks: more is a freeze, less than none a clock turned back; no pace can be told
FAILED_SECONDS = 86_400.0  # a step up within this after a step down says that the step down failed
_KEY = b"assay shedding 1"  # apart from the samplers of tracing, which look at the id itself
_HASH_BYTES = 8


@dataclass(slots=True)
class Shedding:
    """The level, moved by the lag; one thread looks, any may ask for ``depths``.

    One level up every ``step_seconds`` while the lag is above ``lag_seconds_max`` and would, at the pace since the
    last look, not be gone within ``drain_seconds``. One level down after ``calm_seconds`` with a lag below RESUME_RATIO
    of that. Where going down failed, the next try needs twice the calm, up to PATIENCE_SECONDS_MAX: a constant load
    does not make the level flap.
    """

    config: OverloadConfig
    steps: int  # of the suite's shed order
    level: int = 0
    _looked: tuple[float, float] | None = None  # wall time and lag when the present interval began
    _calm_since: float | None = None
    _lowered_at: float | None = None
    _patience_seconds: float = field(init=False)

    def __post_init__(self) -> None:
        self._patience_seconds = self.config.calm_seconds

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of all traces that each step leaves out at the present level; falling."""
        return shares(self.level, self.steps, self.config.keep_ratio)

    def look(self, now: float, lag_seconds: float) -> int:
        """The level from ``now`` (wall time) on, given how old the part of the log is that is read now."""
        most = self.config.lag_seconds_max
        if most is None:
            return self.level
        self._step_down(now, calm=lag_seconds < most * RESUME_RATIO)
        if self._looked is None or not 0 <= now - self._looked[0] <= self.config.step_seconds + GAP_SECONDS:
            self._looked = now, lag_seconds
        elif now - self._looked[0] >= self.config.step_seconds:
            if lag_seconds > most and not self._drains(now, lag_seconds):
                self._step_up(now)
            self._looked = now, lag_seconds
        return self.level

    def look_away(self) -> None:
        """The lag grows for want of a store or a source, which shedding does not mend: its pace says nothing."""
        self._looked = self._calm_since = None

    def depths(self, trace_ids: Sequence[str]) -> Depths | None:
        """How many steps leave each trace out; None where nothing is shed."""
        level = self.level
        return depths(trace_ids, shares(level, self.steps, self.config.keep_ratio)) if level else None

    def _drains(self, now: float, lag_seconds: float) -> bool:
        assert self._looked is not None  # noqa: S101 - the caller has looked before
        pace = (self._looked[1] - lag_seconds) / (now - self._looked[0])
        return pace > 0 and lag_seconds / pace <= self.config.drain_seconds

    def _step_up(self, now: float) -> None:
        if self.level == self.steps * len(SHARES):
            return
        self.level += 1
        if self._lowered_at is not None:
            failed = now - self._lowered_at < FAILED_SECONDS
            patience = self._patience_seconds * PATIENCE_GROWTH if failed else self.config.calm_seconds
            self._patience_seconds = min(patience, max(PATIENCE_SECONDS_MAX, self.config.calm_seconds))
            self._lowered_at = None

    def _step_down(self, now: float, *, calm: bool) -> None:
        if not calm or not self.level:
            self._calm_since = None
            return
        self._calm_since = now if self._calm_since is None else min(self._calm_since, now)
        if now - self._calm_since >= self._patience_seconds:
            self.level -= 1
            self._lowered_at = self._calm_since = now


def shares(level: int, steps: int, keep_ratio: float) -> tuple[float, ...]:
    """Share of all traces that each of ``steps`` leaves out at ``level`` (0 .. steps * len(SHARES)); falling."""
    full, part = divmod(level, len(SHARES))
    ladder = [1.0] * full + [SHARES[part - 1]] * bool(part)
    return tuple(share * (1 - keep_ratio) for share in [*ladder, *[0.0] * steps][:steps])


def depths(trace_ids: Sequence[str], falling: Sequence[float]) -> Depths:
    """For each trace how many of the ``falling`` shares lie above its place in 0..1."""
    places = positions(trace_ids)
    return np.asarray(np.sum([places < share for share in falling], axis=0), dtype=np.uint8)


def positions(trace_ids: Sequence[str]) -> npt.NDArray[np.float64]:
    """The place of each trace in 0..1: uniform, the same everywhere and for ever."""
    digests = b"".join(
        hashlib.blake2b(trace_id.encode(), digest_size=_HASH_BYTES, key=_KEY).digest() for trace_id in trace_ids
    )
    return np.frombuffer(digests, dtype=">u8") / 2.0**64
