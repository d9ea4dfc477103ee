"""The demo's terminal: a live table where there is one to draw on, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from collector.demo.board import WINDOW_SECONDS, Board, Row

PLAIN_SECONDS = 5.0

_COLUMNS = (
    ("toxicity_input", "tox in", "toxicity in"),
    ("toxicity_output", "tox out", "toxicity out"),
    ("context_novelty", "novelty", "context novelty"),
    ("centroid_distance", "distance", "centroid distance"),
    ("degeneration", "degen", "degeneration"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything that one frame shows."""

    board: Board
    seconds: float  # since the start
    phase: str  # what the traffic does now, for a person
    incident: bool
    changed: Callable[[Row], frozenset[str]]


class View(Protocol):
    """Shows scenes while it is open."""

    def __enter__(self) -> View: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def show(self, scene: Scene) -> None: ...


class LiveView:
    """A table that is redrawn in place."""

    def __init__(self, console: Console, footer: Sequence[str]) -> None:
        self._footer = footer
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, scene: Scene) -> None:
        self._live.update(render(scene, self._footer), refresh=True)


class PlainView:
    """A line every few seconds, for logs and pipes."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._next = 0.0

    def __enter__(self) -> PlainView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, scene: Scene) -> None:
        if scene.seconds >= self._next:
            self._next = scene.seconds + PLAIN_SECONDS
            self._write(plain_line(scene))


def render(scene: Scene, footer: Sequence[str]) -> Group:
    """One frame for rich."""
    board = scene.board
    head = Text.assemble(
        ("Assay demo  ", "bold"),
        f"{_clock(scene.seconds)}  {board.calls:,} calls counted  {board.calls_per_second:.1f}/s  ",
        f"lag {board.lag} records  {board.waiting} on their way  {board.rejected} rejected\n",
        (scene.phase, "bold red" if scene.incident else "green"),
    )
    table = Table(
        title=f"means of the last {WINDOW_SECONDS:.0f} s, 0 good .. 1 bad", title_justify="left", title_style="dim"
    )
    table.add_column("service", no_wrap=True)
    table.add_column("model", no_wrap=True)
    table.add_column("calls", justify="right")
    for _, title, _ in _COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("drift", no_wrap=True)
    table.add_column("coverage", justify="right")
    for row in board.rows:
        worse = scene.changed(row)
        table.add_row(
            row.series.service,
            row.series.model,
            f"{row.calls:,}",
            *(_cell(getattr(row, column), column in worse) for column, _, _ in _COLUMNS),
            Text("ALARM", style="bold red") if row.drift_alarm else Text("-", style="dim"),
            _coverage(row.coverage),
        )
    return Group(head, table, Text("\n".join(footer), style="dim"))


def plain_line(scene: Scene) -> str:
    """One line for a log: the totals, and what the incident made worse."""
    board = scene.board
    worse = [
        f"{row.series.service}/{row.series.model} {title} {getattr(row, column):.2f}"
        for row in board.rows
        for column, _, title in _COLUMNS
        if column in scene.changed(row)
    ]
    parts = [
        f"{_clock(scene.seconds)} {scene.phase}",
        f"{board.calls} calls counted, {board.calls_per_second:.1f}/s, lag {board.lag} records, "
        f"{board.rejected} rejected",
    ]
    if worse:
        parts.append("WORSE: " + ", ".join(worse))
    drifted = [f"{row.series.service}/{row.series.model}" for row in board.rows if row.drift_alarm]
    if drifted:
        parts.append("DRIFT ALARM: " + ", ".join(drifted))
    return " | ".join(parts)


def _cell(value: float | None, worse: bool) -> Text:
    if value is None:
        return Text("-", style="dim")
    return Text(f"▲ {value:.2f}", style="bold red") if worse else Text(f"{value:.2f}")


def _coverage(value: float | None) -> Text:
    if value is None:
        return Text("-", style="dim")
    return Text(f"{value:.0%}", style="" if value >= 0.5 else "yellow")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"
