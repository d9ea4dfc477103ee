"""A version that appears is one row with what it replaced; steady traffic, canaries and first starts are none."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import duckdb
import pytest

from collector.delta import Delta, Footer
from collector.labels import Labels
from collector.rows import SuiteId, build, embedding_sums, table
from collector.serve import Server
from collector.store.changes import recent_changes
from collector.telemetry import Silent
from signals.types import ScoreSpec, Side
from tests.core.build import NOON, STREAM, call, scores
from tests.store.build import config, view

HOUR = 3_600
BEGIN = NOON - NOON % 60
Call = tuple[int, Mapping[str, object]]  # second after NOON, and what is not as usual


def delta(start: int, calls: Sequence[Call], version: str = "1") -> Delta:
    suite = SuiteId.of([ScoreSpec(signal="toxicity", side=Side.OUTPUT, version=version)])
    made = [call(start + n, ended_at=(BEGIN + at) * 10**9, **changes) for n, (at, changes) in enumerate(calls)]
    part = build(
        made, range(start, start + len(made)), scores(len(made)), suite, Labels(values_max=50, chars_max=50), NOON
    )
    footer = Footer(
        topic=STREAM.topic, epoch=STREAM.epoch, partition=STREAM.partition, start=start, next=start + len(made),
        records=len(made), consumed=len(made), suites={suite.id: suite.entries},
        resume_at=float(BEGIN + max(at for at, _ in calls)),
    )  # fmt: skip
    return Delta(footer=footer, calls=table([part]), embeddings=embedding_sums([part]))


def every(minutes: int, hours: tuple[float, float], **changes: object) -> list[Call]:
    return [(at, changes) for at in range(int(hours[0] * HOUR), int(hours[1] * HOUR), minutes * 60)]


@pytest.fixture
def changes(tmp_path: Path) -> Callable[[Sequence[Sequence[Call]]], list[tuple[object, ...]]]:
    def found(deltas: Sequence[Sequence[Call]]) -> list[tuple[object, ...]]:
        chain, materialiser = view(tmp_path)
        at = 0
        for calls in deltas:
            chain.append(delta(at, calls))
            at += len(calls)
        materialiser.step()
        with materialiser.store.database.read() as connection:
            rows = connection.execute("SELECT * REPLACE (epoch(time) AS time) FROM changes ORDER BY ALL").fetchall()
        recent = {(c.time, c.service, c.kind, c.subject, c.before, c.after) for c in recent_changes(materialiser.store)}
        assert {row[:6] for row in rows if row[0] > NOON} >= recent
        materialiser.store.close()
        return rows

    return found


def test_a_new_model_version_is_a_change_with_its_minute_and_what_it_replaced(changes) -> None:
    old, new = every(1, (0, 2), response_model="m-1"), every(1, (2, 3), response_model="m-2")

    assert changes([[*old, *new]]) == [
        (BEGIN + 2 * HOUR, "shop", "model_version", "gpt-4o", "m-1", "m-2", 60),
    ]


@pytest.mark.parametrize(
    ("before", "after", "row"),
    [
        ({"request_model": "a"}, {"request_model": "b"}, ("model", "", "a", "b")),
        ({"prompt": "greet:1"}, {"prompt": "greet:2"}, ("prompt", "greet", "greet:1", "greet:2")),
        ({"service_version": "1.4"}, {"service_version": "1.5"}, ("service_version", "", "1.4", "1.5")),
    ],
)
def test_so_are_another_model_another_version_of_a_prompt_and_a_deployment(changes, before, after, row) -> None:
    rows = changes([[*every(1, (0, 1), **before), *every(1, (1, 2), **after)]])

    assert [found[2:6] for found in rows] == [row]


def test_going_back_to_an_old_version_is_a_change_too(changes) -> None:
    calls = [
        *every(1, (0, 2), response_model="m-1"),
        *every(1, (2, 4), response_model="m-2"),
        *every(1, (4, 5), response_model="m-1"),
    ]

    assert [row[4:6] for row in changes([calls])] == [("m-1", "m-2"), ("m-2", "m-1")]


def test_first_starts_canaries_and_quiet_nights_are_no_change(changes) -> None:
    rng = random.Random(3)
    steady = [
        *every(1, (0, 6), response_model="m-1"),
        *every(5, (0, 6), response_model="m-2"),
        *every(1, (0, 1), service="desk", response_model="d-1"),
        *every(1, (20, 21), service="desk", response_model="d-2"),  # nobody answered in between
        *every(1, (0, 1), response_model="m-1", prompt="a:1"),
        *every(1, (2, 3), response_model="m-1", prompt="b:1"),
        *every(1, (4, 5), response_model="m-1", service_version="1.4"),  # before, nobody said which
    ]
    rng.shuffle(steady)

    assert changes([steady]) == []


def test_the_order_and_cut_of_the_deltas_does_not_matter(changes, tmp_path: Path) -> None:
    calls = [*every(1, (0, 2), response_model="m-1"), *every(1, (2, 4), response_model="m-2")]
    random.Random(1).shuffle(calls)

    assert [row[4:6] for row in changes([calls[:50], calls[50:99], calls[99:]])] == [("m-1", "m-2")]


def test_a_new_version_of_a_signal_is_a_change_and_the_gauge_comes_and_goes(tmp_path: Path) -> None:
    told: dict[tuple[str, ...], float] = {}

    class Board(Silent):
        def set(self, metric: str, value: float, /, **labels: str) -> None:
            if metric == "assay_version_change_timestamp_seconds":
                told[tuple(labels.values())] = value

    settings = config(tmp_path)
    chain, materialiser = view(tmp_path)
    materialiser.store.close()
    server = Server(chain=chain, config=settings, telemetry=Board(), clock=lambda: float(NOON))
    first, second = every(1, (0, 1)), every(1, (1, 2))
    chain.append(delta(0, first))
    chain.append(delta(len(first), second, version="2"))
    server.materialiser.step()
    server.snapshot()

    key = ("shop", "signal_version", "toxicity_output", "1", "2")
    assert told == {key: float(BEGIN + HOUR)}
    with duckdb.connect(str(server.snapshots.newest()), read_only=True) as connection:
        assert connection.execute("SELECT before, after FROM changes").fetchall() == [("1", "2")]

    chain.append(delta(len(first) + len(second), every(1, (40, 41)), version="2"))
    server.materialiser.step()
    server.snapshot()
    server.close()

    assert told[key] != told[key]
