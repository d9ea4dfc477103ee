"""Models side by side: before you promote one, and after somebody else changed one."""

from __future__ import annotations

from collections.abc import Sequence

from collector.catalog import Board
from dashboards.boards.common import ADDRESS, EVENTS, MODEL, SERVICE, SIDE, evidence, signal
from dashboards.panels import Kind, Page, Panel, Unit
from dashboards.promql import OF_MODEL, bad, rate, scores, share

_BY, _LEGEND = "service, model", "{{service}} {{model}}"
_OF = f'{OF_MODEL},side="$side"'
_CALLS = rate("assay_calls_total", OF_MODEL, _BY)


def page(signals: Sequence[str]) -> Page:
    return Page(
        uid=Board.COMPARE,
        title="Assay / Comparison",
        says="Models side by side: before you promote one, and after somebody else changed one.",
        variables=(SERVICE, MODEL, signal(signals), SIDE, ADDRESS),
        since="now-24h",
        events=EVENTS,
        content=(_table(), *_courses()),
    )


def _table() -> Panel:
    now = scores(_BY, "6h", _OF)
    return Panel(
        title="Models by signal",
        says="Share of bad scores (alerts/slo.py) in six hours, and in the six hours before them; the worst first.",
        queries={
            "scored": f"{now} or 0 * {scores(_BY, '6h', _OF, offset='6h')}",
            "bad": bad(_BY, "6h", _OF),
            "bad before": bad(_BY, "6h", _OF, offset="6h"),
        },
        kind=Kind.TABLE, width=24, height=12, by=("signal", "service", "model"), sort="bad", warn=0.02, critical=0.1,
        units={"scored": Unit.COUNT, "bad": Unit.SHARE, "bad before": Unit.SHARE},
        link=evidence(
            signal="${__data.fields.signal}",
            side="${side}",
            service="${__data.fields.service}",
            model="${__data.fields.model}",
        ),
    )  # fmt: skip


def _courses() -> tuple[Panel, ...]:
    scores = "assay_${signal}_score"
    return (
        Panel(
            title="Mean of the chosen signal",
            says="By model; vertical lines are changes of versions.",
            queries={_LEGEND: f"{rate(f'{scores}_sum', _OF, _BY)} / ({rate(f'{scores}_count', _OF, _BY)} > 0)"},
            unit=Unit.SCORE,
        ),
        Panel(
            title="Traffic by model",
            says="A canary with a hundred calls says little: the SQL view comparisons has the intervals.",
            queries={_LEGEND: _CALLS},
            kind=Kind.STACK, unit=Unit.A_SECOND,
        ),
        Panel(
            title="Failed calls",
            says="Share of calls that ended in an error.",
            queries={_LEGEND: share(rate("assay_calls_failed_total", OF_MODEL, _BY), _CALLS)},
            unit=Unit.SHARE,
        ),
        Panel(
            title="Answer length",
            says="Output tokens a call: a change of model shows here even where quality does not.",
            queries={_LEGEND: share(rate("assay_tokens_total", f'{OF_MODEL},direction="output"', _BY), _CALLS)},
        ),
    )  # fmt: skip
