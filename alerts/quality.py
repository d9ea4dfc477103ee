"""Rules about what users are answered: budgets, collapses, worse models, drift, coverage.

Ratios are compared by bounds and not by themselves, so that a handful of calls wakes nobody. The bounds are Wilson's
(1927), one-sided at 99.9 %, of ``k`` bad scores among ``n``::

    (k + z²/2 ± z·sqrt(k·(n - k)/n + z²/4)) / (n + z²),   z = 3.09
"""

from __future__ import annotations

from alerts.model import Alert, Group, Record, Severity, duration
from alerts.slo import BAD_MIN, BURNS, SLOW_WINDOWS, WINDOWS, Burn, Objective
from collector.catalog import Board

_KEYS = "service, signal, side"
_Z, _Z2, _Z2_HALF, _Z2_QUARTER = "3.09", "9.548", "4.774", "2.387"
SCORES, BAD, MISSED = "assay:scores:increase", "assay:scores_bad:increase", "assay:scores_missed:increase"
BUDGET = "assay:quality:budget"
_MISSED = "not_captured|redacted|by_reference|shed|failed"  # it should have been scored: coverage's definition

COLLAPSE_SHARE, COLLAPSE_TIMES = 0.05, 3
COLLAPSE_BAD_MIN, COLLAPSE_BEFORE_MIN = 5, 100
"""One bad call, alone in its minute, has a lower bound of .095; and what is new did not break down."""
CANARY_MARGIN, CANARY_MIN = 0.02, 200
SHIFT_MARGIN, SHIFT_MIN = 0.05, 200
COVERAGE_DROP, COVERAGE_MIN = 0.1, 100
CAPTURED_BEFORE, CAPTURED_NOW, CAPTURED_MIN = 0.5, 0.1, 10
DRIFT_KEEP_SECONDS = 1_800
REST_OFFSETS = ("23h", "167h")  # an hour later yesterday and a week ago: evenings do not begin on the minute


def groups(objectives: tuple[Objective, ...]) -> tuple[Group, ...]:
    """Recording rules first: the alerts read nothing else of the histograms."""
    return (
        Group(name="assay-scores", rules=tuple(_records(objectives, slow=False))),
        Group(name="assay-scores-slow", rules=tuple(_records(objectives, slow=True)), interval_seconds=120),
        Group(name="assay-scores-other", rules=(*_objective_records(objectives), *_coverage_records())),
        Group(name="assay-budgets", rules=tuple(_burn(burn) for burn in BURNS)),
        Group(name="assay-quality", rules=(_collapse(), _canary(), _shift(), *_drift())),
        Group(name="assay-coverage", rules=(_coverage(), _capture(), _silence(), _errors())),
    )


def _records(objectives: tuple[Objective, ...], *, slow: bool) -> list[Record]:
    """Scores, and bad ones, of a window by service and model; a signal's name becomes a label."""
    found = []
    for objective in objectives:
        labels = {"signal": objective.signal, "side": objective.side.value}
        for window in (window for window in WINDOWS if (window in SLOW_WINDOWS) is slow):
            count = _increase(f'{objective.metric}_count{{side="{objective.side.value}"}}', window)
            good = _increase(
                f'{objective.metric}_bucket{{side="{objective.side.value}",le="{objective.threshold}"}}', window
            )
            found += [
                Record(name=f"{SCORES}{window}", expr=count, labels=labels),
                Record(name=f"{BAD}{window}", expr=f"clamp_min({count} - {good}, 0)", labels=labels),
            ]
    return found


def _increase(selector: str, window: str, by: str = "service, model") -> str:
    return f"sum by ({by}) (increase({selector}[{window}]))"


def _coverage_records() -> tuple[Record, ...]:
    selector = f'assay_signal_unscored_total{{reason=~"{_MISSED}"}}'
    return tuple(Record(name=f"{MISSED}{window}", expr=_increase(selector, window, _KEYS)) for window in ("30m", "1d"))


def _objective_records(objectives: tuple[Objective, ...]) -> tuple[Record, ...]:
    """Budgets as series: one rule then serves every signal, and boards draw the line they are held to."""
    return tuple(
        Record(name=BUDGET, expr=f"vector({each.budget:g})", labels={"signal": each.signal, "side": each.side.value})
        for each in objectives
    )


def _burn(burn: Burn) -> Alert:
    def bad(window: str) -> str:
        return f"sum by ({_KEYS}) ({BAD}{window})"

    def burns(window: str) -> str:
        ratio = f"{bad(window)} / (sum by ({_KEYS}) ({SCORES}{window}) > 0)"
        return f"({ratio} > on (signal, side) group_left () {burn.factor:g} * {BUDGET})"

    return Alert(
        name="AssayQualityBudgetBurn",
        expr=f"{burns(burn.long)} and {burns(burn.short)} and ({bad(burn.long)} >= {BAD_MIN})",
        severity=burn.severity,
        for_seconds=burn.for_seconds,
        keep_firing_seconds=300,
        by=("service", "signal", "side"),
        labels={"window": burn.long},
        summary=(
            "{{ $labels.service }}: {{ $labels.signal }} of the {{ $labels.side }} is bad in "
            f"{{{{ $value | humanizePercentage }}}} over {burn.long}"
        ),
        impact=(
            f"That is over {burn.factor:g} times what its objective allows: a month's budget is gone in "
            f"{duration(round(30 * 24 / burn.factor) * 3_600)}. Users are getting bad answers."
        ),
        board=Board.QUALITY,
        evidence="",
        look_back_seconds=burn.long_seconds,
    )


def _bound(bad: str, scores: str, sign: str) -> str:
    """One of Wilson's bounds; absent where there are no scores."""
    n = f"({scores} > 0)"
    return (
        f"({bad} + {_Z2_HALF} {sign} {_Z} * sqrt({bad} * clamp_min({scores} - {bad}, 0) / {n} + {_Z2_QUARTER})) "
        f"/ ({n} + {_Z2})"
    )


def _sums(window: str, by: str = _KEYS, offset: str = "") -> tuple[str, str]:
    after = f" offset {offset}" if offset else ""
    return f"sum by ({by}) ({BAD}{window}{after})", f"sum by ({by}) ({SCORES}{window}{after})"


def _collapse() -> Alert:
    bad, scores = _sums("1m")
    hour_bad, hour_scores = _sums("1h")
    day_bad, day_scores = _sums("1d")
    before_bad, before_scores = f"clamp_min({hour_bad} - {bad}, 0)", f"({hour_scores} - {scores})"
    at_least = _bound(bad, scores, "-")

    def beyond(of_bad: str, of_scores: str) -> str:
        return f"({at_least} > ({COLLAPSE_TIMES} * ({of_bad} / ({of_scores} > 0)) + {COLLAPSE_SHARE}))"

    fires = 'ALERTS{alertname="AssayQualityCollapse",alertstate="firing"}'
    return Alert(
        name="AssayQualityCollapse",
        expr=(
            f"({beyond(before_bad, before_scores)} "  # it is soon a part of its hour, but of a day not before night
            f"or ({beyond(day_bad, day_scores)} and on ({_KEYS}) {fires})) "
            f"and ({bad} >= {COLLAPSE_BAD_MIN}) and ({before_scores} >= {COLLAPSE_BEFORE_MIN})"
        ),
        severity=Severity.CRITICAL,
        keep_firing_seconds=300,
        by=("service", "signal", "side"),
        summary="{{ $labels.service }}: {{ $labels.signal }} of the {{ $labels.side }} broke down within a minute",
        impact=(
            "At least {{ $value | humanizePercentage }} of the last minute's texts are beyond the objective's "
            "threshold, several times the hour before. Users see it now: a release, a prompt or a provider changed."
        ),
        board=Board.QUALITY,
        evidence="",
        look_back_seconds=900,
    )


def _canary() -> Alert:
    keys = "service, model, signal, side"
    bad, scores = _sums("1h", keys)
    all_bad, all_scores = _sums("1h")
    joined = "on (service, signal, side) group_left ()"
    others_bad, others_scores = f"(-1 * ({bad} - {joined} {all_bad}))", f"(-1 * ({scores} - {joined} {all_scores}))"
    return Alert(
        name="AssayCanaryWorse",
        expr=(
            f"({_bound(bad, scores, '-')} > {_bound(others_bad, others_scores, '+')} + {CANARY_MARGIN}) "
            f"and ({scores} >= {CANARY_MIN}) and ({others_scores} >= {CANARY_MIN})"
        ),
        severity=Severity.WARNING,
        for_seconds=300,
        keep_firing_seconds=600,
        by=("service", "model", "signal", "side"),
        summary="{{ $labels.service }}: {{ $labels.model }} is worse in {{ $labels.signal }} than the service's others",
        impact=(
            "At least {{ $value | humanizePercentage }} of its {{ $labels.side }} texts of the last hour are beyond "
            "the threshold, surely more than those of the service's other models: who meets it is worse off."
        ),
        board=Board.COMPARE,
        evidence="",
    )


def _shift() -> Alert:
    bad, scores = _sums("30m")
    day_bad, day_scores = _sums("1d", offset="30m")
    return Alert(
        name="AssayQualityShift",
        expr=(
            f"({_bound(bad, scores, '-')} > {_bound(day_bad, day_scores, '+')} + {SHIFT_MARGIN}) "
            f"and ({scores} >= {SHIFT_MIN}) and ({day_scores} >= {SHIFT_MIN})"
        ),
        severity=Severity.WARNING,
        for_seconds=600,
        keep_firing_seconds=900,
        by=("service", "signal", "side"),
        summary="{{ $labels.service }}: {{ $labels.signal }} of the {{ $labels.side }} is worse than the day before",
        impact=(
            "At least {{ $value | humanizePercentage }} of the last 30 minutes' texts are beyond the threshold, surely "
            "more than over the day before. It may be within its budget and yet be what users complain of next."
        ),
        board=Board.QUALITY,
        evidence="",
        look_back_seconds=7_200,
    )


def _drift() -> tuple[Alert, ...]:
    by = "service, model, side"
    promise = '{{ with query "max(assay_drift_false_alarm_calls)" }}{{ . | first | value | humanize }}{{ end }}'
    return (
        Alert(
            name="AssayDriftDetected",
            expr=f"max by ({by}) (assay_drift_log_evalue) >= on () group_left () max(assay_drift_alarm_threshold)",
            severity=Severity.WARNING,
            keep_firing_seconds=DRIFT_KEEP_SECONDS,
            by=("service", "model", "side"),
            summary="{{ $labels.service }}: {{ $labels.side }} texts of {{ $labels.model }} are not what they were",
            impact=(
                f"Without a change at least {promise} pairs of calls lie between two such alarms, on average. Users "
                "ask, or are told, something else than before: what was tuned on the old texts may mislead."
            ),
            board=Board.DRIFT,
            evidence="signal=drift&",
            look_back_seconds=86_400,
        ),
        Alert(
            name="AssayDriftBlind",
            expr=(
                "(time() - max(assay_last_drift_window_timestamp_seconds) > 1800) "
                "and on () (sum(increase(assay_calls_total[30m])) > 0)"
            ),
            severity=Severity.WARNING,
            for_seconds=300,
            summary="Nobody has looked for drift for {{ $value | humanizeDuration }}",
            impact="Calls come in, and none is compared with the baseline: the absence of drift alarms says nothing.",
            board=Board.DRIFT,
            evidence="signal=drift&",
        ),
    )


def _coverage() -> Alert:
    def missed(window: str, offset: str = "") -> str:
        return f"sum by ({_KEYS}) ({MISSED}{window}{offset})"

    def scored(window: str, offset: str = "") -> str:
        return f"sum by ({_KEYS}) ({SCORES}{window}{offset})"

    def eligible(window: str, offset: str = "") -> str:
        """Either side may be missing: nothing was scored, or nothing missed."""
        both = f"({scored(window, offset)} + {missed(window, offset)})"
        return f"({both} or {scored(window, offset)} or {missed(window, offset)})"

    def judged(window: str, offset: str = "") -> str:
        return f"({scored(window, offset)} or 0 * {missed(window, offset)})"

    def coverage(window: str, offset: str = "") -> str:
        return f"({judged(window, offset)} / ({eligible(window, offset)} > 0))"

    at_most = _bound(judged("30m"), eligible("30m"), "+")
    return Alert(
        name="AssayCoverageFell",
        expr=(
            f"{coverage('30m')} and ({at_most} < {coverage('1d', ' offset 30m')} - {COVERAGE_DROP}) "
            f"and ({eligible('30m')} >= {COVERAGE_MIN})"
        ),
        severity=Severity.WARNING,
        for_seconds=900,
        keep_firing_seconds=900,
        by=("service", "signal", "side"),
        summary="{{ $labels.service }}: only {{ $value | humanizePercentage }} of {{ $labels.signal }} is scored",
        impact=(
            "Calls that should be judged are not, more than the day before: a green board of this service says less "
            "than it did. The evidence has the reasons."
        ),
        board=Board.SIGNALS,
        evidence="",
        look_back_seconds=7_200,
    )


def _capture() -> Alert:
    def every(window: str, offset: str = "") -> str:
        return f"sum by (service) (increase(assay_calls_content_total[{window}]{offset}))"

    def share(window: str, offset: str = "") -> str:
        selector = 'assay_calls_content_total{content=~"captured|truncated|partial"}'
        with_text = f"sum by (service) (increase({selector}[{window}]{offset}))"
        return f"(({with_text} or 0 * {every(window, offset)}) / ({every(window, offset)} > 0))"

    return Alert(
        name="AssayContentCaptureStopped",
        expr=(
            f"({share('15m')} < {CAPTURED_NOW}) and ({share('6h', ' offset 15m')} > {CAPTURED_BEFORE}) "
            f"and ({every('15m')} >= {CAPTURED_MIN})"
        ),
        severity=Severity.WARNING,
        for_seconds=600,
        keep_firing_seconds=900,
        by=("service",),
        summary="{{ $labels.service }}: its calls come without text",
        impact=(
            "Only {{ $value | humanizePercentage }} of its calls of the last 15 minutes carry text, and most did "
            "before: none of its quality signals can see anything. A deployment has probably lost a capture setting."
        ),
        board=Board.SIGNALS,
        evidence="",
        look_back_seconds=21_600,
    )


def _silence() -> Alert:
    def calls(window: str, offset: str = "") -> str:
        return f"sum by (service) (increase(assay_calls_total[{window}]{offset}))"

    def rested(ago: str) -> str:
        """Within the hour that followed this time of an earlier day it was quiet, and of that day it was not."""
        return f"(({calls('1d', f' offset {ago}')} > 0) unless ({calls('15m', f' offset {ago}')} > 0))"

    return Alert(
        name="AssayNoCalls",
        expr=(
            f"(({calls('1d')} > 0) and on (service) (({calls('1h', ' offset 15m')} > 60) "
            'or ALERTS{alertname="AssayNoCalls",alertstate="firing"})) '  # else an hour of silence would end it
            f"unless ({calls('15m')} > 0) unless ({' and '.join(rested(ago) for ago in REST_OFFSETS)})"
        ),
        severity=Severity.WARNING,
        for_seconds=300,
        by=("service",),
        summary="{{ $labels.service }}: no call has arrived for 15 minutes",
        impact=(
            "It made {{ $value | humanize }} calls in the last 24 hours. Its users have nothing, or its telemetry is "
            "lost on the way: no data is not health."
        ),
        board=Board.OVERVIEW,
        evidence="",
        look_back_seconds=7_200,
    )


def _errors() -> Alert:
    failed = "sum by (service, model) (increase(assay_calls_failed_total[10m]))"
    calls = "sum by (service, model) (increase(assay_calls_total[10m]))"
    return Alert(
        name="AssayCallsFail",
        expr=f"({_bound(failed, calls, '-')} > 0.1) and ({failed} >= {BAD_MIN})",
        severity=Severity.WARNING,
        for_seconds=300,
        keep_firing_seconds=300,
        by=("service", "model"),
        summary="{{ $labels.service }}: calls to {{ $labels.model }} fail",
        impact="At least {{ $value | humanizePercentage }} of its calls of the last 10 minutes ended in an error.",
        board=Board.COST,
        evidence="",
        look_back_seconds=3_600,
    )
