"""Each alert in time, on both major versions of Prometheus: silent, pending, firing, kept, gone; and with no data."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from alerts.model import Alert, Group, Site
from alerts.render import prometheus
from alerts.rules import alerts
from tests.alerts.cases import CASES, Case, Series, timeline
from tests.alerts.promtool import Firing, Scenario, check
from tests.servers import installed

MAJORS = [pytest.param(major, marks=pytest.mark.server(f"prometheus{major}")) for major in installed.PROMETHEUS_MAJORS]
ABSENCES = {"AssayDown", "AssayWatchdog"}
"""What fires where there is no data at all; everything else has nothing to say then."""


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
