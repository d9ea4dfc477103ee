"""What the Prometheus operator and Grafana's sidecar are given: the generated files, unread by Helm's templates."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.chart import crds
from tests.chart.chart import CHART, Object, helm, kinds, one, parse, render, sets, values_file
from tests.servers import installed

pytestmark = pytest.mark.server("helm")
RULES = {
    "groups": [
        {
            "name": "quality",
            "interval": "30s",
            "rules": [
                {"record": "service:assay_calls:rate5m", "expr": "sum by (service) (rate(assay_calls_total[5m]))"},
                {
                    "alert": "AssayToxic",
                    "expr": "service:assay_calls:rate5m > 1.5",
                    "for": "2m",
                    "keep_firing_for": "10m",
                    "labels": {"severity": "critical"},
                    "annotations": {
                        "summary": "{{ $labels.service }} at {{ $value | humanizePercentage }} `toxic`",
                        "runbook_url": "http://localhost:9464/runbooks#toxic",
                        "dashboard_url": 'http://localhost:3000/d/x?from={{ with query "time()" }}{{ . }}{{ end }}',
                    },
                },
            ],
        },
        {"name": "dog", "rules": [{"alert": "AssayWatchdog", "expr": "vector(1)", "labels": {"severity": "none"}}]},
    ]
}
BOARD = {
    "title": "Fleet",
    "panels": [{"targets": [{"legendFormat": "{{service}}", "expr": 'x{a="b"} > 1'}]}],
    "text": "a\n\n  b",
}


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart with generated files of every kind of trouble."""
    folder = tmp_path_factory.mktemp("chart") / "assay"
    shutil.copytree(CHART, folder, ignore=shutil.ignore_patterns("generated"))
    for room in ("alerts", "dashboards"):
        (folder / "generated" / room).mkdir(parents=True)
    (folder / "generated/alerts/quality_slo.yaml").write_text(yaml.safe_dump(RULES, sort_keys=False), encoding="utf-8")
    (folder / "generated/alerts/second.yaml").write_text(
        yaml.safe_dump({"groups": [RULES["groups"][1]]}), encoding="utf-8"
    )
    for name in ("fleet", "drift"):
        text = json.dumps(BOARD | {"title": name}, indent=2)
        (folder / f"generated/dashboards/{name}.json").write_text(text, encoding="utf-8")
    return folder


def rendered(chart: Path, *settings: str, values: str = "fleet-secured") -> list[Object]:
    return parse(helm("template", "-f", values_file(values), *sets(settings), chart=chart))


def led(rules: Any, addresses: dict[str, str]) -> Any:
    """Rules whose links lead elsewhere."""
    text = json.dumps(rules)
    for old, new in addresses.items():
        text = text.replace(old, new)
    return json.loads(text)


def boards(objects: Any) -> list[Object]:
    return [item for item in kinds(objects, "ConfigMap") if "grafana_dashboard" in item["metadata"]["labels"]]


def test_rules_and_boards_arrive_as_they_were_generated(chart: Path) -> None:
    objects = rendered(chart, values="fleet")
    rules = {item["metadata"]["name"]: item for item in kinds(objects, "PrometheusRule")}
    shown = {item["metadata"]["name"]: item for item in boards(objects)}

    there = {"http://localhost:9464": "http://assay.llm.svc:9464"}
    assert rules["assay-quality-slo"]["spec"] == led(RULES, there)
    assert rules["assay-second"]["spec"] == {"groups": [RULES["groups"][1]]}
    assert {name: json.loads(item["data"][f"{name.rpartition('-')[2]}.json"]) for name, item in shown.items()} == {
        f"assay-board-{name}": BOARD | {"title": name} for name in ("fleet", "drift")
    }
    for item in rules.values():
        jsonschema.validate(item, crds.SCHEMAS["PrometheusRule"])


@pytest.mark.parametrize(
    ("settings", "assay"),
    [
        ((), "https://assay.llm.svc:9464"),
        (("service.port=80",), "https://assay.llm.svc:80"),
        (("ingress.enabled=true", "ingress.hosts={a.example}"), "http://a.example"),
        (("ingress.enabled=true", "ingress.hosts={a.example}", "ingress.tls[0].secretName=t"), "https://a.example"),
        (("ingress.enabled=true", "ingress.hosts={a.example}", "ingress.path=/assay/"), "http://a.example/assay"),
        (("prometheusRule.assayUrl=https://b.example/assay",), "https://b.example/assay"),
    ],
)
def test_links_of_alerts_lead_to_where_people_reach_the_pages(
    chart: Path, settings: tuple[str, ...], assay: str
) -> None:
    objects = rendered(chart, *settings, "prometheusRule.grafanaUrl=https://grafana.example")
    (rule,) = [item for item in kinds(objects, "PrometheusRule") if item["metadata"]["name"] == "assay-quality-slo"]
    annotations = rule["spec"]["groups"][0]["rules"][1]["annotations"]

    assert annotations["runbook_url"] == f"{assay}/runbooks#toxic"
    assert annotations["dashboard_url"].startswith("https://grafana.example/d/x?from={{ with query")


def test_an_alert_gets_the_labels_of_the_house_and_may_be_left_out(chart: Path) -> None:
    objects = rendered(chart, "prometheusRule.disabledAlerts={AssayWatchdog}")
    (rule,) = [item for item in kinds(objects, "PrometheusRule") if item["metadata"]["name"] == "assay-quality-slo"]
    (group,) = rule["spec"]["groups"]
    record, alert = group["rules"]

    assert rule["metadata"]["labels"]["release"] == "prometheus"
    assert alert["labels"] == {"severity": "critical", "team": "ml"}
    assert "labels" not in record


def test_a_rule_file_of_which_nothing_is_left_is_no_object(chart: Path) -> None:
    objects = rendered(chart, "prometheusRule.disabledAlerts={AssayWatchdog}")

    assert [item["metadata"]["name"] for item in kinds(objects, "PrometheusRule")] == ["assay-quality-slo"]


def test_boards_carry_what_the_sidecar_selects(chart: Path) -> None:
    for board in boards(rendered(chart)):
        assert board["metadata"]["namespace"] == "monitoring"
        assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert board["metadata"]["annotations"]["grafana_folder"] == "Assay"


def test_nothing_generated_is_nothing_rendered(tmp_path: Path) -> None:
    bare = tmp_path / "assay"
    shutil.copytree(CHART, bare, ignore=shutil.ignore_patterns("generated"))
    objects = rendered(bare)

    assert kinds(objects, "PrometheusRule") == []
    assert boards(objects) == []
    assert len(kinds(objects, "ServiceMonitor")) == 1


@pytest.mark.parametrize(
    "major", [pytest.param(n, marks=pytest.mark.server(f"prometheus{n}")) for n in installed.PROMETHEUS_MAJORS]
)
def test_promtool_takes_the_rendered_rules(chart: Path, major: int, tmp_path: Path) -> None:
    made = [*kinds(rendered(chart), "PrometheusRule"), *kinds(render("fleet-secured"), "PrometheusRule")]
    for number, rule in enumerate(made):
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(rule["spec"]), encoding="utf-8")
        told = subprocess.run(
            [str(installed.promtool(major)), "check", "rules", path], capture_output=True, text=True, check=False
        )

        assert told.returncode == 0, told.stdout + told.stderr


def test_the_label_service_stays_assays_own() -> None:
    monitor = one(render("fleet-secured"), "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]

    assert endpoint["relabelings"][0] == {"action": "labeldrop", "regex": "service"}
    assert endpoint["relabelings"][1]["targetLabel"] == "cluster"
    assert (endpoint["scheme"], endpoint["interval"], endpoint["scrapeTimeout"]) == ("https", "15s", "10s")
    assert endpoint["basicAuth"]["password"] == {"name": "assay-scrape", "key": "password"}


def test_a_monitor_selects_the_scraped_services_and_no_other() -> None:
    objects = render("fleet")
    wanted = one(objects, "ServiceMonitor")["spec"]["selector"]["matchLabels"].items()
    names = [
        item["metadata"]["name"] for item in kinds(objects, "Service") if wanted <= item["metadata"]["labels"].items()
    ]
    ports = {port["name"] for item in kinds(objects, "Service") for port in item["spec"]["ports"]}

    assert sorted(names) == ["assay", "assay-score"]
    assert one(objects, "ServiceMonitor")["spec"]["endpoints"][0]["port"] in ports
