"""The OTLP/HTTP door: what it takes, what it refuses, and in whose encoding it says so."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections.abc import Iterator, Sequence

import httpx
import pytest
from google.rpc import status_pb2

from collector.config import LimitsConfig, OtlpConfig
from collector.decode.otlp import decode_traces
from collector.decode.spans import Undecodable
from collector.source import SourceError
from collector.source.locallog import LogError, LogFullError
from collector.source.receiver import JSON, PROTOBUF, Receiver
from tests.fakes.otlp import FakeCall, traces

LIMITS = LimitsConfig(record_bytes_max=20_000, decompressed_bytes_max=200_000, decompression_ratio_max=100)


class MemoryLog:
    """A log in memory that can be told to fail."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, bytes]] = []
        self.appends = 0
        self.failure: LogError | None = None
        self.gate = threading.Event()
        self.gate.set()

    def append(self, entries: Sequence[tuple[str, bytes]]) -> list[int]:
        assert self.gate.wait(10)
        self.appends += 1
        if self.failure is not None:
            raise self.failure
        start = len(self.entries)
        self.entries += entries
        return list(range(start, len(self.entries)))


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def receiver(log: MemoryLog) -> Iterator[Receiver]:
    made = Receiver(
        log,
        {"/v1/traces": "spans", "/v1/logs": "logs"},
        config=OtlpConfig(port=0),
        limits=LIMITS,
        arrived=lambda: None,
    )
    made.start()
    yield made
    made.close()


def post(
    receiver: Receiver, body: bytes, *, path: str = "/v1/traces", kind: str = PROTOBUF, encoding: str | None = None
) -> httpx.Response:
    headers = {"content-type": kind} | ({"content-encoding": encoding} if encoding else {})
    return httpx.post(receiver.endpoint + path, content=body, headers=headers)


def test_a_protobuf_request_is_stored_as_sent_and_answered_in_protobuf(receiver: Receiver, log: MemoryLog) -> None:
    answer = post(receiver, b"\x0a\x00")

    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, PROTOBUF, b"")
    assert log.entries == [("spans", b"\x0a\x00")]


def test_a_gzipped_json_request_is_stored_decompressed_and_answered_in_json(receiver: Receiver, log: MemoryLog) -> None:
    body = b'{"resourceLogs": []}'

    answer = post(receiver, gzip.compress(body), path="/v1/logs", kind=f"{JSON}; charset=utf-8", encoding="gzip")

    assert (answer.status_code, answer.headers["content-type"], answer.json()) == (200, JSON, {})
    assert log.entries == [("logs", body)]


def test_gzip_of_several_members_and_deflate_are_understood(receiver: Receiver, log: MemoryLog) -> None:
    assert post(receiver, gzip.compress(b"one ", mtime=0) + gzip.compress(b"two"), encoding="gzip").status_code == 200
    assert post(receiver, zlib.compress(b"three"), encoding="deflate").status_code == 200

    assert [value for _, value in log.entries] == [b"one two", b"three"]


def test_metrics_are_accepted_and_dropped(receiver: Receiver, log: MemoryLog) -> None:
    assert post(receiver, b"whatever", path="/v1/metrics").status_code == 200
    assert log.entries == []


def test_an_empty_message_is_valid_and_stores_nothing(receiver: Receiver, log: MemoryLog) -> None:
    assert post(receiver, b"").status_code == 200
    assert log.entries == []


def test_what_no_decoder_understands_is_stored_all_the_same(receiver: Receiver, log: MemoryLog) -> None:
    """The decode room counts it and keeps it as a dead letter."""
    assert post(receiver, b"\xff\xff\xff").status_code == 200
    assert log.entries == [("spans", b"\xff\xff\xff")]


@pytest.mark.parametrize(
    ("kind", "encoding", "body", "status", "word"),
    [
        ("text/plain", None, b"x", 415, "content type"),
        (JSON, "br", b"x", 415, "encoding"),
        (PROTOBUF, "gzip", b"not gzip", 400, "not gzip"),
        (PROTOBUF, "gzip", gzip.compress(b"x" * 99, mtime=0)[:-12], 400, "cut off"),
        (JSON, "gzip", gzip.compress(bytes(150_000)), 400, "bomb"),
        (PROTOBUF, None, bytes(200_001), 413, "200000"),
    ],
)
def test_a_refusal_is_a_status_in_the_encoding_of_the_request(
    receiver: Receiver, log: MemoryLog, kind: str, encoding: str | None, body: bytes, status: int, word: str
) -> None:
    answer = post(receiver, body, kind=kind, encoding=encoding)

    assert answer.status_code == status
    if kind == PROTOBUF:
        assert answer.headers["content-type"] == PROTOBUF
        assert word in status_pb2.Status.FromString(answer.content).message
    else:
        assert answer.headers["content-type"] == JSON
        assert word in answer.json()["message"]
        assert answer.json()["code"] > 0
    assert log.entries == []
    assert receiver.refused == {status: 1}


def test_a_body_that_inflates_past_the_limit_is_too_large(receiver: Receiver) -> None:
    text = json.dumps([[number, number * 7_919 % 10_007] for number in range(30_000)]).encode()

    answer = post(receiver, gzip.compress(text, mtime=0), encoding="gzip")

    assert len(text) > LIMITS.decompressed_bytes_max
    assert answer.status_code == 413


def test_a_request_larger_than_a_record_is_packed_and_decodes_to_the_same_spans(
    receiver: Receiver, log: MemoryLog
) -> None:
    request = traces(FakeCall(number=number) for number in range(100))
    assert len(request) > LIMITS.record_bytes_max

    assert post(receiver, request).status_code == 200

    [(_, stored)] = log.entries
    assert len(stored) <= LIMITS.record_bytes_max
    decoded = decode_traces(stored, LIMITS)
    assert not isinstance(decoded, Undecodable)
    assert len(decoded) == 100


def test_a_request_that_cannot_be_packed_into_a_record_is_refused_with_advice(receiver: Receiver) -> None:
    noise = b"".join(number.to_bytes(4, "big") for number in (pow(3, k, 4_294_967_291) for k in range(12_000)))

    answer = post(receiver, noise)

    assert answer.status_code == 413
    assert "smaller batches" in status_pb2.Status.FromString(answer.content).message


def test_a_full_log_asks_the_sender_to_come_back(receiver: Receiver, log: MemoryLog) -> None:
    log.failure = LogFullError("the disk is full")

    answer = post(receiver, b"x")

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert not receiver.healthy

    log.failure = None
    assert post(receiver, b"x").status_code == 200
    assert receiver.healthy


def test_nothing_is_acknowledged_before_it_is_in_the_log(receiver: Receiver, log: MemoryLog) -> None:
    log.gate.clear()
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(post(receiver, b"x").status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    threads[0].join(0.3)
    assert answers == []

    log.gate.set()
    for thread in threads:
        thread.join()

    assert answers == [200] * 8
    assert len(log.entries) == 8


def test_other_paths_and_methods_are_not_found(receiver: Receiver) -> None:
    assert httpx.get(receiver.endpoint + "/v1/traces").status_code == 405
    assert post(receiver, b"x", path="/v1/other").status_code == 404


def test_a_taken_port_is_named_in_the_error(receiver: Receiver, log: MemoryLog) -> None:
    port = int(receiver.endpoint.rsplit(":", 1)[1])

    with pytest.raises(SourceError, match=rf"{port} is already in use.*source\.otlp\.port"):
        Receiver(log, {}, config=OtlpConfig(port=port), limits=LIMITS, arrived=lambda: None)


def test_closing_twice_and_unstarted_is_safe(log: MemoryLog) -> None:
    receiver = Receiver(log, {}, config=OtlpConfig(port=0), limits=LIMITS, arrived=lambda: None)
    receiver.close()
    receiver.close()
