"""When what asks, what answers, or what judges changed: versions that appear after an hour without them."""

from __future__ import annotations

from dataclasses import dataclass

from collector.store.views.types import Column, View

QUIET_MINUTES = 60
CALLS_MIN = 20  # a version that takes a seventh of the calls is missed by 20 of them one time in 20


@dataclass(frozen=True, slots=True)
class _Kind:
    """What may change: ``value`` of a ``subject``, in a table of minute rollups."""

    name: str
    subject: str
    value: str
    table: str


_KINDS = (
    _Kind("model", "''", "model", "data.minute_traffic"),
    _Kind("model_version", "model", "model_version", "data.minute_traffic"),
    _Kind("prompt", "split_part(prompt, ':', 1)", "prompt", "data.minute_traffic"),
    _Kind("service_version", "''", "service_version", "data.minute_traffic"),
    _Kind("signal_version", "signal || '_' || side", "signal_version", "data.minute_scores"),
)


def changes_sql(since: str = "") -> str:
    """The changes, in no order; ``since`` (a SQL literal) leaves out older ones."""
    bound = f" AND window_start >= {since} - INTERVAL {2 * QUIET_MINUTES} MINUTE" if since else ""
    seen = " UNION ALL ".join(
        f"SELECT '{kind.name}' AS kind, service, {kind.subject} AS subject, {kind.value} AS value, "  # noqa: S608 - ours
        f"window_start, sum(n)::BIGINT AS n FROM {kind.table} WHERE {kind.value} NOT IN ('', '__other__'){bound} "
        "GROUP BY ALL HAVING sum(n) > 0"
        for kind in _KINDS
    )
    late = f" AND window_start >= {since}" if since else ""
    return f"""WITH seen AS ({seen}),
        appeared AS (
            SELECT * FROM (
                SELECT *, lag(window_start) OVER same AS was
                FROM seen WINDOW same AS (PARTITION BY kind, service, subject, value ORDER BY window_start)
            ) WHERE (was IS NULL OR window_start - was > INTERVAL {QUIET_MINUTES} MINUTE){late}
        ),
        before AS (
            SELECT a.kind, a.service, a.subject, a.value, a.window_start, o.value AS other, sum(o.n)::BIGINT AS n
            FROM appeared a JOIN seen o ON a.kind = o.kind AND a.service = o.service AND a.subject = o.subject
                AND o.window_start < a.window_start
                AND o.window_start >= a.window_start - INTERVAL {QUIET_MINUTES} MINUTE
            GROUP BY ALL
        )
        SELECT window_start AS time, service, kind, subject, arg_max(other, (n, other)) AS before, value AS after,
            sum(n)::BIGINT AS calls_before
        FROM before GROUP BY ALL HAVING sum(n) >= {CALLS_MIN}"""  # noqa: S608 - ours


CHANGES = View(
    name="changes",
    meaning=(
        f"When a service was deployed, or asked for or got another version: one that appears after {QUIET_MINUTES} "
        f"minutes without it and at least {CALLS_MIN} calls with others. As far back as minute rollups are kept."
    ),
    example="SELECT time, service, kind, subject, before, after FROM changes ORDER BY time DESC",
    source=f"FROM ({changes_sql()})",
    columns=(
        Column("time", "TIMESTAMP", "the minute of the first call with it, UTC"),
        Column("service", "VARCHAR", "the calling service"),
        Column("kind", "VARCHAR", f"{', '.join(kind.name for kind in _KINDS[:-1])} or {_KINDS[-1].name}"),
        Column("subject", "VARCHAR", "whose version: a model, a prompt's name, or signal and side; else empty"),
        Column("before", "VARCHAR", "what most of the calls of the hour before had"),
        Column("after", "VARCHAR", "what appeared"),
        Column("calls_before", "BIGINT", "calls, or scores, of the hour before"),
    ),
)
