"""Evidence says what the rows of the chain say, told again by hand from every call."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.evidence import Named, Question
from collector.store.evidence import Findings
from collector.store.examples import flagged
from collector.store.materialise import Materialiser
from collector.store.retention import retire
from collector.store.worst import CALLS_MAX
from signals.types import Abstention
from tests.core.build import NOON
from tests.store.build import fill, view

BEGIN = datetime.fromtimestamp(NOON, UTC).replace(tzinfo=None)
assert BEGIN.second, "the question begins inside a minute"
END = BEGIN + timedelta(minutes=10)
QUESTION = Question(signal="toxicity", side="output", start=BEGIN, end=END)


@pytest.fixture(scope="module")
def materialiser(tmp_path_factory: pytest.TempPathFactory) -> Materialiser:
    chain, materialiser = view(tmp_path_factory.mktemp("evidence"))
    fill(chain, deltas=10, calls_max=30)
    assert not materialiser.step().failure
    return materialiser


@pytest.fixture(scope="module")
def rows(materialiser: Materialiser) -> list[dict[str, Any]]:
    """Every call of the chain, as its objects hold it."""
    chain = materialiser.chain
    links = (link for stream in chain.streams() for link in chain.walk(stream))
    return [row for link in links for row in link.delta.calls.to_pylist()]


@pytest.fixture(scope="module")
def findings(materialiser: Materialiser) -> Findings:
    return Findings(materialiser.store)


def scored(rows: list[dict[str, Any]], start: datetime, end: datetime, **keys: str) -> list[dict[str, Any]]:
    """Those whose minute begins in the time."""
    return [
        row
        for row in rows
        if start.replace(second=0) <= row["time"].replace(second=0, microsecond=0) < end
        and row.get("s_toxicity_output") is not None
        and row["s_toxicity_output"] >= 0
        and all(row[key] == value for key, value in keys.items())
    ]


@pytest.mark.parametrize("keys", [{}, {"service": "shop"}, {"service": "desk", "model": "claude"}])
def test_totals_and_course_count_every_score_once(
    findings: Findings, rows: list[dict[str, Any]], keys: dict[str, str]
) -> None:
    question = Question(signal="toxicity", side="output", start=BEGIN, end=END, **keys)

    report = findings.report(question)

    now = scored(rows, BEGIN, END, **keys)
    before = scored(rows, question.before[0], BEGIN.replace(second=0), **keys)
    assert report.now.scored == len(now) > 0
    assert report.now.bad == sum(row["s_toxicity_output"] > 800_000 for row in now)
    assert report.now.warned == sum(row["s_toxicity_output"] > 500_000 for row in now)
    assert report.now.mean == pytest.approx(sum(row["s_toxicity_output"] for row in now) / 1e6 / len(now))
    assert report.before.scored == len(before)
    assert sum(point.scored for point in report.course) == len(now) + len(before)
    assert sum(report.distribution) == len(now)
    assert sum(report.distribution_before) == len(before)


@pytest.mark.parametrize("service", ["", "shop"])
@pytest.mark.parametrize("length", [timedelta(hours=3), timedelta(hours=30), timedelta(days=9), timedelta(days=80)])
def test_totals_of_a_long_time_count_every_score_once(
    findings: Findings, rows: list[dict[str, Any]], length: timedelta, service: str
) -> None:
    question = Question(signal="toxicity", side="output", start=END - length, end=END, service=service)

    report = findings.report(question)

    window = timedelta(minutes=1) if length < timedelta(hours=12) else timedelta(hours=1)
    window = window if length < timedelta(days=10) else timedelta(days=1)
    start, before = (at - (at - datetime.min) % window for at in (question.start, question.before[0]))  # noqa: DTZ901
    keys = {"service": service} if service else {}
    now, then = (
        [row["s_toxicity_output"] for row in within(rows, *time, window, **keys)]
        for time in ((start, END), (before, start))
    )
    assert (report.now.scored, report.now.bad) == (len(now), sum(score > 800_000 for score in now))
    assert (report.before.scored, report.before.bad) == (len(then), sum(score > 800_000 for score in then))
    assert (sum(report.distribution), sum(report.distribution_before)) == (len(now), len(then))
    assert now
    for part in (part for part in report.slices if part.key == "model"):
        assert part.scored == len(within(rows, start, END, window, **keys, model=part.value))


def within(
    rows: list[dict[str, Any]], start: datetime, end: datetime, window: timedelta, **keys: str
) -> list[dict[str, Any]]:
    """Scores of windows that begin in the time."""
    return [
        row
        for row in scored(rows, datetime.min, datetime.max, **keys)  # noqa: DTZ901
        if start <= row["time"] - (row["time"] - datetime.min) % window < end  # noqa: DTZ901
    ]


def test_the_worst_calls_are_the_worst_of_all_calls(findings: Findings, rows: list[dict[str, Any]]) -> None:
    report = findings.report(QUESTION)

    every = sorted((row["s_toxicity_output"] / 1e6 for row in scored(rows, BEGIN, END)), reverse=True)
    assert [call.score for call in report.worst] == every[:CALLS_MAX]
    known = {row["trace_id"].hex(): row for row in rows}
    for call in report.worst:
        assert known[call.trace_id]["s_toxicity_output"] / 1e6 == call.score
        assert known[call.trace_id]["service"] == call.service


@pytest.mark.parametrize("service", ["", "desk"])
@pytest.mark.parametrize("length", [timedelta(hours=1), timedelta(hours=30), timedelta(days=20)])
def test_the_worst_calls_of_a_long_time_are_the_worst_of_all_calls(
    findings: Findings, rows: list[dict[str, Any]], length: timedelta, service: str
) -> None:
    end = BEGIN + timedelta(hours=25, minutes=30)  # some clocks were a day ahead
    question = Question(signal="toxicity", side="output", start=end - length, end=end, service=service)

    report = findings.report(question)

    keys = {"service": service} if service else {}
    every = sorted((row["s_toxicity_output"] / 1e6 for row in scored(rows, end - length, end, **keys)), reverse=True)
    assert [call.score for call in report.worst] == every[:CALLS_MAX]
    assert len(every) > CALLS_MAX


def test_where_minutes_are_no_longer_kept_the_hours_answer(tmp_path: Path) -> None:
    chain, materialiser = view(tmp_path, store={"minute_days": 1})
    fill(chain, deltas=10, calls_max=30)
    materialiser.step()
    before = Findings(materialiser.store).report(QUESTION)
    retire(materialiser.store, NOON + 5 * 86_400)

    report = Findings(materialiser.store).report(QUESTION)

    assert report.now.scored >= before.now.scored > 0
    assert report.worst == before.worst
    assert "rollup_hour" in report.sql


def test_contributions_of_a_key_add_up_to_the_change(findings: Findings) -> None:
    report = findings.report(QUESTION)

    change = (report.now.bad_share or 0) - (report.before.bad_share or 0)
    keys = Counter(part.key for part in report.slices)
    for key in keys:
        assert sum(part.contribution for part in report.slices if part.key == key) == pytest.approx(change)
    assert {"service", "model", "tenant"} <= set(keys)


def test_what_was_left_out_is_told_with_its_reason(findings: Findings, rows: list[dict[str, Any]]) -> None:
    report = findings.report(QUESTION)

    shed = [row | {"s_toxicity_output": 0} for row in rows if row.get("s_toxicity_output") == -6]
    assert dict(report.missed)["shed"] == len(scored(shed, BEGIN, END))
    assert report.now.missed == sum(n for _, n in report.missed)


def test_the_sql_that_is_shown_runs_and_says_the_same(findings: Findings, materialiser: Materialiser) -> None:
    question = Question(signal="toxicity", side="output", start=BEGIN, end=END, service="shop")
    report = findings.report(question)

    with materialiser.store.database.read() as connection:
        found = connection.execute(report.sql).fetchall()

    assert sum(row[5] for row in found) == report.now.scored
    assert sum(row[6] for row in found) == report.now.bad


def test_a_name_with_a_quote_is_a_name(findings: Findings, materialiser: Materialiser) -> None:
    question = Question(signal="toxicity", side="output", start=BEGIN, end=END, service="x' OR '1'='1")

    report = findings.report(question)

    assert report.now.scored == 0
    assert report.worst == ()
    with materialiser.store.database.read() as connection:
        assert connection.execute(report.sql).fetchall() == []


def test_the_overview_has_every_service_and_signal(findings: Findings, rows: list[dict[str, Any]]) -> None:
    cells = findings.overview(END)

    start = END - timedelta(hours=1)
    of = {(cell.service, cell.signal, cell.side): cell for cell in cells}
    for service in ("shop", "desk"):
        assert of[service, "toxicity", "output"].scored == len(scored(rows, start, END, service=service))
    assert [cell.share or 0 for cell in cells] == sorted((cell.share or 0 for cell in cells), reverse=True)


def test_the_overview_of_one_service_is_of_all_its_signals_and_of_nobody_else(findings: Findings) -> None:
    of_desk = [cell for cell in findings.overview(END) if cell.service == "desk"]
    coverage = {each.service: each for each in findings.coverage(END)}

    assert list(findings.overview(END, "desk")) == of_desk != []
    assert findings.coverage(END, "desk") == (coverage["desk"],)
    assert findings.overview(END, "x' OR '1'='1") == ()


def test_coverage_counts_what_was_judged_and_what_was_missed_of_every_service(
    findings: Findings, rows: list[dict[str, Any]]
) -> None:
    hour = timedelta(hours=1)

    now, later = findings.coverage(END), findings.coverage(END + hour)

    ineligible = {Abstention.NO_TEXT, Abstention.NO_CONTEXT, Abstention.NOT_APPLICABLE}
    for each in now:
        codes = [
            row[name]
            for row in rows
            if row["service"] == each.service and END - hour <= row["time"].replace(second=0, microsecond=0) < END
            for name in row
            if name.startswith("s_") and row[name] is not None
        ]
        assert each.scored == sum(code >= 0 for code in codes)
        assert each.missed == sum(code < 0 and -code not in ineligible for code in codes)
    assert sum(each.missed for each in now) > 0
    assert [each.share for each in now] == sorted(each.share or 0 for each in now)
    before = {each.service: (each.scored_before, each.missed_before) for each in later}
    assert before.items() >= {each.service: (each.scored, each.missed) for each in now}.items()


def test_what_can_be_asked_for_is_what_was_counted(findings: Findings) -> None:
    names = findings.names()

    assert set(names["service"]) == {"shop", "desk"}
    assert set(names["signal"]) == {"toxicity input", "toxicity output"}
    assert findings.latest() is not None


@pytest.mark.parametrize("length", [timedelta(minutes=1), timedelta(hours=30), timedelta(days=80)])
def test_any_length_of_time_has_a_course_that_can_be_drawn(findings: Findings, length: timedelta) -> None:
    question = Question(signal="toxicity", side="output", start=END - length, end=END)

    report = findings.report(question)

    assert 0 < len(report.course) <= 150
    assert report.now.scored >= 0


def test_an_empty_store_has_nothing_to_show_and_says_so(tmp_path: Path) -> None:
    _, materialiser = view(tmp_path)
    materialiser.store.cursors()
    findings = Findings(materialiser.store)

    report = findings.report(QUESTION)

    assert report.now.scored == 0
    assert report.now.bad_share is None
    assert findings.overview(END) == ()
    assert findings.coverage(END) == ()
    assert findings.latest() is None


def test_a_call_s_flags_are_its_scores_that_warn_wherever_it_lies(
    materialiser: Materialiser, rows: list[dict[str, Any]]
) -> None:
    calls = [Named(row["time"], row["trace_id"].hex(), row["span_id"].hex()) for row in rows[::7]]
    elsewhere = Named(BEGIN - timedelta(days=9), "ab" * 16, "cd" * 8)

    with materialiser.store.database.look() as connection:
        base = materialiser.store.files.base
        found = flagged(connection, base, [*calls, elsewhere], materialiser.store.thresholds.warn)
        nothing = flagged(connection, base, [], 0)

    told = {(call.trace_id, call.span_id): found[call.trace_id, call.span_id] for call in calls}
    assert (elsewhere.trace_id, elsewhere.span_id) not in found
    assert nothing == {}
    for row in rows[::7]:
        above = {
            name.removeprefix("s_"): score
            for name, score in row.items()
            if name.startswith("s_") and score is not None and score > materialiser.store.thresholds.warn
        }
        mine = told[row["trace_id"].hex(), row["span_id"].hex()]
        assert set(mine) == set(above)
        assert [above[name] for name in mine] == sorted(above.values(), reverse=True)
    assert any(told.values())
