"""From samples of the real exporter to rows, and from rows to what a person sees."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from prometheus_client.samples import Sample
from rich.console import Console

from collector import catalog
from collector.demo.board import Board, History, Row, Series, changed, compare, read_totals
from collector.demo.view import PLAIN_SECONDS, LiveView, PlainView, Scene, plain_line, render

BOT = Series("support-bot", "aurora-chat-2.2")


def samples(
    *, scored: float, unscored: float = 0, toxicity: float = 0.0, distance: float | None = None
) -> list[Sample]:
    """What the exporter says after so many calls with a mean toxicity of the answers."""
    who = {"service": BOT.service, "model": BOT.model}
    side = {**who, "side": "output"}
    made = [
        Sample(catalog.CALLS.name, {**who, "outcome": "scored"}, scored),
        Sample(catalog.CALLS.name, {**who, "outcome": "unscored"}, unscored),
        Sample("assay_toxicity_score_bucket", {**side, "le": "0.5"}, scored),
        Sample("assay_toxicity_score_sum", side, scored * toxicity),
        Sample("assay_toxicity_score_count", side, scored),
        Sample(catalog.LAG.name, {"topic": "otlp_spans", "partition": "0"}, 3),
        Sample(catalog.WAITING.name, {"place": "join"}, 5),
        Sample(catalog.WAITING.name, {"place": "scoring"}, 2),
        Sample(catalog.RECORDS_REJECTED.name, {"reason": "bad_json"}, 1),
    ]
    if distance is not None:
        made.append(Sample(catalog.CENTROID_DISTANCE.name, side, distance))
    return made


def row(**change: float | None) -> Row:
    base = Row(
        series=BOT,
        calls=10,
        toxicity_input=0.01,
        toxicity_output=0.02,
        context_novelty=None,
        centroid_distance=0.05,
        degeneration=0.0,
        coverage=1.0,
    )
    return replace(base, **change)


def scene(*, incident: bool = False, rows: tuple[Row, ...] = (row(),), seconds: float = 61.0) -> Scene:
    board = Board(calls=1_234, calls_per_second=19.96, lag=3, waiting=5, rejected=0, rows=rows)
    return Scene(
        board=board,
        seconds=seconds,
        phase="INCIDENT: everything" if incident else "all is well",
        incident=incident,
        changed=lambda now: changed(row(), now),
    )


def test_a_drift_alarm_is_shown_where_it_is() -> None:
    who = {"service": BOT.service, "model": BOT.model}
    alarm = [
        Sample(catalog.DRIFT_ALARM.name, {**who, "side": side}, value) for side, value in (("input", 0), ("output", 1))
    ]
    quiet = compare(read_totals(samples(scored=1), 0.0), read_totals([*samples(scored=2), *alarm[:1]], 1.0))
    loud = compare(read_totals(samples(scored=1), 0.0), read_totals([*samples(scored=2), *alarm], 1.0))

    assert "ALARM" not in plain_line(scene(rows=quiet.rows)) + text_of(render(scene(rows=quiet.rows), []))
    assert "DRIFT ALARM: support-bot/aurora-chat-2.2" in plain_line(scene(rows=loud.rows))
    assert "ALARM" in text_of(render(scene(rows=loud.rows), []))


def text_of(what: object) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_means_and_coverage_are_those_between_two_moments() -> None:
    board = compare(
        read_totals(samples(scored=100, toxicity=0.1), 0.0),
        read_totals(samples(scored=150, unscored=50, toxicity=0.3, distance=0.4), 10.0),
    )

    [bot] = board.rows
    assert (board.calls, board.calls_per_second, board.lag, board.waiting, board.rejected) == (200, 10.0, 3, 5, 1)
    assert bot.toxicity_output == pytest.approx((150 * 0.3 - 100 * 0.1) / 50)
    assert bot.coverage == 0.5
    assert bot.centroid_distance == 0.4
    assert bot.context_novelty is None


def test_the_board_shows_signals_that_the_catalogue_has() -> None:
    known = {f"{signal.name}_{side.value}" for signal in catalog.SIGNALS for side in signal.sides}

    assert {"toxicity_input", "toxicity_output", "context_novelty_output", "degeneration_output"} <= known


def test_a_quiet_window_has_no_mean() -> None:
    same = samples(scored=100, toxicity=0.1)

    [bot] = compare(read_totals(same, 0.0), read_totals(same, 10.0)).rows

    assert bot.toxicity_output is None
    assert bot.coverage is None


def test_what_the_incident_made_worse_is_marked_and_nothing_else() -> None:
    history = History()
    history.add(read_totals(samples(scored=0, distance=0.1), 0.0), incident=False)
    history.add(read_totals(samples(scored=100, toxicity=0.02, distance=0.1), 10.0), incident=False)

    board = history.add(read_totals(samples(scored=400, toxicity=0.5, distance=0.11), 35.0), incident=True)

    assert history.changed(board.rows[0]) == {"toxicity_output"}


def test_a_model_that_was_not_there_before_is_not_marked() -> None:
    assert changed(None, row(toxicity_output=0.9)) == frozenset()


def test_a_frame_shows_every_series_and_marks_what_is_worse() -> None:
    shown = text_of(render(scene(incident=True, rows=(row(toxicity_output=0.61),)), ["stop       Ctrl-C"]))

    assert "01:01" in shown
    assert "1,234 calls counted" in shown
    assert "INCIDENT" in shown
    [line] = [line for line in shown.splitlines() if BOT.service in line]
    assert [cell.strip() for cell in line.strip("│ ").split("│")] == [
        "support-bot", "aurora-chat-2.2", "10", "0.01", "▲ 0.61", "-", "0.05", "0.00", "-", "100%",
    ]  # fmt: skip
    assert "Ctrl-C" in shown


def test_a_frame_without_calls_is_fine() -> None:
    assert "all is well" in text_of(render(scene(rows=()), []))


def test_a_plain_line_is_one_line_that_names_what_is_worse() -> None:
    line = plain_line(scene(incident=True, rows=(row(toxicity_output=0.61),)))

    assert line == (
        "01:01 INCIDENT: everything | 1234 calls counted, 20.0/s, lag 3 records, 0 rejected"
        " | WORSE: support-bot/aurora-chat-2.2 toxicity out 0.61"
    )


def test_plain_lines_come_every_few_seconds() -> None:
    lines: list[str] = []
    with PlainView(lines.append) as view:
        for tenth in range(int(PLAIN_SECONDS * 20) + 1):
            view.show(scene(seconds=tenth / 10))

    assert len(lines) == 3


def test_the_live_view_draws_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=140)
    with LiveView(console, ["footer"]) as view:
        view.show(scene())
        view.show(scene(incident=True))

    assert isinstance(console.file, io.StringIO)
    assert "INCIDENT" in console.file.getvalue()
