"""How the rooms tell what they do, without knowing who listens; names and labels are those of the catalogue."""

from __future__ import annotations

from typing import Protocol

from collector.delta import Delta


class Telemetry(Protocol):
    """Thread-safe. A metric that the catalogue does not name is a programming error and raises KeyError."""

    def add(self, metric: str, value: float = 1.0, /, **labels: str) -> None:
        """Raise a counter."""
        ...

    def set(self, metric: str, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        ...

    def observe(self, metric: str, value: float, /, **labels: str) -> None:
        """Put one value into a histogram."""
        ...

    def count_delta(self, delta: Delta) -> None:
        """Count the calls of a delta that this process has just made durable."""
        ...


class Silent:
    """Nobody listens."""

    def add(self, metric: str, value: float = 1.0, /, **labels: str) -> None: ...
    def set(self, metric: str, value: float, /, **labels: str) -> None: ...
    def observe(self, metric: str, value: float, /, **labels: str) -> None: ...
    def count_delta(self, delta: Delta) -> None: ...
