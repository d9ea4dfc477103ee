"""The script of `helm test` passes against the daemon, waits for it, and says what is not ready."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.config import Config
from collector.daemon import Daemon
from tests.chart.chart import CHART, one, render

SCRIPT = CHART / "files" / "answers.py"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """One that serves, and needs no models."""
    settings = {"role": "serve", "source": {"otlp": {}}, "data": tmp_path, "metrics": {"port": 0}}
    daemon = Daemon(Config.model_validate(settings))
    daemon.start()
    daemon.health.set("store", True)  # which `wait` tells, and nobody waits here
    try:
        yield daemon
    finally:
        daemon.stop()
        assert daemon.wait() == 0


@pytest.fixture
def url(daemon: Daemon) -> str:
    assert daemon.web
    return daemon.web.url


def ask(base: str, seconds: float) -> subprocess.CompletedProcess[str]:
    environ = {"BASE": base, "SECONDS_MAX": str(seconds)}
    return subprocess.run(
        [sys.executable, SCRIPT], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_ready_daemon_passes(url: str) -> None:
    assert ask(url, 10).returncode == 0


def test_one_that_becomes_ready_passes(url: str, daemon: Daemon) -> None:
    daemon.health.set("models", False, "starting")
    timer = threading.Timer(0.5, daemon.health.set, ("models", True))
    timer.start()
    told = ask(url, 20)
    timer.join()

    assert told.returncode == 0, told.stderr


def test_one_that_is_not_ready_or_not_there_fails_and_says_which_page(url: str, daemon: Daemon) -> None:
    daemon.health.set("partitions", False, "none assigned")
    unready, absent = ask(url, 0.2), ask("http://127.0.0.1:1", 0.2)

    assert unready.returncode == absent.returncode == 1
    assert "'/readyz': 503" in unready.stderr
    assert "/healthz" not in unready.stderr
    assert "/healthz" in absent.stderr


@pytest.mark.server("helm")
def test_the_pod_runs_the_script_against_the_pages_service() -> None:
    (container,) = one(render("fleet"), "Pod")["spec"]["containers"]

    assert container["command"] == ["python", "-c"]
    assert container["args"][0].strip() == SCRIPT.read_text(encoding="utf-8").strip()
    assert container["env"] == [{"name": "BASE", "value": "http://assay:9464"}]
