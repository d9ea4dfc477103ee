"""Does Assay itself run, keep up and lose nothing?"""

from __future__ import annotations

from collector.catalog import Board
from dashboards.boards.common import EVENTS
from dashboards.panels import Kind, Page, Panel, Unit
from dashboards.promql import increase, quantile, rate


def page() -> Page:
    return Page(
        uid=Board.PIPELINE,
        title="Assay / Pipeline",
        says="Does Assay itself run, keep up and lose nothing?",
        events={"Alert": EVENTS["Alert"]},
        content=(*_numbers(), *_flow(), *_house()),
    )


def _numbers() -> tuple[Panel, ...]:
    return (
        Panel(
            title="Processes",
            says="Processes of Assay that are scraped.",
            queries={"processes": "count(assay_build_info)"},
            kind=Kind.STAT, width=4, height=4, warn=1, falling=True, empty="none",
        ),
        Panel(
            title="Unaccounted for",
            says="consumed - (scored + unscored + rejected + lost), of all topics. Anything but 0 is a defect.",
            queries={"imbalance": "sum(abs(assay_conservation_imbalance))"},
            kind=Kind.STAT, width=4, height=4, critical=1,
        ),
        Panel(
            title="Records lost",
            says="In the time range: gone from the log before they were read.",
            queries={"lost": increase("assay_records_lost_total")},
            kind=Kind.STAT, width=4, height=4, critical=1,
        ),
        Panel(
            title="Records rejected",
            says="In the time range; each is a dead letter with its reason.",
            queries={"rejected": increase("assay_records_rejected_total")},
            kind=Kind.STAT, width=4, height=4, warn=1,
        ),
        Panel(
            title="DuckDB behind",
            says="Since the view last agreed with the end of the chain.",
            queries={"age": "time() - max(assay_last_materialised_timestamp_seconds)"},
            kind=Kind.STAT, width=4, height=4, unit=Unit.SECONDS, warn=60, critical=300,
        ),
        Panel(
            title="Disk left",
            says="The fullest disk on which local state lies.",
            queries={"left": "min(assay_data_free_bytes / assay_data_size_bytes)"},
            kind=Kind.STAT, width=4, height=4, unit=Unit.SHARE, warn=0.2, critical=0.05, falling=True,
        ),
    )  # fmt: skip


def _flow() -> tuple[Panel, ...]:
    return (
        Panel(
            title="Records",
            says="Read, and made durable; the two meet within the join's window.",
            queries={
                "polled {{topic}}": rate("assay_records_polled_total", by="topic"),
                "durable {{topic}}": rate("assay_records_total", by="topic"),
            },
            unit=Unit.A_SECOND,
        ),
        Panel(
            title="Records behind",
            says="By partition, between what was read and the end of the log.",
            queries={"{{topic}}/{{partition}}": "sum by (topic, partition) (assay_lag_records)"},
        ),
        Panel(
            title="Time of a turn, 95th percentile",
            says="The slowest stage is the one to scale.",
            queries={"{{stage}}": quantile(0.95, "assay_stage_seconds", by="stage")},
            unit=Unit.SECONDS,
        ),
        Panel(
            title="Waiting",
            says="Calls in the join, rows before an append, steps between stages.",
            queries={"{{place}}": "sum by (place) (assay_waiting_items)"},
        ),
        Panel(
            title="Appends",
            says="Deltas offered to the chain. A conflict is another worker that was first: harmless, and rare.",
            queries={
                "{{outcome}}": rate("assay_appends_total", by="outcome"),
                "retries": rate("assay_append_retries_total"),
            },
            unit=Unit.A_SECOND,
        ),
        Panel(
            title="Rejected and dropped, by reason",
            says="Records that could not be decoded, spans that are no call (wrappers, twins), calls of a wrong clock.",
            queries={
                "rejected {{reason}}": f"{rate('assay_records_rejected_total', by='reason')} > 0",
                "dropped {{reason}}": f"{rate('assay_spans_dropped_total', by='reason')} > 0",
                "stamped {{direction}}": f"{rate('assay_calls_off_clock_total', by='direction')} > 0",
            },
            kind=Kind.STACK, unit=Unit.A_SECOND, empty="nothing",
        ),
    )  # fmt: skip


def _house() -> tuple[Panel, ...]:
    return (
        Panel(
            title="Memory",
            says="Resident memory of each process.",
            queries={"{{instance}}": "process_resident_memory_bytes and on (instance) assay_build_info"},
            unit=Unit.BYTES,
        ),
        Panel(
            title="DuckDB",
            says="Size of the view's file at the newest snapshot.",
            queries={"view": "max(assay_store_bytes)"},
            unit=Unit.BYTES,
        ),
        Panel(
            title="Background tasks",
            says="Runs an hour, by task and outcome.",
            queries={"{{task}} {{outcome}}": increase("assay_tasks_total", by="task, outcome", window="1h")},
        ),
        Panel(
            title="Readiness",
            says=(
                "Conditions of /readyz, whether Kafka and the chain's store answer, and whether files of the web "
                "config can be used, in the process that is worst off; and whether somebody evaluates Assay's rules."
            ),
            queries={
                "{{condition}}": "min by (condition) (assay_ready)",
                "Kafka answers": "min(assay_source_healthy)",
                "chain answers": "min(assay_chain_healthy)",
                "web config {{listener}}": "1 - max by (listener) (assay_web_config_stale)",
                "rules": "(count(assay:quality:budget) > bool 0) or vector(0)",
            },
            kind=Kind.STAT, named=True, warn=1, falling=True, words={"0": "no", "1": "yes"},
        ),
        Panel(
            title="How old what people read is",
            says="DuckDB behind the chain, the snapshot that SQL asks, and the newest window examined for drift.",
            queries={
                "DuckDB": "time() - max(assay_last_materialised_timestamp_seconds)",
                "snapshot": "time() - max(assay_last_snapshot_timestamp_seconds)",
                "drift": "time() - max(assay_last_drift_window_timestamp_seconds)",
            },
            unit=Unit.SECONDS,
        ),
        Panel(
            title="Evaluation events",
            says="gen_ai.evaluation.result events a second, by what became of them.",
            queries={"{{outcome}}": rate("assay_evaluations_total", by="outcome")},
            unit=Unit.A_SECOND, empty="none are exported",
        ),
    )  # fmt: skip
