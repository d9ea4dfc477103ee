"""The embedded source end to end: the real SDK's exporter in, records out, across restarts and kill -9."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from collector.config import LimitsConfig, OtlpConfig
from collector.decode.otlp import decode_traces
from collector.decode.spans import Undecodable
from collector.records import Kind, RawRecord, RejectReason
from collector.source import Bounds, SourceError
from collector.source.otlp import LOGS, TRACES, TRIM_SECONDS, OtlpSource

PROTOBUF = {"content-type": "application/x-protobuf"}


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def running(data: Path, clock: Clock | None = None, **config: object) -> Iterator[OtlpSource]:
    source = OtlpSource(OtlpConfig.model_validate({"port": 0, **config}), data, LimitsConfig(), clock=clock or Clock())
    source.start()
    try:
        yield source
    finally:
        source.close()


def send(source: OtlpSource, *bodies: bytes, path: str = "/v1/traces") -> None:
    with httpx.Client() as client:
        for body in bodies:
            client.post(source.endpoint + path, content=body, headers=PROTOBUF).raise_for_status()


def begin(source: OtlpSource, offset: int = 0) -> None:
    assert source.poll(0).assigned == (TRACES, LOGS)
    source.seek(TRACES, offset)
    source.seek(LOGS, offset)


def drain(source: OtlpSource) -> list[RawRecord]:
    records: list[RawRecord] = []
    while polled := source.poll(0.05).records:
        records += polled
    return records


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def test_spans_of_the_real_sdk_arrive_whole(tmp_path: Path, compression: Compression) -> None:
    with running(tmp_path) as source:
        exporter = OTLPSpanExporter(endpoint=f"{source.endpoint}/v1/traces", compression=compression)
        provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        tracer = provider.get_tracer("test")
        for number in range(40):
            with tracer.start_as_current_span(f"chat {number}"):
                pass
        assert provider.force_flush()
        provider.shutdown()
        begin(source)

        names = []
        for record in drain(source):
            assert (record.partition, record.kind) == (TRACES, Kind.TRACES)
            spans = decode_traces(record.value, LimitsConfig())
            assert not isinstance(spans, Undecodable)
            names += [span.name for span in spans]

        assert names == [f"chat {number}" for number in range(40)]


def test_nothing_is_delivered_before_seek_and_all_of_it_after(tmp_path: Path) -> None:
    with running(tmp_path) as source:
        send(source, b"one", b"two")
        send(source, b"event", path="/v1/logs")
        assert source.poll(0).assigned == (TRACES, LOGS)
        assert source.poll(0).records == () or source.poll(0).records == []
        assert source.lag() == {TRACES: 2, LOGS: 1}

        source.seek(TRACES, 1)
        source.seek(LOGS, 0)

        assert [(record.partition, record.offset, record.value) for record in drain(source)] == [
            (TRACES, 1, b"two"),
            (LOGS, 0, b"event"),
        ]
        assert source.lag() == {TRACES: 0, LOGS: 0}


def test_a_paused_partition_is_silent_until_it_is_resumed(tmp_path: Path) -> None:
    with running(tmp_path) as source:
        begin(source)
        source.pause([TRACES])
        send(source, b"one")
        assert drain(source) == []

        source.resume([TRACES])

        assert [record.value for record in drain(source)] == [b"one"]


def test_a_waiting_poll_ends_when_something_arrives(tmp_path: Path) -> None:
    with running(tmp_path) as source:
        begin(source)
        client = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys, urllib.request as u; u.urlopen(u.Request(sys.argv[1], b'x', "
                "{'content-type': 'application/x-protobuf'}))",
                source.endpoint + "/v1/traces",
            ]
        )

        assert [record.value for record in source.poll(60).records] == [b"x"]
        assert client.wait() == 0


def test_a_restart_continues_where_the_log_ended(tmp_path: Path) -> None:
    with running(tmp_path) as source:
        send(source, b"one", b"two")
        epoch = source.epoch(TRACES.topic)
    with running(tmp_path) as source:
        assert source.epoch(TRACES.topic) == epoch
        send(source, b"three")
        begin(source)

        assert [(record.offset, record.value) for record in drain(source)] == [(0, b"one"), (1, b"two"), (2, b"three")]


def test_old_records_go_after_keep_hours(tmp_path: Path) -> None:
    clock = Clock()
    with running(tmp_path, clock, keep_hours=1) as source:
        begin(source)
        send(source, b"old")
        assert len(drain(source)) == 1
        clock.now += 3_000
        send(source, b"newer")
        clock.now += 700
        source.poll(0)

        assert source.bounds(TRACES) == Bounds(1, 2)
        assert source.offset_at(TRACES, 0.0) == 1


def test_a_crowded_log_lets_committed_records_go_but_never_others(tmp_path: Path) -> None:
    clock = Clock()
    with running(tmp_path, clock, keep_bytes_max=1 << 20) as source:
        begin(source)
        status = 200
        sent = 0
        while status == 200:
            body = bytes([sent % 256]) * 60_000
            status = httpx.post(source.endpoint + "/v1/traces", content=body, headers=PROTOBUF).status_code
            sent += status == 200
        assert status == 503
        assert not source.healthy
        clock.now += TRIM_SECONDS
        source.poll(0)
        assert source.bounds(TRACES) == Bounds(0, sent)

        source.commit({TRACES: sent - 2})
        clock.now += TRIM_SECONDS
        source.poll(0)

        assert source.bounds(TRACES) == Bounds(sent - 2, sent)
        send(source, b"there is room again")
        assert source.healthy
        assert source.take_refused() == {503: 1}
        assert source.take_refused() == {}
        assert source.refused == {503: 1}


def test_a_damaged_record_is_a_reject_at_its_offset(tmp_path: Path) -> None:
    with running(tmp_path) as source:
        send(source, b"good", b"TO BE DAMAGED", b"good too")
    file = tmp_path / "otlp.sqlite"
    file.write_bytes(file.read_bytes().replace(b"TO BE DAMAGED", b"TO BE dAMAGED"))
    with running(tmp_path) as source:
        begin(source)
        polled = source.poll(0)

        assert [record.offset for record in polled.records] == [0, 2]
        [rejected] = polled.rejected
        assert (rejected.record.offset, rejected.reason) == (1, RejectReason.CORRUPT_BATCH)
        assert source.poll(0).rejected == []


def test_a_damaged_file_is_kept_aside_and_the_topics_have_another_epoch(tmp_path: Path) -> None:
    with running(tmp_path) as source:
        epoch = source.epoch(TRACES.topic)
    (tmp_path / "otlp.sqlite").write_bytes(b"rubbish" * 2_000)
    with running(tmp_path) as source:
        assert source.epoch(TRACES.topic) != epoch
        assert source.replaced is not None
        send(source, b"goes on")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    source = OtlpSource(OtlpConfig(port=0), tmp_path / "file" / "data", LimitsConfig())

    with pytest.raises(SourceError, match="file"):
        source.start()
    source.close()


def test_a_taken_port_leaves_nothing_open(tmp_path: Path) -> None:
    with running(tmp_path / "a") as source:
        port = int(source.endpoint.rsplit(":", 1)[1])
        other = OtlpSource(OtlpConfig(port=port), tmp_path / "b", LimitsConfig())

        with pytest.raises(SourceError, match="already in use"):
            other.start()
        other.close()


def test_a_closed_source_is_silent_and_says_so(tmp_path: Path) -> None:
    with running(tmp_path) as source:
        begin(source)
    source.close()

    assert source.poll(0).records == ()
    assert source.lag() == {}
    assert not source.healthy
    with pytest.raises(SourceError):
        source.bounds(TRACES)


_SERVER = """
import sys, threading
from pathlib import Path
from collector.config import LimitsConfig, OtlpConfig
from collector.source.otlp import OtlpSource
source = OtlpSource(OtlpConfig(port=0), Path(sys.argv[1]), LimitsConfig())
source.start()
print(source.endpoint, flush=True)
threading.Event().wait()
"""


def test_no_request_that_was_answered_200_is_lost_by_kill_9(tmp_path: Path) -> None:
    acknowledged: list[bytes] = []
    for life in range(3):
        server = subprocess.Popen([sys.executable, "-c", _SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        with server, server.stdout as out, httpx.Client(base_url=out.readline().strip()) as client:
            for number in range(60):
                body = b"life %d request %d" % (life, number)
                if client.post("/v1/traces", content=body, headers=PROTOBUF).status_code == 200:
                    acknowledged.append(body)
            server.kill()

    with running(tmp_path) as source:
        begin(source)
        stored = [record.value for record in drain(source)]

    assert stored == acknowledged
    assert len(stored) == 180
