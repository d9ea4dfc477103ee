"""Each real server starts and does its job, so that a failing test elsewhere is not the server's fault."""

from __future__ import annotations

import json
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError
from kafka.net.sasl.oauth import AbstractTokenProvider
from kafka.structs import TopicPartition
from obstore.exceptions import AlreadyExistsError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

from tests.servers import installed
from tests.servers.kafka import PASSWORD, USER, KafkaBroker
from tests.servers.process import Process, ServerError
from tests.servers.web import send

if TYPE_CHECKING:
    from obstore.store import S3Store

FIXTURES = installed.REPOSITORY.parent / "shared" / "fixtures" / "otlp"
Found = TypeVar("Found")


def new_name(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def eventually(what: str, look: Callable[[], Found], *, seconds_max: float = 60.0) -> Found:
    """The first true value that `look` gives."""
    deadline = time.monotonic() + seconds_max
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)
    return found


def produce(bootstrap: str, topic: str, *values: bytes, **options: Any) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, **options)
    try:
        for value in values:
            producer.send(topic, value)
        producer.flush()
    finally:
        producer.close()


def consume(bootstrap: str, topic: str, count: int, **options: Any) -> list[Any]:
    """The first `count` records of partition 0."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, group_id=None, **options)
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        records: list[Any] = []
        deadline = time.monotonic() + 60
        while len(records) < count:
            assert time.monotonic() < deadline, f"{len(records)} of {count} records came"
            records += consumer.poll(timeout_ms=200).get(partition, [])
        return records
    finally:
        consumer.close()


def values_of(records: list[Any]) -> list[bytes]:
    return [record.value for record in records]


class Token(AbstractTokenProvider):
    def token(self) -> str:
        return KafkaBroker.unsecured_token()


def tls(broker: KafkaBroker, *, client_certificate: bool = False) -> dict[str, Any]:
    context = ssl.create_default_context(cafile=broker.ca_file)
    if client_certificate:
        context.load_cert_chain(broker.client_certificate, broker.client_key)
    return {"ssl_context": context}


def login(mechanism: str) -> dict[str, Any]:
    if mechanism == "OAUTHBEARER":
        return {"sasl_mechanism": mechanism, "sasl_oauth_token_provider": Token()}
    return {"sasl_mechanism": mechanism, "sasl_plain_username": USER, "sasl_plain_password": PASSWORD}


@pytest.mark.parametrize("codec", [None, "gzip", "lz4", "zstd"])
def test_kafka_gives_back_what_was_sent(kafka_broker: KafkaBroker, codec: str | None) -> None:
    topic = kafka_broker.create_topic(new_name("plain"))

    produce(kafka_broker.bootstrap, topic, b"one", b"two", compression_type=codec)

    assert values_of(consume(kafka_broker.bootstrap, topic, 2)) == [b"one", b"two"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
def test_kafka_lets_in_who_logs_in(kafka_broker: KafkaBroker, mechanism: str, encrypted: bool) -> None:
    topic = kafka_broker.create_topic(new_name("login"))
    bootstrap = kafka_broker.sasl_ssl_bootstrap if encrypted else kafka_broker.sasl_bootstrap
    options = login(mechanism) | {"security_protocol": "SASL_SSL" if encrypted else "SASL_PLAINTEXT"}
    options |= tls(kafka_broker) if encrypted else {}

    produce(bootstrap, topic, b"from alice", **options)

    assert values_of(consume(bootstrap, topic, 1, **options)) == [b"from alice"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_kafka_keeps_out_a_wrong_password(kafka_broker: KafkaBroker, mechanism: str) -> None:
    options = login(mechanism) | {"sasl_plain_password": "wrong", "security_protocol": "SASL_PLAINTEXT"}

    with pytest.raises(KafkaError):
        produce(kafka_broker.sasl_bootstrap, "any", b"x", bootstrap_timeout_ms=2_000, **options)


def test_kafka_speaks_tls_with_a_client_certificate(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic(new_name("tls"))
    options = {"security_protocol": "SSL"} | tls(kafka_broker, client_certificate=True)

    produce(kafka_broker.ssl_bootstrap, topic, b"sealed", **{"security_protocol": "SSL"} | tls(kafka_broker))

    assert values_of(consume(kafka_broker.mtls_bootstrap, topic, 1, **options)) == [b"sealed"]
    with pytest.raises(KafkaError):
        produce(
            kafka_broker.mtls_bootstrap,
            topic,
            b"x",
            bootstrap_timeout_ms=2_000,
            **{"security_protocol": "SSL"} | tls(kafka_broker),
        )


def test_kafka_shows_only_committed_transactions(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic(new_name("transactions"))
    producer = KafkaProducer(bootstrap_servers=kafka_broker.bootstrap, transactional_id=topic)
    try:
        producer.init_transactions()
        for value, finish in ((b"given up", producer.abort_transaction), (b"meant", producer.commit_transaction)):
            producer.begin_transaction()
            producer.send(topic, value).get(timeout=30)
            finish()
    finally:
        producer.close()

    seen = values_of(consume(kafka_broker.bootstrap, topic, 1, isolation_level="read_committed"))
    everything = values_of(consume(kafka_broker.bootstrap, topic, 2, isolation_level="read_uncommitted"))

    assert seen == [b"meant"]
    assert everything == [b"given up", b"meant"]


@pytest.mark.parametrize("ending", [KafkaBroker.stop, KafkaBroker.kill], ids=["stopped", "killed"])
def test_kafka_restarts_with_its_data_at_its_address(
    kafka_broker: KafkaBroker, ending: Callable[[KafkaBroker], None]
) -> None:
    topic = kafka_broker.create_topic(new_name("restart"))
    produce(kafka_broker.bootstrap, topic, b"before")
    address, pid = kafka_broker.bootstrap, kafka_broker.process.pid

    ending(kafka_broker)
    kafka_broker.start()
    produce(address, topic, b"after")

    assert kafka_broker.process.pid != pid
    assert values_of(consume(address, topic, 2)) == [b"before", b"after"]


def post_made(endpoint: str) -> tuple[int, int]:
    """Send one request of each kind that we made; how many spans and log records they hold."""
    spans, logs = ExportTraceServiceRequest(), ExportLogsServiceRequest()
    for number in range(1, 4):  # a trace id of zeros is none
        spans.resource_spans.add().scope_spans.add().spans.add(
            trace_id=number.to_bytes(16, "big"), span_id=b"12345678", name="chat"
        )
        record = logs.resource_logs.add().scope_logs.add().log_records.add(trace_id=number.to_bytes(16, "big"))
        record.body.string_value = "said"
    send(f"{endpoint}/v1/traces", spans.SerializeToString(), content_type="application/x-protobuf")
    send(f"{endpoint}/v1/logs", logs.SerializeToString(), content_type="application/x-protobuf")
    return 3, 3


def post_captured(endpoint: str) -> tuple[int, int]:
    """Send the requests that real instrumentations sent; how many spans and log records they hold."""
    if not FIXTURES.is_dir():
        pytest.skip("../shared is absent")
    spans = logs = 0
    for file in sorted(FIXTURES.glob("opentelemetry-instrumentation-genai-openai-*/*.pb")):
        body = file.read_bytes()
        if ".metrics." in file.name:
            continue
        is_logs = ".logs." in file.name
        send(f"{endpoint}/v1/{'logs' if is_logs else 'traces'}", body, content_type="application/x-protobuf")
        if is_logs:
            logs += count_logs(body)
        else:
            spans += count_spans(body)
    assert spans
    assert logs
    return spans, logs


def count_spans(value: bytes) -> int:
    request = ExportTraceServiceRequest.FromString(value)
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def count_logs(value: bytes) -> int:
    request = ExportLogsServiceRequest.FromString(value)
    return sum(len(scope.log_records) for resource in request.resource_logs for scope in resource.scope_logs)


@pytest.mark.parametrize("post", [post_made, post_captured])
@pytest.mark.parametrize("by_trace", [False, True], ids=["batched", "by-trace"])
def test_the_collector_brings_every_span_and_event_to_kafka(
    kafka_broker: KafkaBroker,
    otel_collector: Callable[..., Any],
    by_trace: bool,
    post: Callable[[str], tuple[int, int]],
) -> None:
    topics = (kafka_broker.create_topic(new_name("spans")), kafka_broker.create_topic(new_name("logs")))
    collector = otel_collector(kafka_broker.bootstrap, topics=topics, partition_by_trace_id=by_trace)

    sent = post(collector.otlp_http_endpoint)

    for topic, expected, count in zip(topics, sent, (count_spans, count_logs), strict=True):
        consumer = KafkaConsumer(
            topic, bootstrap_servers=kafka_broker.bootstrap, group_id=None, auto_offset_reset="earliest"
        )
        with closing(consumer):
            records: list[Any] = []

            def arrived(consumer: Any = consumer, records: list[Any] = records, count: Any = count) -> int:
                for batch in consumer.poll(timeout_ms=200).values():
                    records.extend(batch)
                return sum(count(record.value) for record in records)

            eventually("every span or event", lambda arrived=arrived, expected=expected: arrived() >= expected)

            assert arrived() == expected
            assert {record.key is not None for record in records} == {by_trace}


class Exposition(BaseHTTPRequestHandler):
    """A tiny service with metrics, one of which carries an exemplar."""

    registry = CollectorRegistry()

    def do_GET(self) -> None:
        body = generate_latest(self.registry)
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    calls = Counter("smoke_calls", "Calls.", registry=Exposition.registry)
    calls.inc(7)
    scores = Histogram("smoke_score", "Scores.", buckets=(0.5, 1.0), registry=Exposition.registry)
    scores.observe(0.7, {"trace_id": "0123456789abcdef"})
    with loopback(Exposition) as address:
        yield address


@contextmanager
def loopback(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of the loopback; the address as host:port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


MAJORS = [pytest.param(major, marks=pytest.mark.server(f"prometheus{major}")) for major in installed.PROMETHEUS_MAJORS]


@pytest.mark.parametrize("major", MAJORS)
def test_prometheus_scrapes_counts_and_exemplars(
    prometheus: Callable[..., Any], service: str, tmp_path: Path, major: int
) -> None:
    rule = {"groups": [{"name": "smoke", "rules": [{"alert": "Always", "expr": "smoke_calls_total > 1"}]}]}
    rules = tmp_path / "rules.yml"
    rules.write_text(json.dumps(rule))
    server = prometheus(major, [service], rules=[rules])

    (series,) = eventually("a scrape", lambda: server.query("smoke_calls_total"))

    assert series["value"][1] == "7"
    assert [target["health"] for target in server.targets()] == ["up"]
    (exemplar,) = eventually("an exemplar", lambda: server.exemplars("smoke_score_bucket"))
    assert exemplar["exemplars"][0]["labels"] == {"trace_id": "0123456789abcdef"}
    (alert,) = eventually("an alert", server.alerts)
    assert (alert["labels"]["alertname"], alert["state"]) == ("Always", "firing")
    now = time.time()
    (ranged,) = server.query_range("smoke_calls_total", now - 30, now)
    assert ranged["values"][-1][1] == "7"
    assert installed.version(installed.prometheus(major)).startswith(f"{major}.")


@pytest.mark.parametrize("major", MAJORS)
def test_alertmanager_hands_an_alert_of_prometheus_to_a_webhook(
    prometheus: Callable[..., Any], alertmanager: Callable[..., Any], service: str, tmp_path: Path, major: int
) -> None:
    heard: list[dict[str, Any]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    rules = tmp_path / "rules.yml"
    rules.write_text(
        json.dumps({"groups": [{"name": "smoke", "rules": [{"alert": "Up", "expr": "smoke_calls_total > 1"}]}]})
    )
    with loopback(Webhook) as webhook:
        manager = alertmanager(webhook=f"http://{webhook}/")
        prometheus(major, [service], rules=[rules], alertmanagers=[manager.address])

        eventually("a notice", lambda: heard)

    assert heard[0]["alerts"][0]["labels"]["alertname"] == "Up"
    assert manager.alerts()[0]["labels"]["alertname"] == "Up"


def test_s3_refuses_to_put_what_is_there(s3_store: S3Store) -> None:
    obstore.put(s3_store, "a/1", b"first", mode="create")

    with pytest.raises(AlreadyExistsError):
        obstore.put(s3_store, "a/1", b"second", mode="create")

    assert bytes(obstore.get(s3_store, "a/1").bytes()) == b"first"
    assert bytes(obstore.get_range(s3_store, "a/1", start=1, end=4)) == b"irs"


def test_of_many_writers_to_one_s3_key_one_wins(s3_store: S3Store) -> None:
    won: list[tuple[int, int]] = []

    def write(writer: int) -> None:
        for key in range(25):
            with suppress(AlreadyExistsError):
                obstore.put(s3_store, f"key/{key}", str(writer).encode(), mode="create")
                won.append((key, writer))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()

    assert sorted(key for key, _ in won) == list(range(25))
    for key, writer in won:
        assert bytes(obstore.get(s3_store, f"key/{key}").bytes()) == str(writer).encode()


def test_s3_lists_in_order_from_where_one_asks(s3_store: S3Store) -> None:
    for number in range(20):
        obstore.put(s3_store, f"chain/{number:03d}", b"x")
    obstore.put(s3_store, "other/1", b"x")
    obstore.delete(s3_store, "chain/013")

    listed = [entry["path"] for page in obstore.list(s3_store, "chain", offset="chain/009") for entry in page]

    assert listed == [f"chain/{number:03d}" for number in range(10, 20) if number != 13]


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>x</title><p id=p>raw</p><script>p.textContent = 'done by ' + 'script'</script>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_chromium_runs_the_scripts_of_a_page_and_draws_it(chromium: Any, tmp_path: Path) -> None:
    with loopback(Page) as address:
        document = chromium.dom(f"http://{address}/")
        picture = chromium.screenshot(f"http://{address}/", tmp_path / "page.png", size=(400, 300))

    assert '<p id="p">done by script</p>' in document
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_server_that_ends_while_it_starts_says_what_it_wrote(tmp_path: Path) -> None:
    server = Process("nobody", ["/bin/sh", "-c", "echo the reason; exit 3"], tmp_path / "nobody.log")

    with pytest.raises(ServerError, match=r"nobody ended with 3(.|\n)*the reason"):
        server.start(lambda: False)


def test_a_server_that_never_answers_is_ended(tmp_path: Path) -> None:
    server = Process("mute", ["/bin/sleep", "1000"], tmp_path / "mute.log")

    with pytest.raises(ServerError, match="not ready after"):
        server.start(lambda: False, seconds_max=0.2)

    assert not server.running
