"""What a rule is: recorded series and alerts, with the links that lead from a page to its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from collector.catalog import EVIDENCE_PATH, RUNBOOKS_PATH, Board


class Severity(StrEnum):
    """Who is told: a person now, a person in working hours, a page for the curious, a dead man's switch."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where people find the pages; the defaults are those of a laptop."""

    assay_url: str = "http://localhost:9464"
    grafana_url: str = "http://localhost:3000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A recorded series."""

    name: str  # level:metric:operation
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert.

    ``by`` are the labels that its series carry: text and links may speak of them. ``summary`` is one line for a phone,
    ``impact`` what users suffer. ``look_back_seconds`` before now is the time range that its links open.
    """

    name: str
    expr: str
    severity: Severity
    summary: str
    impact: str
    board: Board
    for_seconds: int = 0
    keep_firing_seconds: int = 0
    by: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    evidence: str | None = None  # where there are calls to look at: what the link says beside ``by``
    look_back_seconds: int = 3_600

    def annotations(self, site: Site) -> dict[str, str]:
        """Texts and links, in the template language that Prometheus and Grafana share."""
        found = {
            "summary": self.summary,
            "description": self.impact,
            "runbook_url": f"{site.assay_url}{RUNBOOKS_PATH}#{self.name.lower()}",
            "dashboard_url": f"{site.grafana_url}/d/{self.board.value}?{self._slice('var-')}{self._range(1_000)}",
        }
        if self.evidence is not None:
            found["evidence_url"] = f"{site.assay_url}{EVIDENCE_PATH}?{self.evidence}{self._slice('')}{self._range(1)}"
        return found

    def _slice(self, prefix: str) -> str:
        return "".join(f"{prefix}{label}={{{{ $labels.{label} | urlquery }}}}&" for label in self.by)

    def _range(self, scale: int) -> str:
        """From ``look_back_seconds`` ago to now, as Unix seconds times ``scale``."""

        def at(expression: str) -> str:
            return (
                f'{{{{ with query "{expression} * {scale}" }}}}{{{{ . | first | value | printf "%.0f" }}}}{{{{ end }}}}'
            )

        return f"from={at(f'(time() - {self.look_back_seconds})')}&to={at('time()')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated together, in order."""

    name: str
    rules: tuple[Record | Alert, ...]
    interval_seconds: int = 0  # 0: as the server is set

    @property
    def alerts(self) -> tuple[Alert, ...]:
        return tuple(rule for rule in self.rules if isinstance(rule, Alert))


def duration(seconds: int) -> str:
    """Prometheus' way to write a duration: ``90`` is ``90s``, ``7200`` is ``2h``."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
