"""How large the view is: one hour of a million calls in 200 series, as a chain of 10-second deltas.

    python -m bench.store_size [--calls 1000000] [--series 200] [--scores 4] [--sketches 2]

Scores follow a beta(0.3, 8), latencies a lognormal; every delta passes through the store as it would live, and every
minute of it a snapshot is published, which packs the file when over a quarter of it is free. Prints how large the file
was at most between two packings and at the end, the chain's objects, and the CPU time a call.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from collector.chain import Chain, open_chain
from collector.config import Config
from collector.delta import (
    CALL_FIELDS,
    EMBEDDING_SCALE,
    SKETCH_FIELDS,
    Delta,
    Footer,
    Stream,
    SuiteEntry,
    embedding_table,
    score_field,
)
from collector.store.materialise import Materialiser, Store
from collector.store.snapshot import Snapshots
from signals.sketch import sketch

BEGIN = 1_790_000_000 // 3_600 * 3_600
SECONDS = 3_600
FLUSH = 10
STREAM = Stream("otlp_spans", "bench", 0)
COLUMNS = tuple(
    SuiteEntry(signal=signal, side=side, version="1", weights="0123abcd")
    for signal, side in (
        ("toxicity", "input"),
        ("toxicity", "output"),
        ("context_novelty", "output"),
        ("degeneration", "output"),
        ("injection", "input"),
        ("context_injection", "input"),
        ("pii", "input"),
        ("pii", "output"),
        ("refusal", "output"),
        ("language", "output"),
    )
)
DIMENSIONS = 384


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--calls", type=int, default=1_000_000)
    arguments.add_argument("--series", type=int, default=200)
    arguments.add_argument("--scores", type=int, default=4, help="score columns of a call")
    arguments.add_argument("--sketches", type=int, default=2, choices=(0, 1, 2), help="sides whose sketches are kept")
    args = arguments.parse_args()
    suite = COLUMNS[: args.scores]
    with tempfile.TemporaryDirectory() as folder:
        config = Config.model_validate({"source": {"otlp": {}}, "data": folder})
        chain = open_chain(config)
        fill(chain, args.calls, args.series, suite, args.sketches)
        materialiser = Materialiser(chain, Store(config))
        snapshots = Snapshots(config.data, 1)
        spent, live = follow(materialiser, chain, snapshots)
        published = snapshots.newest()
        assert published is not None
        with materialiser.store.database.read() as connection:
            tables = connection.execute("SELECT table_name, estimated_size FROM duckdb_tables()").fetchall()
        materialiser.store.close()
        packed = materialiser.store.database.path.stat().st_size
        objects = sum(path.stat().st_size for path in Path(folder, "chain").rglob("*.parquet"))
        per_million = 1_000_000 / args.calls / 1e6
        print(
            f"{args.calls} calls, {args.series} series, {len(suite)} score columns, {args.sketches} sketches a call, "
            f"{SECONDS // FLUSH} deltas"
        )
        print(f"DuckDB, at most   {live * per_million:8.1f} MB per 1 M calls, between two packings")
        print(f"DuckDB, at last   {packed * per_million:8.1f} MB per 1 M calls")
        print(f"snapshot          {published.stat().st_size * per_million:8.1f} MB per 1 M calls")
        print(f"chain (Parquet)   {objects * per_million:8.1f} MB per 1 M calls")
        print(f"materialise       {spent / args.calls * 1e6:8.2f} us a call, delta by delta")
        print(", ".join(f"{name} {rows}" for name, rows in tables))


def follow(materialiser: Materialiser, chain: Chain, snapshots: Snapshots) -> tuple[float, int]:
    """Apply delta by delta, as a daemon at the head does; CPU seconds of that, and the largest file in bytes."""
    store = materialiser.store
    every = int(store.config.store.snapshot_seconds) // FLUSH
    spent, most = 0.0, 0
    for number, link in enumerate(chain.walk(STREAM), 1):
        begun = time.process_time()
        store.apply([link])
        spent += time.process_time() - begun
        if number % every == 0:
            log = store.database.path.with_name(f"{store.database.path.name}.wal")
            most = max(most, store.database.path.stat().st_size + (log.stat().st_size if log.exists() else 0))
            snapshots.publish(store)
    return spent, most


def fill(chain: Chain, calls: int, series: int, suite: Sequence[SuiteEntry], sides: int) -> None:
    rng = np.random.default_rng(1)
    each = calls // (SECONDS // FLUSH)
    for number in range(SECONDS // FLUSH):
        chain.append(delta(rng, number * each, each, series, BEGIN + number * FLUSH, suite, sides))


def delta(
    rng: np.random.Generator, start: int, n: int, series: int, at: int, suite: Sequence[SuiteEntry], sides: int
) -> Delta:
    which = rng.integers(0, series, n)
    words = {
        "service": ("service", which % 20),
        "environment": ("environment", which % 2),
        "model": ("model", which // 20),
        "model_version": ("model-2026-01", which // 20),
    }
    numbers = {
        "time": np.sort(rng.integers(at * 10**6, (at + FLUSH) * 10**6, n)),
        "offset": np.arange(start, start + n),
        "input_tokens": rng.lognormal(6, 1, n).astype(np.int64),
        "output_tokens": rng.lognormal(5, 1, n).astype(np.int64),
        "latency_us": (rng.lognormal(0, 0.7, n) * 1e6).astype(np.int64),
        "ttft_us": (rng.lognormal(-1.5, 0.7, n) * 1e6).astype(np.int64),
        "dropped_attributes": np.zeros(n, np.int64),
    }
    constants = {"dialect": "otel_genai", "content": "captured", "suite": "bench", "prompt": "", "tenant": ""}
    columns = {}
    for field in CALL_FIELDS:
        if field.name in words:
            stem, codes = words[field.name]
            values = pa.array([f"{stem}-{code}" for code in range(int(codes.max()) + 1)])
            columns[field.name] = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), values)
        elif field.name in numbers:
            columns[field.name] = pa.array(numbers[field.name]).cast(field.type)
        elif field.name in ("trace_id", "span_id"):
            width = field.type.byte_width
            columns[field.name] = pa.FixedSizeBinaryArray.from_buffers(
                field.type, n, [None, pa.py_buffer(rng.bytes(n * width))]
            )
        elif field.name == "unjoined":
            columns[field.name] = pa.array(np.zeros(n, np.bool_))
        elif field.name in constants:
            columns[field.name] = pa.array([constants[field.name]] * n).dictionary_encode().cast(field.type)
        else:
            columns[field.name] = pa.nulls(n, field.type)
    for entry in suite:
        scores = (rng.beta(0.3, 8, n) * 1e6).astype(np.int32)
        columns[score_field(entry.spec()).name] = pa.array(np.where(rng.random(n) < 0.05, -1, scores).astype(np.int32))
    if sides:
        columns |= sketches(rng, n, sides)
    footer = Footer(
        topic=STREAM.topic, epoch=STREAM.epoch, partition=0, start=start, next=start + n, records=n, consumed=n,
        suites={"bench": tuple(suite)}, resume_at=float(at + FLUSH),
    )  # fmt: skip
    return Delta(footer=footer, calls=pa.table(columns), embeddings=embeddings(rng, n, at))


def sketches(rng: np.random.Generator, n: int, sides: int) -> dict[str, pa.Array]:
    """The sketches of vectors in every direction: what compresses least."""
    columns: dict[str, pa.Array] = {}
    for place, field in enumerate(SKETCH_FIELDS[:-1]):
        data = pa.py_buffer(sketch(rng.normal(0, DIMENSIONS**-0.5, (n, DIMENSIONS))).tobytes())
        known = pa.FixedSizeBinaryArray.from_buffers(field.type, n, [None, data])
        columns[field.name] = known if place < sides else pa.nulls(n, field.type)
    columns[SKETCH_FIELDS[-1].name] = pa.array(["minilm-1"] * n).dictionary_encode().cast(SKETCH_FIELDS[-1].type)
    return columns


def embeddings(rng: np.random.Generator, n: int, at: int) -> pa.Table:
    """Sums of 20 services by 10 models, both sides."""
    window = at // 600 * 600 * 10**6
    sums = {}
    for service in range(20):
        for model in range(10):
            for side in ("input", "output"):
                count = max(1, n // 200)
                vector = (rng.normal(0, DIMENSIONS**-0.5, DIMENSIONS) * EMBEDDING_SCALE * count).astype(np.int64)
                sums[(window, f"service-{service}", f"model-{model}", side, "minilm-1")] = (count, vector)
    return embedding_table(sums)


if __name__ == "__main__":
    main()
