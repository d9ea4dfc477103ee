"""Each alert in time, on both major versions of Prometheus: silent, pending, firing, kept, gone; and with no data."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from alerts.model import Alert, Group, Site, duration
from alerts.render import prometheus
from alerts.rules import alerts
from tests.alerts.cases import CASES, Case, Series, timeline
from tests.alerts.promtool import Firing, Scenario, check
from tests.servers import installed

MAJORS = [pytest.param(major, marks=pytest.mark.server(f"prometheus{major}")) for major in installed.PROMETHEUS_MAJORS]
ABSENCES = {"AssayDown", "AssayWatchdog"}
"""What fires where there is no data at all; everything else has nothing to say then."""


WAITS = {
    "AssayQualityBudgetBurn-1h-critical": ("2m", "5m"),
    "AssayQualityBudgetBurn-6h-critical": ("15m", "5m"),
    "AssayQualityBudgetBurn-1d-warning": ("1h", "5m"),
    "AssayQualityBudgetBurn-3d-warning": ("3h", "5m"),
    "AssayQualityCollapse": ("0s", "5m"),
    "AssayCanaryWorse": ("5m", "10m"),
    "AssayQualityShift": ("10m", "15m"),
    "AssayDriftDetected": ("0s", "30m"),
    "AssayDriftBlind": ("5m", "0s"),
    "AssayCoverageFell": ("15m", "15m"),
    "AssayContentCaptureStopped": ("10m", "15m"),
    "AssayNoCalls": ("5m", "0s"),
    "AssayCallsFail": ("5m", "5m"),
    "AssayDown": ("3m", "0s"),
    "AssayNobodyScores": ("3m", "0s"),
    "AssayRulesMissing": ("5m", "0s"),
    "AssayNotReady": ("5m", "0s"),
    "AssaySourceUnreachable": ("2m", "0s"),
    "AssayChainUnreachable": ("2m", "0s"),
    "AssayConservationBroken": ("0s", "1h"),
    "AssayRecordsLost": ("0s", "15m"),
    "AssayRecordsRejected": ("5m", "10m"),
    "AssayClockSkew": ("10m", "10m"),
    "AssayLagGrows": ("10m", "5m"),
    "AssayFarBehind": ("5m", "5m"),
    "AssayAppendsStalled": ("2m", "0s"),
    "AssayRollupsStale": ("2m", "0s"),
    "AssayNobodyServes": ("10m", "0s"),
    "AssaySnapshotStale": ("5m", "0s"),
    "AssayTaskFails": ("0s", "10m"),
    "AssaySignalFails": ("5m", "10m"),
    "AssaySheds": ("5m", "10m"),
    "AssayOverloadLasts": ("30m", "10m"),
    "AssayShedsEverything": ("5m", "10m"),
    "AssayCascadeFell": ("5m", "10m"),
    "AssayWebConfigStale": ("5m", "0s"),
    "AssayEvaluationsRefused": ("0s", "15m"),
    "AssayDeviceLost": ("0s", "1h"),
    "AssayDiskFills": ("30m", "10m"),
    "AssayDiskFull": ("1m", "0s"),
    "AssayEvaluationsWait": ("15m", "0s"),
    "AssayLabelsOverflow": ("15m", "0s"),
}
"""How long each alert is pending, and how long it is kept: said twice, so that nobody changes it by the way."""


def rules_of(name: str) -> dict[str, Any]:
    """The rules of one alert, without the recorded series, which the cases make up."""
    return prometheus([Group(name="one", rules=tuple(alert for alert in alerts() if alert.name == name))], Site())


def of(case: Case) -> Alert:
    (alert,) = [
        alert
        for alert in alerts()
        if alert.name == case.alert
        and all({**alert.labels, "severity": alert.severity.value}[name] == case.which[name] for name in case.which)
    ]
    return alert


def expectations(case: Case, major: int) -> tuple[list[Firing], int, int]:
    """What fires when, how long the loud phase lasts, and how long the quiet after it."""
    alert = of(case)
    labels = ({**case.labels, **alert.labels, "severity": alert.severity.value},)
    wait, keep = alert.for_seconds // 60, alert.keep_firing_seconds // 60
    onset = case.onset + (case.opens_later and major == 2)
    clears = case.clears + (case.closes_later and major == 2)
    fires = case.before + onset + wait
    minutes = onset + wait + 20
    gone = case.before + minutes + clears + keep
    after = clears + keep + 10
    return (
        [
            Firing(minute=case.before - 1),
            *([Firing(minute=fires - 1)] if wait or onset else []),
            Firing(minute=fires, labels=labels),
            Firing(minute=case.before + minutes - 1, labels=labels),
            *([Firing(minute=gone - 1, labels=labels)] if keep or clears else []),
            Firing(minute=gone),
        ],
        minutes,
        after,
    )


def run(case: Case, folder: Path, major: int, rules: Mapping[str, Any] | None = None) -> str:
    """ "" when the case's alert fires in its time and at no other."""
    expected, minutes, after = expectations(case, major)
    end = case.before + minutes - 1

    def scenario(quiet: Series, loud: Series, firings: Sequence[Firing]) -> Scenario:
        return Scenario(series=timeline(quiet, loud, case.before, minutes, after), expected=firings)

    fires = [firing for firing in expected if firing.minute == end]
    never = [Firing(minute=end)]
    scenarios = [
        scenario(case.quiet, case.loud, expected),
        *(scenario(case.quiet, {**case.loud, **loud}, fires) for loud in case.also),
        *(scenario(case.quiet, loud, never) for loud in case.nearly),
        *(scenario({**case.quiet, **quiet}, case.loud, never) for quiet in case.ever),
    ]
    return check(folder, major, rules or rules_of(case.alert), case.alert, scenarios)


def test_every_alert_has_a_case() -> None:
    cases = {(case.alert, *sorted(case.which.items())) for case in CASES}

    assert len(cases) == len(CASES)
    assert {case.alert for case in CASES} == {alert.name for alert in alerts()} - {"AssayWatchdog"}
    assert len(CASES) == len(alerts()) - 1


def test_an_alert_waits_and_stays_as_long_as_was_decided() -> None:
    chosen = {case.id: (duration(of(case).for_seconds), duration(of(case).keep_firing_seconds)) for case in CASES}

    assert chosen == WAITS


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_alert_fires_in_its_time_and_at_no_other(case: Case, major: int, tmp_path: Path) -> None:
    assert run(case, tmp_path, major) == ""


DAY, OPENS, CLOSES = 1_440, 8 * 60, 20 * 60


def working_days(days: int, closed_at: int = CLOSES) -> list[float]:
    """A counter of three calls a minute while the service works; on the last day it stops at ``closed_at``."""
    calls = [
        OPENS <= minute % DAY < (closed_at if minute // DAY == days - 1 else CLOSES) for minute in range(days * DAY)
    ]
    return [3.0 * total for total in itertools.accumulate(calls)]


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize(
    ("days", "closed_at", "fires"),
    [
        pytest.param(9, CLOSES, False, id="it rests as it did yesterday and a week ago"),
        pytest.param(9, CLOSES - 20, False, id="… a little earlier"),
        pytest.param(9, 11 * 60, True, id="it stops at another time"),
        pytest.param(3, CLOSES, True, id="nobody knows yet that it rests"),
    ],
)
def test_a_service_that_rests_at_night_is_no_news_once_a_week_is_known(
    days: int, closed_at: int, fires: bool, major: int, tmp_path: Path
) -> None:
    name = "AssayNoCalls"
    labels = ({"service": "bot", "severity": "warning"},)
    silent = (days - 1) * DAY + closed_at + 40
    series = {'assay_calls_total{service="bot",model="m",outcome="scored"}': working_days(days, closed_at)}

    scenario = Scenario(series=series, expected=[Firing(minute=silent, labels=labels if fires else ())])
    told = check(tmp_path, major, rules_of(name), name, [scenario], evaluated="10m")

    assert told == ""


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("name", sorted({alert.name for alert in alerts()}))
def test_no_data_is_told_as_no_data(name: str, major: int, tmp_path: Path) -> None:
    labels = ({"severity": next(alert.severity.value for alert in alerts() if alert.name == name)},)

    nothing = Scenario(
        series={"unrelated": [1] * 90}, expected=[Firing(minute=80, labels=labels if name in ABSENCES else ())]
    )
    told = check(tmp_path, major, rules_of(name), name, [nothing])

    assert told == ""
