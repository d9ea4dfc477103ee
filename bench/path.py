"""Everything but models on one core: Kafka to committed rollup, and where the time goes.

    python -m bench.path [--calls 60000] [--client kafka-python|confluent] [--codec zstd|none]

A real broker (tools/install-servers) holds records as a Collector packs them: 50 calls of about 3 KB each. This is
pinned to one core, reads them all with the stages of the daemon, one after the other, and stops when the last call is
in the rollups. Printed: calls per core-second, CPU microseconds a call by stage, and the ratio to the decoder that a
user would write (protobuf's own MessageToDict and a walk over the dictionaries), measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToDict
from kafka import KafkaProducer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.chain import open_chain
from collector.committer import Committer
from collector.config import Config
from collector.daemon import settle_heap
from collector.decode.context import context_text
from collector.intake import Intake
from collector.labels import Labels
from collector.rows import SuiteId
from collector.scoring import Scorer
from collector.source.build import open_dead_letters, open_source
from collector.store.materialise import Materialiser
from collector.store.store import Store
from collector.telemetry import Silent
from signals.types import Bools, Exchange, ScoreColumn, ScoreSpec, Side, SuiteScores
from tests.fakes.otlp import FakeCall, traces
from tests.servers.kafka import KafkaBroker

CALLS_PER_RECORD = 50
WORDS = [
    "the",
    "parcel",
    "left",
    "our",
    "house",
    "in",
    "Lyon",
    "on",
    "Monday",
    "and",
    "will",
    "be",
    "with",
    "you",
    "by",
    "Thursday",
    "unless",
    "snow",
    "keeps",
    "it",
]


class NoModels:
    """The suite with the models taken out: columns that always score, so that rows and rollups are as wide as ever."""

    specs = tuple(
        ScoreSpec(signal=signal, side=side, version="bench")
        for signal, side in (
            ("toxicity", Side.INPUT),
            ("toxicity", Side.OUTPUT),
            ("context_novelty", Side.OUTPUT),
            ("degeneration", Side.OUTPUT),
        )
    )

    def score(self, exchanges: Sequence[Exchange], shed: Bools | None = None) -> SuiteScores:
        values = np.array([len(exchange.output or "") % 100 for exchange in exchanges], dtype=np.float32) / 100
        reasons = np.zeros(len(exchanges), dtype=np.uint8)
        return SuiteScores(
            columns=tuple(ScoreColumn(spec=spec, values=values, abstentions=reasons) for spec in self.specs)
        )


class Stages:
    """CPU seconds by stage; nested stages are taken out of what surrounds them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        begun = time.process_time()
        self._inner.append(0.0)
        try:
            yield
        finally:
            spent = time.process_time() - begun
            self.seconds[name] += spent - self._inner.pop()
            self._inner[-1] += spent

    def wrap(self, owner: Any, method: str, name: str) -> None:
        plain: Callable[..., Any] = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self(name):
                return plain(*args, **kwargs)

        object.__setattr__(owner, method, timed)


def records(calls: int) -> list[bytes]:
    """Export requests of CALLS_PER_RECORD calls; 10 services, 20 models between them."""
    rng = random.Random(1)
    now = time.time()
    made = []
    for first in range(0, calls, CALLS_PER_RECORD):
        batch = []
        for number in range(first, min(first + CALLS_PER_RECORD, calls)):
            text = " ".join(rng.choices(WORDS, k=500))
            batch.append(
                FakeCall(
                    number=number,
                    service=f"service-{number % 10}",
                    model=f"model-{number % 20}",
                    at=now - 3_600 + number * 3_600 / calls,
                    attributes={
                        "gen_ai.conversation.id": f"c-{number}",
                        "gen_ai.input.messages": _message("user", text[:1_500]),
                        "gen_ai.output.messages": _message("assistant", text[1_500:2_350]),
                    },
                )
            )
        made.append(traces(batch))
    return made


def _message(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}], "finish_reason": "stop"}])


def naive(batch: list[bytes]) -> float:
    """CPU seconds a call of the decoder a user would write."""
    begun = time.process_time()
    calls = 0
    for value in batch:
        request = MessageToDict(ExportTraceServiceRequest.FromString(value))
        for resource in request["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    attributes = {item["key"]: item["value"] for item in span["attributes"]}
                    calls += "gen_ai.operation.name" in attributes
    return (time.process_time() - begun) / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=60_000)
    parser.add_argument("--client", default="kafka-python", choices=["kafka-python", "confluent"])
    parser.add_argument("--codec", default="zstd", choices=["zstd", "lz4", "gzip", "none"])
    options = parser.parse_args()
    made = records(options.calls)
    print(f"{options.calls:,} calls in {len(made):,} records, {sum(map(len, made)) / options.calls:,.0f} bytes a call")
    with tempfile.TemporaryDirectory() as folder, KafkaBroker(Path(folder) / "kafka") as broker:
        broker.create_topic("otlp_spans", 1)
        broker.create_topic("otlp_logs", 1)
        codec = None if options.codec == "none" else options.codec
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap, compression_type=codec, max_request_size=4 << 20)
        for value in made:
            producer.send("otlp_spans", value)
        producer.flush()
        producer.close()
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        config = Config.model_validate(
            {
                "source": {"kafka": {"brokers": [broker.bootstrap], "client": options.client}},
                "data": folder,
                "join": {"calls_max": 5_000},
            }
        )
        walk(config, options.calls, naive(made[:40]))


def walk(config: Config, calls: int, naive_seconds: float) -> None:
    stages = Stages()
    chain = open_chain(config)
    source = open_source(config)
    suite = NoModels()
    specs = suite.specs
    intake = Intake(
        source=source, chain=chain, join=config.join, limits=config.limits, telemetry=Silent(), clock=time.time
    )
    committer = Committer(
        chain=chain,
        dead_letters=open_dead_letters(config),
        telemetry=Silent(),
        config=config.chain,
        labels=Labels(values_max=200, chars_max=120),
        suite=SuiteId.of(specs),
        written_by="bench",
    )
    scorer = Scorer(suite, Silent())
    store = Store(config)
    materialiser = Materialiser(chain, store)
    stages.wrap(source, "poll", "kafka client")
    source.start()
    settle_heap()
    begun_wall, begun = time.monotonic(), time.process_time()
    counted = 0
    while counted < calls:
        with stages("decode and assemble"):
            step = intake.turn(0.05)
        with stages("what the signals are given"):
            scores = scorer.score(step.calls, [context_text(call) for call in step.calls])
        with stages("rows"):
            committer.take(step, scores, time.time())
        counted += len(step.calls)
        if counted >= calls or committer.waiting >= config.chain.flush_calls_max:
            with stages("delta to chain"):
                committer.flush(time.time(), everything=True)
            with stages("rollups in DuckDB"):
                materialiser.step()
    spent, wall = time.process_time() - begun, time.monotonic() - begun_wall
    source.close()
    for name, seconds in sorted(stages.seconds.items(), key=lambda item: -item[1]):
        print(f"{name:28} {seconds / calls * 1e6:7.1f} us a call {seconds / spent:6.1%}")
    print(f"{'all':28} {spent / calls * 1e6:7.1f} us a call")
    print(f"{calls / spent:,.0f} calls a core-second ({calls / wall:,.0f} a second of wall time, one core)")
    print(f"a plain MessageToDict decoder alone takes {naive_seconds * 1e6:.1f} us a call:", end=" ")
    print(f"the whole path costs {spent / calls / naive_seconds:.2f} times that one step")


if __name__ == "__main__":
    main()
