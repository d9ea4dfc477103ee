"""The configuration that the chart renders is one that the daemon loads, from files that its pod really has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.config import Config, load_config
from tests.chart.chart import VALUES, assay_container, changed, component, one, render, workloads

pytestmark = pytest.mark.server("helm")
WHOLE_SECRETS = {
    "web": ["web.yaml", "listeners.yaml"],
    "web-tls": ["tls.crt", "tls.key"],
}  # mounted without a list of items
USERS = f"basic_auth_users: {{assay: $2y$10${'a' * 53}}}\n"


def mount(root: Path, workload: Any) -> None:
    """Make the files of a container's read-only mounts below `root`, as kubelet would."""
    volumes = {item["name"]: item for item in workload["spec"]["template"]["spec"]["volumes"]}
    for item in assay_container(workload)["volumeMounts"]:
        folder = root / item["mountPath"].lstrip("/")
        folder.mkdir(parents=True)
        secret = volumes.get(item["name"], {}).get("secret")
        if secret:
            files = [entry["path"] for entry in secret.get("items", [])] or WHOLE_SECRETS[item["name"]]
            for name in files:
                (folder / name).write_text(USERS if name.endswith(".yaml") else "secret", encoding="utf-8")


def environment(container: Any) -> dict[str, str]:
    return {item["name"]: item.get("value", "from a secret") for item in container["env"]}


def below(root: Path, setting: Any) -> Any:
    """A setting whose absolute paths of mounts lie below `root`."""
    if isinstance(setting, dict):
        return {key: below(root, value) for key, value in setting.items()}
    if isinstance(setting, str) and setting.startswith(("/etc/assay/", "/var/lib/assay")):
        return str(root / setting.lstrip("/"))
    return setting


def load(objects: Any, workload: Any, root: Path) -> Config:
    """The configuration of a workload as its container would load it."""
    mount(root, workload)
    container = assay_container(workload)
    (volume,) = [item for item in workload["spec"]["template"]["spec"]["volumes"] if item["name"] == "config"]
    text = one(objects, "ConfigMap", volume["configMap"]["name"])["data"]["assay.yaml"]
    at = container["args"][container["args"].index("--config") + 1]
    written = yaml.safe_load(text)
    path = root / at.lstrip("/")
    path.write_text(yaml.safe_dump(below(root, written)), encoding="utf-8")
    return load_config(path, environment(container))


@pytest.mark.parametrize("name", VALUES)
def test_every_pod_has_a_configuration_that_the_daemon_loads(name: str, tmp_path: Path) -> None:
    for workload in workloads(render(name)):
        root = tmp_path / component(workload)
        config = load(render(name), workload, root)

        assert config.role == component(workload)
        assert config.data == root / "var/lib/assay"
        assert (config.metrics.host, config.metrics.port) == ("0.0.0.0", 9464)


def test_a_worker_logs_in_with_files_of_secrets_and_the_server_gets_none(tmp_path: Path) -> None:
    objects = render("fleet-keda")
    worker, server = (load(objects, one(objects, kind), tmp_path / kind) for kind in ("Deployment", "StatefulSet"))
    kafka, other = worker.source.kafka, server.source.kafka

    assert kafka
    assert kafka.brokers == ("kafka-0.kafka:9093", "kafka-1.kafka:9094")
    assert (kafka.group, kafka.start, kafka.client) == ("quality", "latest", "confluent")
    assert kafka.session_timeout_seconds == 30
    assert kafka.sasl
    assert kafka.sasl.username == "assay"
    assert kafka.sasl.password
    assert kafka.sasl.password.file == tmp_path / "Deployment/etc/assay/kafka-sasl/password"
    assert kafka.tls
    assert kafka.tls.certificate_file
    assert kafka.tls.key_file
    assert other
    assert other.sasl is None
    assert other.tls is None
    volumes = [item["name"] for item in one(objects, "StatefulSet")["spec"]["template"]["spec"]["volumes"]]
    assert not {"kafka-sasl", "kafka-tls"} & set(volumes)


def test_a_server_that_sends_evaluations_to_a_topic_logs_in_as_the_workers_do(tmp_path: Path) -> None:
    objects = changed("fleet-keda", "config.export.evaluations.topic=otlp_evaluations", "networkPolicy.enabled=true")
    worker, server = (load(objects, one(objects, kind), tmp_path / kind) for kind in ("Deployment", "StatefulSet"))
    policies = [one(objects, "NetworkPolicy", name)["spec"] for name in ("assay-score", "assay-serve")]

    assert server.source.kafka
    assert server.source.kafka.sasl
    assert server.source.kafka.sasl.password
    assert server.source.kafka.sasl.password.file == tmp_path / "StatefulSet/etc/assay/kafka-sasl/password"
    assert server.source.kafka.tls
    assert worker.export.evaluations.topic == server.export.evaluations.topic == "otlp_evaluations"
    for policy in policies:
        assert {9093, 9094} <= {port["port"] for rule in policy["egress"] for port in rule["ports"]}


def test_a_bearer_token_and_patterns_of_topics_arrive(tmp_path: Path) -> None:
    objects = render("fleet-keda-pattern")
    kafka = load(objects, one(objects, "Deployment"), tmp_path).source.kafka

    assert kafka
    assert (kafka.traces_topics, kafka.logs_topics) == ("traces-.*", "logs-.*")
    assert kafka.sasl
    assert kafka.sasl.token
    assert kafka.tls
    assert kafka.tls.ca_file is None


def test_keys_of_a_bucket_and_a_model_arrive(tmp_path: Path) -> None:
    objects = render("all-bucket")
    config = load(objects, one(objects, "StatefulSet"), tmp_path)

    assert config.chain.url == "s3://assay/chain"
    assert config.chain.s3_endpoint == "http://minio.storage:9000"
    assert config.chain.s3_allow_http
    assert config.chain.s3_access_key_id
    assert config.chain.s3_secret_access_key
    assert config.signals.detoxify == tmp_path / "etc/assay/detoxify"


def test_what_config_says_lies_over_what_is_computed_and_large_numbers_stay_whole(tmp_path: Path) -> None:
    plain = changed("all-otlp", "webConfig.existingSecret=", "access.existingSecret=")
    otlp = load(plain, one(plain, "StatefulSet"), tmp_path / "otlp")
    objects = changed("fleet-gpu", "config.signals.device=cpu")
    worker = load(objects, one(objects, "Deployment"), tmp_path / "worker")

    assert otlp.source.otlp
    assert otlp.source.otlp.host == "0.0.0.0"
    assert otlp.join.settle_seconds == 1
    assert otlp.sql.memory_bytes_max == 1610612736
    assert worker.signals.device == "cpu"
    assert worker.signals.enabled == ("toxicity", "pii")
    assert worker.signals.batch_calls_max == 1024


@pytest.mark.parametrize(
    ("settings", "workers"),
    [
        ((), 2),
        (("score.resources.requests.cpu=500m",), 1),
        (("score.resources.requests.cpu=3",), 3),
        (("score.resources.limits.cpu=3500m",), 3),
        (("score.resources.limits.cpu=2.5",), 2),
        (("score.resources.requests.cpu=null",), 0),
        (("config.signals.workers=7",), 7),
    ],
)
def test_a_worker_has_as_many_encoder_threads_as_cpus(settings: tuple[str, ...], workers: int, tmp_path: Path) -> None:
    objects = changed("fleet", *settings)

    assert load(objects, one(objects, "Deployment"), tmp_path).signals.workers == workers


def test_listeners_get_their_file_and_the_pages_their_users(tmp_path: Path) -> None:
    objects = render("fleet-secured")
    worker, server = (load(objects, one(objects, kind), tmp_path / kind) for kind in ("Deployment", "StatefulSet"))

    assert worker.metrics.web_config_file == tmp_path / "Deployment/etc/assay/web/web.yaml"
    assert server.metrics.web_config_file == tmp_path / "StatefulSet/etc/assay/web/web.yaml"
    assert server.sql.access.users_file == tmp_path / "StatefulSet/etc/assay/access/sql.yaml"
    assert server.evidence.access.users_file == tmp_path / "StatefulSet/etc/assay/access/evidence.yaml"
    assert worker.sql.access.users_file is None
    receiver = load(render("all-otlp"), one(render("all-otlp"), "StatefulSet"), tmp_path / "all")
    assert receiver.source.otlp
    assert receiver.source.otlp.web_config_file == receiver.metrics.web_config_file


def test_excerpts_are_kept_by_workers_and_shown_by_the_server_to_its_users_alone(tmp_path: Path) -> None:
    objects = render("fleet-secured")
    worker, server = (load(objects, one(objects, kind), tmp_path / kind) for kind in ("Deployment", "StatefulSet"))

    assert worker.evidence.snippets == server.evidence.snippets
    assert worker.evidence.snippets.ttl_hours == 48
    assert worker.snippets_url == server.snippets_url == "s3://company-assay/chain-snippets"
    assert server.evidence.access.users_file


def test_who_serves_the_overview_asks_alertmanager_and_a_worker_does_not(tmp_path: Path) -> None:
    objects, single = render("fleet-secured"), render("all-otlp")
    worker, server = (load(objects, one(objects, kind), tmp_path / kind) for kind in ("Deployment", "StatefulSet"))
    alone = load(single, one(single, "StatefulSet"), tmp_path / "all")

    basic, token = server.evidence.alertmanager, alone.evidence.alertmanager
    assert worker.evidence.alertmanager is None
    assert "alertmanager" not in str(one(objects, "Deployment"))
    assert basic
    assert (basic.url, basic.username) == ("https://alertmanager.monitoring:9093/am", "assay")
    assert basic.password
    assert basic.password.file == tmp_path / "StatefulSet/etc/assay/alertmanager/password"
    assert basic.ca_file == tmp_path / "StatefulSet/etc/assay/alertmanager/ca.crt"
    assert token
    assert (token.url, token.refresh_seconds) == ("http://alertmanager.monitoring", 30)
    assert token.bearer_token
    assert token.bearer_token.file == tmp_path / "all/etc/assay/alertmanager/token"


def test_a_gpu_is_used_or_missed_aloud(tmp_path: Path) -> None:
    objects = render("fleet-gpu")

    assert load(objects, one(objects, "Deployment"), tmp_path).signals.device == "cuda"


def test_no_secret_is_written_into_a_config_map() -> None:
    for name in VALUES:
        for document in render(name):
            if document["kind"] == "ConfigMap" and "assay.yaml" in document.get("data", {}):
                assert "password: " not in document["data"]["assay.yaml"].replace("password:\n", "")
