"""Metrics of what users are answered: traffic, scores, drift, the cascade, and what overload leaves out."""

from __future__ import annotations

from dataclasses import replace

from collector.catalog.base import (
    LATENCY_EDGES,
    TTFT_EDGES,
    Set,
    counter,
    each,
    gauge,
    histogram,
    traffic,
)
from collector.records import DriftSkip
from signals.types import Abstention

CALLS = traffic(
    counter("assay_calls_total", "Calls counted; outcome `scored` or `unscored`.", "service", "model", "outcome")
)
CALLS_UNSCORED = traffic(
    counter("assay_calls_unscored_total", "Calls that no signal scored, by the gravest reason.", "service", "reason")
)
CALLS_CONTENT = traffic(
    counter("assay_calls_content_total", "Calls by what of their text arrived.", "service", "content")
)
CALLS_UNJOINED = traffic(
    counter("assay_calls_unjoined_total", "Calls whose promised events did not arrive in the join window.", "service")
)
CALLS_FAILED = traffic(
    counter("assay_calls_failed_total", "Calls that ended in an error, by its class.", "service", "model", "error")
)
TOKENS = traffic(counter("assay_tokens_total", "Tokens of counted calls.", "service", "model", "direction"))
LATENCY = traffic(
    histogram("assay_call_latency_seconds", "Duration of counted calls.", "service", "model", buckets=LATENCY_EDGES)
)
TTFT = traffic(histogram("assay_call_ttft_seconds", "Time to the first token.", "service", "model", buckets=TTFT_EDGES))
SIGNAL_UNSCORED = replace(
    counter(
        "assay_signal_unscored_total",
        "Texts that a signal left unscored, by reason: " + ", ".join(a.name.lower() for a in Abstention if a) + ".",
        "service", "signal", "side", "reason",
    ),
    set=Set.QUALITY,
    durable=True,
)  # fmt: skip
CENTROID_DISTANCE = replace(
    gauge(
        "assay_embedding_centroid_distance",
        "Cosine distance between the mean embeddings of the current window and the baseline: 0 the same, 1 unrelated.",
        "service", "model", "side",
    ),
    set=Set.QUALITY,
)  # fmt: skip
DRIFT_EVALUE = replace(
    gauge(
        "assay_drift_log_evalue",
        "Natural logarithm of the evidence that the texts differ from the baseline's; an alarm from the threshold on.",
        "service", "model", "side",
    ),
    set=Set.QUALITY,
)  # fmt: skip
DRIFT_ALARM = replace(
    gauge(
        "assay_drift_alarm",
        "1 while the evidence of drift is at the threshold or above, else 0.",
        "service", "model", "side",
    ),
    set=Set.QUALITY,
)  # fmt: skip
DRIFT_PAIRS = replace(
    counter(
        "assay_drift_pairs_total",
        "Calls paired with a baseline call and shown to a drift detector.",
        "service", "model", "side",
    ),
    set=Set.QUALITY,
)  # fmt: skip
DRIFT_SKIPPED = replace(
    counter(
        "assay_drift_calls_skipped_total",
        "Texts that no drift detector saw, by reason: " + ", ".join(DriftSkip) + ".",
        "reason",
        start=each(DriftSkip),
    ),
    set=Set.QUALITY,
)
DRIFT_THRESHOLD = gauge(
    "assay_drift_alarm_threshold", "From which log e-value on drift alarms: the logarithm of 1 / drift.alpha."
)
DRIFT_FALSE_ALARM_CALLS = gauge(
    "assay_drift_false_alarm_calls",
    "Pairs between two false drift alarms of one service, model and side: on average at least so many.",
)
DRIFT_DETECTORS = gauge("assay_drift_detectors", "Services, models, sides and encoders that are watched for drift.")
LAST_DRIFT_WINDOW = gauge(
    "assay_last_drift_window_timestamp_seconds", "End of the newest window that was examined for drift, by log time."
)
VERSION_CHANGE = replace(
    gauge(
        "assay_version_change_timestamp_seconds",
        "When a service was deployed or got another version, for changes of the last day; made for annotations.",
        "service", "kind", "subject", "before", "after",
    ),
    set=Set.QUALITY,
)  # fmt: skip
SHED_LEVEL = gauge("assay_shed_level", "Level of shedding for overload; 0: every signal scores every call.")
SHED_RATIO = gauge(
    "assay_shed_ratio", "Share of the traces that the signal leaves unscored now, for overload.", "signal"
)
CASCADE_TEXTS = counter("assay_cascade_texts_total", "Texts that the toxicity cascade's first stage read.")
CASCADE_SENT = counter("assay_cascade_sent_total", "Of them, those that scored above its threshold.")
CASCADE_SAMPLED = counter("assay_cascade_sampled_total", "Of the others, those drawn by chance for the full model.")
CASCADE_FLAGGED_SENT = counter("assay_cascade_flagged_sent_total", "Texts sent that the full model calls toxic.")
CASCADE_FLAGGED_SAMPLED = counter("assay_cascade_flagged_sampled_total", "Texts drawn that the full model flags.")
CASCADE_FLAGGED_WEIGHTED = counter(
    "assay_cascade_flagged_weighted_total",
    "Unbiased count of toxic texts: flagged sent, and flagged drawn by the inverse of their chance.",
)
CASCADE_RESCUED = counter("assay_cascade_rescued_total", "Texts that only the fallback sent to the full model.")
CASCADE_FALLS = counter("assay_cascade_falls_total", "Times that live recall fell below its bound.")
CASCADE_FALLEN = gauge("assay_cascade_fallen", "1 while the full model reads everything, because recall is too low.")
CASCADE_RECALL = gauge("assay_cascade_recall", "Share of recent toxic texts that the first stage sends.")
CASCADE_RECALL_LOW = gauge("assay_cascade_recall_low", "Lower end of its 95 % interval.")
CASCADE_RECALL_HIGH = gauge("assay_cascade_recall_high", "Upper end of its 95 % interval.")
CASCADE_RATE = gauge("assay_cascade_toxic_ratio", "Unbiased share of texts that the full model would call toxic.")
CASCADE_RATE_LOW = gauge("assay_cascade_toxic_ratio_low", "Lower end of its 95 % interval.")
CASCADE_RATE_HIGH = gauge("assay_cascade_toxic_ratio_high", "Upper end of its 95 % interval.")
