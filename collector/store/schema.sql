-- Everything the view holds. No keys and no indexes: rows are unique because whole windows are replaced.
-- A score, and a part of a second, is an integer in millionths, so that every sum is exact in any order.
CREATE SCHEMA data;

CREATE TABLE data.meta (name VARCHAR, value VARCHAR);

CREATE TABLE data.cursors (topic VARCHAR, epoch VARCHAR, partition INTEGER, next BIGINT);

-- What retention has left: windows that begin in [begin_at, end_at). No row: all of them.
CREATE TABLE data.kept (name VARCHAR, begin_at TIMESTAMP, end_at TIMESTAMP);

-- One row an object of the chain: `calls` in SQL are exactly the rows of these.
CREATE TABLE data.deltas (
    topic VARCHAR, epoch VARCHAR, partition INTEGER, start BIGINT, next BIGINT,
    path VARCHAR, columns VARCHAR[], peaks BIGINT[], -- of each column its highest score in millionths
    records BIGINT, consumed BIGINT, calls BIGINT, scored BIGINT, unscored BIGINT,
    rejected BIGINT, dropped BIGINT, lost BIGINT, ahead BIGINT, late BIGINT,
    sketches BIGINT, first_time TIMESTAMP, last_time TIMESTAMP, log_time TIMESTAMP
);

-- Why records were rejected, spans dropped, calls left unscored: per object of the chain.
CREATE TABLE data.outcomes (
    topic VARCHAR, epoch VARCHAR, partition INTEGER, start BIGINT, kind VARCHAR, reason VARCHAR, n BIGINT
);

CREATE TABLE data.suites (suite VARCHAR, signal VARCHAR, side VARCHAR, version VARCHAR, weights VARCHAR);

-- Sums of unit vectors times 16384, little-endian: int32 components below 131072 vectors, int64 from there on.
CREATE TABLE data.embeddings (
    window_start TIMESTAMP, service VARCHAR, model VARCHAR, side VARCHAR, version VARCHAR, n BIGINT, sum BLOB
);

-- Made anew with every snapshot.
CREATE TABLE data.drift (
    as_of TIMESTAMP, service VARCHAR, model VARCHAR, side VARCHAR, version VARCHAR, distance DOUBLE,
    n_current BIGINT, n_baseline BIGINT, current_start TIMESTAMP, baseline_start TIMESTAMP
);

-- The records of collector.drift, replayed: a row a slice and window; up to where they were followed.
CREATE TABLE data.drift_windows (
    number BIGINT, window_start TIMESTAMP, window_end TIMESTAMP,
    service VARCHAR, model VARCHAR, side VARCHAR, version VARCHAR,
    calls BIGINT, pairs BIGINT,
    no_reference BIGINT, thinned BIGINT, capped BIGINT, off_clock BIGINT, slices BIGINT,
    hour_of_week BIGINT, hour_of_day BIGINT, "any" BIGINT,
    log_increment DOUBLE, log_evalue DOUBLE, pairs_total BIGINT, alpha DOUBLE, alarm_since TIMESTAMP
);

CREATE TABLE data.drift_topics (
    window_start TIMESTAMP, service VARCHAR, model VARCHAR, side VARCHAR, version VARCHAR, topic BIGINT,
    share_before DOUBLE, share_after DOUBLE, change_low DOUBLE, change_high DOUBLE, examples_before VARCHAR[], examples_after VARCHAR[],
    spans_before VARCHAR[], spans_after VARCHAR[], times_before TIMESTAMP[], times_after TIMESTAMP[],
    n_before BIGINT, n_after BIGINT
);

CREATE TABLE data.drift_position (next BIGINT);

CREATE TABLE data.minute_scores (
    window_start TIMESTAMP,
    service VARCHAR, environment VARCHAR, model VARCHAR, model_version VARCHAR, prompt VARCHAR, tenant VARCHAR,
    service_version VARCHAR,
    signal VARCHAR, side VARCHAR, signal_version VARCHAR,
    n BIGINT, score_zeros BIGINT, exceed_warn BIGINT, exceed_critical BIGINT,
    unscored_no_text BIGINT, unscored_no_context BIGINT, unscored_not_captured BIGINT, unscored_redacted BIGINT,
    unscored_by_reference BIGINT, unscored_shed BIGINT, unscored_failed BIGINT, unscored_not_applicable BIGINT,
    score_sum HUGEINT, score_sum_squares HUGEINT,
    score_least BIGINT, score_most BIGINT,
    score_p50 BIGINT, score_p95 BIGINT, score_p99 BIGINT,
    score_buckets SMALLINT[], score_bucket_counts BIGINT[],
    exemplar_scores BIGINT[], exemplar_high UBIGINT[], exemplar_low UBIGINT[]
);

CREATE TABLE data.minute_traffic (
    window_start TIMESTAMP,
    service VARCHAR, environment VARCHAR, model VARCHAR, model_version VARCHAR, prompt VARCHAR, tenant VARCHAR,
    service_version VARCHAR,
    n BIGINT, errors BIGINT, scored BIGINT, unjoined BIGINT, dropped_attributes BIGINT,
    unscored_no_text BIGINT, unscored_no_context BIGINT, unscored_not_captured BIGINT, unscored_redacted BIGINT,
    unscored_by_reference BIGINT, unscored_shed BIGINT, unscored_failed BIGINT, unscored_not_applicable BIGINT,
    content_captured BIGINT, content_none BIGINT, content_redacted BIGINT, content_by_reference BIGINT,
    content_truncated BIGINT, content_partial BIGINT,
    input_tokens_n BIGINT, output_tokens_n BIGINT, cache_read_tokens_n BIGINT, latency_n BIGINT, ttft_n BIGINT,
    latency_zeros BIGINT, ttft_zeros BIGINT,
    input_tokens_sum HUGEINT, output_tokens_sum HUGEINT, cache_read_tokens_sum HUGEINT,
    latency_sum HUGEINT, ttft_sum HUGEINT,
    latency_least BIGINT, latency_most BIGINT, ttft_least BIGINT, ttft_most BIGINT,
    latency_p50 BIGINT, latency_p95 BIGINT, latency_p99 BIGINT, ttft_p50 BIGINT, ttft_p95 BIGINT, ttft_p99 BIGINT,
    latency_buckets SMALLINT[], latency_bucket_counts BIGINT[], ttft_buckets SMALLINT[], ttft_bucket_counts BIGINT[]
);

CREATE TABLE data.hour_scores AS FROM data.minute_scores LIMIT 0;
CREATE TABLE data.hour_traffic AS FROM data.minute_traffic LIMIT 0;
CREATE TABLE data.day_scores AS FROM data.minute_scores LIMIT 0;
CREATE TABLE data.day_traffic AS FROM data.minute_traffic LIMIT 0;
