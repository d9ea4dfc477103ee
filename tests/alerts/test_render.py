"""The files that people load are what the rules say, name nothing that does not exist, and lead where they should."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from alerts.alertmanager import configuration
from alerts.model import Alert, Record, Severity, Site
from alerts.render import GENERATED, files, main
from alerts.rules import alerts, groups
from alerts.slo import BUDGET, objectives
from collector import catalog
from dashboards.render import files as boards
from tests.alerts.cases import CASES, Case, timeline
from tests.alerts.promtool import texts, values
from tests.alerts.test_rules import MAJORS, expectations, of, rules_of
from tests.servers import installed

SLICE = {"service", "model", "signal", "side"}
"""Labels by which boards and evidence are narrowed down."""
SPAN = re.compile(r"\d+[mhd]$")
RECORDED_FROM = {
    "assay:scores:increase": "assay_${signal}_score",
    "assay:scores_bad:increase": "assay_${signal}_score",
    "assay:scores_missed:increase": "assay_signal_unscored_total",
}
"""Boards draw either."""
SERIES = re.compile(r"\bassay(?:_\$\{signal\}|[_:])[\w:]+")
RECORDS = {rule.name for group in groups() for rule in group.rules if isinstance(rule, Record)}
SUFFIX = re.compile(r"_(?:count|sum|bucket)$")
FUNCTIONS_OF_COUNTERS = re.compile(r"(\w+)\((\w+)\{?")


def test_what_is_committed_is_what_the_rules_say() -> None:
    for name, text in files(Site()).items():
        assert (GENERATED / name).read_text(encoding="utf-8") == text, "run `python -m alerts.render`"


def test_addresses_and_thresholds_are_the_users(tmp_path: Path) -> None:
    main(["--output", str(tmp_path), "--assay-url", "https://assay.test/", "--critical-at", "0.77"])

    text = (tmp_path / "assay-rules.yaml").read_text(encoding="utf-8")
    assert "https://assay.test/evidence?" in text
    assert "localhost:9464" not in text
    assert 'le="0.77"' in text
    assert 'le="0.8"' not in text


@pytest.mark.parametrize("major", MAJORS)
def test_prometheus_takes_the_rules(major: int) -> None:
    done = subprocess.run(
        [
            str(installed.promtool(major)),
            "check",
            "rules",
            "--lint=all",
            "--lint-fatal",
            GENERATED / "assay-rules.yaml",
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_series_that_a_rule_reads_is_exported_or_recorded() -> None:
    exported = set(catalog.metrics())
    for group in groups():
        for rule in group.rules:
            read = set(re.findall(r"\bassay[_:][\w:]+", rule.expr))
            unknown = {name for name in read if name not in RECORDS and name not in exported}
            assert {SUFFIX.sub("", name) for name in unknown} <= exported, rule.name


def test_counters_are_read_as_rates_and_gauges_are_not() -> None:
    kinds = {name: metric.type for name, metric in catalog.metrics().items()}
    for group in groups():
        for rule in group.rules:
            for function, name in FUNCTIONS_OF_COUNTERS.findall(rule.expr):
                kind = kinds.get(SUFFIX.sub("", name))
                if kind is not None and function in {"rate", "increase", "irate"}:
                    assert kind is not catalog.MetricType.GAUGE, rule.name
                elif kind is not None:
                    assert kind is catalog.MetricType.GAUGE, rule.name


def test_every_signal_has_an_objective_but_those_that_are_a_cue_only() -> None:
    chosen = {(objective.signal, objective.side): objective for objective in objectives()}

    assert set(chosen) == {(signal.name, side) for signal in catalog.SIGNALS for side in signal.sides if not signal.cue}
    assert all(0 < objective.budget <= BUDGET for objective in chosen.values())


def test_alerts_say_who_where_and_what() -> None:
    for alert in alerts():
        told = alert.annotations(Site())
        assert re.fullmatch(r"Assay[A-Z][A-Za-z]+", alert.name)
        assert told["runbook_url"].endswith(f"#{alert.name.lower()}")
        assert len(alert.summary) < 140
        assert alert.severity in Severity
        assert "$value" not in "".join(alert.labels.values()), "a value in a label makes a new alert of each evaluation"


@pytest.mark.server("prometheus3")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_texts_and_links_are_whole_when_prometheus_has_filled_them(case: Case, tmp_path: Path) -> None:
    expected, minutes, after = expectations(case, 3)
    series = timeline(case.quiet, case.loud, case.before, minutes, after)
    minute = next(firing.minute for firing in expected if firing.labels)

    told = texts(tmp_path, 3, rules_of(case.alert), series, case.alert, minute)

    assert not re.search(r"error expanding|<no value>|\{\{|NaN|%!", "".join(told.values()))
    dashboard = parse_qs(urlsplit(told["dashboard_url"]).query)
    assert int(dashboard["to"][0]) == minute * 60_000
    assert int(dashboard["to"][0]) - int(dashboard["from"][0]) == of(case).look_back_seconds * 1_000
    of_slice = {label: [value] for label, value in case.labels.items() if label in SLICE}
    assert {name.removeprefix("var-"): value for name, value in dashboard.items() if "var-" in name} == of_slice
    if of(case).evidence is not None:
        evidence = parse_qs(urlsplit(told["evidence_url"]).query)
        drift = {"signal": ["drift"]} if of(case).board is catalog.Board.DRIFT else {}
        assert {label: evidence[label] for label in SLICE & evidence.keys()} == {**of_slice, **drift}
        assert int(evidence["to"][0]) == minute * 60


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: "-".join([alert.name, *alert.labels.values()]))
def test_the_board_of_an_alert_draws_what_the_alert_reads_and_can_be_set_to_its_service(alert: Alert) -> None:
    board = json.loads(boards()[f"{alert.board.value}.json"])
    queries = " ".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    drawn, read = ({_raw(name) for name in SERIES.findall(text)} for text in (queries, alert.expr))

    assert {variable["name"] for variable in board["templating"]["list"]} >= {"service", "model"} & set(alert.by)
    assert not read or read & drawn


def _raw(name: str) -> str:
    return SUFFIX.sub("", RECORDED_FROM.get(SPAN.sub("", name), name))


def test_an_alert_about_a_slice_and_one_about_drift_open_its_evidence() -> None:
    of_slice = {alert.name for alert in alerts() if alert.by or alert.board is catalog.Board.DRIFT}

    assert {alert.name for alert in alerts() if alert.evidence is not None} == of_slice


@pytest.mark.parametrize("major", MAJORS)
def test_recorded_series_count_scores_and_those_beyond_the_objective(major: int, tmp_path: Path) -> None:
    of_output = 'service="bot",model="m",side="output"'
    series = {
        f"assay_toxicity_score_count{{{of_output}}}": [float(10 * minute) for minute in range(90)],
        f'assay_toxicity_score_bucket{{{of_output},le="0.8"}}': [float(9 * minute) for minute in range(90)],
        f'assay_toxicity_score_bucket{{{of_output},le="0.5"}}': [0.0] * 90,
    }
    rules = yaml.safe_load((GENERATED / "assay-rules.yaml").read_text(encoding="utf-8"))
    rules["groups"] = [group for group in rules["groups"] if group["name"].startswith("assay-scores")]

    def value(expr: str) -> float:
        return float(values(tmp_path, major, rules, series, f"{expr}{{signal='toxicity'}}", 80).split(" ")[-1])

    assert value("assay:scores:increase1h") == pytest.approx(600, rel=0.03)
    assert value("assay:scores_bad:increase1h") == pytest.approx(60, rel=0.03)
    assert value("assay:quality:budget") == 0.001


ROUTES = {
    "page": [{"alertname": "AssayQualityCollapse", "severity": "critical"}],
    "ticket": [{"alertname": "AssayQualityShift", "severity": "warning"}],
    "nobody": [{"alertname": "AssayLabelsOverflow", "severity": "info"}],
    "watchdog": [{"alertname": "AssayWatchdog", "severity": "none"}],
}


@pytest.mark.server("alertmanager")
@pytest.mark.parametrize(("receiver", "labels"), [(name, each) for name, every in ROUTES.items() for each in every])
def test_an_alert_reaches_who_it_is_for(receiver: str, labels: dict[str, str]) -> None:
    told = subprocess.run(
        [
            *(str(installed.amtool()), "config", "routes", "test"),
            *(f"--config.file={GENERATED / 'alertmanager.yaml'}", f"--verify.receivers={receiver}"),
            *(f"{name}={value}" for name, value in labels.items()),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stdout + told.stderr


_BOT = {"service": "bot", "signal": "toxicity", "side": "output"}
CAUSES: dict[str, tuple[dict[str, str], list[dict[str, str]], list[dict[str, str]]]] = {
    # what fires first, what is not told beside it, and what is
    "a full disk": (
        {"alertname": "AssayDiskFull", "severity": "critical", "instance": "a"},
        [
            {"alertname": "AssayChainUnreachable", "severity": "critical", "instance": "b"},
            {"alertname": "AssayRollupsStale", "severity": "critical"},
            {"alertname": "AssayTaskFails", "severity": "warning", "task": "snapshot"},
            {"alertname": "AssayNotReady", "severity": "warning", "instance": "a", "condition": "store"},
        ],
        [{"alertname": "AssayRecordsLost", "severity": "critical", "topic": "t"}],
    ),
    "no broker": (
        {"alertname": "AssaySourceUnreachable", "severity": "critical", "instance": "a"},
        [
            {"alertname": "AssayNoCalls", "severity": "warning", "service": "bot"},
            {"alertname": "AssayFarBehind", "severity": "critical", "topic": "t"},
            {"alertname": "AssayAppendsStalled", "severity": "critical", "topic": "t", "partition": "0"},
        ],
        [{"alertname": "AssayNobodyServes", "severity": "critical"}],
    ),
    "nothing of Assay": (
        {"alertname": "AssayDown", "severity": "critical"},
        [{"alertname": "AssayNobodyServes", "severity": "critical"}, {"alertname": "AssayNoCalls", "service": "bot"}],
        [
            {"alertname": "AssayDriftDetected", "severity": "warning", "service": "bot"},
            {"alertname": "AssayQualityCollapse", "severity": "critical", **_BOT},
        ],
    ),
    "a collapse": (
        {"alertname": "AssayQualityCollapse", "severity": "critical", **_BOT},
        [
            {"alertname": "AssayQualityBudgetBurn", "severity": "critical", "window": "1h", **_BOT},
            {"alertname": "AssayQualityShift", "severity": "warning", **_BOT},
        ],
        [
            {"alertname": "AssayQualityBudgetBurn", "severity": "critical", "window": "1h", **_BOT, "service": "shop"},
            {"alertname": "AssayCanaryWorse", "severity": "warning", "model": "m", **_BOT},
        ],
    ),
    "a budget that burns within the hour": (
        {"alertname": "AssayQualityBudgetBurn", "severity": "critical", "window": "1h", **_BOT},
        [
            {"alertname": "AssayQualityBudgetBurn", "severity": "critical", "window": "6h", **_BOT},
            {"alertname": "AssayQualityShift", "severity": "warning", **_BOT},
        ],
        [{"alertname": "AssayQualityBudgetBurn", "severity": "critical", "window": "6h", **_BOT, "side": "input"}],
    ),
}


@pytest.mark.server("alertmanager")
@pytest.mark.parametrize("cause", CAUSES)
def test_a_cause_is_told_and_what_follows_from_it_is_not(cause: str, alertmanager: Callable[..., Any]) -> None:
    first, silent, told = CAUSES[cause]
    server = alertmanager(configuration=yaml.safe_load((GENERATED / "alertmanager.yaml").read_text(encoding="utf-8")))
    amtool = (str(installed.amtool()), f"--alertmanager.url={server.url}", "alert")

    for labels in (first, *silent, *told):
        subprocess.run([*amtool, "add", *(f"{name}={value}" for name, value in labels.items())], check=True)
    found = {each["labels"]["alertname"]: each for each in server.alerts() if each["labels"] in silent}
    others = [each for each in server.alerts() if each["labels"] in [first, *told]]

    assert [name for name, each in found.items() if not each["status"]["inhibitedBy"]] == []
    assert len(found) == len(silent)
    assert [each["labels"] for each in others if each["status"]["inhibitedBy"]] == []
    assert len(others) == 1 + len(told)


def test_no_rule_of_silence_names_an_alert_that_does_not_exist_or_hides_a_drift() -> None:
    names = {alert.name for alert in alerts()}
    for rule in configuration()["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            if found := re.fullmatch(r'alertname=~?"(.+)"', matcher):
                assert any(re.fullmatch(found[1], name) for name in names)
                if matcher in rule["target_matchers"]:
                    assert not re.fullmatch(found[1], "AssayDriftDetected")
