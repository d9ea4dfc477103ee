"""The rules that Grafana evaluates: nobody here runs them, so the file is held to Grafana's types, names and words."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.alerting import Rule

from alerts.model import Alert, Record, duration
from alerts.render import GENERATED
from alerts.rules import alerts, groups

register_default_plugins()
FILE = yaml.safe_load((GENERATED / "grafana-alerting.yaml").read_text(encoding="utf-8"))
RULES = [
    pytest.param(rule, alert, id=rule["title"])
    for rule, alert in zip((rule for group in FILE["groups"] for rule in group["rules"]), alerts(), strict=True)
]
EVERY = pytest.mark.parametrize(("rule", "alert"), RULES)
KEYS = {
    "uid", "title", "condition", "data", "dashboardUid", "panelId", "noDataState", "execErrState", "for",
    "keepFiringFor", "missing_series_evals_to_resolve", "annotations", "labels", "isPaused", "notification_settings",
    "record",
}  # fmt: skip
"""What Grafana's provisioning reads of a rule in a file; it passes over any other key without a word."""
OF_THE_API = {"keepFiringFor": "keep_firing_for"}
FUNCTIONS = {"humanize", "humanizePercentage", "humanizeDuration", "humanize1024", "urlquery", "printf"}
BASE_SECONDS = 10  # Grafana's scheduler knows multiples of it alone


def seconds(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([smhd])", text).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[unit]


@EVERY
def test_grafanas_own_types_read_a_rule_and_lose_nothing(rule: dict[str, Any], alert: Alert) -> None:
    told = {OF_THE_API.get(key, key): value for key, value in rule.items()}

    again = json.loads(JSONEncoder().encode(Rule.from_json({**told, "folderUID": "f", "orgID": 1, "ruleGroup": "g"})))

    assert {key: again[key] for key in told} == told
    assert set(rule) <= KEYS


@EVERY
def test_a_rule_is_the_same_as_prometheus(rule: dict[str, Any], alert: Alert) -> None:
    query, condition = rule["data"]

    assert query["model"]["expr"] == alert.expr
    assert (query["model"]["instant"], query["model"]["range"]) == (True, False)
    assert rule["for"] == duration(alert.for_seconds)
    assert rule.get("keepFiringFor", "0s") == duration(alert.keep_firing_seconds)
    assert rule["labels"] == {"severity": alert.severity.value, **alert.labels}
    assert condition["datasourceUid"] == "__expr__"


@EVERY
def test_a_rule_fires_by_its_condition_on_any_value_that_the_query_has(rule: dict[str, Any], alert: Alert) -> None:
    references = [item["refId"] for item in rule["data"]]
    condition = rule["data"][-1]

    assert rule["condition"] == condition["refId"] == condition["model"]["refId"]
    assert set(re.findall(r"\$(\w+)", condition["model"]["expression"])) == set(references) - {rule["condition"]}
    assert condition["model"]["expression"] == "is_number($series) || is_inf($series)"  # 0 is a value as well


@EVERY
def test_a_data_source_that_fails_is_told_and_an_empty_answer_is_not(rule: dict[str, Any], alert: Alert) -> None:
    assert rule["execErrState"] == "Error"
    assert rule["noDataState"] == "OK"


def test_what_must_be_there_has_a_rule_that_looks_for_its_absence() -> None:
    absent = {name for alert in alerts() for name in re.findall(r"absent\(([\w:]+)", alert.expr)}
    recorded = {rule.name for group in groups() for rule in group.rules if isinstance(rule, Record)}

    assert "assay_build_info" in absent
    assert "assay_last_materialised_timestamp_seconds" in absent
    assert absent & recorded, (
        "Grafana evaluates no recording rule: somebody must notice that Prometheus does not either"
    )


@EVERY
def test_grafana_fills_a_rules_texts(rule: dict[str, Any], alert: Alert) -> None:
    texts = "".join(rule["annotations"].values())
    for expression in re.findall(r"\{\{(.*?)\}\}", texts, re.DOTALL):
        variable, *pipes = [part.strip() for part in expression.split("|")]
        assert re.fullmatch(r"\$labels\.[a-z]+|\$values\.series\.Value", variable), expression
        assert {pipe.split()[0] for pipe in pipes} <= FUNCTIONS
    assert texts.count("{{") == texts.count("}}")


def test_names_are_unique_short_and_stay_what_they_are_when_rules_are_added() -> None:
    uids = [rule.values[0]["uid"] for rule in RULES]

    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"[a-z0-9-]{1,40}", uid) for uid in uids)
    for rule in (param.values[0] for param in RULES):
        assert rule["title"].lower().replace(" ", "-") == rule["uid"]


def test_times_are_those_that_grafanas_scheduler_knows() -> None:
    for group in FILE["groups"]:
        assert seconds(group["interval"]) % BASE_SECONDS == 0
        for rule in group["rules"]:
            assert seconds(rule["for"]) % seconds(group["interval"]) == 0
            assert seconds(rule.get("keepFiringFor", "0s")) % seconds(group["interval"]) == 0
