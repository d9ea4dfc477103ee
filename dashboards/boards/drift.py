"""Do the texts still speak of what they used to? Evidence that grows, against a bound with a stated error rate."""

from __future__ import annotations

from collector.catalog import Board
from dashboards.boards.common import ADDRESS, EVENTS, MODEL, SERVICE, evidence
from dashboards.panels import Kind, Page, Panel, Unit
from dashboards.promql import OF_MODEL, rate

_SLICE = "service, model, side"
_LEGEND = "{{service}} {{model}} {{side}}"


def page() -> Page:
    return Page(
        uid=Board.DRIFT,
        title="Assay / Drift",
        says="Do the texts still speak of what they used to? Evidence against a bound with a stated error rate.",
        variables=(SERVICE, MODEL, ADDRESS),
        since="now-24h",
        events=EVENTS,
        content=(*_numbers(), *_courses()),
    )


def _numbers() -> tuple[Panel, ...]:
    return (
        Panel(
            title="Alarms",
            says="Services, models and sides beyond the bound now.",
            queries={"alarms": f"sum(assay_drift_alarm{{{OF_MODEL}}}) or vector(0)"},
            kind=Kind.STAT, width=6, height=4, critical=1,
        ),
        Panel(
            title="Calls between false alarms",
            says="On average at least so many, for each service, model and side: what the bound promises.",
            queries={"calls": "max(assay_drift_false_alarm_calls)"},
            kind=Kind.STAT, width=6, height=4,
        ),
        Panel(
            title="Watched",
            says="Services, models, sides and encoders with a detector of their own.",
            queries={"detectors": "max(assay_drift_detectors)"},
            kind=Kind.STAT, width=6, height=4,
        ),
        Panel(
            title="Examined until",
            says="Age of the newest window that was examined.",
            queries={"age": "time() - max(assay_last_drift_window_timestamp_seconds)"},
            kind=Kind.STAT, width=6, height=4, unit=Unit.SECONDS, warn=600, critical=1_800,
        ),
    )  # fmt: skip


def _courses() -> tuple[Panel, ...]:
    return (
        Panel(
            title="Evidence of drift",
            says=(
                "Natural logarithm of the e-value. It wanders near 0 while nothing changes and rises steadily when "
                "something did; beyond the upper line an alarm is due. A point leads to the topics that changed."
            ),
            queries={
                _LEGEND: f"max by ({_SLICE}) (assay_drift_log_evalue{{{OF_MODEL}}})",
                "alarm from here": "max(assay_drift_alarm_threshold)",
            },
            width=24, height=10, unit=Unit.SCORE, bounds=("alarm from here",),
            link=evidence(
                "Topics before and after",
                signal="drift",
                side="${__field.labels.side}",
                service="${__field.labels.service}",
                model="${__field.labels.model}",
            ),
        ),
        Panel(
            title="Distance of the centroids",
            says="Cosine distance of the newest window's mean text from the baseline's: how far, not how surely.",
            queries={_LEGEND: f"max by ({_SLICE}) (assay_embedding_centroid_distance{{{OF_MODEL}}})"},
            unit=Unit.SCORE,
        ),
        Panel(
            title="Pairs",
            says="Calls a second that were paired with a call of the baseline. Without pairs there is no evidence.",
            queries={"{{service}} {{side}}": rate("assay_drift_pairs_total", OF_MODEL, "service, side")},
            kind=Kind.STACK, unit=Unit.A_SECOND,
        ),
        Panel(
            title="Not examined, by reason",
            says="Texts that no detector saw. Thinned ones belong to a conversation that already spoke.",
            queries={"{{reason}}": rate("assay_drift_calls_skipped_total", by="reason")},
            kind=Kind.STACK, width=24, unit=Unit.A_SECOND,
        ),
    )  # fmt: skip
