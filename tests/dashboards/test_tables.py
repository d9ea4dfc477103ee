"""What a table shows: its queries over a real Prometheus, through Grafana's own transformations."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.render import GENERATED
from collector.config import MetricsConfig
from collector.export.prometheus import Exporter
from collector.export.web.health import Health
from collector.export.web.server import MetricsServer
from dashboards.boards import pages
from dashboards.panels import Kind, Panel
from dashboards.render import files
from signals.types import Abstention
from tests.export.fakes import delta
from tests.servers import installed

WAIT_SECONDS_MAX = 60.0
TABLES: dict[str, tuple[Panel, list[dict[str, Any]]]] = {
    panel.title: (panel, drawn["transformations"])
    for page in pages()
    for panel, drawn in zip(page.content, json.loads(files()[f"{page.uid}.json"])["panels"], strict=True)
    if panel.kind is Kind.TABLE
}
CHOSEN = {"$service": ".*", "$model": ".*", "$side": "output"}

pytestmark = pytest.mark.server("grafana")

Answer = tuple[Mapping[str, str], float]  # labels and value of a series
Column = tuple[str, list[Any]]


def frames(answers: Mapping[str, list[Answer]]) -> list[dict[str, Any]]:
    """Instant answers by query as the Prometheus data source makes tables of them: one a query that has an answer.

    Its value column is called ``Value #A``, but ``Value`` where no other query has an answer.
    """
    answered = {ref: series for ref, series in answers.items() if series}
    found = []
    for ref, series in answered.items():
        labels = sorted({label for each, _ in series for label in each})
        value = f"Value #{ref}" if len(answered) > 1 else "Value"
        found.append(
            {
                "refId": ref,
                "fields": [
                    {"name": "Time", "type": "time", "values": [0] * len(series)},
                    *(
                        {"name": label, "type": "string", "values": [each.get(label) for each, _ in series]}
                        for label in labels
                    ),
                    {"name": value, "type": "number", "values": [number for _, number in series]},
                ],
            }
        )
    return found


def shown(asked: Mapping[str, Mapping[str, list[Answer]]]) -> dict[str, list[Column]]:
    """The columns of each table, given the answers to its queries."""
    wanted = [{"transformations": TABLES[title][1], "frames": frames(answers)} for title, answers in asked.items()]
    done = subprocess.run(
        ["node", str(Path(__file__).with_name("transform.cjs")), str(installed.grafana())],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for title, left in zip(asked, json.loads(done.stdout), strict=True):
        assert len(left) == 1, f"{title}: queries are not merged into one table"
        found[title] = [(name, values) for name, values in left[0]]
    return found


SEEN = """ALERTS{alertstate="firing",service="bot"}
and on (service) (sum by (service) (assay:scores_bad:increase1h{signal="toxicity"}) > 200)"""


def columns(panel: Panel) -> list[str]:
    return [*panel.by, *(legend for legend in panel.queries if legend)]


@pytest.mark.parametrize("title", TABLES)
def test_columns_are_named_and_ordered_whichever_queries_have_an_answer(title: str) -> None:
    panel, _ = TABLES[title]
    row = dict.fromkeys(panel.by, "x")
    refs = [chr(ord("A") + number) for number in range(len(panel.queries))]

    every = shown({title: {ref: [(row, 1.0)] for ref in refs}})[title]
    first = shown({title: {ref: [(row, 1.0)] if ref == "A" else [] for ref in refs}})[title]

    assert [name for name, _ in every] == columns(panel)
    assert [name for name, _ in first] == columns(panel)[: len(first)]
    assert len(first) == len(panel.by) + bool(next(iter(panel.queries)))


@pytest.fixture
def address() -> Iterator[tuple[Exporter, str]]:
    exporter = Exporter()
    server = MetricsServer(exporter, Health(), MetricsConfig(port=0))
    server.start()
    yield exporter, server.url.removeprefix("http://")
    server.close()


@pytest.mark.server("prometheus3")
def test_a_table_of_a_bad_hour_has_a_row_for_whoever_is_bad(
    prometheus: Callable[..., Any], address: tuple[Exporter, str], tmp_path: Path
) -> None:
    exporter, target = address
    rules = yaml.safe_load((GENERATED / "assay-rules.yaml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        group.pop("interval", None)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    server = prometheus(3, [target], rules=[tmp_path / "rules.yaml"])
    calls = [
        *({"service": "bot", "model": "new", "s_toxicity_output": 900_000} for _ in range(20)),
        *({"service": "bot", "model": "old", "s_toxicity_output": 1_000} for _ in range(20)),
        *({"service": "mute", "content": "none", "s_toxicity_output": -Abstention.NOT_CAPTURED} for _ in range(10)),
    ]
    exporter.set("assay_drift_alarm_threshold", 9.2)
    exporter.set("assay_drift_log_evalue", 12.0, service="bot", model="new", side="output")
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not server.query(SEEN) and time.monotonic() < deadline:
        exporter.count_delta(delta([{**call, "time": int(time.time() * 1e6)} for call in calls]))
        time.sleep(0.5)

    found = shown({title: answers(server, panel) for title, (panel, _) in TABLES.items()})

    tables = {title: rows(every) for title, every in found.items()}
    assert [row["alertname"] for row in tables["Alerts that fire"]] == ["AssayDriftDetected"]
    assert {row["service"]: row["worst signal"] for row in tables["Services"]} == {
        "bot": pytest.approx(0.5, abs=0.2),
        "mute": None,
    }
    assert {row["model"]: row["bad"] > 0.9 for row in tables["Models by signal"]} == {"new": True, "old": False}
    (toxicity,) = [row for row in tables["Coverage by signal"] if row["signal"] == "toxicity"]
    assert 0.5 < toxicity["coverage"] < 0.95  # 0.8, but a rate is exact only once a range is full
    assert toxicity["left out"] > 0


def answers(server: Any, panel: Panel) -> dict[str, list[Answer]]:
    found = {}
    for number, query in enumerate(panel.queries.values()):
        for name, value in CHOSEN.items():
            query = query.replace(name, value)  # noqa: PLW2901 - one after the other
        found[chr(ord("A") + number)] = [(each["metric"], float(each["value"][1])) for each in server.query(query)]
    return found


def rows(table: list[Column]) -> list[dict[str, Any]]:
    names = [name for name, _ in table]
    return [dict(zip(names, row, strict=True)) for row in zip(*(values for _, values in table), strict=True)]
