"""One signal of the chosen services and models: how much is bad, since when, and of which model."""

from __future__ import annotations

from collections.abc import Sequence

from collector.catalog import CRITICAL_AT, WARN_AT, Board
from dashboards.boards.common import ADDRESS, EVENTS, MODEL, SERVICE, SIDE, evidence, signal
from dashboards.panels import Kind, Page, Panel, Unit
from dashboards.promql import ELIGIBLE, OF_MODEL, OF_SERVICE, increase, quantiles, rate

_METRIC = "assay_${signal}_score"
_OF = f'{OF_MODEL},side="$side"'
_UNSCORED = f'{OF_SERVICE},signal="$signal",side="$side"'
_EVIDENCE = evidence(
    signal="${signal}", side="${side}", service="${__field.labels.service}", model="${__field.labels.model}"
)


def _beyond(le: float, by: str) -> str:
    good = rate(f"{_METRIC}_bucket", f'{_OF},le="{le}"', by)
    return f"1 - {good} / ({rate(f'{_METRIC}_count', _OF, by)} > 0)"


def page(signals: Sequence[str]) -> Page:
    return Page(
        uid=Board.QUALITY,
        title="Assay / Quality",
        says="One signal of the chosen services and models: how much is bad, since when, and of which model.",
        variables=(SERVICE, MODEL, signal(signals), SIDE, ADDRESS),
        events=EVENTS,
        content=(*_numbers(), *_courses()),
    )


def _numbers() -> tuple[Panel, ...]:
    scored = increase(f"{_METRIC}_count", _OF)
    good = increase(f"{_METRIC}_bucket", f'{_OF},le="{CRITICAL_AT}"')
    missed = increase("assay_signal_unscored_total", f'{_UNSCORED},reason=~"{ELIGIBLE}"')
    return (
        Panel(
            title="Scored",
            says="Texts that the signal has judged in the time range.",
            queries={"scored": scored},
            kind=Kind.STAT, width=6, height=4,
        ),
        Panel(
            title="Bad",
            says=f"Share of scores beyond {CRITICAL_AT} in the time range.",
            queries={"bad": f"1 - {good} / ({scored} > 0)"},
            kind=Kind.STAT, width=6, height=4, unit=Unit.SHARE, warn=0.01, critical=0.05,
        ),
        Panel(
            title="Mean",
            says="Mean score in the time range: 0 is good, 1 is bad.",
            queries={"mean": f"{increase(f'{_METRIC}_sum', _OF)} / ({scored} > 0)"},
            kind=Kind.STAT, width=6, height=4, unit=Unit.SCORE,
        ),
        Panel(
            title="Left unscored",
            says="Texts that the signal should have judged and did not, in the time range.",
            queries={"missed": f"{missed} or vector(0)"},
            kind=Kind.STAT, width=6, height=4,
        ),
    )  # fmt: skip


def _courses() -> tuple[Panel, ...]:
    return (
        Panel(
            title=f"Share beyond {CRITICAL_AT}, by service",
            says="The line of the budget is what the objective allows (alerts/slo.py). A point leads to its calls.",
            queries={
                "{{service}}": _beyond(CRITICAL_AT, "service"),
                "budget": 'max(assay:quality:budget{signal="$signal",side="$side"})',
            },
            unit=Unit.SHARE, bounds=("budget",), link=_EVIDENCE,
        ),
        Panel(
            title=f"Share beyond {WARN_AT}, by model",
            says="A version that is worse than its neighbours shows here first. A point leads to its calls.",
            queries={"{{service}} {{model}}": _beyond(WARN_AT, "service, model")},
            unit=Unit.SHARE, link=_EVIDENCE,
        ),
        Panel(
            title="Percentiles",
            says="Of all chosen scores; each dot is an exemplar that leads to its trace.",
            queries=quantiles(_METRIC, _OF),
            unit=Unit.SCORE, exemplars=True, highest=1, warn=WARN_AT, critical=CRITICAL_AT,
        ),
        Panel(
            title="Distribution",
            says="Scores by bucket over time: a second hill far from zero is another population, not noise.",
            queries={"scores": increase(f"{_METRIC}_bucket", _OF, "le", "$__rate_interval")},
            kind=Kind.HEATMAP,
        ),
        Panel(
            title="Left unscored, by reason",
            says="Texts a second that the signal left out, and why. Not applicable is no fault.",
            queries={"{{reason}}": rate("assay_signal_unscored_total", _UNSCORED, "reason")},
            kind=Kind.STACK, width=24, unit=Unit.A_SECOND, empty="nothing",
        ),
    )  # fmt: skip
