"""A real Prometheus of either major version reads what the exporter says, number by number and trace by trace."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from collector.config import MetricsConfig
from collector.export.prometheus import Exporter
from collector.export.web.health import Health
from collector.export.web.server import MetricsServer
from tests.export.fakes import delta, trace_id
from tests.servers import installed

MAJORS = [pytest.param(major, marks=pytest.mark.server(f"prometheus{major}")) for major in installed.PROMETHEUS_MAJORS]
WAIT_SECONDS_MAX = 30.0


@pytest.fixture
def exporter() -> Exporter:
    exporter = Exporter()
    exporter.set("assay_build_info", 1, version="0", python="3", role="all")
    now = int(time.time() * 1_000_000)
    scores = [100_000, 500_000, 500_001, 900_000, None]
    exporter.count_delta(delta([{"s_toxicity_output": score, "time": now, "latency_us": 1} for score in scores]))
    return exporter


@pytest.fixture
def address(exporter: Exporter) -> Iterator[str]:
    server = MetricsServer(exporter, Health(), MetricsConfig(port=0))
    server.start()
    yield server.url.removeprefix("http://")
    server.close()


@pytest.mark.parametrize("major", MAJORS)
def test_prometheus_has_the_numbers_the_share_beyond_a_threshold_and_the_traces(
    prometheus: Callable[..., Any], address: str, major: int
) -> None:
    server = prometheus(major, [address])

    def value(expression: str) -> float:
        return float(server.query(expression)[0]["value"][1])

    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not server.query("assay_calls_total") and time.monotonic() < deadline:
        time.sleep(0.2)

    assert value("sum(assay_calls_total)") == 5
    assert value("assay_toxicity_score_count") == 4
    beyond = "1 - assay_toxicity_score_bucket{le='0.5'} / ignoring(le) assay_toxicity_score_count"
    assert value(beyond) == 0.5
    assert server.query("{__name__=~'.*_created'}") == []
    (warned,) = server.exemplars("assay_toxicity_score_bucket{le='0.6'}")
    (exemplar,) = warned["exemplars"]
    assert exemplar["labels"] == {"trace_id": trace_id(2)}
    assert float(exemplar["value"]) == 0.500001


@pytest.mark.parametrize("major", MAJORS)
def test_promtool_finds_nothing_to_say_about_our_names(exporter: Exporter, major: int) -> None:
    text, _ = exporter.render("")

    told = subprocess.run(
        [str(installed.promtool(major)), "check", "metrics"], input=text, capture_output=True, check=False
    )

    ours = [line for line in (told.stdout + told.stderr).decode().splitlines() if line.startswith("assay_")]
    assert ours == []
    assert told.returncode == 0
