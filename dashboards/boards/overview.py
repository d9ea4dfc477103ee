"""The wall: is anything wrong, and where?"""

from __future__ import annotations

from collector.catalog import Board
from dashboards.boards.common import ADDRESS, EVENTS, FIRING, SERVICE, evidence
from dashboards.panels import Kind, Page, Panel, Unit
from dashboards.promql import ELIGIBLE, OF_SERVICE, bad, increase, quantile, rate, scores, share

_CALLS = increase("assay_calls_total", OF_SERVICE, "service", "1h")
_CONTENT = rate("assay_calls_content_total", OF_SERVICE, "service")
_WITH_TEXT = rate("assay_calls_content_total", f'{OF_SERVICE},content=~"captured|truncated|partial"', "service")
_SCORED = f"sum({scores('', '1h', OF_SERVICE)})"
_MISSED = increase("assay_signal_unscored_total", f'{OF_SERVICE},reason=~"{ELIGIBLE}"', window="1h")
_WORST = f"max by (service) ({bad('service', '1h', OF_SERVICE)})"
_OUTPUTS = f'{OF_SERVICE},side="output"'


def page() -> Page:
    return Page(
        uid=Board.OVERVIEW,
        title="Assay / Overview",
        says="Is anything wrong, and where? Every service at once; made to hang on a wall.",
        variables=(SERVICE, ADDRESS),
        events=EVENTS,
        content=(*_numbers(), _alerts(), _services(), *_courses()),
    )


def _numbers() -> tuple[Panel, ...]:
    return (
        Panel(
            title="Alerts firing",
            says="Alerts of Assay that fire now, the watchdog left out. Without the rules of alerts/ this stays 0.",
            queries={"alerts": f"count({FIRING}) or vector(0)"},
            kind=Kind.STAT, width=4, height=4, critical=1,
        ),
        Panel(
            title="Calls",
            says="Calls a second, over five minutes. No data is not health: see the pipeline.",
            queries={"calls": rate("assay_calls_total", OF_SERVICE, window="5m")},
            kind=Kind.STAT, width=4, height=4, unit=Unit.A_SECOND,
        ),
        Panel(
            title="Coverage",
            says="Share of texts that a signal should judge and did, over the last hour.",
            queries={"coverage": f"{_SCORED} / ({_SCORED} + ({_MISSED} or vector(0)))"},
            kind=Kind.STAT, width=4, height=4, unit=Unit.SHARE, warn=0.98, critical=0.9, falling=True,
        ),
        Panel(
            title="Worst signal",
            says="Greatest share of bad scores (alerts/slo.py) among all services and signals, over the last hour.",
            queries={"{{service}} {{signal}}": f"topk(1, {bad('service', '1h', OF_SERVICE)})"},
            kind=Kind.STAT, width=4, height=4, unit=Unit.SHARE, warn=0.02, critical=0.1, named=True,
        ),
        Panel(
            title="Drift",
            says="Services, models and sides whose texts differ from the baseline's beyond doubt.",
            queries={"drifted": f"sum(assay_drift_alarm{{{OF_SERVICE}}}) or vector(0)"},
            kind=Kind.STAT, width=4, height=4, critical=1,
        ),
        Panel(
            title="Records behind",
            says="Records of Kafka that wait. While it is high, everything else here speaks of the past.",
            queries={"lag": "sum(assay_lag_records) or vector(0)"},
            kind=Kind.STAT, width=4, height=4, warn=500, critical=10_000,
        ),
    )  # fmt: skip


def _alerts() -> Panel:
    by = ("severity", "alertname", "service", "signal", "side")
    return Panel(
        title="Alerts that fire",
        says="By severity and slice. Each leads to the evidence; the runbook is in the alert.",
        queries={"": f"max by ({', '.join(by)}) ({FIRING})"},
        kind=Kind.TABLE, width=24, height=7, by=by, sort="severity", falling=True, empty="–",
        link=evidence(
            "Evidence",
            service="${__data.fields.service}",
            signal="${__data.fields.signal}",
            side="${__data.fields.side}",
        ),
    )  # fmt: skip


def _services() -> Panel:
    return Panel(
        title="Services",
        says="One row a service, the worst first, over the last hour. A number leads to the worst calls.",
        queries={
            "calls": _CALLS,
            "failed": share(increase("assay_calls_failed_total", OF_SERVICE, "service", "1h"), _CALLS),
            "unscored": share(increase("assay_calls_unscored_total", OF_SERVICE, "service", "1h"), _CALLS),
            "worst signal": _WORST,
        },
        kind=Kind.TABLE, width=24, height=8, by=("service",), sort="worst signal", warn=0.02, critical=0.1,
        units={"calls": Unit.COUNT, "failed": Unit.SHARE, "unscored": Unit.SHARE, "worst signal": Unit.SHARE},
        link=evidence(service="${__data.fields.service}"),
    )  # fmt: skip


def _courses() -> tuple[Panel, ...]:
    return (
        Panel(
            title="Calls by service",
            says="Calls a second. A service that stops is an alert (AssayNoCalls).",
            queries={"{{service}}": rate("assay_calls_total", OF_SERVICE, "service")},
            kind=Kind.STACK, unit=Unit.A_SECOND,
        ),
        Panel(
            title="Bad answers by service and signal",
            says="The ten greatest shares of bad output scores, over five minutes.",
            queries={"{{service}} {{signal}}": f"topk(10, {bad('service', '5m', _OUTPUTS)} > 0)"},
            unit=Unit.SHARE, empty="none",
        ),
        Panel(
            title="Latency, 95th percentile",
            says="Duration of calls as their spans tell it.",
            queries={"{{service}}": quantile(0.95, "assay_call_latency_seconds", OF_SERVICE, "service")},
            unit=Unit.SECONDS,
        ),
        Panel(
            title="Content captured",
            says="Share of calls whose text arrived. What does not arrive cannot be judged.",
            queries={"{{service}}": share(_WITH_TEXT, _CONTENT)},
            unit=Unit.SHARE, highest=1,
        ),
    )  # fmt: skip
