"""Role serve: its jobs fail one at a time, are told, and come again."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from collector.chain import ChainError, open_chain
from collector.config import Config
from collector.export.prometheus import Exporter
from collector.serve import Server
from collector.telemetry import Silent
from tests.core.build import NOON
from tests.store.build import config, fill


class Tasks(Silent):
    """How jobs ended."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, str]] = []

    def add(self, metric: str, value: float = 1.0, /, **labels: str) -> None:
        if metric == "assay_tasks_total":
            self.outcomes.append((labels["task"], labels["outcome"]))


@pytest.fixture
def clock():
    return [float(NOON)]


@pytest.fixture
def server(tmp_path, clock):
    settings = config(tmp_path)
    made = Server(chain=open_chain(settings), config=settings, telemetry=Tasks(), clock=lambda: clock[0])
    yield made
    made.close()


@pytest.mark.parametrize(
    "error", [ChainError("away"), PermissionError(13, "denied"), AssertionError("a broken promise")]
)
def test_a_job_that_fails_is_counted_and_the_next_one_runs(server, error):
    def failing():
        raise error

    server._guarded("compact", failing)
    server._guarded("sweep", lambda: 0)

    assert server.telemetry.outcomes == [("compact", "failed"), ("sweep", "done")]


def test_the_first_of_a_run_of_failures_is_told(server, caplog):
    ends = iter([OSError("full"), OSError("full"), None, OSError("full again")])

    def job():
        if error := next(ends):
            raise error

    for _ in range(4):
        server._guarded("snapshot", job)

    assert [record.message for record in caplog.records] == ["job snapshot: full", "job snapshot: full again"]
    assert [outcome for _, outcome in server.telemetry.outcomes] == ["failed", "failed", "done", "failed"]


def test_jobs_are_due_at_once_where_the_clock_was_turned_back(server, clock):
    ran = []
    server._jobs.add_job(lambda: ran.append(1), "interval", hours=1)
    server._jobs.start(paused=True)
    server._follow()
    (waiting,) = [job.next_run_time for job in server._jobs.get_jobs()]

    clock[0] -= 3_600
    server._follow()

    (due,) = [job.next_run_time for job in server._jobs.get_jobs()]
    assert (waiting - due).total_seconds() == pytest.approx(3_600, abs=60)


def test_a_job_whose_time_was_noticed_late_runs_all_the_same(server):
    ran = threading.Event()
    server._every(3_600, server._told, "retire", ran.set)
    server._jobs.start(paused=True)
    server._jobs.get_job("retire").modify(next_run_time=datetime.now(UTC) - timedelta(hours=7.5))

    server._jobs.resume()

    assert ran.wait(10)


def test_a_job_that_is_due_while_it_runs_is_counted_and_one_that_hangs_shows_by_its_timestamp(tmp_path):
    settings = config(tmp_path, store={"snapshot_seconds": 0.2})
    exporter = Exporter()
    server = Server(chain=open_chain(settings), config=settings, telemetry=exporter, clock=time.time)
    server.start()

    with server._turn:  # whoever hangs has it
        before = _value(exporter, "assay_last_snapshot_timestamp_seconds")
        assert _comes(lambda: _value(exporter, "assay_tasks_total", task="snapshot", outcome="skipped") >= 3)
        hanging = _value(exporter, "assay_last_snapshot_timestamp_seconds")
    goes_on = _comes(lambda: _value(exporter, "assay_last_snapshot_timestamp_seconds") > hanging)
    server.close()

    assert hanging == before
    assert goes_on


def _value(exporter, metric, **labels):
    return next((values[0] for found, values in exporter.read(metric) if found == labels), 0.0)


def _comes(condition):
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_the_first_calls_are_published_at_once_and_not_when_the_job_is_due(tmp_path):
    settings = Config.model_validate(
        {"source": {"otlp": {}}, "data": tmp_path, "store": {"snapshot_seconds": 3_600, "materialise_seconds": 0.05}}
    )
    chain = open_chain(settings)
    serving = Server(chain=chain, config=settings, telemetry=Exporter(), clock=time.time)
    serving.start()
    fill(chain)
    deadline = time.monotonic() + 30
    while serving.snapshots.newest() is None and time.monotonic() < deadline:
        time.sleep(0.05)

    published = serving.snapshots.newest()
    serving.close()

    assert published is not None
