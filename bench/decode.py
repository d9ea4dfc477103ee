"""How fast bytes become calls: spans a second of one core, where the time goes, and the ratio to MessageToDict.

python bench/decode.py [--requests N]
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import random
import time
from collections.abc import Callable

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.config import JoinConfig, LimitsConfig
from collector.decode.assemble import Assembler
from collector.decode.build import build_call
from collector.decode.otlp import decode_traces
from collector.decode.spans import Span, Undecodable
from collector.records import Anchor, Partition

SPANS = 50
TEXT_CHARS = 2_300
ATTRIBUTES = 14


def request(seed: int, spans: int = SPANS) -> bytes:
    """One export request of ``spans`` chat spans with 14 attributes, about 3 KB each, each in a trace of its own."""
    rng = random.Random(seed)
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    for key, value in (("service.name", "shop"), ("service.instance.id", f"{seed:08x}"), ("service.version", "1.2.3")):
        pair = group.resource.attributes.add(key=key)
        pair.value.string_value = value
    scoped = group.scope_spans.add()
    scoped.scope.name = "opentelemetry.instrumentation.genai.openai"
    for number in range(spans):
        span = scoped.spans.add(name="chat gpt-4o-mini", trace_id=rng.randbytes(16), span_id=rng.randbytes(8), kind=3)
        span.start_time_unix_nano = 1_700_000_000_000_000_000 + number * 1_000_000
        span.end_time_unix_nano = span.start_time_unix_nano + 900_000_000
        words = " ".join(rng.choice(("river", "harbour", "ledger", "answer", "Seine", "capital")) for _ in range(400))
        asked = [
            {"role": "system", "parts": [{"type": "text", "content": "You are a helpful geography assistant."}]},
            {"role": "user", "parts": [{"type": "text", "content": words[: TEXT_CHARS // 2]}]},
        ]
        said = [{"role": "assistant", "parts": [{"type": "text", "content": words[: TEXT_CHARS // 2]}]}]
        said[0]["finish_reason"] = "stop"
        strings = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.response.model": "gpt-4o-mini-2026-01-01",
            "gen_ai.response.id": f"chatcmpl-{rng.randbytes(12).hex()}",
            "gen_ai.conversation.id": f"thread-{number}",
            "server.address": "api.example.com",
            "gen_ai.input.messages": json.dumps(asked, separators=(",", ":")),
            "gen_ai.output.messages": json.dumps(said, separators=(",", ":")),
        }
        for key, text in strings.items():
            span.attributes.add(key=key).value.string_value = text
        for key, count in {
            "gen_ai.usage.input_tokens": 321,
            "gen_ai.usage.output_tokens": 99,
            "server.port": 443,
        }.items():
            span.attributes.add(key=key).value.int_value = count
        span.attributes.add(key="gen_ai.request.temperature").value.double_value = 0.2
        reasons = span.attributes.add(key="gen_ai.response.finish_reasons").value.array_value
        reasons.values.add(string_value="stop")
    return message.SerializeToString()


def best(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of ``repeats`` runs."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def decoded(value: bytes) -> list[Span]:
    spans = decode_traces(value, LimitsConfig())
    assert not isinstance(spans, Undecodable)
    return spans


def assemble(batches: list[list[Span]], assembler: Assembler, clock: list[float]) -> int:
    """Add and settle every batch, a stream second apart."""
    calls = 0
    for batch in batches:
        clock[0] += 1.0
        assembler.add_spans(batch, anchor=Anchor(Partition("bench", 0), int(clock[0])), now=clock[0])
        calls += len(assembler.settle(clock[0]))
    return calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    values = [request(seed) for seed in range(args.requests)]
    spans = SPANS * args.requests
    batches = [decoded(value) for value in values]
    limits = LimitsConfig()

    def whole() -> None:
        clock = [0.0]
        assembler = Assembler(JoinConfig(), limits)
        for value in values:
            assemble([decoded(value)], assembler, clock)
        assembler.flush()

    def only_assemble() -> None:
        assembler = Assembler(JoinConfig(), limits)
        assemble(batches, assembler, [0.0])
        assembler.flush()

    routes: dict[str, Callable[[], object]] = {
        "upb parse": lambda: [ExportTraceServiceRequest.FromString(value) for value in values],
        "decode": lambda: [decoded(value) for value in values],
        "assemble": only_assemble,
        "of it: build the calls": lambda: [build_call(span, limits=limits) for batch in batches for span in batch],
        "decode + assemble": whole,
        "MessageToDict": lambda: [MessageToDict(ExportTraceServiceRequest.FromString(value)) for value in values],
    }
    seconds = {name: best(work, args.repeats) for name, work in routes.items()}
    base = seconds["decode + assemble"]
    print(f"{args.requests} requests x {SPANS} spans x {ATTRIBUTES} attributes, {len(values[0]) // SPANS} B a span")
    print(f"{'route':26}{'us/span':>9}{'spans/s':>10}{'ratio':>8}")
    for name, took in seconds.items():
        print(f"{name:26}{took / spans * 1e6:9.1f}{spans / took:10,.0f}{took / base:8.2f}")
    if args.profile:
        profile = cProfile.Profile()
        profile.runcall(whole)
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    main()
