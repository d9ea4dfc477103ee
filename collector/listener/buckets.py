"""Token buckets by key, a bounded number of them: how often somebody may do something."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

KEYS_MAX = 10_000


class Buckets:
    """``burst`` at once, then ``per_second``. Used from one thread. Past the bound the quietest key is forgotten."""

    def __init__(
        self, *, per_second: float, burst: float, clock: Callable[[], float], keys_max: int = KEYS_MAX
    ) -> None:
        self.per_second = per_second
        self.burst = burst
        self._clock = clock
        self._keys_max = keys_max
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> tokens, when

    def take(self, key: str) -> float:
        """Take one token; 0.0 when there was one, else the seconds until there will be."""
        wait = self.wait(key)
        if not wait:
            now = self._clock()
            self._levels[key] = (self._tokens(key, now) - 1, now)
            self._levels.move_to_end(key)
            if len(self._levels) > self._keys_max:
                self._levels.popitem(last=False)
        return wait

    def wait(self, key: str) -> float:
        """The seconds until there is a token; 0.0: now."""
        missing = 1 - self._tokens(key, self._clock())
        return missing / self.per_second if missing > 1e-9 else 0.0

    def _tokens(self, key: str, now: float) -> float:
        tokens, then = self._levels.get(key, (self.burst, now))
        return min(self.burst, tokens + max(0.0, now - then) * self.per_second)
