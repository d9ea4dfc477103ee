"""The laptop: the real reader of compose files takes it, each program its own configuration, and all of them agree."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.alertmanager import configuration
from collector.cli import COMMANDS
from collector.commands import demo
from collector.config import Config, OtlpConfig, load_config
from collector.daemon import DRAIN_SECONDS_MAX
from tests.servers import installed

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "compose"
FILE = FOLDER / "compose.yaml"
TOPICS = {"otlp_spans", "otlp_logs", "assay_dead_letters"}
OURS = ("assay", "traffic")


@cache
def written(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


@cache
def model() -> dict[str, Any]:
    """The project as compose understands it."""
    argv = [str(installed.compose()), "-format", "json", str(FILE)]
    environ = {name: value for name, value in os.environ.items() if name not in {"TORCH", "PIP_ARGS", "EXTRAS"}}
    done = subprocess.run(argv, cwd=FOLDER, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def services() -> dict[str, Any]:
    read: dict[str, Any] = model()["services"]
    return read


def run(tool: Path | None, *arguments: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(tool), *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.server("compose")
def test_compose_takes_the_file() -> None:
    assert {"kafka", "collector", "assay", "traffic", "prometheus", "alertmanager", "grafana"} < set(services())


@pytest.mark.server("compose")
def test_compose_refuses_a_file_with_a_misspelt_key(tmp_path: Path) -> None:
    bad = tmp_path / "compose.yaml"
    bad.write_text(FILE.read_text(encoding="utf-8").replace("healthcheck:", "healthchek:", 1), encoding="utf-8")
    done = subprocess.run([str(installed.compose()), str(bad)], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode != 0
    assert "healthchek" in done.stderr


@pytest.mark.server("compose")
def test_every_image_is_pinned_to_the_version_that_the_tests_run() -> None:
    images = {name: service["image"] for name, service in services().items()}

    assert all(re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", image) for name, image in images.items() if name not in OURS)
    assert images["kafka"] == images["topics"] == f"apache/kafka:{installed.VERSIONS['kafka']}"
    assert images["collector"].endswith(f":{installed.VERSIONS['collector']}")
    assert images["alertmanager"].endswith(f":v{installed.VERSIONS['alertmanager']}")
    assert images["assay"] == images["traffic"]


@pytest.mark.server("compose")
def test_every_port_is_this_machines_alone_and_taken_once() -> None:
    ports = [port for service in services().values() for port in service.get("ports", [])]

    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert len({port["published"] for port in ports}) == len(ports)


@pytest.mark.server("compose")
def test_services_can_do_nothing_that_they_need_not_and_have_a_bound_of_memory() -> None:
    for name, service in services().items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert not service.get("privileged"), name
    for name in OURS:
        assert services()[name]["read_only"]
        assert services()[name]["tmpfs"] == ["/tmp"]


@pytest.mark.server("compose")
def test_every_mounted_file_is_there_and_no_service_may_write_it() -> None:
    for service in services().values():
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                source = Path(volume["source"]).relative_to(ROOT)
                assert volume["read_only"]
                assert (ROOT / source).exists(), source
            else:
                assert volume["source"] in model()["volumes"]


@pytest.mark.server("compose")
def test_the_image_is_built_with_arguments_that_the_dockerfile_knows() -> None:
    build = services()["assay"]["build"]
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")

    assert Path(build["context"]) == ROOT
    assert build["args"] == {"TORCH": "any", "PIP_ARGS": "", "EXTRAS": "fast,openvino"}
    assert set(build["args"]) <= set(re.findall(r"^ARG (\w+)", dockerfile, re.MULTILINE))
    assert "'any'" in dockerfile


@pytest.mark.server("compose")
def test_who_must_be_there_first_is_waited_for() -> None:
    conditions = {
        (name, other): how["condition"]
        for name, service in services().items()
        for other, how in service.get("depends_on", {}).items()
    }

    assert conditions["topics", "kafka"] == "service_healthy"
    assert conditions["assay", "topics"] == conditions["collector", "topics"] == "service_completed_successfully"
    assert "test" in services()["kafka"]["healthcheck"]


@pytest.mark.server("compose")
def test_a_stop_leaves_the_daemon_the_time_to_drain() -> None:
    grace = services()["assay"]["stop_grace_period"]

    assert float(grace.removesuffix("s")) > 2 * DRAIN_SECONDS_MAX


def volume_of(name: str, target: str) -> Path:
    """The file or folder that a service finds at a path."""
    (found,) = [volume["source"] for volume in services()[name]["volumes"] if volume["target"] == target]
    return Path(found)


@pytest.mark.server("compose")
def test_the_daemon_loads_its_configuration(tmp_path: Path) -> None:
    users = volume_of("assay", "/etc/assay/users.yaml")
    text = volume_of("assay", "/etc/assay/assay.yaml").read_text(encoding="utf-8")
    here = tmp_path / "assay.yaml"
    here.write_text(text.replace("/etc/assay/users.yaml", str(users)), encoding="utf-8")

    config = load_config(here, {})

    assert config.sql.access.users_file == config.evidence.access.users_file == users
    assert config.evidence.alertmanager
    (alerts,) = services()["alertmanager"]["ports"]
    assert config.evidence.alertmanager.url == f"http://alertmanager:{alerts['target']}"
    assert config.source.kafka
    assert config.source.kafka.brokers == ("kafka:9092",)
    assert config.metrics.host == "0.0.0.0"
    assert volume_of("assay", str(config.data)) == Path("assay")
    assert [port["target"] for port in services()["assay"]["ports"]] == [config.metrics.port]


@pytest.mark.server("compose")
def test_topics_are_made_for_all_who_name_them() -> None:
    config = Config.model_validate(written("assay.yaml"))
    exporter = written("collector.yaml")["exporters"]["kafka"]
    kafka = config.source.kafka
    assert kafka
    named = {*kafka.traces_topics, *kafka.logs_topics, str(kafka.dead_letter_topic)}
    (script,) = services()["topics"]["command"]

    assert named == TOPICS
    assert {exporter["traces"]["topic"], exporter["logs"]["topic"]} < TOPICS
    assert set(re.search(r"for topic in ([\w ]+);", script)[1].split()) == TOPICS  # type: ignore[index]
    assert exporter["brokers"] == list(kafka.brokers)
    assert services()["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


@pytest.mark.server("compose", "kafka")
def test_the_broker_takes_its_settings(tmp_path: Path) -> None:
    """As the image does: KAFKA_A_B is the property a.b."""
    settings = services()["kafka"]["environment"] | {"KAFKA_LOG_DIRS": str(tmp_path / "data")}
    settings.pop("KAFKA_HEAP_OPTS")
    lines = [f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={value}" for name, value in settings.items()]
    properties = tmp_path / "server.properties"
    properties.write_text("\n".join(lines), encoding="utf-8")
    java = ["-XX:TieredStopAtLevel=1", "-cp", f"{installed.kafka_libraries()}/*", "kafka.tools.StorageTool"]

    told = run(Path("java"), *java, "format", "--cluster-id", "5L6g3nShT-eMCtK--X86sw", "--config", properties)

    assert "Formatting" in told
    assert (tmp_path / "data" / "meta.properties").is_file()


@pytest.mark.server("compose", "collector")
def test_the_collector_takes_its_configuration_and_listens_where_traffic_goes() -> None:
    (port,) = services()["collector"]["ports"]
    endpoint = written("collector.yaml")["receivers"]["otlp"]["protocols"]["http"]["endpoint"]

    run(installed.collector(), "validate", "--config", volume_of("collector", "/etc/otelcol/collector.yaml"))
    assert endpoint == f"0.0.0.0:{port['target']}"
    assert port["target"] == OtlpConfig().port
    assert "http://collector:4318" in services()["traffic"]["command"]


@pytest.mark.server("compose")
def test_the_traffic_is_a_command_of_ours() -> None:
    command, *arguments = services()["traffic"]["command"]
    parser = argparse.ArgumentParser(exit_on_error=False)
    demo.add_arguments(parser)

    assert command in COMMANDS
    assert parser.parse_args(arguments).send_to == "http://collector:4318"


@pytest.mark.server("compose", "prometheus3")
def test_prometheus_takes_its_configuration_and_reaches_who_it_names(tmp_path: Path) -> None:
    text = volume_of("prometheus", "/etc/prometheus/prometheus.yaml").read_text(encoding="utf-8")
    rules = volume_of("prometheus", "/etc/prometheus/rules")
    config = tmp_path / "prometheus.yaml"
    config.write_text(text.replace("/etc/prometheus/rules", str(rules)), encoding="utf-8")
    targets = re.findall(r'targets: \["(\w+):(\d+)"\]', text)
    listening = {(name, str(port["target"])) for name, item in services().items() for port in item.get("ports", [])}

    told = run(installed.promtool(3), "check", "config", config)

    assert f"{len(list(rules.glob('*-rules.yaml')))} rule files found" in told or not rules.is_dir()
    assert {(name, port) for name, port in targets if name != "localhost"} <= listening


@pytest.mark.server("compose", "alertmanager")
@pytest.mark.parametrize(
    ("labels", "receiver"), [("severity=critical", "page"), ("severity=warning", "page"), ("severity=none", "nobody")]
)
def test_alertmanager_takes_its_configuration_and_shows_all_but_the_watchdog(labels: str, receiver: str) -> None:
    config = volume_of("alertmanager", "/etc/alertmanager/alertmanager.yaml")

    run(installed.amtool(), "check-config", config)
    told = run(installed.amtool(), "config", "routes", "test", f"--config.file={config}", labels)

    assert told.split() == [receiver]


def test_what_follows_from_a_cause_is_as_quiet_on_a_laptop_as_elsewhere() -> None:
    assert written("alertmanager.yaml")["inhibit_rules"] == configuration()["inhibit_rules"]


@pytest.mark.server("compose")
def test_grafana_finds_its_boards_and_its_data() -> None:
    (provider,) = written("grafana/dashboards.yaml")["providers"]
    sources = {item["uid"]: item["url"] for item in written("grafana/datasources.yaml")["datasources"]}
    listening = {
        f"http://{name}:{port['target']}" for name, item in services().items() for port in item.get("ports", [])
    }

    assert volume_of("grafana", provider["options"]["path"]) == ROOT / "dashboards" / "generated"
    assert set(sources.values()) <= listening
    assert sources["prometheus"] == "http://prometheus:9090"


@pytest.mark.server("compose")
def test_a_dot_on_a_board_leads_to_its_trace_by_way_of_assay() -> None:
    (source,) = [item for item in written("grafana/datasources.yaml")["datasources"] if item["uid"] == "prometheus"]
    (where,) = source["jsonData"]["exemplarTraceIdDestinations"]
    (pages,) = services()["assay"]["ports"]

    assert where["name"] == "trace_id"
    assert where["url"] == f"http://localhost:{pages['published']}/evidence/traces/$${{__value.raw}}"
    assert any(argument == "--enable-feature=exemplar-storage" for argument in services()["prometheus"]["command"])
