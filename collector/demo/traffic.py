"""Sends the script's requests as real OpenTelemetry: one SDK per service, over HTTP, like any application's.

The spans follow the OTel GenAI conventions: a server span per request, below it the retrieval (ids only, as the
conventions say) and the inference span with its messages as JSON. Only the inference spans are calls.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.util.types import AttributeValue

from collector.demo.script import Request, Script, Service
from collector.demo.texts import load_texts

EXPORT_DELAY_MILLIS = 500
EXPORT_SPANS_MAX = 128
QUEUE_SPANS_MAX = 16_384
FLUSH_MILLIS_MAX = 10_000
EARLIER_MINUTES = (95.0, 15.0)  # the backdated traffic lies between so long ago and so long ago
SCOPE = "assay.demo"


class Emitter:
    """The services' SDKs. ``emit`` only queues; background threads of the SDK export."""

    def __init__(self, endpoint: str) -> None:
        self._providers = {service: _provider(service, endpoint) for service in Service}
        self._tracers: dict[Service, Tracer] = {
            service: provider.get_tracer(SCOPE) for service, provider in self._providers.items()
        }

    def emit(self, request: Request, ended_at: float) -> None:
        """Report a request that ended at ``ended_at`` (seconds since the epoch)."""
        tracer = self._tracers[request.service]
        end = int(ended_at * 1e9)
        start = end - int(request.latency_seconds * 1e9)
        root_start = start - int(0.03e9)
        root = tracer.start_span(
            f"POST /{request.service}", Context(), SpanKind.SERVER, {"http.request.method": "POST"},
            start_time=root_start,
        )  # fmt: skip
        context = set_span_in_context(root, Context())
        if request.document is not None:
            found = json.dumps([{"id": request.document.id, "score": 0.87}])
            retrieval = tracer.start_span(
                "retrieval docs",
                context,
                SpanKind.CLIENT,
                {"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": found},
                start_time=root_start + int(0.002e9),
            )
            retrieval.end(start - int(0.004e9))
        name = f"chat {request.model}"
        span = tracer.start_span(name, context, SpanKind.CLIENT, _attributes(request), start_time=start)
        _finish(span, request, end)
        root.end(end + int(0.004e9))

    def close(self) -> None:
        """Flush what is queued and end the SDKs' threads."""
        for provider in self._providers.values():
            provider.force_flush(FLUSH_MILLIS_MAX)
            provider.shutdown()


@dataclass(slots=True)
class Traffic:
    """A thread that sends ``rate`` calls a second until ``stop``; after ``incident_after_seconds`` with the incident.

    ``earlier`` calls are sent first, with times in the past, so that there is a yesterday to compare today with.
    """

    endpoint: str
    rate: float
    incident_after_seconds: float
    seed: int = 7
    earlier: int = 0
    sent: int = 0
    _started: float | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def incident(self) -> bool:
        """Whether the incident runs now."""
        return self._started is not None and time.monotonic() - self._started >= self.incident_after_seconds

    @property
    def seconds(self) -> float:
        """Since the live traffic began; 0 before."""
        return 0.0 if self._started is None else time.monotonic() - self._started

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="demo-traffic", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send what is queued and end; safe twice and without ``start``."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(2 * FLUSH_MILLIS_MAX / 1_000)

    def _run(self) -> None:
        rng = random.Random(self.seed)  # noqa: S311 - texts, not secrets
        script = Script(load_texts(), rng)
        with _emitting(self.endpoint) as emitter:
            for ended_at in self._past(rng):
                emitter.emit(script.request(incident=False), ended_at)
                self.sent += 1
            self._started = time.monotonic()
            due = self._started
            while not self._stopping.wait(max(0.0, due - time.monotonic())):
                emitter.emit(script.request(incident=self.incident), time.time())
                self.sent += 1
                due = max(due + rng.expovariate(self.rate), time.monotonic() - 1.0)  # never a burst to catch up

    def _past(self, rng: random.Random) -> Iterator[float]:
        now = time.time()
        oldest, newest = (now - minutes * 60 for minutes in EARLIER_MINUTES)
        for number in range(self.earlier):
            if self._stopping.is_set():
                return
            yield oldest + (newest - oldest) * (number + rng.random()) / self.earlier


@contextmanager
def _emitting(endpoint: str) -> Iterator[Emitter]:
    emitter = Emitter(endpoint)
    try:
        yield emitter
    finally:
        emitter.close()


def _provider(service: Service, endpoint: str) -> TracerProvider:
    resource = Resource(
        {
            "service.name": service.value,
            "service.version": "1.4.0",
            "service.instance.id": f"{service.value}-0",
            "deployment.environment.name": "demo",
            "telemetry.sdk.language": "python",
        }
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", compression=Compression.Gzip, timeout=10)
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUE_SPANS_MAX,
            schedule_delay_millis=EXPORT_DELAY_MILLIS,
            max_export_batch_size=EXPORT_SPANS_MAX,
        )
    )
    return provider


def _attributes(request: Request) -> Mapping[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": request.provider,
        "gen_ai.request.model": request.model,
        "gen_ai.conversation.id": request.conversation,
        "gen_ai.prompt.name": request.prompt,
        "gen_ai.prompt.version": str(request.prompt_version),
        "tenant.id": request.tenant,
        "gen_ai.request.stream": request.ttft_seconds is not None,
    }
    if request.captured:
        attributes["gen_ai.input.messages"] = json.dumps(request.messages)
    return attributes


def _finish(span: Span, request: Request, end: int) -> None:
    if request.error is not None:
        span.set_attribute("error.type", request.error)
        span.set_status(Status(StatusCode.ERROR, request.error))
        span.end(end)
        return
    span.set_attributes(
        {
            "gen_ai.response.id": f"resp-{span.get_span_context().span_id:016x}",
            "gen_ai.response.model": request.answered_by,
            "gen_ai.response.finish_reasons": [request.finish_reason],
            "gen_ai.usage.input_tokens": request.input_tokens,
            "gen_ai.usage.output_tokens": request.output_tokens,
        }
    )
    if request.ttft_seconds is not None:
        span.set_attribute("gen_ai.response.time_to_first_chunk", request.ttft_seconds)
    if request.captured:
        parts = [{"type": "text", "content": request.output}]
        answer = {"role": "assistant", "parts": parts, "finish_reason": request.finish_reason}
        span.set_attribute("gen_ai.output.messages", json.dumps([answer]))
    span.end(end)
