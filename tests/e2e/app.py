"""An application as a user has it: the OpenAI client, OTel's own GenAI instrumentation, the SDK's OTLP exporters.

    python -m tests.e2e.app ENDPOINT SERVICE CALLS

The model server is a small HTTP server on loopback; every third answer is an error. Prints the trace ids, one a line.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

MODEL = "tiny-1"


class Model(BaseHTTPRequestHandler):
    """Answers chat completions."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question = request["messages"][-1]["content"]
        number = int(question.rsplit(" ", 1)[1])
        failed = number % 3 == 2
        answer = {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": f"{MODEL}-2026-11-01",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": f"The answer to {number} is {number * 2}."},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 20 + number, "completion_tokens": 5, "total_tokens": 25 + number},
        }
        body = json.dumps({"error": {"message": "slow down", "type": "rate_limit"}} if failed else answer).encode()
        self.send_response(429 if failed else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base class's name


def main(endpoint: str, service: str, calls: int) -> None:
    resource = Resource.create({"service.name": service, "deployment.environment.name": "test"})
    tracers, loggers = TracerProvider(resource=resource), LoggerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{endpoint}/v1/logs")))
    trace.set_tracer_provider(tracers)
    set_logger_provider(loggers)
    OpenAIInstrumentor().instrument()
    model = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=model.serve_forever, daemon=True).start()
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{model.server_port}/v1", api_key="none", max_retries=0)
    tracer = trace.get_tracer("app")
    for number in range(calls):
        with tracer.start_as_current_span("handle request") as span:
            with contextlib.suppress(openai.RateLimitError):
                client.chat.completions.create(
                    model=MODEL,
                    messages=[
                        {"role": "system", "content": "You double numbers."},
                        {"role": "user", "content": f"Please double the number {number}"},
                    ],
                )
            print(f"{span.get_span_context().trace_id:032x}")  # noqa: T201 - the test reads it
    tracers.shutdown()
    loggers.shutdown()
    model.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
