"""What the numbers rest on, and what they are compared with."""

from __future__ import annotations

from collector.store.views.types import INELIGIBLE, MISSED, SIGNAL, WINDOW, Column, View

_MISSED_SUM = " + ".join(f"unscored_{reason}" for reason in MISSED)

COVERAGE = View(
    name="coverage",
    meaning="What share of the calls that a signal should judge it did judge, by minute, service and signal.",
    example="""SELECT service, signal, sum(scored) / sum(eligible) AS coverage FROM coverage
WHERE window_start >= TIMESTAMP '2026-11-27' GROUP BY ALL ORDER BY coverage""",
    source="FROM data.minute_scores GROUP BY window_start, service, signal, side",
    columns=(
        WINDOW,
        Column("service", "VARCHAR", "the calling service"),
        *SIGNAL[:2],
        Column("scored", "BIGINT", "calls that it scored", "sum(n)::BIGINT"),
        Column("eligible", "BIGINT", "calls that it should have scored", f"sum(n + {_MISSED_SUM})::BIGINT"),
        Column(
            "coverage",
            "DOUBLE",
            "scored over eligible; NULL: nothing was eligible",
            f"sum(n) / nullif(sum(n + {_MISSED_SUM}), 0)",
        ),
        *(
            Column(reason, "BIGINT", f"eligible, but: {reason.replace('_', ' ')}", f"sum(unscored_{reason})::BIGINT")
            for reason in MISSED
        ),
        *(
            Column(reason, "BIGINT", f"not eligible: {reason.replace('_', ' ')}", f"sum(unscored_{reason})::BIGINT")
            for reason in INELIGIBLE
        ),
    ),
)

REJECTS = View(
    name="rejects",
    meaning="Why records were rejected, spans dropped, calls left unscored or offsets lost, by partition and hour.",
    example="SELECT hour, kind, reason, sum(n) AS n FROM rejects GROUP BY ALL ORDER BY hour DESC, n DESC",
    source="""FROM (
        SELECT o.*, d.log_time FROM data.outcomes o JOIN data.deltas d USING (topic, epoch, partition, start)
        UNION ALL SELECT topic, epoch, partition, start, 'lost', 'retention', lost, log_time
        FROM data.deltas WHERE lost > 0
    ) GROUP BY ALL""",
    columns=(
        Column("topic", "VARCHAR", "topic"),
        Column("epoch", "VARCHAR", "incarnation of the topic"),
        Column("partition", "INTEGER", "partition"),
        Column("hour", "TIMESTAMP", "hour of the log's time at the end of the range", "date_trunc('hour', log_time)"),
        Column("kind", "VARCHAR", "rejected, dropped, unscored or lost"),
        Column("reason", "VARCHAR", "why"),
        Column("n", "BIGINT", "records, spans, calls or offsets", "sum(n)::BIGINT"),
    ),
)

PARTITIONS = View(
    name="partitions",
    meaning="The balance of every partition: consumed = scored + unscored + rejected + lost.",
    example="SELECT topic, partition, consumed, scored, unscored, rejected, lost, balance FROM partitions",
    source="FROM data.deltas GROUP BY topic, epoch, partition",
    columns=(
        Column("topic", "VARCHAR", "topic"),
        Column("epoch", "VARCHAR", "incarnation of the topic"),
        Column("partition", "INTEGER", "partition"),
        Column("first_offset", "BIGINT", "where the held chain begins", "min(start)"),
        Column("next_offset", "BIGINT", "where it goes on", "max(next)"),
        *(
            Column(name, "BIGINT", meaning, f"sum({name})::BIGINT")
            for name, meaning in {
                "records": "records read",
                "consumed": "calls, rejects and losses",
                "calls": "calls: rows of `calls`",
                "scored": "calls that at least one signal scored",
                "unscored": "calls that none scored",
                "rejected": "records that could not be decoded",
                "dropped": "spans that looked like a call and are none; not in consumed",
                "lost": "offsets that the log no longer held",
                "ahead": "calls stamped over 10 minutes ahead of the log's time",
                "late": "calls stamped over 5 minutes behind it",
            }.items()
        ),
        Column(
            "balance",
            "BIGINT",
            "consumed less what it became; always 0",
            "sum(consumed - scored - unscored - rejected - lost)::BIGINT",
        ),
        Column("log_time", "TIMESTAMP", "log time of the newest record", "max(log_time)"),
    ),
)

_BY_VERSION = """
    SELECT window_start, service, model, model_version, signal, side, signal_version, sum(n)::BIGINT AS n,
           sum(score_sum) / 1e6 / sum(n) AS mean,
           (sum(n) * sum(score_sum_squares) - sum(score_sum) * sum(score_sum))
               / (sum(n)::DOUBLE * greatest(sum(n) - 1, 1)) / 1e12 AS variance
    FROM data.day_scores GROUP BY ALL HAVING sum(n) > 1"""
_MARGIN = "1.96 * sqrt(a.variance / a.n + b.variance / b.n)"

COMPARISONS = View(
    name="comparisons",
    meaning="Models and model versions of a service side by side, by day and signal; 95 % intervals by Welch.",
    example="""SELECT day, signal, model_version, other_version, difference, low, high FROM comparisons
WHERE low > 0 ORDER BY difference DESC""",
    source=f"""FROM ({_BY_VERSION}) a JOIN ({_BY_VERSION}) b
        ON a.window_start = b.window_start AND a.service = b.service AND a.signal = b.signal AND a.side = b.side
        AND a.signal_version = b.signal_version AND (a.model, a.model_version) < (b.model, b.model_version)""",
    columns=(
        Column("day", "TIMESTAMP", "the day, UTC", "a.window_start"),
        Column("service", "VARCHAR", "the calling service", "a.service"),
        *(Column(c.name, c.type, c.meaning, f"a.{c.name}") for c in SIGNAL),
        Column("model", "VARCHAR", "one model", "a.model"),
        Column("model_version", "VARCHAR", "… and its version", "a.model_version"),
        Column("other_model", "VARCHAR", "the other model", "b.model"),
        Column("other_version", "VARCHAR", "… and its version", "b.model_version"),
        Column("n", "BIGINT", "scores of the one", "a.n"),
        Column("other_n", "BIGINT", "scores of the other", "b.n"),
        Column("mean", "DOUBLE", "mean score of the one", "a.mean"),
        Column("other_mean", "DOUBLE", "mean score of the other", "b.mean"),
        Column("difference", "DOUBLE", "other_mean - mean: above 0 the other is worse", "b.mean - a.mean"),
        Column("low", "DOUBLE", "lower end of the interval", f"b.mean - a.mean - {_MARGIN}"),
        Column("high", "DOUBLE", "upper end of the interval", f"b.mean - a.mean + {_MARGIN}"),
    ),
)
