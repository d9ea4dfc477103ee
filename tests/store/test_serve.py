"""Role serve: its jobs fail one at a time, are told, and come again."""

from __future__ import annotations

import pytest

from collector.chain import ChainError, open_chain
from collector.serve import Server
from collector.telemetry import Silent
from tests.core.build import NOON
from tests.store.build import config


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
