"""Assay's own metrics and traces through the OpenTelemetry SDK, where an endpoint is configured.

Metrics are the exporter's own numbers, read when they are due: a counter stays a counter, a gauge a gauge, and of a
histogram its count and sum go out (the buckets are for Prometheus, which has the exemplars as well). A span is one
turn of a stage. Queues are the SDK's, bounded; what does not fit is dropped there and never waited for.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from collector import catalog
from collector.catalog import Metric, MetricType
from collector.config import TelemetryConfig
from collector.delta import Delta
from collector.export.prometheus import Exporter

SCOPE = "assay"
TOLD_EVERY_SECONDS = 600.0  # that an outage lasts; the exporters would tell it at every attempt
_EXPORTERS = tuple(
    logging.getLogger(f"opentelemetry.exporter.otlp.proto.http.{kind}")
    for kind in ("metric_exporter", "trace_exporter")
)
SECONDS_MAX = 5.0  # for a request, and for what is left at the end


class Rarely(logging.Filter):
    """Lets a logger speak once in ``seconds``."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds, self._clock = seconds, clock
        self._silent_until = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - the base class's shape
        now = self._clock()
        if now < self._silent_until:
            return False
        self._silent_until = now + self._seconds
        return True


class OwnTelemetry:
    """Sends until ``close``, which is safe twice. Implements ``Telemetry`` over the exporter: stages become spans."""

    def __init__(
        self,
        config: TelemetryConfig,
        exporter: Exporter,
        resource: Mapping[str, str],
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._exporter = exporter
        endpoint = (config.endpoint or "").rstrip("/")
        secret = config.authorization and config.authorization.read(environ).get_secret_value()
        headers = {"authorization": secret} if secret else {}
        described = Resource.create({"service.name": SCOPE, **resource})
        sent = OTLPMetricExporter(f"{endpoint}/v1/metrics", headers=headers, timeout=SECONDS_MAX)
        reader = PeriodicExportingMetricReader(
            sent,
            export_interval_millis=config.interval_seconds * 1_000,
            export_timeout_millis=SECONDS_MAX * 1_000,
        )
        self._meters = MeterProvider([reader], resource=described, shutdown_on_exit=False)
        self._tracers = TracerProvider(
            TraceIdRatioBased(config.traces_ratio), resource=described, shutdown_on_exit=False
        )
        spans = OTLPSpanExporter(f"{endpoint}/v1/traces", headers=headers, timeout=SECONDS_MAX)
        self._tracers.add_span_processor(BatchSpanProcessor(spans, export_timeout_millis=SECONDS_MAX * 1_000))
        self._tracer = self._tracers.get_tracer(SCOPE)
        self._quiet = [(logger, Rarely(TOLD_EVERY_SECONDS)) for logger in _EXPORTERS]
        for logger, rarely in self._quiet:
            logger.addFilter(rarely)
        self._open = True
        meter = self._meters.get_meter(SCOPE)
        for metric in exporter.catalog.values():
            _bridge(meter, metric, exporter)

    def close(self) -> None:
        if self._open:
            self._open = False
            last = threading.Thread(target=self._shut_down, name="assay-otel-end", daemon=True)
            last.start()
            last.join(2 * SECONDS_MAX)  # the SDK would try every batch of its queue for as long as one may take
            for logger, rarely in self._quiet:
                logger.removeFilter(rarely)

    def _shut_down(self) -> None:
        self._meters.shutdown(timeout_millis=SECONDS_MAX * 1_000)
        self._tracers.shutdown()

    def add(self, metric: str, value: float = 1.0, /, **labels: str) -> None:
        self._exporter.add(metric, value, **labels)

    def set(self, metric: str, value: float, /, **labels: str) -> None:
        self._exporter.set(metric, value, **labels)

    def observe(self, metric: str, value: float, /, **labels: str) -> None:
        self._exporter.observe(metric, value, **labels)
        if metric == catalog.STAGE_SECONDS.name:
            end = time.time_ns()
            span = self._tracer.start_span(labels["stage"], start_time=end - round(value * 1e9))
            span.end(end)

    def count_delta(self, delta: Delta) -> None:
        self._exporter.count_delta(delta)


def _bridge(meter: Meter, metric: Metric, exporter: Exporter) -> None:
    if metric.type is MetricType.GAUGE:
        meter.create_observable_gauge(metric.name, [_reads(exporter, metric.name, 0)], description=metric.help)
        return
    parts = ("_count", "_sum") if metric.type is MetricType.HISTOGRAM else ("",)
    for at, part in enumerate(parts):
        meter.create_observable_counter(
            metric.name + part, [_reads(exporter, metric.name, at)], description=metric.help
        )


def _reads(exporter: Exporter, name: str, at: int) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def read(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(values[at], attributes) for attributes, values in exporter.read(name)]

    return read
