"""Who decides how many workers there are, who may take them away, and with whom they may speak."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.chart import NAMESPACE, VALUES, changed, kinds, one, render

pytestmark = pytest.mark.server("helm")
SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")


@pytest.mark.parametrize("name", VALUES)
def test_one_at_most_decides_how_many_workers_there_are(name: str) -> None:
    objects = render(name)
    scalers = kinds(objects, *SCALERS)
    fixed = ["replicas" in item["spec"] for item in kinds(objects, "Deployment")]

    assert len(scalers) + sum(fixed) == len(fixed)
    for scaler in scalers:
        assert scaler["spec"]["scaleTargetRef"]["name"] == one(objects, "Deployment")["metadata"]["name"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (("score.replicas=1",), 0),
        (("score.replicas=2",), 1),
        (("score.keda.enabled=true", "score.replicas=1"), 1),
        (("score.keda.enabled=true", "score.keda.maxReplicas=1"), 0),
        (("score.hpa.enabled=true", "score.replicas=1"), 1),
        (("score.pdb.enabled=false",), 0),
    ],
)
def test_disruptions_are_bounded_where_there_may_be_several_workers(settings: tuple[str, ...], expected: int) -> None:
    objects = changed("fleet", *settings)
    budgets = kinds(objects, "PodDisruptionBudget")

    assert len(budgets) == expected
    for budget in budgets:
        assert budget["spec"]["selector"] == one(objects, "Deployment")["spec"]["selector"]
        assert budget["spec"]["maxUnavailable"] == 1  # never a bound that forbids every drain of a node


def test_a_single_pod_has_no_budget_that_would_block_its_node() -> None:
    assert kinds(render("all-minimal"), "PodDisruptionBudget") == []


def test_keda_looks_at_each_topic_of_the_group() -> None:
    triggers = one(render("fleet-keda"), "ScaledObject")["spec"]["triggers"]

    assert [item["metadata"]["topic"] for item in triggers] == ["otlp_spans", "otlp_logs"]
    for trigger in triggers:
        assert trigger["metadata"]["bootstrapServers"] == "kafka-0.kafka:9093,kafka-1.kafka:9094"
        assert trigger["metadata"]["consumerGroup"] == "quality"
        assert trigger["metadata"]["sasl"] == "scram_sha512"
        assert trigger["metadata"]["tls"] == "enable"


def test_keda_logs_in_as_the_workers_do() -> None:
    objects = render("fleet-keda")
    login = one(objects, "TriggerAuthentication")
    worker = one(objects, "Deployment")["spec"]["template"]["spec"]
    (container,) = [item for item in worker["containers"] if item["name"] == login["spec"]["env"][0]["containerName"]]
    mounted = {
        (item["secret"]["secretName"], entry["key"])
        for item in worker["volumes"]
        for entry in item.get("secret", {}).get("items", [])
    }

    assert {item["authenticationRef"]["name"] for item in one(objects, "ScaledObject")["spec"]["triggers"]} == {
        login["metadata"]["name"]
    }
    assert {"name": login["spec"]["env"][0]["name"], "value": "assay"} in container["env"]
    assert {(item["name"], item["key"]) for item in login["spec"]["secretTargetRef"]} == mounted
    assert {item["parameter"] for item in login["spec"]["secretTargetRef"]} == {"password", "ca", "cert", "key"}


def test_keda_counts_the_whole_group_where_topics_are_a_pattern_and_takes_a_login_of_ones_own() -> None:
    objects = render("fleet-keda-pattern")
    (trigger,) = one(objects, "ScaledObject")["spec"]["triggers"]

    assert "topic" not in trigger["metadata"]
    assert trigger["authenticationRef"] == {"name": "company-kafka"}
    assert kinds(objects, "TriggerAuthentication") == []


def test_keda_needs_no_login_where_kafka_has_none() -> None:
    objects = changed("fleet", "score.keda.enabled=true")

    assert kinds(objects, "TriggerAuthentication") == []
    assert all("authenticationRef" not in item for item in one(objects, "ScaledObject")["spec"]["triggers"])


def test_an_update_takes_a_worker_away_before_it_brings_one() -> None:
    strategy = one(render("fleet"), "Deployment")["spec"]["strategy"]

    assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def ports(rules: list[Any]) -> list[set[Any]]:
    return [{item["port"] for item in rule["ports"]} for rule in rules]


def test_a_worker_may_reach_names_brokers_and_the_bucket_and_the_server_no_broker() -> None:
    objects = render("fleet")
    worker, server = (one(objects, "NetworkPolicy", f"assay-{part}")["spec"] for part in ("score", "serve"))

    assert worker["policyTypes"] == server["policyTypes"] == ["Ingress", "Egress"]
    assert ports(worker["egress"]) == [{53}, {9093}, {443}]
    assert ports(server["egress"]) == [{53}, {443}]
    assert ports(worker["ingress"]) == ports(server["ingress"]) == [{"http"}]
    for part, kind in ((worker, "Deployment"), (server, "StatefulSet")):
        assert part["podSelector"] == one(objects, kind)["spec"]["selector"]


@pytest.mark.parametrize(
    ("url", "port"),
    [("http://am:9093", 9093), ("https://am", 443), ("http://am/a:1", 80), ("https://[fd00::1]:9443/am", 9443)],
)
def test_only_who_serves_may_reach_alertmanager_at_its_port(url: str, port: int) -> None:
    objects = changed("fleet", f"alertmanager.url={url}")
    worker, server = (one(objects, "NetworkPolicy", f"assay-{part}")["spec"] for part in ("score", "serve"))

    assert ports(worker["egress"]) == [{53}, {9093}, {443}]
    assert ports(server["egress"]) == [{53}, {443}, {port}]


def test_who_sends_events_and_own_metrics_may_reach_their_receivers() -> None:
    objects = changed(
        "fleet",
        "config.export.telemetry.endpoint=http://otel:4318",
        "config.export.evaluations.endpoint=https://quality.example/otlp",
        "networkPolicy.exportTo[0].podSelector.matchLabels.app=otel",
    )
    worker, server = (one(objects, "NetworkPolicy", f"assay-{part}")["spec"] for part in ("score", "serve"))

    assert ports(worker["egress"]) == [{53}, {9093}, {443}, {4318}]
    assert ports(server["egress"]) == [{53}, {443}, {4318, 443}]
    assert (
        worker["egress"][-1]["to"] == server["egress"][-1]["to"] == [{"podSelector": {"matchLabels": {"app": "otel"}}}]
    )


def test_network_rules_follow_brokers_store_and_receiver() -> None:
    alone = one(render("all-bucket"), "NetworkPolicy")["spec"]
    receiver = one(render("all-otlp"), "NetworkPolicy")["spec"]
    extra = one(render("fleet-extras"), "NetworkPolicy", "assay-llm-quality-score")["spec"]

    assert ports(alone["egress"]) == [{53}, {9092}, {9000}]
    assert alone["egress"][2]["to"] == [{"namespaceSelector": {"matchLabels": {"name": "storage"}}}]
    assert ports(receiver["ingress"]) == [{"http"}, {"otlp"}]
    assert receiver["ingress"][0]["from"][0]["namespaceSelector"]["matchLabels"]
    assert ports(receiver["egress"]) == [{53}, {80}]
    assert receiver["egress"][1]["to"][0]["namespaceSelector"]["matchLabels"]
    assert extra["egress"][1]["to"] == [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    assert extra["egress"][-1]["ports"] == [{"port": 80, "protocol": "TCP"}]
    assert one(render("fleet"), "NetworkPolicy", "assay-score")["metadata"]["namespace"] == NAMESPACE
