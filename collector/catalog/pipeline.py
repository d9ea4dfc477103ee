"""Metrics of Assay itself."""

from __future__ import annotations

from dataclasses import replace

from collector.catalog.base import (
    BATCH_EDGES,
    STAGE_EDGES,
    counter,
    each,
    gauge,
    histogram,
)
from collector.records import DropReason, RejectReason, SnippetDrop

RECORDS = replace(counter("assay_records_total", "Records whose range is safe in the chain.", "topic"), durable=True)
RECORDS_REJECTED = replace(
    counter(
        "assay_records_rejected_total",
        "Records that could not be decoded, by reason.",
        "reason",
        start=each(RejectReason),
    ),
    durable=True,
)
RECORDS_LOST = replace(
    counter("assay_records_lost_total", "Offsets that the log no longer held when they were due.", "topic"),
    durable=True,
)
CALLS_OFF_CLOCK = replace(
    counter(
        "assay_calls_off_clock_total",
        "Calls stamped over 10 minutes `ahead` of the log's time, or over 5 minutes `late`.",
        "topic", "direction",
    ),
    durable=True,
)  # fmt: skip
SPANS_DROPPED = replace(
    counter(
        "assay_spans_dropped_total",
        "Spans that looked like a call and are none, by reason.",
        "reason",
        start=each(DropReason),
    ),
    durable=True,
)
IMBALANCE = replace(
    gauge(
        "assay_conservation_imbalance",
        "consumed - (scored + unscored + rejected + lost) of the ranges appended here; anything but 0 is a defect.",
        "topic",
    ),
    durable=True,
)
RECORDS_POLLED = counter("assay_records_polled_total", "Records read, warm-up re-reads included.", "topic")
RECORD_BYTES = counter("assay_record_bytes_total", "Bytes of the records read.", "topic")
LAG = gauge("assay_lag_records", "Records between what was read and the end of the log.", "topic", "partition")
LAG_SECONDS = gauge("assay_lag_seconds", "Age of the part of the log that is read or scored now.")
PARTITIONS = gauge("assay_partitions_assigned", "Partitions that this process reads.")
OPEN_RETRIES = counter("assay_open_retries_total", "Attempts to open a partition that failed and are repeated.")
SETTLED_EARLY = counter(
    "assay_calls_settled_early_total", "Calls decided before their window ended, because too many waited."
)
TRACES_FORGOTTEN = counter(
    "assay_traces_forgotten_total", "Traces forgotten before their time, because too many were remembered."
)
SPANS_UNREMEMBERED = counter(
    "assay_spans_unremembered_total", "Spans of traces that are too large to be remembered whole."
)
EVENTS_ORPHANED = counter(
    "assay_events_without_span_total", "Log events whose span did not come while they were remembered."
)
WAITING = gauge("assay_waiting_items", "Calls, steps and rows on their way, by place.", "place")
STAGE_SECONDS = histogram("assay_stage_seconds", "Duration of one turn of a stage.", "stage", buckets=STAGE_EDGES)
BATCH_CALLS = histogram("assay_batch_calls", "Calls scored together.", buckets=BATCH_EDGES)
SIGNAL_SECONDS = counter("assay_signal_seconds_total", "Wall time of a signal (and of the encoder).", "signal")
SIGNAL_FAILURES = counter("assay_signal_failures_total", "Batches in which a signal raised.", "signal", "error")
ENCODER_TEXTS = counter("assay_encoder_texts_total", "Texts that the encoder was asked for.")
ENCODER_CACHE_HITS = counter("assay_encoder_cache_hits_total", "Texts whose embedding was known.")
ENCODER_WINDOWS_SKIPPED = counter(
    "assay_encoder_windows_skipped_total", "Windows of texts that are too long to be read whole."
)
ENCODER_TOKENS = counter("assay_encoder_tokens_total", "Tokens that the encoder read.")
ENCODER_PACKS_HALVED = counter(
    "assay_encoder_packs_halved_total", "Packs of texts that did not fit the device's memory and were halved."
)
ENCODER_DEVICE_LOSSES = counter(
    "assay_encoder_device_losses_total", "Times that the device failed and the CPU took over."
)
APPENDS = counter(
    "assay_appends_total",
    "Deltas offered to the chain: `won`, or `conflict` where another writer had taken the range.",
    "outcome",
    start=(("won",), ("conflict",)),
)
APPEND_RETRIES = counter("assay_append_retries_total", "Appends repeated because the store did not answer.")
APPEND_BYTES = counter("assay_append_bytes_total", "Bytes of the deltas appended.")
LAST_APPEND = gauge(
    "assay_last_append_timestamp_seconds", "When a delta of the partition was last made durable.", "topic", "partition"
)
CHAIN_NEXT = gauge("assay_chain_next_offset", "Where the chain of the partition ends.", "topic", "partition")
DEAD_LETTERS = counter("assay_dead_letters_total", "Rejected records that are safe as dead letters.")
LABELS_OVERFLOWED = counter("assay_labels_overflowed_total", "Values of rollup keys that became `__other__`.")
SERIES_OVERFLOWED = counter(
    "assay_series_overflowed_total", "Values counted under `__other__` because a metric is full.", "metric"
)
MATERIALISED_NEXT = gauge(
    "assay_materialised_next_offset", "How far DuckDB has followed the partition's chain.", "topic", "partition"
)
MATERIALISED_CALLS = counter("assay_materialised_calls_total", "Calls folded into the rollups.")
LAST_MATERIALISED = gauge(
    "assay_last_materialised_timestamp_seconds", "When DuckDB last agreed with the end of the chain."
)
DATA_FREE = gauge("assay_data_free_bytes", "Space left where local state lies.")
DATA_SIZE = gauge("assay_data_size_bytes", "Size of the file system where local state lies.")
STORE_BYTES = gauge("assay_store_bytes", "Size of the DuckDB file at the newest snapshot.")
STORE_REBUILDS = counter(
    "assay_store_rebuilds_total", "Times that DuckDB was rebuilt from the chain, by reason.", "reason"
)
STORE_FILES_DELETED = counter(
    "assay_store_files_deleted_total", "Files of earlier views, set aside and then deleted for newer ones."
)
SNAPSHOTS = counter("assay_snapshots_total", "Snapshots published.")
LAST_SNAPSHOT = gauge("assay_last_snapshot_timestamp_seconds", "When the newest snapshot was last up to date.")
TASKS = counter(
    "assay_tasks_total",
    "Background tasks: `done`, `failed`, or `skipped` because the one before still ran.",
    "task",
    "outcome",
)
OTLP_REFUSED = counter("assay_otlp_refused_total", "OTLP requests refused, by HTTP status.", "reason")
EVALUATIONS = counter(
    "assay_evaluations_total",
    "Evaluation events: `sent`, or `refused` by the receiver for good.",
    "outcome",
    start=(("sent",), ("refused",)),
)
EVALUATION_RETRIES = counter(
    "assay_evaluation_retries_total", "Times that evaluation events had to wait in the chain for their receiver."
)
EVALUATION_GAPS = counter(
    "assay_evaluation_gaps_total", "Ranges that the chain no longer held when they were to be announced."
)
SNIPPETS_WRITTEN = counter("assay_snippets_written_total", "Redacted excerpts of flagged calls that were stored.")
SNIPPETS_DROPPED = counter(
    "assay_snippets_dropped_total",
    "Calls chosen for an excerpt that have none, by reason: " + ", ".join(SnippetDrop) + ".",
    "reason",
    start=each(SnippetDrop),
)
SNIPPETS_DELETED = counter(
    "assay_snippets_deleted_total",
    "Excerpts deleted: `expired`, or for room (`bytes_max`).",
    "reason",
    start=(("expired",), ("bytes_max",)),
)
SNIPPET_BYTES = gauge("assay_snippet_bytes", "Bytes of the excerpts that are kept.")
SNIPPET_AGE = gauge(
    "assay_snippet_oldest_age_seconds", "Age of the oldest call that an excerpt is kept of; 0: none is."
)
HTTP_REFUSED = counter(
    "assay_http_refused_total",
    "Requests that a listener turned away: `unauthorized`, `logins` (too many), `rate`, `origin`, `closed`, `headers`.",
    "listener",
    "reason",
)
WEB_CONFIG_STALE = gauge(
    "assay_web_config_stale",
    "1 while a web-config file on disk cannot be used and an older one is in force.",
    "listener",
)
SOURCE_HEALTHY = gauge("assay_source_healthy", "1 while the source answers.")
CHAIN_HEALTHY = gauge("assay_chain_healthy", "1 while the chain's store answers.")
READY = gauge("assay_ready", "1 while the condition of /readyz holds.", "condition")
BUILD_INFO = gauge("assay_build_info", "Always 1.", "version", "python", "role")
