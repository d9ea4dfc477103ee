"""Whether today's texts are like the baseline's: the distance to look at, the alarm to trust, the topics behind it."""

from __future__ import annotations

from collector.drift.record import PHASES, SKIPS
from collector.store.views.types import WINDOW, Column, View
from signals.drift.detector import BLOCK

_SLICE = (
    Column("service", "VARCHAR", "the calling service"),
    Column("model", "VARCHAR", "the model that was asked for"),
    Column("side", "VARCHAR", "which text: input or output"),
    Column("version", "VARCHAR", "encoder and sketch of the vectors; never compare two of these"),
)
_SKIPS = {
    "no_reference": "no earlier call of the same phase was left to pair it with",
    "thinned": "its conversation had its turn in this hour",
    "capped": "the window had enough pairs",
    "off_clock": "stamped over 10 minutes ahead of the log's time",
    "slices": "there were too many slices",
}
_PHASES = {
    "hour_of_week": "paired with the same hour and weekday, UTC",
    "hour_of_day": "paired with the same hour of an earlier day of the same kind, working day or weekend",
    "any": "paired with an earlier hour, whatever its phase",
}
_MOST = "greatest(" + ", ".join(f'"{phase}"' for phase in PHASES) + ")"
_PHASE = " ".join(f"WHEN \"{phase}\" = {_MOST} THEN '{phase}'" for phase in PHASES)

DRIFT = View(
    name="drift",
    meaning="How far the newest embeddings are from the baseline before them, by service, model and side.",
    example="SELECT service, model, side, distance FROM drift ORDER BY distance DESC NULLS LAST",
    source="FROM data.drift",
    columns=(
        Column("as_of", "TIMESTAMP", "end of the current window"),
        Column("service", "VARCHAR", "the calling service"),
        Column("model", "VARCHAR", "the model that was asked for"),
        Column("side", "VARCHAR", "which text: input or output"),
        Column("version", "VARCHAR", "encoder of the vectors"),
        Column("distance", "DOUBLE", "1 - cosine of the two centroids; NULL: too few calls"),
        Column("n_current", "BIGINT", "vectors in the current window"),
        Column("n_baseline", "BIGINT", "vectors in the baseline"),
        Column("current_start", "TIMESTAMP", "begin of the current window"),
        Column("baseline_start", "TIMESTAMP", "begin of the baseline, which ends where the current window begins"),
    ),
)

DRIFT_ALARMS = View(
    name="drift_alarms",
    meaning="Whether the texts of a service, model and side have drifted, since when, how surely.",
    example="SELECT service, model, side, alarm_since, false_alarm_pairs FROM drift_alarms WHERE alarm",
    source="FROM data.drift_windows GROUP BY service, model, side, version",
    columns=(
        Column("as_of", "TIMESTAMP", "end of the newest window with calls, by the log's time", "max(window_end)"),
        *_SLICE,
        Column("alarm", "BOOLEAN", "the e-value is 1 / alpha or more", "last(alarm_since ORDER BY number) IS NOT NULL"),
        Column(
            "alarm_since",
            "TIMESTAMP",
            "end of the window that raised the alarm; NULL: there is none",
            "last(alarm_since ORDER BY number)",
        ),
        Column("log_evalue", "DOUBLE", "natural logarithm of the e-value", "last(log_evalue ORDER BY number)"),
        Column("threshold", "DOUBLE", "where it alarms: ln(1 / alpha)", "-ln(last(alpha ORDER BY number))"),
        Column("alpha", "DOUBLE", "drift.alpha at that time", "last(alpha ORDER BY number)"),
        Column(
            "false_alarm_pairs",
            "DOUBLE",
            "without a change there are at least so many pairs between two alarms of this slice, on average",
            f"{BLOCK} / last(alpha ORDER BY number)",
        ),
        Column("pairs_total", "BIGINT", "pairs since the detector began", "max_by(pairs_total, number)"),
        Column(
            "phase",
            "VARCHAR",
            "what the pairs of the newest window have in common: " + ", ".join(PHASES),
            f"max_by(CASE {_PHASE} END, number) FILTER (pairs > 0)",
        ),
    ),
)

DRIFT_WINDOWS = View(
    name="drift_windows",
    meaning="What each window said to the drift detectors. calls = pairs and all that was left out, by reason.",
    example="""SELECT window_start, service, side, pairs, log_evalue FROM drift_windows
WHERE window_start >= TIMESTAMP '2026-11-27' ORDER BY window_start""",
    source="FROM data.drift_windows",
    columns=(
        Column(WINDOW.name, WINDOW.type, "begin of the window by the log's time, UTC"),
        Column("window_end", "TIMESTAMP", "its end"),
        *_SLICE,
        Column("calls", "BIGINT", "calls with such a text"),
        Column("pairs", "BIGINT", "calls that were paired"),
        *(Column(reason, "BIGINT", f"not paired: {_SKIPS[reason]}") for reason in SKIPS),
        *(Column(phase, "BIGINT", _PHASES[phase], f'"{phase}"') for phase in PHASES),
        Column("log_increment", "DOUBLE", "what it added to the logarithm of the e-process; windows add up"),
        Column("log_evalue", "DOUBLE", "natural logarithm of the e-value after it"),
        Column("pairs_total", "BIGINT", "pairs since the detector began"),
        Column("alpha", "DOUBLE", "drift.alpha at that time"),
        Column("alarm_since", "TIMESTAMP", "end of the window that raised the alarm; NULL: no alarm"),
    ),
)

DRIFT_TOPICS = View(
    name="drift_topics",
    meaning="Which topics grew and shrank, for slices whose e-value is high; as looked up last.",
    example="SELECT service, side, round(change, 2) AS change, examples_after FROM drift_topics ORDER BY change DESC",
    source="FROM data.drift_topics",
    columns=(
        Column(WINDOW.name, WINDOW.type, "begin of the window in which they were looked up"),
        *_SLICE,
        Column("topic", "BIGINT", "1: the one that changed most"),
        Column("share_before", "DOUBLE", "its share of the baseline"),
        Column("share_after", "DOUBLE", "its share of the current calls"),
        Column("change", "DOUBLE", "share_after - share_before", "share_after - share_before"),
        Column("change_low", "DOUBLE", "lower end of its interval, 95 % for all topics of the slice together"),
        Column("change_high", "DOUBLE", "upper end of the interval"),
        Column("examples_before", "VARCHAR[]", "trace ids of the baseline"),
        Column("examples_after", "VARCHAR[]", "trace ids of current calls"),
        Column("spans_before", "VARCHAR[]", "their span ids, in the same order"),
        Column("spans_after", "VARCHAR[]", "their span ids, in the same order"),
        Column("times_before", "TIMESTAMP[]", "when these calls ended, UTC"),
        Column("times_after", "TIMESTAMP[]", "when these calls ended, UTC"),
        Column("n_before", "BIGINT", "calls of the baseline that were looked at"),
        Column("n_after", "BIGINT", "current calls that were looked at"),
    ),
)
