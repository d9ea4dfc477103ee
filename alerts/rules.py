"""Every rule, in groups, in one order: what is rendered, tested and explained in RUNBOOKS.md."""

from __future__ import annotations

from alerts import pipeline, quality
from alerts.model import Alert, Group
from alerts.slo import objectives
from collector.catalog import CRITICAL_AT, WARN_AT


def groups(warn_at: float = WARN_AT, critical_at: float = CRITICAL_AT) -> tuple[Group, ...]:
    """``warn_at`` and ``critical_at`` are those of the daemon (``signals.warn_at``, ``signals.critical_at``)."""
    chosen = tuple(objectives(warn_at=warn_at, critical_at=critical_at))
    return (*quality.groups(chosen), *pipeline.groups())


def alerts() -> tuple[Alert, ...]:
    """Every alert of every group; one name may stand for several, told apart by their labels."""
    return tuple(alert for group in groups() for alert in group.alerts)
