"""Bounds the values of every rollup key, so that no service can fill the store with names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from collector.delta import KEYS

OTHER = "__other__"
FORGOTTEN_AFTER_SECONDS = 86_400  # a model version that nobody calls any more makes room for the next


class Labels:
    """Admits at most ``values_max`` values a key, first come first served; the rest become ``__other__``.

    What was admitted travels in every footer, so whoever takes a partition over admits the same, and a rebuild of the
    view, which reads the admitted values from the rows, can not differ.
    """

    def __init__(self, *, values_max: int, chars_max: int) -> None:
        self._values_max = values_max
        self._chars_max = chars_max
        self._seen: dict[str, dict[str, int]] = {key: {} for key in KEYS}
        self.overflowed = 0  # values turned into OTHER so far

    def learn(self, labels: Mapping[str, Mapping[str, int]]) -> None:
        """Take over what an earlier writer admitted."""
        for key, values in labels.items():
            mine = self._seen.setdefault(key, {})
            for value, seen in values.items():
                mine[value] = max(seen, mine.get(value, 0))

    def admit(self, key: str, values: Iterable[str | None], now: float) -> list[str]:
        """The label of each value; None and blanks become ``""``. ``now`` is log time in seconds."""
        admitted: dict[str | None, str] = {}
        return [
            admitted[value] if value in admitted else admitted.setdefault(value, self._one(key, value, int(now)))
            for value in values
        ]

    def snapshot(self, now: float) -> dict[str, dict[str, int]]:
        """What is admitted and was seen within a day, for a footer."""
        oldest = now - FORGOTTEN_AFTER_SECONDS
        return {
            key: {value: seen for value, seen in values.items() if seen >= oldest}
            for key, values in self._seen.items()
            if values
        }

    def _one(self, key: str, value: str | None, now: int) -> str:
        label = "".join(filter(str.isprintable, value or ""))[: self._chars_max].strip()
        if not label:
            return ""
        seen = self._seen[key]
        if label not in seen and len(seen) >= self._values_max:
            for old in [name for name, at in seen.items() if at < now - FORGOTTEN_AFTER_SECONDS]:
                del seen[old]
            if len(seen) >= self._values_max:
                self.overflowed += 1
                return OTHER
        seen[label] = max(now, seen.get(label, 0))
        return label
