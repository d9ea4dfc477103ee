"""An upgrade never touches what Kubernetes does not let change; a change of mode leaves the other's objects alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.chart.chart import CHART, VALUES, Object, changed, helm, parse, render, sets, values_file, workloads

pytestmark = pytest.mark.server("helm")
FIELDS = ("selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy")
CHANGES = (
    "image.tag=v9",
    "commonLabels.owner=other",
    "commonAnnotations.note=x",
    "pod.labels.extra=x",
    "score.replicas=5",
    "config.join.settle_seconds=1",
    "serviceMonitor.enabled=true",
    "networkPolicy.enabled=true",
)


def immutable(workload: Object) -> dict[str, Any]:
    spec = workload["spec"]
    return {
        "name": workload["metadata"]["name"],
        "kind": workload["kind"],
        **{
            field: spec.get(field)
            for field in ("selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy")
        },
    }


@pytest.mark.parametrize("name", VALUES)
def test_pods_carry_the_labels_that_select_them(name: str) -> None:
    for workload in workloads(render(name)):
        labels = workload["spec"]["template"]["metadata"]["labels"]

        assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("name", ["all-minimal", "all-otlp", "fleet", "fleet-extras"])
def test_another_version_and_other_values_change_nothing_immutable(name: str, tmp_path: Path) -> None:
    newer = tmp_path / "assay"
    shutil.copytree(CHART, newer)
    about = (newer / "Chart.yaml").read_text(encoding="utf-8")
    (newer / "Chart.yaml").write_text(about.replace("0.1.0", "7.0.0"), encoding="utf-8")
    upgraded = workloads(parse(helm("template", "-f", values_file(name), *sets(CHANGES), chart=newer)))

    assert [immutable(item) for item in upgraded] == [immutable(item) for item in workloads(render(name))]
    assert all("7.0.0" in item["metadata"]["labels"]["helm.sh/chart"] for item in upgraded)


def test_a_newer_chart_alone_restarts_nothing(tmp_path: Path) -> None:
    newer = tmp_path / "assay"
    shutil.copytree(CHART, newer)
    about = (newer / "Chart.yaml").read_text(encoding="utf-8")
    (newer / "Chart.yaml").write_text(about.replace("version: 0.1.0", "version: 7.0.0", 1), encoding="utf-8")
    upgraded = workloads(parse(helm("template", "-f", values_file("fleet"), chart=newer)))

    assert [item["spec"]["template"] for item in upgraded] == [
        item["spec"]["template"] for item in workloads(render("fleet"))
    ]


def test_the_modes_share_no_workload_and_no_selector() -> None:
    fleet = [immutable(item) for item in workloads(render("fleet"))]
    alone = [immutable(item) for item in workloads(changed("fleet", "mode=all"))]

    assert not {item["name"] for item in fleet} & {item["name"] for item in alone}
    assert all(ours["selector"] != theirs["selector"] for ours in fleet for theirs in alone)


def test_two_releases_share_nothing() -> None:
    first = render("all-minimal")
    second = parse(helm("template", "-f", values_file("all-minimal"), release="other"))

    assert not {(item["kind"], item["metadata"]["name"]) for item in first} & {
        (item["kind"], item["metadata"]["name"]) for item in second
    }
