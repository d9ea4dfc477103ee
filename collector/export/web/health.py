"""What the daemon knows of its own state, as named conditions that any thread may set."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple


class Condition(NamedTuple):
    """One thing that must hold."""

    ok: bool
    detail: str  # for a person; never a secret, never text of a call


class Health:
    """Thread-safe. Ready: every condition holds, and there is one; ``required`` ones fail until they are reported.

    Alive: no stage has died. A restart helps a dead stage; it does not help a store that is away, so readiness never
    touches liveness.
    """

    def __init__(self, required: Sequence[str] = ()) -> None:
        self._lock = threading.Lock()
        self._conditions = {name: Condition(False, "not reported yet") for name in required}
        self._dead: dict[str, str] = {}

    def set(self, name: str, ok: bool, detail: str = "") -> None:
        """Report a condition of readiness."""
        with self._lock:
            self._conditions[name] = Condition(ok, detail)

    def died(self, stage: str, detail: str) -> None:
        """Report that a stage has ended for good; only a restart brings it back."""
        with self._lock:
            self._dead[stage] = detail

    @property
    def conditions(self) -> dict[str, Condition]:
        with self._lock:
            return dict(self._conditions)

    @property
    def dead(self) -> dict[str, str]:
        with self._lock:
            return dict(self._dead)

    @property
    def ready(self) -> bool:
        conditions = self.conditions
        return bool(conditions) and all(condition.ok for condition in conditions.values())

    @property
    def alive(self) -> bool:
        return not self.dead
