"""A chain of many calls as a daemon and its compaction leave it, made array by array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from collector.delta import (
    CALL_FIELDS,
    SKETCH_FIELDS,
    Delta,
    Footer,
    Stream,
    SuiteEntry,
    empty_embeddings,
    score_field,
)
from collector.drift.record import Record, Row, Slice
from signals.sketch import sketch

NAMES = 30  # services, models, prompts and tenants, each
PARTITIONS = 2
OBJECT_CALLS = 50_000  # from half of compaction's bound on, an object stays as it is
FLUSH_SECONDS = 5
FRESH_SECONDS = 2 * 3_600  # so long before the end every flush is still an object of its own
TOPICS = 12
DIMENSIONS = 384
SUITE = "bench"
COLUMNS = tuple(
    SuiteEntry(signal=signal, side=side, version="1", weights="0123abcd")
    for signal, side in (
        ("toxicity", "input"),
        ("toxicity", "output"),
        ("context_novelty", "output"),
        ("injection", "input"),
        ("pii", "output"),
        ("refusal", "output"),
    )
)
_LANGUAGES = ("en", "de", "fr", "es", "ja", "")
_DAY = 86_400


class Traffic:
    """``calls`` calls over the ``days`` before ``end`` (seconds since the epoch), the same for the same arguments.

    Popularity falls as one over rank, the day has a rush hour, a service changes its version each week, and 2 calls in
    100 have scores near 1.
    """

    def __init__(self, *, calls: int, days: int, end: int) -> None:
        self.end = end
        self.calls = calls
        self._begin = end - days * _DAY
        self._rng = np.random.default_rng(1)
        self._rate = calls / (days * _DAY)
        directions = self._rng.normal(size=(TOPICS, DIMENSIONS))
        texts = directions[self._rng.integers(0, TOPICS, 4_096)] + 0.5 * self._rng.normal(size=(4_096, DIMENSIONS))
        self._sketches = sketch((texts / np.linalg.norm(texts, axis=1, keepdims=True)).astype(np.float32))
        rank = 1 / np.arange(1, NAMES + 1)
        self._popular = rank / rank.sum()
        self._next = dict.fromkeys(range(PARTITIONS), 0)

    def deltas(self) -> Iterator[Delta]:
        """Everything up to the end, by partition and time."""
        fresh = self.end - FRESH_SECONDS
        for partition in range(PARTITIONS):
            at, seconds = self._begin, max(FLUSH_SECONDS, int(OBJECT_CALLS * PARTITIONS / self._rate))
            while at < fresh:
                until = min(at + seconds, fresh)
                yield self.delta(partition, at, until)
                at = until
            for at in range(fresh, self.end, FLUSH_SECONDS):
                yield self.delta(partition, at, at + FLUSH_SECONDS)

    def resume(self, cursors: Mapping[Stream, int]) -> None:
        """Go on where a chain that was written before ends."""
        self._next |= {stream.partition: at for stream, at in cursors.items()}

    def delta(self, partition: int, begin: int, end: int) -> Delta:
        """The calls of a partition from ``begin`` to ``end``, which follow those of the delta before."""
        rng, start = self._rng, self._next[partition]
        n = max(1, int(rng.poisson(self._rate / PARTITIONS * (end - begin))))
        self._next[partition] = start + n
        stream = Stream("otlp_spans", SUITE, partition)
        footer = Footer(
            topic=stream.topic, epoch=stream.epoch, partition=partition, start=start, next=start + n,
            records=n, consumed=n, suites={SUITE: COLUMNS}, resume_at=float(end),
        )  # fmt: skip
        return Delta(footer=footer, calls=self._rows(n, start, begin, end), embeddings=empty_embeddings())

    def _rows(self, n: int, start: int, begin: int, end: int) -> pa.Table:
        rng = self._rng
        time = np.sort(self._times(n, begin, end))
        service = rng.choice(NAMES, n, p=self._popular)
        week = (time - self._begin * 10**6) // (7 * _DAY * 10**6)
        tenant = rng.choice(NAMES, n, p=self._popular)
        second = rng.random(n) < 0.2
        words = {
            "service": _words("service", service),
            "environment": _words("stage", (rng.random(n) < 0.1).astype(np.int64)),
            "model": _words("model", (service + second) % NAMES),
            "model_version": _words("version", (service + second) % NAMES),
            "prompt": _words("prompt", (service + 7 * (rng.random(n) < 0.3)) % NAMES),
            "tenant": _words("tenant", tenant),
            "service_version": _words("1", week),
            "language": _chosen(_LANGUAGES, np.where(rng.random(n) < 0.8, tenant % 3, rng.integers(0, 6, n))),
            "dialect": _same("otel_genai", n),
            "content": _same("captured", n),
            "suite": _same(SUITE, n),
            "v_version": _same("minilm/1", n),
        }
        numbers = {
            "time": time,
            "offset": np.arange(start, start + n),
            "input_tokens": rng.lognormal(6, 1, n).astype(np.int64),
            "output_tokens": rng.lognormal(5, 1, n).astype(np.int64),
            "latency_us": (rng.lognormal(0, 0.7, n) * 1e6).astype(np.int64),
            "ttft_us": (rng.lognormal(-1.5, 0.7, n) * 1e6).astype(np.int64),
            "dropped_attributes": np.zeros(n, np.int64),
        }
        of_text = self._sketches[rng.integers(0, len(self._sketches), n)]
        columns = {}
        for field in (*CALL_FIELDS, *SKETCH_FIELDS):
            if field.name in words:
                columns[field.name] = words[field.name].cast(field.type)
            elif field.name in numbers:
                columns[field.name] = pa.array(numbers[field.name]).cast(field.type)
            elif pa.types.is_fixed_size_binary(field.type):
                width = field.type.byte_width
                data = of_text.tobytes() if field.name.startswith("v_") else rng.bytes(n * width)
                columns[field.name] = pa.FixedSizeBinaryArray.from_buffers(field.type, n, [None, pa.py_buffer(data)])
            elif field.name == "unjoined":
                columns[field.name] = pa.array(np.zeros(n, np.bool_))
            else:
                columns[field.name] = pa.nulls(n, field.type)
        for entry in COLUMNS:
            bad = rng.random(n) < 0.02
            scores = np.where(bad, rng.beta(9, 1, n), rng.beta(0.3, 8, n)) * 1e6
            columns[score_field(entry.spec()).name] = pa.array(
                np.where(rng.random(n) < 0.05, -1, scores).astype(np.int32)
            )
        return pa.table(columns)

    def _times(self, n: int, begin: int, end: int) -> npt.NDArray[np.int64]:
        """Microseconds; of two places in the time the busier hour wins three times in four."""
        pairs = self._rng.integers(begin * 10**6, end * 10**6, (2, n))
        rush = np.cos((pairs // 10**6 % _DAY / _DAY - 0.5) * 2 * np.pi)
        busier = np.where(rush[0] >= rush[1], pairs[0], pairs[1])
        return np.where(self._rng.random(n) < 0.5, busier, pairs[0])


def drift_records(begin: int, end: int) -> Iterator[Record]:
    """What the watch decides about NAMES services, both sides, minute by minute; one of them has drifted."""
    names = [
        Slice(f"service-{at}", f"model-{at}", side, "minilm/1") for at in range(NAMES) for side in ("input", "output")
    ]
    for number, at in enumerate(range(begin, end, 60)):
        yield Record(
            number=number,
            begin=float(at),
            end=float(at + 60),
            alpha=1e-4,
            positions={},
            rows=tuple(
                Row(
                    slice=name, calls=10, pairs=9, skipped={"thinned": 1}, phases={"hour_of_week": 9},
                    log_increment=0.001, log_e=12.0 if place == 0 else number % 7 / 3, pairs_total=9 * number,
                    alarm_since=float(begin) if place == 0 else None,
                )
                for place, name in enumerate(names)
            ),
        )  # fmt: skip


def _words(stem: str, codes: npt.NDArray[np.integer]) -> pa.DictionaryArray:
    values = [f"{stem}-{code}" for code in range(int(codes.max()) + 1)]
    return _chosen(values, codes)


def _chosen(values: list[str] | tuple[str, ...], codes: npt.NDArray[np.integer]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(list(values)))


def _same(word: str, n: int) -> pa.DictionaryArray:
    return _chosen([word], np.zeros(n, np.int32))
