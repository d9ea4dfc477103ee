"""Whatever the values, Helm renders objects that Kubernetes and the operators take, hardened and with bounds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import jsonschema
import pytest
import yaml

from collector.daemon import DRAIN_SECONDS_MAX
from tests.chart import crds
from tests.chart.chart import (
    VALUES,
    Object,
    assay_container,
    changed,
    helm,
    kinds,
    one,
    parse,
    pods,
    render,
    values_file,
    workloads,
)

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="it comes with the extra `test`")
pytestmark = pytest.mark.server("helm")
MODES = {"all": {"StatefulSet": 1}, "fleet": {"StatefulSet": 1, "Deployment": 1}}


def check(document: Object) -> None:
    if document["kind"] in crds.SCHEMAS:
        jsonschema.validate(document, crds.SCHEMAS[document["kind"]])
    else:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_there_is_a_matrix_of_values() -> None:
    assert len(VALUES) >= 10


@pytest.mark.parametrize("name", VALUES)
def test_lint_has_nothing_to_say(name: str) -> None:
    told = helm("lint", "--strict", "-f", values_file(name))

    assert told.returncode == 0, told.stdout
    assert "[WARNING]" not in told.stdout
    assert "[ERROR]" not in told.stdout


@pytest.mark.parametrize("name", VALUES)
def test_every_object_is_one_that_its_api_takes(name: str) -> None:
    for document in render(name):
        check(document)


def test_names_that_look_like_numbers_stay_names(tmp_path: Path) -> None:
    names = {
        "nameOverride": "8",
        "fullnameOverride": "9",
        "mode": "fleet",
        "chain": {"url": "s3://b", "existingSecret": "1", "accessKeyIdKey": "1", "secretAccessKeyKey": "2"},
        "kafka": {
            "brokers": ["kafka:9092"],
            "sasl": {"mechanism": "PLAIN", "username": "3", "existingSecret": "4", "passwordKey": "5"},
            "tls": {"enabled": True, "existingSecret": "6", "caKey": "7"},
        },
        "score": {"keda": {"enabled": True}, "pod": {"priorityClassName": "10", "runtimeClassName": "11"}},
        "detoxify": {"existingClaim": "12", "subPath": "13"},
        "persistence": {"storageClassName": "14"},
        "ingress": {"enabled": True, "className": "15", "hosts": ["16"]},
        "webConfig": {"existingSecret": "17", "tlsSecret": "18"},
        "access": {"existingSecret": "19", "sqlKey": "20", "evidenceKey": "21"},
    }
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(names), encoding="utf-8")

    for document in parse(helm("template", "-f", path, release="7")):
        check(document)


@pytest.mark.parametrize("name", VALUES)
def test_no_two_objects_share_a_name_and_all_say_where_they_belong(name: str) -> None:
    objects = render(name)
    places = Counter((item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects)
    ours = [item for item in objects if not item["metadata"]["name"].endswith(("-own", "-text"))]

    assert set(places.values()) == {1}
    assert {item["metadata"]["labels"]["app.kubernetes.io/instance"] for item in ours} == {"assay"}
    assert {item["metadata"]["namespace"] for item in ours} <= {"llm", "monitoring"}


@pytest.mark.parametrize("name", VALUES)
def test_a_mode_runs_what_it_says(name: str) -> None:
    mode = yaml.safe_load(values_file(name).read_text(encoding="utf-8")).get("mode", "all")

    assert Counter(item["kind"] for item in workloads(render(name))) == MODES[mode]


@pytest.mark.parametrize("name", VALUES)
def test_pods_are_nobody_and_hold_no_token(name: str) -> None:
    for pod in pods(render(name)):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def our_containers(name: str) -> list[dict[str, object]]:
    """Containers of the chart, not those that the values bring."""
    found = [item for pod in pods(render(name)) for item in [*pod.get("initContainers", []), *pod["containers"]]]
    return [item for item in found if item["name"] in {"assay", "detoxify", "test"}]


@pytest.mark.parametrize("name", VALUES)
def test_containers_can_do_nothing_that_they_need_not(name: str) -> None:
    assert our_containers(name)
    for container in our_containers(name):
        assert container["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }


@pytest.mark.parametrize("name", VALUES)
def test_containers_ask_for_cpu_and_have_a_bound_of_memory(name: str) -> None:
    for container in our_containers(name):
        resources = container["resources"]

        assert isinstance(resources, dict)
        assert {"cpu", "memory"} <= set(resources["requests"])
        assert "memory" in resources["limits"]


@pytest.mark.parametrize("name", VALUES)
def test_what_is_written_is_a_volume_with_a_bound(name: str) -> None:
    for workload in workloads(render(name)):
        pod = workload["spec"]["template"]["spec"]
        claimed = {item["metadata"]["name"] for item in workload["spec"].get("volumeClaimTemplates", [])}
        volumes = {item["name"]: item for item in pod["volumes"]}
        mounts = {item["mountPath"]: item for item in assay_container(workload)["volumeMounts"]}

        assert {"/tmp", "/var/lib/assay"} <= set(mounts)
        assert {item["name"] for item in mounts.values()} <= claimed | set(volumes)
        for path, mount in mounts.items():
            volume = volumes.get(mount["name"], {})
            if path in {"/tmp", "/var/lib/assay"}:
                assert mount["name"] in claimed or volume["emptyDir"]["sizeLimit"]
            else:
                assert mount["readOnly"]
            assert volume.get("secret", {}).get("defaultMode", 0o440) == 0o440


@pytest.mark.parametrize("name", VALUES)
def test_probes_ask_different_questions_on_different_paths(name: str) -> None:
    scheme = "HTTPS" if name == "fleet-secured" else "HTTP"
    for workload in workloads(render(name)):
        container = assay_container(workload)
        paths = {kind: container[f"{kind}Probe"].get("httpGet") for kind in ("startup", "liveness", "readiness")}

        assert paths["startup"] == {"path": "/healthz", "port": "http", "scheme": scheme}
        assert paths["readiness"] == {"path": "/readyz", "port": "http", "scheme": scheme}
        if name == "fleet-extras":
            assert container["livenessProbe"]["exec"]["command"] == ["cat", "/run/alive"]
        else:
            assert paths["liveness"] == paths["startup"]
        startup = container["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 300


@pytest.mark.parametrize("name", VALUES)
def test_a_pod_has_the_time_to_commit_what_it_scored(name: str) -> None:
    for workload in workloads(render(name)):
        grace = workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]

        assert grace > 2 * DRAIN_SECONDS_MAX  # once to drain, once to abort


def test_workers_on_gpus_run_where_gpus_are_and_nothing_else_does() -> None:
    worker, server = (one(render("fleet-gpu"), kind) for kind in ("Deployment", "StatefulSet"))
    pod = worker["spec"]["template"]["spec"]
    (spread,) = pod["topologySpreadConstraints"]

    assert assay_container(worker)["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert pod["runtimeClassName"] == "nvidia"
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert pod["priorityClassName"] == "high"
    assert pod["affinity"]["podAntiAffinity"]
    assert spread["labelSelector"]["matchLabels"] == worker["spec"]["selector"]["matchLabels"]
    assert "nvidia.com/gpu" not in assay_container(server)["resources"]["limits"]
    assert "runtimeClassName" not in server["spec"]["template"]["spec"]


def test_a_detoxify_model_comes_from_an_image_or_a_volume_to_who_scores() -> None:
    worker, server = (
        one(render("fleet-gpu"), kind)["spec"]["template"]["spec"] for kind in ("Deployment", "StatefulSet")
    )
    (copy,) = worker["initContainers"]
    alone = one(render("all-bucket"), "StatefulSet")["spec"]["template"]["spec"]

    assert copy["command"] == ["cp", "-R", "/models/detoxify/.", "/detoxify/"]
    assert "initContainers" not in server
    assert not [item for item in server["volumes"] if item["name"] == "detoxify"]
    assert [item["persistentVolumeClaim"] for item in alone["volumes"] if item["name"] == "detoxify"] == [
        {"claimName": "models", "readOnly": True}
    ]


def test_the_image_is_the_charts_version_a_tag_or_a_digest() -> None:
    images = {
        name: assay_container(workloads(render(name))[0])["image"] for name in ("fleet", "fleet-gpu", "fleet-extras")
    }

    assert images["fleet"] == "llm-assay:0.1.0"
    assert images["fleet-gpu"] == "registry.example/llm-assay:0.1.0-cuda"
    assert images["fleet-extras"].startswith("llm-assay@sha256:0123")


def test_one_worker_may_be_replaced_at_once() -> None:
    assert one(render("fleet-extras"), "Deployment")["spec"]["strategy"] == {"type": "Recreate"}


def test_what_is_the_users_own_is_there() -> None:
    objects = render("fleet-extras")
    for workload in workloads(objects):
        template = workload["spec"]["template"]
        container = assay_container(workload)

        assert (
            template["metadata"]["labels"] | {"sidecar.istio.io/inject": "false", "owner": "platform"}
            == (template["metadata"]["labels"])
        )
        assert template["metadata"]["annotations"]["example.com/scan"] == "off"
        assert template["spec"]["serviceAccountName"] == "shared"
        assert {"name": "ASSAY_JOIN__SETTLE_SECONDS", "value": "3"} in container["env"]
        assert {"name": "ca", "mountPath": "/etc/company", "readOnly": True} in container["volumeMounts"]
        assert [item["name"] for item in template["spec"]["initContainers"]] == ["wait"]
        assert [item["name"] for item in template["spec"]["containers"]] == ["assay", "proxy"]
    assert kinds(objects, "ServiceAccount") == []
    assert {"assay-own", "assay-llm-quality-text"} <= {item["metadata"]["name"] for item in objects}
    assert {item["metadata"]["annotations"]["example.com/runbook"] for item in kinds(objects, "Service")} == {"yes"}


def test_a_change_of_the_configuration_rolls_the_pods_and_another_does_not() -> None:
    def checksum(objects: list[dict[str, object]]) -> str:
        return str(one(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

    before = checksum(list(render("fleet")))

    assert checksum(changed("fleet", "config.join.settle_seconds=3")) != before
    assert checksum(changed("fleet", "serviceMonitor.interval=20s")) == before


def test_the_pages_answer_while_the_pod_is_not_ready_and_one_service_of_each_is_scraped() -> None:
    services = kinds(render("fleet"), "Service")

    assert {item["spec"]["publishNotReadyAddresses"] for item in services} == {True}
    scraped = [item for item in services if item["metadata"]["labels"].get("assay/scrape") == "true"]
    assert sorted(item["metadata"]["name"] for item in scraped) == ["assay", "assay-score"]
    assert one(render("fleet"), "StatefulSet")["spec"]["serviceName"] == "assay-serve-pod"


def test_an_ingress_leads_to_the_pages_over_tls() -> None:
    ingress = one(render("all-otlp"), "Ingress")["spec"]

    assert ingress["tls"] == [{"hosts": ["assay.example"], "secretName": "assay-tls"}]
    (rule,) = ingress["rules"]
    assert rule["http"]["paths"][0]["backend"] == {"service": {"name": "quality", "port": {"name": "http"}}}
    assert one(render("all-otlp"), "Service", "quality")["spec"]["ports"][0]["name"] == "http"
