"""Assay's own metrics and spans arrive where they are sent, with the exporter's numbers; nobody there stops nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from collector.config import Secret, TelemetryConfig
from collector.export import otel
from collector.export.otel import OwnTelemetry, Rarely
from collector.export.prometheus import Exporter
from collector.listener.thread import HttpThread
from tests.export.fakes import delta

KINDS = ("metric", "trace")
AUTH = "Basic c2VjcmV0OnNlY3JldA=="


class Backend:
    """An OTLP receiver that keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, bytes]] = []
        routes = [Route("/{path:path}", self._take, methods=["POST"])]
        self._http = HttpThread(Starlette(routes=routes), host="127.0.0.1", port=0, name="backend", setting="-")
        self.url = self._http.url
        self._http.start()
        self.close = self._http.close

    async def _take(self, request: Request) -> Response:
        self.got.append((request.url.path, request.headers.get("authorization", ""), await request.body()))
        return Response(b"", media_type="application/x-protobuf")

    def bodies(self, path: str) -> list[bytes]:
        return [body for at, _, body in self.got if at == path]


@pytest.fixture
def backend() -> Iterator[Backend]:
    made = Backend()
    yield made
    made.close()


def config(url: str, **more: Any) -> TelemetryConfig:
    return TelemetryConfig(
        endpoint=url, authorization=Secret(env="AUTH"), interval_seconds=3_600, traces_ratio=1.0, **more
    )


def numbers(bodies: list[bytes]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for body in bodies:
        for group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scoped in group.scope_metrics:
                for metric in scoped.metrics:
                    data = metric.sum if metric.HasField("sum") else metric.gauge
                    for point in data.data_points:
                        labels = tuple(sorted((pair.key, pair.value.string_value) for pair in point.attributes))
                        found[metric.name, labels] = point.as_int or point.as_double
    return found


def test_metrics_are_those_of_the_exporter_and_stages_are_spans(backend: Backend) -> None:
    exporter = Exporter()
    exporter.count_delta(delta([{"s_toxicity_output": 500_000, "latency_us": 2_000_000}] * 3))
    own = OwnTelemetry(config(backend.url), exporter, {"assay.role": "all"}, {"AUTH": AUTH})

    own.observe("assay_stage_seconds", 0.25, stage="scoring")
    own.add("assay_snapshots_total")
    own.set("assay_store_bytes", 7)
    own.close()
    own.close()

    seen = numbers(backend.bodies("/v1/metrics"))
    model = (("model", "m-1"), ("service", "chat"))
    assert seen["assay_calls_total", (*model[:1], ("outcome", "scored"), *model[1:])] == 3
    assert seen["assay_call_latency_seconds_count", model] == 3
    assert seen["assay_call_latency_seconds_sum", model] == 6
    assert seen["assay_snapshots_total", ()] == 1
    assert seen["assay_store_bytes", ()] == 7
    (group,) = ExportTraceServiceRequest.FromString(backend.bodies("/v1/traces")[0]).resource_spans
    (span,) = group.scope_spans[0].spans
    assert span.name == "scoring"
    assert span.end_time_unix_nano - span.start_time_unix_nano == 250_000_000
    described = {pair.key: pair.value.string_value for pair in group.resource.attributes}
    assert (described["service.name"], described["assay.role"]) == ("assay", "all")
    assert {sent for _, sent, _ in backend.got} == {AUTH}


def test_a_gauge_that_is_set_to_a_truth_value_arrives_as_a_number_with_all_others(backend: Backend) -> None:
    own = OwnTelemetry(config(backend.url), Exporter(), {}, {"AUTH": AUTH})

    own.set("assay_web_config_stale", True, listener="web")
    own.set("assay_store_bytes", 7)
    own.close()

    seen = numbers(backend.bodies("/v1/metrics"))
    assert seen["assay_web_config_stale", (("listener", "web"),)] == 1
    assert seen["assay_store_bytes", ()] == 7


def test_with_nobody_there_the_numbers_are_still_the_exporters(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otel, "SECONDS_MAX", 0.2)
    exporter = Exporter()
    own = OwnTelemetry(config("http://127.0.0.1:9"), exporter, {}, {"AUTH": AUTH})
    for _ in range(10_000):
        own.observe("assay_stage_seconds", 0.001, stage="intake")
    own.close()

    assert b'assay_stage_seconds_count{stage="intake"} 10000.0' in exporter.render()[0]
    assert "c2VjcmV0" not in caplog.text


def test_an_outage_of_the_receiver_is_told_at_its_begin_and_then_rarely() -> None:
    now = [0.0]
    rarely = Rarely(600, lambda: now[0])
    record = logging.makeLogRecord({"msg": "connection refused"})

    told = []
    for now[0] in range(0, 1_300, 60):
        if rarely.filter(record):
            told.append(now[0])

    assert told == [0, 600, 1_200]


def test_the_exporters_of_the_sdk_speak_as_before_once_it_is_closed(backend: Backend) -> None:
    exporters = [logging.getLogger(f"opentelemetry.exporter.otlp.proto.http.{kind}_exporter") for kind in KINDS]
    own = OwnTelemetry(config(backend.url), Exporter(), {}, {"AUTH": AUTH})

    while_open = [len(logger.filters) for logger in exporters]
    own.close()

    assert while_open == [1, 1]
    assert [logger.filters for logger in exporters] == [[], []]
