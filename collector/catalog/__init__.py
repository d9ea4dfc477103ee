"""Every metric, label, bucket edge and signal as data: exporter, dashboards, alerts and the tables of docs/ read these.

Names are ours (``assay_``) even where an OTel GenAI convention exists: ``gen_ai_client_operation_duration_seconds`` and
``gen_ai_client_token_usage`` are what the applications' own SDKs export, and a second producer under the same name
would be summed with the first. ``assay_call_latency_seconds`` and ``assay_tokens_total`` say the same of counted calls.

Adding a signal is one entry in ``SIGNALS``; its histogram, panel, alert and row in the docs follow.
"""

from __future__ import annotations

from collector.catalog import pipeline, quality
from collector.catalog.base import (
    CRITICAL_AT,
    EVIDENCE_PATH,
    LABELS,
    OPEN_LABELS,
    OTHER,
    RUNBOOKS_PATH,
    SCORE_EDGES,
    WARN_AT,
    Board,
    Metric,
    MetricType,
    Set,
)
from collector.catalog.pipeline import (
    CALLS_OFF_CLOCK,
    ENCODER_CACHE_HITS,
    ENCODER_DEVICE_LOSSES,
    ENCODER_PACKS_HALVED,
    ENCODER_TEXTS,
    ENCODER_TOKENS,
    ENCODER_WINDOWS_SKIPPED,
    IMBALANCE,
    LAG,
    READY,
    RECORDS,
    RECORDS_LOST,
    RECORDS_REJECTED,
    SERIES_OVERFLOWED,
    SPANS_DROPPED,
    STAGE_SECONDS,
    WAITING,
)
from collector.catalog.quality import (
    CALLS,
    CALLS_CONTENT,
    CALLS_FAILED,
    CALLS_UNJOINED,
    CALLS_UNSCORED,
    CASCADE_FALLEN,
    CASCADE_FALLS,
    CASCADE_FLAGGED_SAMPLED,
    CASCADE_FLAGGED_SENT,
    CASCADE_FLAGGED_WEIGHTED,
    CASCADE_RATE,
    CASCADE_RATE_HIGH,
    CASCADE_RATE_LOW,
    CASCADE_RECALL,
    CASCADE_RECALL_HIGH,
    CASCADE_RECALL_LOW,
    CASCADE_RESCUED,
    CASCADE_SAMPLED,
    CASCADE_SENT,
    CASCADE_TEXTS,
    CENTROID_DISTANCE,
    DRIFT_ALARM,
    LATENCY,
    SIGNAL_UNSCORED,
    TOKENS,
    TTFT,
)
from collector.catalog.signals import SIGNALS, SignalEntry

__all__ = [
    "CALLS",
    "CALLS_CONTENT",
    "CALLS_FAILED",
    "CALLS_OFF_CLOCK",
    "CALLS_UNJOINED",
    "CALLS_UNSCORED",
    "CENTROID_DISTANCE",
    "CRITICAL_AT",
    "DRIFT_ALARM",
    "EVIDENCE_PATH",
    "IMBALANCE",
    "LABELS",
    "LAG",
    "LATENCY",
    "OPEN_LABELS",
    "OTHER",
    "READY",
    "RECORDS",
    "RECORDS_LOST",
    "RECORDS_REJECTED",
    "RUNBOOKS_PATH",
    "SERIES_OVERFLOWED",
    "SIGNALS",
    "SIGNAL_UNSCORED",
    "SPANS_DROPPED",
    "STAGE_SECONDS",
    "SUITE_COUNTS",
    "SUITE_GAUGES",
    "TOKENS",
    "TTFT",
    "WAITING",
    "WARN_AT",
    "Board",
    "Metric",
    "MetricType",
    "Set",
    "SignalEntry",
    "metrics",
]

_COUNTED = (
    ENCODER_TEXTS, ENCODER_CACHE_HITS, ENCODER_WINDOWS_SKIPPED, ENCODER_TOKENS, ENCODER_PACKS_HALVED,
    ENCODER_DEVICE_LOSSES, CASCADE_TEXTS, CASCADE_SENT, CASCADE_SAMPLED, CASCADE_FLAGGED_SENT,
    CASCADE_FLAGGED_SAMPLED, CASCADE_FLAGGED_WEIGHTED, CASCADE_RESCUED, CASCADE_FALLS,
)  # fmt: skip


SUITE_COUNTS = {metric.name.removeprefix("assay_").removesuffix("_total"): metric for metric in _COUNTED}
"""What a suite counts in a batch (``SuiteScores.counts``), by its own names."""


SUITE_GAUGES: dict[str, Metric] = {
    "cascade_fallen": CASCADE_FALLEN,
    "cascade_recall": CASCADE_RECALL,
    "cascade_recall_low": CASCADE_RECALL_LOW,
    "cascade_recall_high": CASCADE_RECALL_HIGH,
    "cascade_rate": CASCADE_RATE,
    "cascade_rate_low": CASCADE_RATE_LOW,
    "cascade_rate_high": CASCADE_RATE_HIGH,
}
"""How a signal finds itself (``SuiteScores.gauges``), by the suite's own names."""


_FIXED: tuple[Metric, ...] = tuple(
    value for value in {**vars(quality), **vars(pipeline)}.values() if isinstance(value, Metric)
)


def score_buckets(warn_at: float = WARN_AT, critical_at: float = CRITICAL_AT) -> tuple[float, ...]:
    """Edges of a score histogram; both thresholds lie on one, so ``1 - bucket{le=threshold} / count`` is exact."""
    return tuple(sorted({*SCORE_EDGES, warn_at, critical_at} - {0.0, 1.0}))


def metrics(warn_at: float = WARN_AT, critical_at: float = CRITICAL_AT) -> dict[str, Metric]:
    """Every metric by name, in the order of docs/metrics.md."""
    scores = [
        Metric(
            signal.metric,
            MetricType.HISTOGRAM,
            signal.help,
            ("service", "model", "side"),
            Set.QUALITY,
            score_buckets(warn_at, critical_at),
            durable=True,
        )
        for signal in SIGNALS
    ]
    order = list(Set)
    every = sorted([*scores, *_FIXED], key=lambda metric: order.index(metric.set))
    return {metric.name: metric for metric in every}
