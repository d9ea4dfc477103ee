"""Evaluation events reach a real receiver and a real topic, say what the chain says, and come at least once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from collector.announcer import Announcer
from collector.chain import Chain, open_chain
from collector.config import Config, ConfigError, EvaluationsConfig, LimitsConfig, OtlpConfig, Secret, load_config
from collector.decode.otlp import decode_logs
from collector.delta import Delta, Footer
from collector.export import evaluations
from collector.export.evaluations import EVENT, Thresholds, requests
from collector.export.otlphttp import AwayError, OtlpHttp
from collector.labels import Labels
from collector.rows import SuiteId, build, embedding_sums, table
from collector.source.receiver import Receiver
from collector.telemetry import Silent
from tests.core.build import NOON, STREAM, TOXICITY, call, scores
from tests.listener.files import hashed, write
from tests.source.test_otlp_receiver import MemoryLog

LINES = Thresholds(warn=0.5, critical=0.8)
NAN = float("nan")


def delta(start: int, values: Sequence[float], *, optional: bool = True) -> Delta:
    calls = [call(start + n, response_id=f"resp-{start + n}", conversation_id="c1") for n in range(len(values))]
    offsets = range(start, start + len(values))
    suite = SuiteId.of([TOXICITY])
    labels = Labels(values_max=10, chars_max=50)
    part = build(calls, offsets, scores(len(values), values=values), suite, labels, NOON, optional=optional)
    footer = Footer(
        topic=STREAM.topic, epoch=STREAM.epoch, partition=STREAM.partition, start=start, next=start + len(values),
        records=len(values), consumed=len(values), suites={suite.id: suite.entries}, resume_at=float(NOON),
    )  # fmt: skip
    return Delta(footer=footer, calls=table([part]), embeddings=embedding_sums([part]))


def told(bodies: Sequence[bytes]) -> list[dict[str, Any]]:
    """The events of requests as plain values."""
    found = []
    for body in bodies:
        for group in ExportLogsServiceRequest.FromString(body).resource_logs:
            for scoped in group.scope_logs:
                for record in scoped.log_records:
                    attributes = {pair.key: pair.value for pair in record.attributes}
                    found.append(
                        {
                            "event": record.event_name,
                            "scope": scoped.scope.name,
                            "trace": record.trace_id.hex(),
                            "span": record.span_id.hex(),
                            "at": record.time_unix_nano,
                            "score": attributes["gen_ai.evaluation.score.value"].double_value,
                            **{key: value.string_value for key, value in attributes.items() if value.string_value},
                        }
                    )
    return found


class Heard:
    """A sink in memory that can be told to fail."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.failure: Exception | None = None
        self.refuses = False

    def send(self, body: bytes) -> bool:
        if self.failure is not None:
            raise self.failure
        if not self.refuses:
            self.bodies.append(body)
        return not self.refuses

    def close(self) -> None: ...


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return open_chain(Config.model_validate({"source": {"otlp": {}}, "data": tmp_path}))


def announcer(chain: Chain, tmp_path: Path, sink: Any, *, everything: bool = True, **more: Any) -> Announcer:
    return Announcer(
        chain=chain,
        sink=sink,
        thresholds=LINES,
        everything=everything,
        file=tmp_path / "evaluations.json",
        telemetry=more.pop("telemetry", Silent()),
        clock=lambda: float(NOON),
        follow_seconds=0.01,
        **more,
    )


def test_an_event_names_span_score_label_and_response_and_says_why() -> None:
    (body,) = [request.body for request in requests(delta(4, [0.9]), LINES, everything=False, now_ns=7)]

    (event,) = told([body])

    assert event["score"] == pytest.approx(0.9, abs=1e-6)
    assert {key: value for key, value in event.items() if key != "score"} == {
        "event": EVENT,
        "scope": "assay",
        "trace": f"{5:032x}",
        "span": f"{5:016x}",
        "at": (NOON + 4) * 10**9,
        "gen_ai.evaluation.name": "toxicity_output",
        "gen_ai.evaluation.score.label": "critical",
        "gen_ai.evaluation.explanation": (
            "0.900 is above critical_at 0.8. Toxicity of the text: 0 harmless, 1 certainly toxic."
        ),
        "gen_ai.response.id": "resp-4",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2026-01-01",
        "gen_ai.conversation.id": "c1",
        "assay.evaluated.service.name": "shop",
        "assay.signal.version": "1",
    }


@pytest.mark.parametrize(
    ("everything", "labels"), [(False, ["warn", "critical"]), (True, ["pass", "pass", "warn", "critical"])]
)
def test_flagged_scores_or_all_but_never_a_text_that_was_not_scored(everything: bool, labels: list[str]) -> None:
    part = delta(0, [0.0, NAN, 0.5, 0.6, 1.0])

    events = told([request.body for request in requests(part, LINES, everything=everything, now_ns=0)])

    assert [event["gen_ai.evaluation.score.label"] for event in events] == labels


def test_a_chain_that_kept_no_response_ids_is_announced_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluations, "REQUEST_EVENTS_MAX", 2)
    parts = list(requests(delta(0, [0.9] * 5, optional=False), LINES, everything=False, now_ns=0))

    assert [part.events for part in parts] == [2, 2, 1]
    assert all("gen_ai.response.id" not in event for event in told([part.body for part in parts]))


def test_only_what_is_durable_is_announced_and_again_after_a_lost_acknowledgement(chain: Chain, tmp_path: Path) -> None:
    heard = Heard()
    one = announcer(chain, tmp_path, heard)
    one.step()
    assert heard.bodies == []

    chain.append(delta(0, [0.9, 0.1]))
    heard.failure = AwayError("no answer")
    with pytest.raises(AwayError):
        one.step()
    heard.failure = None
    one.step()
    one.step()
    assert len(told(heard.bodies)) == 2

    chain.append(delta(2, [0.7]))
    announcer(chain, tmp_path, heard).step()  # a restart goes on where the file says
    assert len(told(heard.bodies)) == 3
    (tmp_path / "evaluations.json").write_text("damaged")
    announcer(chain, tmp_path, heard).step()
    assert len(told(heard.bodies)) == 6


def test_what_was_there_before_the_first_start_is_not_announced(chain: Chain, tmp_path: Path) -> None:
    chain.append(delta(0, [0.9]))
    heard = Heard()
    first = announcer(chain, tmp_path, heard)
    first.step()
    chain.append(delta(1, [0.8]))

    first.step()

    assert [event["gen_ai.response.id"] for event in told(heard.bodies)] == ["resp-1"]


def test_what_compaction_merged_or_retention_took_does_not_stop_the_rest(chain: Chain, tmp_path: Path) -> None:
    class Counts(Silent):
        added: ClassVar[list[str]] = []

        def add(self, metric: str, value: float = 1.0, /, **labels: str) -> None:
            self.added.append(metric)

    heard = Heard()
    announcer(chain, tmp_path, heard).step()
    paths = [chain.append(delta(at, [0.9, 0.9])).path for at in (0, 2)]  # type: ignore[union-attr]
    (tmp_path / "evaluations.json").write_text(f'{{"{STREAM.path}":2}}')
    chain.put_merged(delta(0, [0.9] * 4))
    chain.delete(paths)

    announcer(chain, tmp_path, heard).step()
    assert len(told(heard.bodies)) == 2  # what lies behind the cursor in the merged object, not all of it again

    chain.append(delta(6, [0.9]))
    lost = announcer(chain, tmp_path, heard, telemetry=Counts())
    lost.step()
    assert len(told(heard.bodies)) == 3
    assert "assay_evaluation_gaps_total" in Counts.added


def test_a_receiver_that_is_away_stops_nothing_and_gets_all_when_it_is_back(chain: Chain, tmp_path: Path) -> None:
    heard = Heard()
    heard.failure = AwayError("away")
    one = announcer(chain, tmp_path, heard)
    one.step()
    one.start()
    for at in range(5):
        chain.append(delta(at, [0.9]))
    heard.failure = None

    one.close()
    one.close()

    assert one.failure is None
    assert [event["gen_ai.response.id"] for event in told(heard.bodies)] == [f"resp-{at}" for at in range(5)]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[tuple[Receiver, MemoryLog]]:
    log = MemoryLog()
    users = write(tmp_path / "web.yml", {"basic_auth_users": {"assay": hashed("right")}})
    config = OtlpConfig(port=0, web_config_file=users)
    made = Receiver(log, {"/v1/logs": "logs"}, config=config, limits=LimitsConfig(), arrived=lambda: None)
    made.start()
    yield made, log
    made.close()


def test_a_real_receiver_gets_them_and_assay_itself_finds_no_call_in_them(
    receiver: tuple[Receiver, MemoryLog], chain: Chain, tmp_path: Path
) -> None:
    made, log = receiver
    environ = {"AUTH": "Basic YXNzYXk6cmlnaHQ="}
    config = EvaluationsConfig(endpoint=made.endpoint, authorization=Secret(env="AUTH"))
    one = announcer(chain, tmp_path, OtlpHttp(config, environ))
    one.step()
    chain.append(delta(0, [0.9, 0.2]))

    one.step()

    bodies = [value for _, value in log.entries]
    assert [(event["trace"], event["span"]) for event in told(bodies)] == [(f"{n:032x}", f"{n:016x}") for n in (1, 2)]
    assert decode_logs(bodies[0], LimitsConfig()) == []


def test_a_wrong_password_is_waited_out_and_a_request_that_is_refused_for_good_is_counted(
    receiver: tuple[Receiver, MemoryLog],
) -> None:
    made, _ = receiver
    sink = OtlpHttp(EvaluationsConfig(endpoint=made.endpoint, authorization=Secret(env="AUTH")), {"AUTH": "Basic eDp5"})
    good = OtlpHttp(
        EvaluationsConfig(endpoint=made.endpoint, authorization=Secret(env="AUTH")), {"AUTH": "Basic YXNzYXk6cmlnaHQ="}
    )

    with pytest.raises(AwayError, match="401") as caught:
        sink.send(b"x")
    assert "eDp5" not in str(caught.value)
    with pytest.raises(AwayError):
        OtlpHttp(EvaluationsConfig(endpoint="http://127.0.0.1:9")).send(b"x")
    with pytest.raises(ConfigError, match="holds no certificate"):
        OtlpHttp(EvaluationsConfig(endpoint=made.endpoint, ca_file=Path(__file__)))
    assert good.send(b"\x00" * (LimitsConfig().decompressed_bytes_max + 1)) is False


def test_a_topic_that_assay_reads_itself_is_a_fault(tmp_path: Path) -> None:
    def problem(kafka: dict[str, Any], topic: str) -> str:
        tree = {"source": {"kafka": {"brokers": ["b:1"], **kafka}}, "export": {"evaluations": {"topic": topic}}}
        with pytest.raises(ConfigError) as caught:
            load_config(write(tmp_path / "c.yml", tree), {})
        return str(caught.value)

    assert "reads otlp_logs itself" in problem({}, "otlp_logs")
    assert "reads otlp_evals itself" in problem({"logs_topics": "otlp_.*"}, "otlp_evals")
    assert "reads dead itself" in problem({"dead_letter_topic": "dead"}, "dead")


@pytest.mark.server("kafka")
def test_a_real_topic_gets_them_as_otlp_proto(kafka_broker: Any, chain: Chain, tmp_path: Path) -> None:
    from kafka import KafkaConsumer

    from collector.config import KafkaConfig
    from collector.source.kafka.publisher import KafkaPublisher

    topic = f"evaluations-{uuid.uuid4().hex[:8]}"
    kafka_broker.create_topic(topic, 1)
    one = announcer(chain, tmp_path, KafkaPublisher(KafkaConfig(brokers=(kafka_broker.bootstrap,)), topic))
    one.step()
    chain.append(delta(0, [0.9, 0.2, 0.7]))
    one.step()
    one.close()

    consumer = KafkaConsumer(
        topic, bootstrap_servers=kafka_broker.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=10_000
    )
    try:
        record = next(iter(consumer))
    finally:
        consumer.close()
    assert [event["gen_ai.response.id"] for event in told([record.value])] == ["resp-0", "resp-1", "resp-2"]
