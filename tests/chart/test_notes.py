"""What Helm says after an installation: commands about objects that are there, and warnings where there is cause."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.chart.chart import CHART, VALUES, helm, kinds, one, parse, render, sets, values_file

pytestmark = pytest.mark.server("helm")
SHOWN = """
apiVersion: v1
kind: ConfigMap
metadata: {name: notes}
data:
  text: |
    {{- tpl (.Files.Get "NOTES.txt") . | nindent 4 }}
"""


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart with its notes as an object: Helm prints them for a cluster only."""
    folder = tmp_path_factory.mktemp("notes") / "assay"
    shutil.copytree(CHART, folder)
    shutil.move(folder / "templates" / "NOTES.txt", folder / "NOTES.txt")
    (folder / "templates" / "shown.yaml").write_text(SHOWN, encoding="utf-8")
    return folder


def notes(chart: Path, name: str, *settings: str) -> str:
    done = helm("template", "-f", values_file(name), *sets(settings), "-s", "templates/shown.yaml", chart=chart)
    return str(one(parse(done), "ConfigMap")["data"]["text"])


@pytest.mark.parametrize("name", VALUES)
def test_notes_name_objects_that_are_there(chart: Path, name: str) -> None:
    text = notes(chart, name)
    named = set(re.findall(r"\b(statefulset|deployment|service)/(\S+)", text))
    there = {(item["kind"].lower(), item["metadata"]["name"]) for item in render(name)}

    assert {kind for kind, _ in named} >= {"statefulset", "service"}
    assert named <= there


def test_a_careful_installation_is_not_warned(chart: Path) -> None:
    assert "WARNING" not in notes(chart, "fleet-secured")


@pytest.mark.parametrize(
    ("name", "setting", "told"),
    [
        ("fleet-secured", "kafka.deadLetterTopic=", "kafka.deadLetterTopic is empty"),
        ("all-minimal", "mode=all", "serviceMonitor and prometheusRule are off"),
        ("all-otlp", "webConfig.existingSecret=", "ask for no password"),
        ("fleet", "mode=fleet", "SQL and the evidence pages answer nobody"),
        ("fleet-secured", "config.signals.critical_at=1", "the alerts hold the default thresholds"),
    ],
)
def test_what_should_not_stay_so_is_a_warning(chart: Path, name: str, setting: str, told: str) -> None:
    assert told in notes(chart, name, setting)


def test_notes_say_where_the_only_copy_of_the_counts_lies(chart: Path) -> None:
    claim = one(render("all-minimal"), "StatefulSet")

    assert f"data-{claim['metadata']['name']}-0 holds the only copy" in notes(chart, "all-minimal")
    assert "may be deleted at any time" in notes(chart, "fleet")
    assert "https://assay.example/" in notes(chart, "all-otlp")
    assert kinds(render("all-otlp"), "Ingress")
