"""Whoever is woken finds a section for the alert, and every query in it runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

import alerts
from alerts.rules import alerts as every_alert
from alerts.rules import groups
from collector import catalog
from collector.config import Config
from collector.store.database import FILE
from collector.store.session import make_views
from collector.store.store import Store
from tests.alerts.test_rules import MAJORS

RUNBOOKS = (Path(alerts.__file__).parent / "RUNBOOKS.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOKS, re.DOTALL | re.MULTILINE))
NAMES = sorted({alert.name for alert in every_alert()})
SILENT = {"AssayWatchdog"}  # it has no causes


def queries(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", RUNBOOKS, re.DOTALL | re.MULTILINE)


def test_every_alert_has_its_section_and_every_section_an_alert() -> None:
    assert sorted(SECTIONS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_section_says_what_somebody_who_was_woken_needs(name: str) -> None:
    parts = ["Meaning.", "First look.", "Do.", *(["Likely causes."] if name not in SILENT else [])]

    assert [part for part in parts if f"**{part}**" not in SECTIONS[name]] == []
    assert "**False alarm when**" in SECTIONS[name]
    assert "```promql" in SECTIONS[name]


@pytest.mark.parametrize("query", queries("sql"))
def test_sql_of_a_runbook_runs_over_the_views(query: str, tmp_path: Path) -> None:
    store = Store(Config.model_validate({"source": {"otlp": {}}, "data": tmp_path}))
    store.cursors()
    store.close()
    with duckdb.connect(str(tmp_path / FILE)) as connection:
        for signal in catalog.SIGNALS:
            for side in signal.sides:
                connection.execute("INSERT INTO data.suites VALUES ('s', ?, ?, '1', '')", [signal.name, side])
        make_views(connection)

        assert connection.execute(query).fetchall() == []


@pytest.mark.parametrize("major", MAJORS)
def test_promql_of_a_runbook_runs(prometheus: Callable[..., Any], major: int) -> None:
    server = prometheus(major, [])

    for query in queries("promql"):
        server.query(query)


def test_promql_of_a_runbook_names_series_that_exist() -> None:
    exported = set(catalog.metrics())
    recorded = {rule.name for group in groups() for rule in group.rules}
    for query in queries("promql"):
        for name in re.findall(r"\bassay[_:][\w:]+", query):
            assert name in recorded or name in exported or re.sub(r"_(count|sum|bucket)$", "", name) in exported, name
