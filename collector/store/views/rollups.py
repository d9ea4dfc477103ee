"""Scores and traffic by minute, hour and day."""

from __future__ import annotations

from collector.rollup.fold import CONTENTS, REASONS
from collector.store.views.types import KEYS, MISSED, SERIES, SIGNAL, WINDOW, Column, View

_MISSED_SUM = " + ".join(f"unscored_{reason}" for reason in MISSED)
_ALL_UNSCORED = " + ".join(f"unscored_{reason}" for reason in REASONS)
_SQUARES = "(n::HUGEINT * score_sum_squares - score_sum * score_sum)"

_SCORES_EXAMPLE = """SELECT window_start, model_version, mean, p95, critical_share FROM rollup_minute
WHERE service = 'shop' AND signal = 'toxicity' AND side = 'output' AND window_start >= TIMESTAMP '2026-11-27'
ORDER BY ALL"""
_TRAFFIC_EXAMPLE = """SELECT window_start, model, sum(calls) AS calls, sum(errors) AS errors, max(latency_p95) AS p95
FROM traffic_minute WHERE window_start >= TIMESTAMP '2026-11-27' GROUP BY ALL ORDER BY ALL"""


def _seconds(name: str, what: str) -> tuple[Column, ...]:
    return (
        Column(f"{name}_calls", "BIGINT", f"calls that tell their {what}", f"{name}_n"),
        Column(f"{name}_mean", "DOUBLE", f"mean {what}, seconds", f"{name}_sum / 1e6 / nullif({name}_n, 0)"),
        *(
            Column(f"{name}_{q}", "DOUBLE", f"{q} of the {what}, seconds, to 4.4 %", f"{name}_{q} / 1e6")
            for q in ("p50", "p95", "p99")
        ),
        Column(f"{name}_max", "DOUBLE", f"longest {what}, seconds", f"{name}_most / 1e6"),
        Column(f"{name}_zeros", "BIGINT", "histogram: values of zero"),
        Column(f"{name}_buckets", "SMALLINT[]", "histogram: bucket i ends at 2^(i/16) seconds"),
        Column(f"{name}_bucket_counts", "BIGINT[]", "histogram: values in each bucket"),
    )


def rollup(resolution: str) -> View:
    return View(
        name=f"rollup_{resolution}",
        meaning=f"Scores by {resolution}, keys and signal.",
        example=_SCORES_EXAMPLE.replace("minute", resolution),
        source=f"FROM data.{resolution}_scores",
        columns=(
            WINDOW,
            *KEYS,
            SERIES,
            *SIGNAL,
            Column("n", "BIGINT", "calls that this signal scored"),
            Column(
                "eligible",
                "BIGINT",
                "calls that it should have scored: n and all that was missed",
                f"n + {_MISSED_SUM}",
            ),
            Column("unscored", "BIGINT", "calls without this score, for any reason", _ALL_UNSCORED),
            *(Column(f"unscored_{reason}", "BIGINT", f"… because: {reason.replace('_', ' ')}") for reason in REASONS),
            Column("mean", "DOUBLE", "mean score, 0 good .. 1 bad", "score_sum / 1e6 / nullif(n, 0)"),
            Column(
                "stddev",
                "DOUBLE",
                "sample standard deviation",
                f"CASE WHEN n > 1 THEN sqrt({_SQUARES} / (n::DOUBLE * (n - 1))) / 1e6 END",
            ),
            Column("min", "DOUBLE", "lowest score", "score_least / 1e6"),
            Column("max", "DOUBLE", "highest score", "score_most / 1e6"),
            *(
                Column(q, "DOUBLE", f"{q} of the scores, to 4.4 % of its value", f"score_{q} / 1e6")
                for q in ("p50", "p95", "p99")
            ),
            Column("exceed_warn", "BIGINT", "scores above signals.warn_at"),
            Column("exceed_critical", "BIGINT", "scores above signals.critical_at"),
            Column("warn_share", "DOUBLE", "exceed_warn over n", "exceed_warn / nullif(n, 0)"),
            Column("critical_share", "DOUBLE", "exceed_critical over n", "exceed_critical / nullif(n, 0)"),
            Column(
                "exemplars",
                "VARCHAR[]",
                "trace ids of the up to three worst calls above 0",
                "list_transform(list_zip(exemplar_high, exemplar_low), lambda p: format('{:016x}{:016x}', p[1], p[2]))",
            ),
            Column("exemplar_scores", "DOUBLE[]", "their scores", "list_transform(exemplar_scores, lambda s: s / 1e6)"),
            Column("zeros", "BIGINT", "histogram: scores of zero", "score_zeros"),
            Column("buckets", "SMALLINT[]", "histogram: bucket i ends at 2^(i/16)", "score_buckets"),
            Column("bucket_counts", "BIGINT[]", "histogram: scores in each bucket", "score_bucket_counts"),
            Column("score_sum", "HUGEINT", "sum of the scores in millionths, exact"),
            Column("score_sum_squares", "HUGEINT", "sum of their squares, exact"),
        ),
    )


def traffic(resolution: str) -> View:
    tokens = ("input_tokens", "output_tokens", "cache_read_tokens")
    return View(
        name=f"traffic_{resolution}",
        meaning=f"Calls, errors, tokens and times by {resolution} and keys, whatever their scores.",
        example=_TRAFFIC_EXAMPLE.replace("minute", resolution),
        source=f"FROM data.{resolution}_traffic",
        columns=(
            WINDOW,
            *KEYS,
            SERIES,
            Column("calls", "BIGINT", "calls", "n"),
            Column("errors", "BIGINT", "calls that ended in an error"),
            Column("error_share", "DOUBLE", "errors over calls", "errors / n"),
            Column("scored", "BIGINT", "calls that at least one signal scored"),
            *(
                Column(f"unscored_{reason}", "BIGINT", f"calls that none scored, because: {reason.replace('_', ' ')}")
                for reason in REASONS
            ),
            *(
                Column(f"content_{state}", "BIGINT", f"calls whose text arrived as: {state.replace('_', ' ')}")
                for state in CONTENTS
            ),
            Column("unjoined", "BIGINT", "calls that waited for events which never came"),
            Column("dropped_attributes", "BIGINT", "attributes that the instrumentation dropped"),
            *(
                Column(f"{name}_calls", "BIGINT", f"calls that tell {name.replace('_', ' ')}", f"{name}_n")
                for name in tokens
            ),
            *(Column(name, "HUGEINT", f"sum of {name.replace('_', ' ')}", f"{name}_sum") for name in tokens),
            *_seconds("latency", "duration"),
            *_seconds("ttft", "time to the first token"),
        ),
    )
