"""What a cascade lets through, estimated from the random share that the full model sees anyway.

Of ``texts`` that a cascade saw, ``sent`` scored above its threshold, and of the rest a random one in ``weight`` was
``sampled``. Flags among the sent are known exactly; flags among the rest are estimated from the sample. The only
uncertainty is then the flagged share of the rest, a binomial proportion, and its exact interval (Clopper and Pearson,
Biometrika 26, 1934) carries over to recall and rate because both are monotone in it. Plain arithmetic, no state
outside :class:`Guard`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields

from scipy.special import betaincinv

NAN = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Texts by what a cascade did with them; sums of tallies are tallies, over batches and over processes."""

    texts: int = 0
    sent: int = 0  # above the threshold
    sampled: int = 0  # of the rest, by chance
    flagged_sent: int = 0  # the full model calls them toxic
    flagged_sampled: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(**{part.name: getattr(self, part.name) + getattr(other, part.name) for part in fields(Tally)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Point and interval of the first stage's recall and of the share of toxic texts; NaN where nothing is known."""

    recall: float
    recall_low: float
    recall_high: float
    rate: float
    rate_low: float
    rate_high: float


def estimate(tally: Tally, level: float = 0.95) -> Estimate:
    """Of the texts of ``tally``: both intervals hold what the full model would say of all of them at ``level``."""
    rest = tally.texts - tally.sent
    low, high = proportion_interval(tally.flagged_sampled, tally.sampled, level)
    point = tally.flagged_sampled / tally.sampled if tally.sampled else (NAN if rest else 0.0)
    missed = tuple(share * rest if rest else 0.0 for share in (point, low, high))
    recalls = [_share(tally.flagged_sent, tally.flagged_sent + count) for count in missed]
    rates = [_share(tally.flagged_sent + count, tally.texts) for count in missed]
    return Estimate(
        recall=recalls[0],
        recall_low=recalls[2],
        recall_high=recalls[1],
        rate=rates[0],
        rate_low=rates[1],
        rate_high=rates[2],
    )


def proportion_interval(hits: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of Clopper and Pearson for a proportion; 0..1 without a trial."""
    tail = (1 - level) / 2
    low = float(betaincinv(hits, trials - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, trials - hits, 1 - tail)) if hits < trials else 1.0
    return low, high


class Guard:
    """Says when a first stage is no longer to be trusted, from the traffic since some blocks ago.

    A block ends after ``BLOCK_SAMPLED`` sampled texts, and only then is a verdict made. Trust ends where the interval
    at ``DOUBT`` lies wholly below ``recall_min`` and at least ``FLAGGED_MIN`` flagged texts stand behind it. It comes
    back where the point estimate over the blocks since the fall reaches ``recall``: the gap between the two is the
    hysteresis. The sample of the rest is drawn in the same way in either state, so one estimator serves both.
    """

    BLOCK_SAMPLED = 500
    BLOCKS = 8
    FLAGGED_MIN = 20
    DOUBT = 0.99

    def __init__(self, *, recall: float, recall_min: float) -> None:
        if not 0 < recall_min <= recall < 1:
            raise ValueError("0 < recall_min <= recall < 1 must hold")
        self._recall, self._recall_min = recall, recall_min
        self._blocks: deque[Tally] = deque(maxlen=self.BLOCKS)
        self._open = Tally()
        self.fallen = False
        self.falls = 0

    @property
    def recent(self) -> Tally:
        """The traffic that the next verdict would rest on."""
        return sum(self._blocks, self._open)

    def add(self, tally: Tally) -> None:
        self._open += tally
        if self._open.sampled < self.BLOCK_SAMPLED:
            return
        self._blocks.append(self._open)
        self._open = Tally()
        recent = self.recent
        if recent.flagged_sent + recent.flagged_sampled < self.FLAGGED_MIN:
            return
        found = estimate(recent, self.DOUBT)
        if (found.recall >= self._recall) if self.fallen else (found.recall_high < self._recall_min):
            self.fallen = not self.fallen
            self.falls += self.fallen
            self._blocks.clear()  # the next verdict rests on what comes after this one


def _share(part: float, whole: float) -> float:
    return part / whole if whole else NAN
