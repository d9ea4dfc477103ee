"""What each alert is made of: series in quiet times, the trouble that it is for, and what is nearly that trouble.

A case is quiet for ``before`` minutes, then loud, then quiet again. Recorded series and gauges stand still in a phase;
counters rise by so much a minute. Numbers of ``loud`` lie just beyond a threshold and those of ``nearly`` just before
it, so that a changed threshold fails a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.alerts.promtool import Values

NOW = "now"  # the value of a timestamp that keeps up with time


@dataclass(frozen=True, slots=True)
class Ramp:
    """A gauge that rises in its phase."""

    start: float
    a_minute: float


Series = Mapping[str, float | str | Ramp | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """``onset`` and ``clears``: minutes until the expression is true, and false, after its phase began.

    ``nearly`` replaces ``loud`` and means nothing, as ``loud`` means nothing after the quiet of ``ever``; what ``also``
    changes in ``loud`` is loud enough. ``opens_later`` and ``closes_later``: by a minute on Prometheus 2, whose ranges
    and look-backs still hold the sample at their left end.
    """

    alert: str
    quiet: Series
    loud: Series  # what differs from quiet
    nearly: tuple[Series, ...] = ()
    also: tuple[Series, ...] = ()
    ever: tuple[Series, ...] = ()
    opens_later: bool = False
    closes_later: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)  # of the series; severity and others are the rule's
    which: Mapping[str, str] = field(default_factory=dict)  # labels of the rule, where several share the name
    before: int = 20
    onset: int = 0
    clears: int = 0

    @property
    def id(self) -> str:
        return "-".join([self.alert, *self.which.values()])


def timeline(quiet: Series, loud: Series, before: int, minutes: int, after: int) -> dict[str, Values]:
    """``before`` minutes of ``quiet``, ``minutes`` of it changed by ``loud``, ``after`` of it again."""
    phases = ((0, before, quiet), (before, minutes, {**quiet, **loud}), (before + minutes, after, quiet))
    found: dict[str, Values] = {}
    for name in {**quiet, **loud}:
        steps = [_value(phase.get(name), begin, minute) for begin, length, phase in phases for minute in range(length)]
        found[name] = _counted(steps) if _counts(name) else steps
    return found


def _value(value: float | str | Ramp | None, begin: int, minute: int) -> float | None:
    if isinstance(value, Ramp):
        return value.start + value.a_minute * minute
    return (begin + minute) * 60 if isinstance(value, str) else value


def _counts(name: str) -> bool:
    bare = name.partition("{")[0]
    return ":" not in bare and bare.endswith(("_total", "_count", "_bucket"))


def _counted(steps: list[float | None]) -> Values:
    total, found = 0.0, []
    for step in steps:
        total += step or 0.0
        found.append(None if step is None else total)
    return found


KEYS = {"service": "bot", "signal": "toxicity", "side": "output"}
_OF = 'model="m",service="bot",side="output",signal="toxicity"'
_BUDGET = {'assay:quality:budget{signal="toxicity",side="output"}': 0.01}


def _scores(window: str, of: str = _OF) -> str:
    return f"assay:scores:increase{window}{{{of}}}"


def _bad(window: str, of: str = _OF) -> str:
    return f"assay:scores_bad:increase{window}{{{of}}}"


def _burn(long: str, short: str, factor: float, severity: str) -> Case:
    """10,000 scores in each window, a budget of 1 %."""
    quiet = {_scores(long): 10_000, _bad(long): 1, _scores(short): 10_000, _bad(short): 1, **_BUDGET}
    over, under = factor * 100 * 1.05, factor * 100 * 0.95
    few = {_scores(long): 9 / factor / 0.0105, _bad(long): 9.0}  # a share beyond the limit, of nine
    return Case(
        alert="AssayQualityBudgetBurn",
        which={"window": long, "severity": severity},
        labels=KEYS,
        quiet=quiet,
        loud={_bad(long): over, _bad(short): over},
        nearly=(
            {_bad(long): under, _bad(short): over},
            {_bad(long): over, _bad(short): under},
            {**few, _bad(short): over},
        ),
        also=({_scores(long): 11 / factor / 0.0105, _bad(long): 11.0, _bad(short): over},),
    )


_A, _B = _OF, 'model="b",service="bot",side="output",signal="toxicity"'
_CONTENT = 'assay_calls_content_total{{service="bot",content="{}"}}'.format
_MISSED = "assay:scores_missed:increase{}{{service='bot',side='output',signal='toxicity'}}".format
_CALLS = 'assay_calls_total{service="bot",model="m",outcome="scored"}'
_LAG = 'assay_lag_records{topic="otlp_spans",partition="0"}'
_POLLED = 'assay_records_polled_total{topic="otlp_spans"}'
_APPENDED = 'assay_last_append_timestamp_seconds{topic="otlp_spans",partition="0"}'
_BUILD = 'assay_build_info{role="all"}'
_FREE, _SIZE = 'assay_data_free_bytes{instance="a"}', 'assay_data_size_bytes{instance="a"}'
_ROOM = {'assay_data_free_bytes{instance="b"}': 50, 'assay_data_size_bytes{instance="b"}': 100}
_EVALUE = 'assay_drift_log_evalue{service="bot",model="m",side="input"}'
_SHED = 'assay_shed_ratio{{instance="{}",signal="{}"}}'.format
_REFUSED = 'assay_evaluations_total{outcome="refused"}'
_SENT = 'assay_evaluations_total{instance="a",outcome="sent"}'
_RETRIES = 'assay_evaluation_retries_total{instance="a"}'
TOPIC = {"topic": "otlp_spans"}

CASES: tuple[Case, ...] = (
    _burn("1h", "5m", 14.4, "critical"),
    _burn("6h", "30m", 6, "critical"),
    _burn("1d", "2h", 3, "warning"),
    _burn("3d", "6h", 1, "warning"),
    Case(  # 1 % before, so the lower bound must pass 8 %: 110 of 1,000 have .0830, 104 have .0778
        alert="AssayQualityCollapse",
        labels=KEYS,
        quiet={
            _scores("1m"): 1_000,
            _bad("1m"): 10,
            _scores("1h"): 60_000,
            _bad("1h"): 600,
            _scores("1d"): 1_440_000,
            _bad("1d"): 14_400,
        },
        loud={_bad("1m"): 110, _bad("1h"): Ramp(700, 100)},  # its own hour soon has 4 %, its day still 1 %
        nearly=(
            {_bad("1m"): 104, _bad("1h"): 694},
            {_bad("1m"): Ramp(112, -0.45), _bad("1h"): Ramp(700, 100)},  # it fires, and its day ends it
            {_scores("1m"): 10, _bad("1m"): 3},
            {_scores("1m"): 1, _bad("1m"): 1, _scores("1h"): 60, _bad("1h"): 1},  # one of one is a bound of .0948
            {_scores("1m"): 4.5, _bad("1m"): 4.5, _scores("1h"): 270, _bad("1h"): 4.5},
            {_bad("1m"): 110, _scores("1h"): 1_095, _bad("1h"): 110},  # it is new: there is no hour before
        ),
        also=(
            {_scores("1m"): 5.5, _bad("1m"): 5.5, _scores("1h"): 330, _bad("1h"): 5.5},
            {_bad("1m"): 110, _scores("1h"): 1_105, _bad("1h"): 110},
        ),
    ),
    Case(  # others: 10 of 1,000, upper bound .0249 + .02; 68 of 1,000 have a lower bound of .0473, 62 of .0423
        alert="AssayCanaryWorse",
        labels={**KEYS, "model": "m"},
        quiet={_scores("1h", _A): 1_000, _bad("1h", _A): 10, _scores("1h", _B): 1_000, _bad("1h", _B): 10},
        loud={_bad("1h", _A): 68},
        nearly=(
            {_bad("1h", _A): 62},
            {_scores("1h", _A): 195, _bad("1h", _A): 60},
            {_bad("1h", _A): 195, _scores("1h", _B): 195, _bad("1h", _B): 1},
        ),
        also=(
            {_scores("1h", _A): 205, _bad("1h", _A): 60},
            {_bad("1h", _A): 195, _scores("1h", _B): 205, _bad("1h", _B): 1},
        ),
    ),
    Case(  # the day: 1 of 205, upper bound .0534 + .05; 140 of 1,000 have a lower bound of .1095, 130 of .1006
        alert="AssayQualityShift",
        before=40,
        labels=KEYS,
        quiet={_scores("30m"): 1_000, _bad("30m"): 10, _scores("1d"): 205, _bad("1d"): 1},
        loud={_bad("30m"): 140},
        nearly=({_bad("30m"): 130}, {_scores("30m"): 195, _bad("30m"): 60}),
        also=({_scores("30m"): 205, _bad("30m"): 60},),
        ever=({_scores("1d"): 195},),
    ),
    Case(
        alert="AssayDriftDetected",
        labels={"service": "bot", "model": "m", "side": "input"},
        quiet={_EVALUE: 9.1, "assay_drift_alarm_threshold": 9.2},
        loud={_EVALUE: 9.2},
        nearly=({_EVALUE: 9.19},),
    ),
    Case(
        alert="AssayDriftBlind",
        before=40,
        quiet={"assay_last_drift_window_timestamp_seconds": NOW, 'assay_calls_total{service="bot"}': 1},
        loud={"assay_last_drift_window_timestamp_seconds": 2_340},
        nearly=({"assay_last_drift_window_timestamp_seconds": NOW, 'assay_calls_total{service="bot"}': 1},),
        onset=30,
    ),
    Case(
        alert="AssayCoverageFell",
        before=40,
        labels=KEYS,
        quiet={_scores("30m"): 980, _MISSED("30m"): 20, _scores("1d"): 9_800, _MISSED("1d"): 200},
        loud={_scores("30m"): 840, _MISSED("30m"): 160},  # the day has .98: 840 of 1,000 have an upper bound of .872
        nearly=(
            {_scores("30m"): 855, _MISSED("30m"): 145},
            {_scores("30m"): 87, _MISSED("30m"): 18},  # .829 of 105 may be .916
            {_scores("30m"): 50, _MISSED("30m"): 49},
        ),
        also=({_scores("30m"): 50, _MISSED("30m"): 55},),
    ),
    Case(
        alert="AssayContentCaptureStopped",
        before=120,
        labels={"service": "bot"},
        quiet={_CONTENT("captured"): 14, _CONTENT("none"): 6},
        loud={_CONTENT("captured"): 1.8, _CONTENT("none"): 18.2},
        nearly=({_CONTENT("captured"): 2.2, _CONTENT("none"): 17.8}, {_CONTENT("captured"): 0, _CONTENT("none"): 0.6}),
        also=({_CONTENT("captured"): 0, _CONTENT("none"): 0.72},),
        ever=({_CONTENT("captured"): 9, _CONTENT("none"): 11},),
        onset=13,
        opens_later=True,
    ),
    Case(
        alert="AssayNoCalls",
        before=120,
        labels={"service": "bot"},
        quiet={_CALLS: 1.1},
        loud={_CALLS: 0},
        ever=({_CALLS: 0.9},),
        onset=13,
        opens_later=True,
    ),
    Case(  # of 100 calls in ten minutes: 25 have a lower bound of .1414, 20 of .1046
        alert="AssayCallsFail",
        labels={"service": "bot", "model": "m"},
        quiet={
            _CALLS: 10,
            'assay_calls_failed_total{service="bot",model="m",error="E"}': 0,
        },
        loud={'assay_calls_failed_total{service="bot",model="m",error="E"}': 2.1},
        nearly=(
            {'assay_calls_failed_total{service="bot",model="m",error="E"}': 1.8},
            {
                _CALLS: 2,
                'assay_calls_failed_total{service="bot",model="m",error="E"}': 0.95,
            },
        ),
        also=(
            {
                _CALLS: 2,
                'assay_calls_failed_total{service="bot",model="m",error="E"}': 1.05,
            },
        ),
        onset=9,
        clears=0,
    ),
    Case(alert="AssayDown", quiet={_BUILD: 1}, loud={_BUILD: None}, onset=4, opens_later=True),
    Case(
        alert="AssayNobodyScores",
        labels={},
        quiet={'assay_build_info{role="serve"}': 1, 'assay_build_info{role="score"}': 1},
        loud={'assay_build_info{role="score"}': None},
        onset=4,
        opens_later=True,
    ),
    Case(
        alert="AssayRulesMissing",
        quiet={_BUILD: 1, **_BUDGET},
        loud=dict.fromkeys(_BUDGET),
        nearly=({_BUILD: None, **dict.fromkeys(_BUDGET)},),
        onset=4,
        opens_later=True,
    ),
    Case(
        alert="AssayNotReady",
        labels={"condition": "models", "instance": "a"},
        quiet={'assay_ready{instance="a",condition="models"}': 1, 'assay_ready{instance="b",condition="models"}': 1},
        loud={'assay_ready{instance="a",condition="models"}': 0},
    ),
    Case(
        alert="AssaySourceUnreachable",
        labels={"instance": "b"},
        quiet={'assay_source_healthy{instance="a"}': 1, 'assay_source_healthy{instance="b"}': 1},
        loud={'assay_source_healthy{instance="b"}': 0},
    ),
    Case(
        alert="AssayChainUnreachable",
        labels={"instance": "b"},
        quiet={'assay_chain_healthy{instance="a"}': 1, 'assay_chain_healthy{instance="b"}': 1},
        loud={'assay_chain_healthy{instance="b"}': 0},
    ),
    Case(
        alert="AssayConservationBroken",
        labels=TOPIC,
        quiet={'assay_conservation_imbalance{topic="otlp_spans"}': 0},
        loud={'assay_conservation_imbalance{topic="otlp_spans"}': -1},
        clears=9,
        closes_later=True,
    ),
    Case(
        alert="AssayRecordsLost",
        labels=TOPIC,
        quiet={'assay_records_lost_total{topic="otlp_spans"}': 0},
        loud={'assay_records_lost_total{topic="otlp_spans"}': 1},
        clears=13,
        closes_later=True,
    ),
    Case(
        alert="AssayRecordsRejected",
        quiet={'assay_records_total{topic="otlp_spans"}': 100, 'assay_records_rejected_total{reason="malformed"}': 0},
        loud={'assay_records_rejected_total{reason="malformed"}': 1.08},
        nearly=(
            {'assay_records_rejected_total{reason="malformed"}': 0.95},
            {
                'assay_records_total{topic="otlp_spans"}': 20,
                'assay_records_rejected_total{reason="malformed"}': 0.6,
            },
        ),
        also=(
            {
                'assay_records_total{topic="otlp_spans"}': 20,
                'assay_records_rejected_total{reason="malformed"}': 0.72,
            },
        ),
        onset=13,
        clears=1,
    ),
    Case(
        alert="AssayClockSkew",
        labels=TOPIC,
        quiet={
            _CALLS: 100,
            'assay_calls_off_clock_total{topic="otlp_spans",direction="ahead"}': 0,
        },
        loud={'assay_calls_off_clock_total{topic="otlp_spans",direction="ahead"}': 1.08},
        nearly=(
            {'assay_calls_off_clock_total{topic="otlp_spans",direction="ahead"}': 0.95},
            {
                _CALLS: 20,
                'assay_calls_off_clock_total{topic="otlp_spans",direction="ahead"}': 0.3,
            },
        ),
        also=(
            {
                _CALLS: 20,
                'assay_calls_off_clock_total{topic="otlp_spans",direction="ahead"}': 0.36,
            },
        ),
        onset=27,
        clears=2,
    ),
    Case(  # 60 records a minute are one a second; 3.6 a minute more are 6 % of them
        alert="AssayLagGrows",
        labels=TOPIC,
        quiet={_LAG: 510, _POLLED: 60},
        loud={_LAG: Ramp(510, 3.2)},
        nearly=({_LAG: Ramp(510, 2.8)}, {_LAG: Ramp(370, 3.2)}),
        onset=8,
        opens_later=True,
    ),
    Case(  # 100 records a minute are 1.667 a second; half an hour of them is 3,000
        alert="AssayFarBehind",
        labels=TOPIC,
        quiet={_LAG: 100, _POLLED: 100},
        loud={_LAG: 3_150},
        nearly=({_LAG: 2_850}, {_LAG: 490, _POLLED: 1}),
        also=({_LAG: 520, _POLLED: 10},),
    ),
    Case(
        alert="AssayAppendsStalled",
        labels={**TOPIC, "partition": "0"},
        quiet={_APPENDED: NOW, _LAG: 5},
        loud={_APPENDED: 1_140},
        nearly=({_APPENDED: 1_140, _LAG: 0},),
        onset=10,
    ),
    Case(
        alert="AssayRollupsStale",
        quiet={"assay_last_materialised_timestamp_seconds": NOW},
        loud={"assay_last_materialised_timestamp_seconds": 1_140},
        onset=5,
    ),
    Case(
        alert="AssayNobodyServes",
        quiet={_BUILD: 1, "assay_last_materialised_timestamp_seconds": NOW},
        loud={"assay_last_materialised_timestamp_seconds": None},
        onset=4,
        opens_later=True,
    ),
    Case(
        alert="AssaySnapshotStale",
        quiet={"assay_last_snapshot_timestamp_seconds": NOW},
        loud={"assay_last_snapshot_timestamp_seconds": 1_140},
        onset=15,
    ),
    Case(
        alert="AssayTaskFails",
        labels={"task": "compaction"},
        quiet={'assay_tasks_total{task="compaction",outcome="failed"}': 0},
        loud={'assay_tasks_total{task="compaction",outcome="failed"}': 0.07},
        nearly=({'assay_tasks_total{task="compaction",outcome="failed"}': 0.06},),
        onset=28,
        clears=1,
    ),
    Case(
        alert="AssaySignalFails",
        labels={"signal": "pii"},
        quiet={"assay_batch_calls_count": 100, 'assay_signal_failures_total{signal="pii",error="E"}': 0},
        loud={'assay_signal_failures_total{signal="pii",error="E"}': 1.06},
        nearly=({'assay_signal_failures_total{signal="pii",error="E"}': 0.95},),
        onset=9,
    ),
    Case(
        alert="AssaySheds",
        labels={"signal": "toxicity"},
        quiet={'assay_signal_unscored_total{service="bot",signal="toxicity",side="output",reason="shed"}': 0},
        loud={'assay_signal_unscored_total{service="bot",signal="toxicity",side="output",reason="shed"}': 1},
        clears=3,
        closes_later=True,
    ),
    Case(
        alert="AssayOverloadLasts",
        quiet={'assay_shed_level{instance="a"}': 0, 'assay_shed_level{instance="b"}': 0},
        loud={'assay_shed_level{instance="b"}': 1},
    ),
    Case(  # the last signal in the order is touched only where the ones before it are left out whole
        alert="AssayShedsEverything",
        quiet={_SHED("a", "toxicity"): 0, _SHED("a", "drift"): 0, _SHED("b", "toxicity"): 0, _SHED("b", "drift"): 0},
        loud={_SHED("b", "toxicity"): 0.95, _SHED("b", "drift"): 0.2375},
        nearly=(
            {_SHED("a", "toxicity"): 0.95, _SHED("b", "toxicity"): 0.95},
            {_SHED("a", "drift"): 0.95, _SHED("b", "toxicity"): 0.95},
        ),
    ),
    Case(
        alert="AssayCascadeFell",
        quiet={"assay_cascade_fallen": 0},
        loud={"assay_cascade_fallen": 1},
    ),
    Case(
        alert="AssayWebConfigStale",
        labels={"listener": "web", "instance": "a", "pod": "assay-0"},
        quiet={'assay_web_config_stale{instance="a",pod="assay-0",listener="web"}': 0},
        loud={'assay_web_config_stale{instance="a",pod="assay-0",listener="web"}': 1},
    ),
    Case(
        alert="AssayEvaluationsRefused",
        quiet={_REFUSED: 0},
        loud={_REFUSED: 1},
        clears=13,
        closes_later=True,
    ),
    Case(
        alert="AssayDeviceLost",
        labels={"instance": "a"},
        quiet={'assay_encoder_device_losses_total{instance="a"}': 0},
        loud={'assay_encoder_device_losses_total{instance="a"}': 1},
        clears=58,
        closes_later=True,
    ),
    Case(
        alert="AssayDiskFills",
        before=120,
        labels={"instance": "a"},
        quiet={_FREE: 21, _SIZE: 100, **_ROOM},
        loud={_FREE: Ramp(21, -0.1)},
        nearly=({_FREE: Ramp(20.5, -0.012)}, {_FREE: Ramp(31, -0.1)}),
        onset=36,
    ),
    Case(
        alert="AssayDiskFull",
        labels={"instance": "a"},
        quiet={_FREE: 6, _SIZE: 100, **_ROOM},
        loud={_FREE: 4.8},
        nearly=({_FREE: 5.2},),
    ),
    Case(
        alert="AssayEvaluationsWait",
        labels={"instance": "a"},
        quiet={_SENT: 5, _RETRIES: 0},
        loud={_SENT: 0, _RETRIES: 2},
        nearly=({_SENT: 5, _RETRIES: 2}, {_SENT: 0, _RETRIES: 0.6}),
        also=({_RETRIES: 0.75},),
        onset=13,
        opens_later=True,
    ),
    Case(
        alert="AssayLabelsOverflow",
        quiet={"assay_labels_overflowed_total": 0, 'assay_series_overflowed_total{metric="m"}': 0},
        loud={"assay_labels_overflowed_total": 1},
        clears=58,
        closes_later=True,
    ),
)
