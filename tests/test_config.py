"""The configuration is right as a whole, or every fault of it is told at once; and it never tells a secret."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from pydantic import ValidationError

from collector.about import own_version
from collector.cli import main
from collector.config import Config, ConfigError, Secret, SignalsConfig, load_config

ROOT = Path(__file__).resolve().parents[1]
MINIMAL = "source: {otlp: {port: 0}}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "assay.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path | None, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load_config(path, environ)
    return str(raised.value).splitlines()


def test_the_least_configuration_is_a_source(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, MINIMAL), {})

    assert config.role == "all"
    assert config.source.otlp is not None
    assert config.chain_url == str(Path(".assay") / "chain")


def test_the_example_loads() -> None:
    config = load_config(ROOT / "assay.example.yaml", {})

    assert config.source.kafka is not None
    assert config.source.kafka.dead_letter_topic == "assay_dead_letters"


def test_every_problem_is_in_one_message(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"""
        source:
          kafka:
            brokers: []
            traces_topics: "["
            sasl: {{mechanism: SCRAM-SHA-256, username: assay, password: {{file: {tmp_path}/absent}}}}
            tls: {{ca_file: {tmp_path}/none.pem, key_password: {{env: NO_SUCH_VARIABLE}}}}
        rolle: score
        metrics: {{port: 70000}}
        signals: {{warn_at: 0.9, critical_at: 0.8, detoxify: {tmp_path}/nothing}}
        store: {{day_days: 90}}
        """,
    )

    first, *rest = problems(path, ASSAY_JOIN__WINDOW_SECONDS="-1")

    assert first == f"{path}: {len(rest)} problems"
    places = {line.strip().partition(": ")[0]: line for line in rest}
    assert {
        "source.kafka.brokers",
        "source.kafka.sasl.password.file",
        "source.kafka.tls.ca_file",
        "source.kafka.tls.key_password",
        "rolle",
        "metrics.port",
        "signals.detoxify",
        "store",
        "join.window_seconds",
    } <= set(places)
    assert "no such setting" in places["rolle"]
    assert "NO_SUCH_VARIABLE" in places["source.kafka.tls.key_password"]


def test_a_misspelt_setting_is_told_the_name_that_it_resembles(tmp_path: Path) -> None:
    path = write(
        tmp_path, "source: {kafka: {broker: ['b:1']}}\nrolle: all\nsignals: {cascade: {salz: a}}\nchain: {q: 1}"
    )

    told = [line.strip() for line in problems(path)]

    assert "source.kafka.broker: there is no such setting; is it brokers?" in told
    assert "rolle: there is no such setting; is it role?" in told
    assert "signals.cascade.salz: there is no such setting; is it salt?" in told
    assert "chain.q: there is no such setting" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("source: {kafka: {brokers: 'b:1'}}", "source.kafka.brokers: a list is needed"),
        ("source: {kafka: {brokers: [b]}}", "source.kafka.brokers.0: an address is needed: host:port"),
        ("source: {kafka: {brokers: ['b:x']}}", "source.kafka.brokers.0: an address is needed: host:port"),
        ("source: {kafka: {brokers: ['b:0']}}", "source.kafka.brokers.0: an address is needed: host:port"),
        ("source: {kafka: {brokers: ['https://b:1']}}", "source.kafka.brokers.0: an address is needed: host:port"),
        ("source: {kafka: {brokers: []}}", "source.kafka.brokers: at least one is needed"),
        ("source: {kafka: {brokers: ['b:1'], traces_topics: []}}", "traces_topics: at least one is needed"),
        ("source: {kafka: {brokers: ['b:1'], traces_topics: 5}}", "source.kafka.traces_topics: a list of names"),
        ("source: {kafka: {brokers: ['b:1'], group: 5}}", "source.kafka.group: a text is needed: put it in quotes"),
        (MINIMAL + "chain: {flush_seconds: 5s}", "chain.flush_seconds: a number is needed; its unit is in the name"),
        (MINIMAL + "metrics: on", "metrics: a section is needed"),
        (MINIMAL + "store: {memory_limit: 2Gi}", "store.memory_limit: a size is needed, such as 512MB or 2GiB"),
        (MINIMAL + "store: {memory_limit: 0MB}", "store.memory_limit: a size is needed"),
        (MINIMAL + "chain: {url: 's3:/bucket'}", "chain.url: a directory is needed, or an address such as s3://"),
        (MINIMAL + "chain: {url: 'ftp://bucket'}", "chain.url: a directory is needed, or an address such as s3://"),
        (MINIMAL + "chain: {url: 'memory:///'}", "chain.url: a directory is needed, or an address such as s3://"),
        (MINIMAL + "chain: {url: /a, s3_region: b}", "chain: s3_region: only for a url that begins with s3://"),
        ("", "source: is needed"),
    ],
)
def test_what_is_wanted_is_told_in_the_words_of_the_file(tmp_path: Path, text: str, told: str) -> None:
    (_, line) = problems(write(tmp_path, text))

    assert told in line


@pytest.mark.parametrize("size", ["1GB", "512MB", "2GiB", "1.5 gb", "800M"])
def test_sizes_that_duckdb_reads_are_accepted(tmp_path: Path, size: str) -> None:
    config = load_config(write(tmp_path, MINIMAL + f"store: {{memory_limit: {size}}}"), {})

    with duckdb.connect(config={"memory_limit": config.store.memory_limit}) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


@pytest.mark.parametrize("topics", ["traces_topics: [spans]", "traces_topics: 'spa.*'", "logs_topics: [spans]"])
def test_dead_letters_do_not_go_where_assay_reads(tmp_path: Path, topics: str) -> None:
    told = problems(write(tmp_path, f"source: {{kafka: {{brokers: ['b:1'], dead_letter_topic: spans, {topics}}}}}"))

    assert "dead_letter_topic: Assay reads spans itself" in told[1]


def test_a_broker_may_be_an_address_of_either_kind(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "source: {kafka: {brokers: ['10.0.0.1:9092', '[::1]:9092', 'k-1.x:9']}}"), {})

    assert config.source.kafka is not None
    assert config.source.kafka.brokers == ("10.0.0.1:9092", "[::1]:9092", "k-1.x:9")


def test_a_cascade_needs_a_model_and_a_bound_that_its_recall_can_keep(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="cascade needs detoxify"):
        SignalsConfig.model_validate({"cascade": {}})
    with pytest.raises(ValidationError, match="recall_min <= recall_percent"):
        SignalsConfig.model_validate({"detoxify": tmp_path, "cascade": {"recall_percent": 90, "recall_min": 0.95}})
    with pytest.raises(ValidationError, match="recall_percent"):
        SignalsConfig.model_validate({"detoxify": tmp_path, "cascade": {"recall_percent": 97}})


def test_thresholds_and_windows_must_rise(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "signals: {warn_at: 0.9}\njoin: {settle_seconds: 20}\n")

    told = "\n".join(problems(path))

    assert "warn_at <= critical_at" in told
    assert "settle_seconds <= window_seconds <= memory_seconds" in told


def test_a_pattern_that_does_not_compile_is_told(tmp_path: Path) -> None:
    told = problems(write(tmp_path, "source: {kafka: {brokers: ['b:1'], traces_topics: '['}}"))

    assert "traces_topics: not a regular expression" in told[1]


@pytest.mark.parametrize("sources", ["{}", "{otlp: {}, replay: {traces: [assay.yaml]}}"])
def test_there_is_exactly_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: str) -> None:
    monkeypatch.chdir(tmp_path)

    told = problems(write(tmp_path, f"source: {sources}"))

    assert "exactly one of" in told[1]


@pytest.mark.parametrize(
    ("text", "told"),
    [("source: [", "not YAML"), ("- 1", "the top level must be a mapping"), ("\ufffe\x00", "not YAML")],
)
def test_a_file_that_is_no_mapping_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path, text)

    assert told in problems(path)[0]
    assert str(path) in problems(path)[0]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "No such file" in problems(tmp_path / "absent.yaml")[0]


def test_a_variable_lies_over_the_file_and_an_argument_over_both(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "role: score\nmetrics: {port: 1}\nchain:\n")
    environ = {"ASSAY_ROLE": "serve", "ASSAY_METRICS__PORT": "2", "ASSAY_CHAIN__URL": "s3://bucket/a"}

    config = load_config(path, environ, {"metrics.port": 3})

    assert config.role == "serve"
    assert config.metrics.port == 3
    assert config.chain_url == "s3://bucket/a"


def test_variables_alone_are_a_configuration() -> None:
    config = load_config(None, {"ASSAY_SOURCE__KAFKA__BROKERS": "[a:9092, b:9092]", "PATH": "/bin"})

    assert config.source.kafka is not None
    assert config.source.kafka.brokers == ("a:9092", "b:9092")


def test_a_misspelt_variable_is_a_problem_and_so_is_one_that_is_not_yaml(tmp_path: Path) -> None:
    told = problems(write(tmp_path, MINIMAL), ASSAY_METRICS__PROT="1", ASSAY_DATA="[")

    assert told[0].endswith("2 problems")
    assert "ASSAY_DATA" in told[1]
    assert "metrics.prot: there is no such setting" in told[2]


def test_what_kubernetes_says_of_a_service_called_assay_is_not_ours(tmp_path: Path) -> None:
    environ = {
        "ASSAY_SERVICE_HOST": "10.0.0.1",
        "ASSAY_SERVICE_PORT": "9464",
        "ASSAY_SERVICE_PORT_METRICS": "9464",
        "ASSAY_PORT": "tcp://10.0.0.1:9464",
        "ASSAY_PORT_9464_TCP_ADDR": "10.0.0.1",
        "ASSAY_METRICS_SERVICE_HOST": "10.0.0.2",
        "ASSAY_METRICS__PORT": "9000",
    }

    assert load_config(write(tmp_path, MINIMAL), environ).metrics.port == 9000


def kafka_with(password: str) -> str:
    return f"source: {{kafka: {{brokers: ['b:1'], sasl: {{mechanism: PLAIN, username: u, password: {password}}}}}}}"


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n", encoding="utf-8")
    config = load_config(write(tmp_path, kafka_with(f"{{file: {tmp_path / 'password'}}}")), {})

    assert config.source.kafka is not None
    assert config.source.kafka.sasl is not None
    assert config.source.kafka.sasl.password is not None
    secret = config.source.kafka.sasl.password.read({})

    assert secret.get_secret_value() == "hunter2"
    assert "hunter2" not in f"{config!r} {config} {secret!r} {secret} {config.model_dump_json()}"


def test_a_secret_in_the_file_itself_is_refused_and_not_repeated(tmp_path: Path) -> None:
    told = "\n".join(problems(write(tmp_path, kafka_with("hunter2"))))

    assert "a secret is not written here" in told
    assert "hunter2" not in told


def test_a_secret_from_the_environment_is_read_when_it_is_asked_for() -> None:
    secret = Secret(env="KAFKA_PASSWORD")

    assert secret.read({"KAFKA_PASSWORD": "hunter2"}).get_secret_value() == "hunter2"
    with pytest.raises(ConfigError, match="KAFKA_PASSWORD is not set"):
        secret.read({})


def test_a_secret_has_one_place() -> None:
    for places in ({}, {"file": "a", "env": "B"}):
        with pytest.raises(ValidationError, match="either `file` or `env`"):
            Secret.model_validate(places)


def test_oauthbearer_needs_a_token_and_scram_a_password(tmp_path: Path) -> None:
    for mechanism, missing in (("OAUTHBEARER", "token"), ("SCRAM-SHA-512", "password")):
        told = problems(write(tmp_path, f"source: {{kafka: {{brokers: ['b:1'], sasl: {{mechanism: {mechanism}}}}}}}"))
        assert missing in told[1]


def test_a_configuration_does_not_change() -> None:
    config = Config.model_validate({"source": {"otlp": {}}})

    with pytest.raises(ValidationError, match="frozen"):
        config.role = "serve"


def test_the_command_says_it_all_and_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "source: {}\nmetrics: {port: many}\n")

    status = main(["run", "--config", str(path)])

    assert status == 2
    told = capsys.readouterr().err
    assert "2 problems" in told
    assert "metrics.port" in told


def test_the_command_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out.split() == ["assay", own_version()]
