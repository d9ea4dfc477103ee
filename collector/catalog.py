"""Every metric, label, bucket edge and signal as data: exporter, dashboards, alerts and the README's tables read these.

Names are ours (``assay_``) even where an OTel GenAI convention exists: ``gen_ai_client_operation_duration_seconds`` and
``gen_ai_client_token_usage`` are what the applications' own SDKs export, and a second producer under the same name
would be summed with the first. ``assay_call_latency_seconds`` and ``assay_tokens_total`` say the same of counted calls.

Adding a signal is one entry in ``SIGNALS``; its histogram, panel, alert and README row follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from collector.config import SignalsConfig
from collector.records import Content, DriftSkip, DropReason, RejectReason
from signals.types import Abstention, Side

OTHER = "__other__"
"""The value of an open label beyond its bound."""

WARN_AT: float = SignalsConfig().warn_at
CRITICAL_AT: float = SignalsConfig().critical_at

SCORE_EDGES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.9, 0.95, 0.99)
LATENCY_EDGES = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0)
TTFT_EDGES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
STAGE_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_EDGES = (1.0, 8.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 2_048.0, 4_096.0, 8_192.0)


EVIDENCE_PATH = "/evidence"
"""Worst calls and the slice to blame; takes ``signal``, ``side``, ``service``, ``model``, ``from`` and ``to``."""
RUNBOOKS_PATH = f"{EVIDENCE_PATH}/runbooks"


class Board(StrEnum):
    """The dashboards, by the uid that links name."""

    OVERVIEW = "assay-overview"
    QUALITY = "assay-quality"
    DRIFT = "assay-drift"
    COMPARE = "assay-compare"
    COST = "assay-cost"
    SIGNALS = "assay-signals"
    PIPELINE = "assay-pipeline"


class MetricType(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Set(StrEnum):
    """What a metric speaks of."""

    QUALITY = "quality"
    TRAFFIC = "traffic"
    PIPELINE = "pipeline"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family.

    A ``durable`` metric is counted from deltas that are safe in the chain, so it equals what SQL says of the same
    calls; nobody may add to it otherwise. ``start`` are label sets that are exported as 0 before anything happened,
    so that ``rate()`` sees the first event.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    set: Set = Set.PIPELINE
    buckets: tuple[float, ...] = ()  # upper edges, rising, without +Inf
    durable: bool = False
    start: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class SignalEntry:
    """A quality signal as the outside sees it; the name is that of its ScoreSpec."""

    name: str
    sides: tuple[Side, ...]
    help: str  # what 1 means
    cue: bool = False  # a reason to look, never alone an alert

    @property
    def metric(self) -> str:
        return f"assay_{self.name}_score"


_BOTH = (Side.INPUT, Side.OUTPUT)

SIGNALS: tuple[SignalEntry, ...] = (
    SignalEntry("toxicity", _BOTH, "Toxicity of the text: 0 harmless, 1 certainly toxic."),
    SignalEntry("severe_toxicity", _BOTH, "Severe toxicity of the text; only with an imported Detoxify model."),
    SignalEntry("obscene", _BOTH, "Obscenity of the text; only with an imported Detoxify model."),
    SignalEntry("threat", _BOTH, "How much the text threatens; only with an imported Detoxify model."),
    SignalEntry("insult", _BOTH, "How much the text insults; only with an imported Detoxify model."),
    SignalEntry("identity_attack", _BOTH, "Hate of a group in the text; only with an imported Detoxify model."),
    SignalEntry(
        "sexual_explicit",
        _BOTH,
        "Sexually explicit language; only with Detoxify's `unbiased` or `multilingual` imported.",
    ),
    SignalEntry(
        "context_novelty",
        (Side.OUTPUT,),
        "Share of the answer's words and word pairs that its context does not hold: 0 grounded, 1 all new.",
    ),
    SignalEntry(
        "number_mismatch",
        (Side.OUTPUT,),
        "Share of the answer's numbers that neither context nor question holds.",
        cue=True,
    ),
    SignalEntry(
        "negation_flip",
        (Side.OUTPUT,),
        "How much one of answer and context negates what the other does not; a cue.",
        cue=True,
    ),
    SignalEntry(
        "entity_mismatch",
        (Side.OUTPUT,),
        "Share of the answer's names that neither context nor question holds.",
        cue=True,
    ),
    SignalEntry("citation_missing", (Side.OUTPUT,), "Share of the answer's citations that lead to no document."),
    SignalEntry(
        "citation_unsupported", (Side.OUTPUT,), "Share of cited documents that do not hold what the sentence says."
    ),
    SignalEntry(
        "unsupported_claims", (Side.OUTPUT,), "Share of the answer's sentences that no single document supports."
    ),
    SignalEntry(
        "contradiction", (Side.OUTPUT,), "Probability that the context contradicts a flagged answer, by `signals.nli`."
    ),
    SignalEntry(
        "unsupported",
        (Side.OUTPUT,),
        "Probability that the context does not support a flagged answer, by `signals.nli`.",
    ),
    SignalEntry("degeneration", (Side.OUTPUT,), "How broken the answer is: 1 when empty, cut off or repeating itself."),
    SignalEntry("injection", (Side.INPUT,), "How much the question tries to take the model over: 1 an attack."),
    SignalEntry("pii", _BOTH, "Gravest personal data in the text: 0.55 contact, 0.9 identity, 1 secret."),
    SignalEntry("refusal", (Side.OUTPUT,), "How much the answer declines: 0.45 does not know, 1 refuses."),
    SignalEntry("language", (Side.OUTPUT,), "Probability that the answer speaks another language than the question."),
    SignalEntry("format", (Side.OUTPUT,), "How far the answer is from the JSON or the tool call that was asked for."),
    SignalEntry("relevance", (Side.OUTPUT,), "How far the answer is from the topic of the question: 1 something else."),
    SignalEntry("disagreement", (Side.OUTPUT,), "How much several answers to one request differ from each other."),
    SignalEntry("perplexity", (Side.OUTPUT,), "How unsure the model was of its words: 1 - 1 / perplexity."),
    SignalEntry("low_confidence", (Side.OUTPUT,), "Share of tokens that the model gave less than a half."),
    SignalEntry("reference_exact", (Side.OUTPUT,), "1 where the answer is not the reference, normalised."),
    SignalEntry("reference_f1", (Side.OUTPUT,), "Distance from the reference by shared words: 1 - token F1."),
    SignalEntry("reference_rouge_l", (Side.OUTPUT,), "Distance from the reference by words in order: 1 - ROUGE-L."),
    SignalEntry("reference_chrf", (Side.OUTPUT,), "Distance from the reference by letters: 1 - chrF."),
    SignalEntry("reference_bertscore", (Side.OUTPUT,), "Distance from the reference by meaning: 1 - BERTScore F1."),
    SignalEntry("context_injection", (Side.INPUT,), "How much the context holds orders to the model: 1 an attack."),
)

LABELS: dict[str, str] = {
    "service": "`service.name` of the application's resource",
    "model": "the requested model, else the one that answered, else `unknown`",
    "side": "`input` or `output`: which text of the call",
    "signal": "name of a signal",
    "outcome": "how it ended; the values are in the help text",
    "reason": "why; a closed set for each metric",
    "content": "what of the call's text arrived: " + ", ".join(state.value for state in Content),
    "direction": "of tokens: `input`, `output` or `cache_read`; of a clock: `ahead` or `late`",
    "error": "class of an error",
    "topic": "topic that holds the record",
    "partition": "number of the partition; only those this process owns",
    "stage": "stage of the pipeline",
    "place": "where items wait",
    "kind": "what changed: `model`, `model_version`, `prompt` or `signal_version`",
    "subject": "whose version changed: a model, the name of a prompt, or signal and side",
    "before": "the version before",
    "after": "the version that appeared",
    "listener": "`web` (metrics, pages, SQL) or `otlp` (the receiver)",
    "task": "name of a background task",
    "metric": "name of a metric",
    "condition": "name of a readiness condition",
    "version": "version of Assay",
    "python": "version of Python",
    "role": "role of the process",
}
"""Every label and what it means. Ids and texts are never labels."""

OPEN_LABELS = frozenset({"service", "model", "error", "topic", "partition", "subject", "before", "after"})
"""Labels whose values come from outside; beyond a metric's bound they become ``__other__``, the others stay."""


def _counter(name: str, help_: str, *labels: str, start: tuple[tuple[str, ...], ...] = ()) -> Metric:
    return Metric(name, MetricType.COUNTER, help_, labels, start=start or (() if labels else ((),)))


def _gauge(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name, MetricType.GAUGE, help_, labels)


def _histogram(name: str, help_: str, *labels: str, buckets: tuple[float, ...]) -> Metric:
    return Metric(name, MetricType.HISTOGRAM, help_, labels, buckets=buckets)


def _traffic(metric: Metric) -> Metric:
    return replace(metric, set=Set.TRAFFIC, durable=True)


def _each(values: type[StrEnum]) -> tuple[tuple[str, ...], ...]:
    return tuple((value.value,) for value in values)


CALLS = _traffic(
    _counter("assay_calls_total", "Calls counted; outcome `scored` or `unscored`.", "service", "model", "outcome")
)
CALLS_UNSCORED = _traffic(
    _counter("assay_calls_unscored_total", "Calls that no signal scored, by the gravest reason.", "service", "reason")
)
CALLS_CONTENT = _traffic(
    _counter("assay_calls_content_total", "Calls by what of their text arrived.", "service", "content")
)
CALLS_UNJOINED = _traffic(
    _counter("assay_calls_unjoined_total", "Calls whose promised events did not arrive in the join window.", "service")
)
CALLS_FAILED = _traffic(
    _counter("assay_calls_failed_total", "Calls that ended in an error, by its class.", "service", "model", "error")
)
TOKENS = _traffic(_counter("assay_tokens_total", "Tokens of counted calls.", "service", "model", "direction"))
LATENCY = _traffic(
    _histogram("assay_call_latency_seconds", "Duration of counted calls.", "service", "model", buckets=LATENCY_EDGES)
)
TTFT = _traffic(
    _histogram("assay_call_ttft_seconds", "Time to the first token.", "service", "model", buckets=TTFT_EDGES)
)
SIGNAL_UNSCORED = replace(
    _counter(
        "assay_signal_unscored_total",
        "Texts that a signal left unscored, by reason: " + ", ".join(a.name.lower() for a in Abstention if a) + ".",
        "service", "signal", "side", "reason",
    ),
    set=Set.QUALITY,
    durable=True,
)  # fmt: skip
CENTROID_DISTANCE = replace(
    _gauge(
        "assay_embedding_centroid_distance",
        "Cosine distance between the mean embeddings of the current window and the baseline: 0 the same, 1 unrelated.",
        "service", "model", "side",
    ),
    set=Set.QUALITY,
)  # fmt: skip
DRIFT_EVALUE = replace(
    _gauge(
        "assay_drift_log_evalue",
        "Natural logarithm of the evidence that the texts differ from the baseline's; an alarm from the threshold on.",
        "service", "model", "side",
    ),
    set=Set.QUALITY,
)  # fmt: skip
DRIFT_ALARM = replace(
    _gauge(
        "assay_drift_alarm",
        "1 while the evidence of drift is at the threshold or above, else 0.",
        "service", "model", "side",
    ),
    set=Set.QUALITY,
)  # fmt: skip
DRIFT_PAIRS = replace(
    _counter(
        "assay_drift_pairs_total",
        "Calls paired with a baseline call and shown to a drift detector.",
        "service", "model", "side",
    ),
    set=Set.QUALITY,
)  # fmt: skip
DRIFT_SKIPPED = replace(
    _counter(
        "assay_drift_calls_skipped_total",
        "Texts that no drift detector saw, by reason: " + ", ".join(DriftSkip) + ".",
        "reason",
        start=_each(DriftSkip),
    ),
    set=Set.QUALITY,
)
DRIFT_THRESHOLD = _gauge(
    "assay_drift_alarm_threshold", "From which log e-value on drift alarms: the logarithm of 1 / drift.alpha."
)
DRIFT_FALSE_ALARM_CALLS = _gauge(
    "assay_drift_false_alarm_calls",
    "Pairs between two false drift alarms of one service, model and side: on average at least so many.",
)
DRIFT_DETECTORS = _gauge("assay_drift_detectors", "Services, models, sides and encoders that are watched for drift.")
LAST_DRIFT_WINDOW = _gauge(
    "assay_last_drift_window_timestamp_seconds", "End of the newest window that was examined for drift, by log time."
)

VERSION_CHANGE = replace(
    _gauge(
        "assay_version_change_timestamp_seconds",
        "When a service began to ask or get another version, for changes of the last day; made for annotations.",
        "service", "kind", "subject", "before", "after",
    ),
    set=Set.QUALITY,
)  # fmt: skip

RECORDS = replace(_counter("assay_records_total", "Records whose range is safe in the chain.", "topic"), durable=True)
RECORDS_REJECTED = replace(
    _counter(
        "assay_records_rejected_total",
        "Records that could not be decoded, by reason.",
        "reason",
        start=_each(RejectReason),
    ),
    durable=True,
)
RECORDS_LOST = replace(
    _counter("assay_records_lost_total", "Offsets that the log no longer held when they were due.", "topic"),
    durable=True,
)
CALLS_OFF_CLOCK = replace(
    _counter(
        "assay_calls_off_clock_total",
        "Calls stamped over 10 minutes `ahead` of the log's time, or over 5 minutes `late`.",
        "topic", "direction",
    ),
    durable=True,
)  # fmt: skip
SPANS_DROPPED = replace(
    _counter(
        "assay_spans_dropped_total",
        "Spans that looked like a call and are none, by reason.",
        "reason",
        start=_each(DropReason),
    ),
    durable=True,
)
IMBALANCE = replace(
    _gauge(
        "assay_conservation_imbalance",
        "consumed - (scored + unscored + rejected + lost) of the ranges appended here; anything but 0 is a defect.",
        "topic",
    ),
    durable=True,
)

RECORDS_POLLED = _counter("assay_records_polled_total", "Records read, warm-up re-reads included.", "topic")
RECORD_BYTES = _counter("assay_record_bytes_total", "Bytes of the records read.", "topic")
LAG = _gauge("assay_lag_records", "Records between what was read and the end of the log.", "topic", "partition")
LAG_SECONDS = _gauge("assay_lag_seconds", "Age of the part of the log that is read or scored now.")
SHED_LEVEL = _gauge("assay_shed_level", "Level of shedding for overload; 0: every signal scores every call.")
SHED_RATIO = _gauge(
    "assay_shed_ratio", "Share of the traces that the signal leaves unscored now, for overload.", "signal"
)
PARTITIONS = _gauge("assay_partitions_assigned", "Partitions that this process reads.")
OPEN_RETRIES = _counter("assay_open_retries_total", "Attempts to open a partition that failed and are repeated.")
SETTLED_EARLY = _counter(
    "assay_calls_settled_early_total", "Calls decided before their window ended, because too many waited."
)
TRACES_FORGOTTEN = _counter(
    "assay_traces_forgotten_total", "Traces forgotten before their time, because too many were remembered."
)
SPANS_UNREMEMBERED = _counter(
    "assay_spans_unremembered_total", "Spans of traces that are too large to be remembered whole."
)
EVENTS_ORPHANED = _counter(
    "assay_events_without_span_total", "Log events whose span did not come while they were remembered."
)
WAITING = _gauge("assay_waiting_items", "Calls, steps and rows on their way, by place.", "place")
STAGE_SECONDS = _histogram("assay_stage_seconds", "Duration of one turn of a stage.", "stage", buckets=STAGE_EDGES)
BATCH_CALLS = _histogram("assay_batch_calls", "Calls scored together.", buckets=BATCH_EDGES)
SIGNAL_SECONDS = _counter("assay_signal_seconds_total", "Wall time of a signal (and of the encoder).", "signal")
SIGNAL_FAILURES = _counter("assay_signal_failures_total", "Batches in which a signal raised.", "signal", "error")
ENCODER_TEXTS = _counter("assay_encoder_texts_total", "Texts that the encoder was asked for.")
ENCODER_CACHE_HITS = _counter("assay_encoder_cache_hits_total", "Texts whose embedding was known.")
ENCODER_WINDOWS_SKIPPED = _counter(
    "assay_encoder_windows_skipped_total", "Windows of texts that are too long to be read whole."
)
ENCODER_TOKENS = _counter("assay_encoder_tokens_total", "Tokens that the encoder read.")
ENCODER_PACKS_HALVED = _counter(
    "assay_encoder_packs_halved_total", "Packs of texts that did not fit the device's memory and were halved."
)
ENCODER_DEVICE_LOSSES = _counter(
    "assay_encoder_device_losses_total", "Times that the device failed and the CPU took over."
)
CASCADE_TEXTS = _counter("assay_cascade_texts_total", "Texts that the toxicity cascade's first stage read.")
CASCADE_SENT = _counter("assay_cascade_sent_total", "Of them, those that scored above its threshold.")
CASCADE_SAMPLED = _counter("assay_cascade_sampled_total", "Of the others, those drawn by chance for the full model.")
CASCADE_FLAGGED_SENT = _counter("assay_cascade_flagged_sent_total", "Texts sent that the full model calls toxic.")
CASCADE_FLAGGED_SAMPLED = _counter("assay_cascade_flagged_sampled_total", "Texts drawn that the full model flags.")
CASCADE_FLAGGED_WEIGHTED = _counter(
    "assay_cascade_flagged_weighted_total",
    "Unbiased count of toxic texts: flagged sent, and flagged drawn by the inverse of their chance.",
)
CASCADE_RESCUED = _counter("assay_cascade_rescued_total", "Texts that only the fallback sent to the full model.")
CASCADE_FALLS = _counter("assay_cascade_falls_total", "Times that live recall fell below its bound.")
CASCADE_FALLEN = _gauge("assay_cascade_fallen", "1 while the full model reads everything, because recall is too low.")
CASCADE_RECALL = _gauge("assay_cascade_recall", "Share of recent toxic texts that the first stage sends.")
CASCADE_RECALL_LOW = _gauge("assay_cascade_recall_low", "Lower end of its 95 % interval.")
CASCADE_RECALL_HIGH = _gauge("assay_cascade_recall_high", "Upper end of its 95 % interval.")
CASCADE_RATE = _gauge("assay_cascade_toxic_ratio", "Unbiased share of texts that the full model would call toxic.")
CASCADE_RATE_LOW = _gauge("assay_cascade_toxic_ratio_low", "Lower end of its 95 % interval.")
CASCADE_RATE_HIGH = _gauge("assay_cascade_toxic_ratio_high", "Upper end of its 95 % interval.")
APPENDS = _counter(
    "assay_appends_total",
    "Deltas offered to the chain: `won`, or `conflict` where another writer had taken the range.",
    "outcome",
    start=(("won",), ("conflict",)),
)
APPEND_RETRIES = _counter("assay_append_retries_total", "Appends repeated because the store did not answer.")
APPEND_BYTES = _counter("assay_append_bytes_total", "Bytes of the deltas appended.")
LAST_APPEND = _gauge(
    "assay_last_append_timestamp_seconds", "When a delta of the partition was last made durable.", "topic", "partition"
)
CHAIN_NEXT = _gauge("assay_chain_next_offset", "Where the chain of the partition ends.", "topic", "partition")
DEAD_LETTERS = _counter("assay_dead_letters_total", "Rejected records that are safe as dead letters.")
LABELS_OVERFLOWED = _counter("assay_labels_overflowed_total", "Values of rollup keys that became `__other__`.")
SERIES_OVERFLOWED = _counter(
    "assay_series_overflowed_total", "Values counted under `__other__` because a metric is full.", "metric"
)
MATERIALISED_NEXT = _gauge(
    "assay_materialised_next_offset", "How far DuckDB has followed the partition's chain.", "topic", "partition"
)
MATERIALISED_CALLS = _counter("assay_materialised_calls_total", "Calls folded into the rollups.")
LAST_MATERIALISED = _gauge(
    "assay_last_materialised_timestamp_seconds", "When DuckDB last agreed with the end of the chain."
)
DATA_FREE = _gauge("assay_data_free_bytes", "Space left where local state lies.")
DATA_SIZE = _gauge("assay_data_size_bytes", "Size of the file system where local state lies.")
STORE_BYTES = _gauge("assay_store_bytes", "Size of the DuckDB file at the newest snapshot.")
STORE_REBUILDS = _counter(
    "assay_store_rebuilds_total", "Times that DuckDB was rebuilt from the chain, by reason.", "reason"
)
SNAPSHOTS = _counter("assay_snapshots_total", "Snapshots published.")
LAST_SNAPSHOT = _gauge("assay_last_snapshot_timestamp_seconds", "When the newest snapshot was last up to date.")
TASKS = _counter("assay_tasks_total", "Background tasks: `done` or `failed`.", "task", "outcome")
OTLP_REFUSED = _counter("assay_otlp_refused_total", "OTLP requests refused, by HTTP status.", "reason")
EVALUATIONS = _counter(
    "assay_evaluations_total",
    "Evaluation events: `sent`, or `refused` by the receiver for good.",
    "outcome",
    start=(("sent",), ("refused",)),
)
EVALUATION_RETRIES = _counter(
    "assay_evaluation_retries_total", "Times that evaluation events had to wait in the chain for their receiver."
)
EVALUATION_GAPS = _counter(
    "assay_evaluation_gaps_total", "Ranges that the chain no longer held when they were to be announced."
)
HTTP_REFUSED = _counter(
    "assay_http_refused_total",
    "Requests that a listener turned away: `unauthorized`, `logins` (too many), `rate`, `origin`, `closed`, `headers`.",
    "listener",
    "reason",
)
WEB_CONFIG_STALE = _gauge(
    "assay_web_config_stale",
    "1 while a web-config file on disk cannot be used and an older one is in force.",
    "listener",
)
SOURCE_HEALTHY = _gauge("assay_source_healthy", "1 while the source answers.")
CHAIN_HEALTHY = _gauge("assay_chain_healthy", "1 while the chain's store answers.")
READY = _gauge("assay_ready", "1 while the condition of /readyz holds.", "condition")
BUILD_INFO = _gauge("assay_build_info", "Always 1.", "version", "python", "role")

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

_FIXED: tuple[Metric, ...] = tuple(value for value in dict(globals()).values() if isinstance(value, Metric))


def score_buckets(warn_at: float = WARN_AT, critical_at: float = CRITICAL_AT) -> tuple[float, ...]:
    """Edges of a score histogram; both thresholds lie on one, so ``1 - bucket{le=threshold} / count`` is exact."""
    return tuple(sorted({*SCORE_EDGES, warn_at, critical_at} - {0.0, 1.0}))


def metrics(warn_at: float = WARN_AT, critical_at: float = CRITICAL_AT) -> dict[str, Metric]:
    """Every metric by name, in the order of the README."""
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
