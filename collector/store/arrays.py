"""Between Arrow and numpy: the calls of a delta as columns for the rollups, and summaries as tables for DuckDB."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from collector.delta import KEYS, Delta, DeltaError, SuiteEntry, completed
from collector.rollup import SCORES, CallColumns, ScoreValues, Shape, Summary, Words
from collector.rollup.fold import CONTENTS, NOT_IN_SUITE, UNKNOWN
from collector.rollup.histogram import Buckets, Ints, quantile
from collector.rollup.summary import NO_LEAST, NO_MOST, Exemplars, Wide
from signals.types import Abstention

QUANTILES = {"p50": 500, "p95": 950, "p99": 990}
_LIMB = 1 << 32


def signal_version(entry: SuiteEntry) -> str:
    """Version and weights as one word: scores of two of these are never added."""
    return f"{entry.version}+{entry.weights}" if entry.weights else entry.version


def call_columns(delta: Delta) -> CallColumns:
    """The calls of a delta as arrays; DeltaError for a word that only a newer version can have written."""
    table = completed(delta.calls).combine_chunks()
    return CallColumns(
        time=table.column("time").cast(pa.int64()).to_numpy(),
        keys=tuple(words(table.column(key)) for key in KEYS),
        trace=_traces(table.column("trace_id")),
        error=table.column("error").is_valid().to_numpy(),
        unscored=_coded(table.column("unscored"), {reason.name.lower(): int(reason) for reason in Abstention}),
        content=_coded(table.column("content"), {content: code for code, content in enumerate(CONTENTS)}),
        unjoined=table.column("unjoined").to_numpy(),
        dropped_attributes=table.column("dropped_attributes").to_numpy().astype(np.int64),
        numbers={
            "input_tokens": _numbers(table.column("input_tokens")),
            "output_tokens": _numbers(table.column("output_tokens")),
            "cache_read_tokens": _numbers(table.column("cache_read_tokens")),
            "latency": _numbers(table.column("latency_us")),
            "ttft": _numbers(table.column("ttft_us")),
        },
        scores=_scores(delta, table),
    )


def words(column: pa.ChunkedArray) -> Words:
    """A column of strings or a dictionary as codes and values."""
    encoded = _one_chunk(column)
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy().astype(np.int64)
    if len(set(values)) < len(values):  # Parquet does not forbid it
        distinct = Words.of(values)
        return Words(distinct.codes[codes], distinct.values)
    return Words(codes, tuple(values))


def to_arrow(summary: Summary) -> pa.Table:
    """A table of ``Shape``'s columns; a sum is two columns, ``_high`` and ``_low``, see ``insert_sql``."""
    shape, n = summary.shape, len(summary)
    columns: dict[str, pa.Array] = {"window_start": pa.array(summary.window * 1_000_000, pa.timestamp("us"))}
    for name, key in zip(shape.keys, summary.keys, strict=True):
        columns[name] = pa.DictionaryArray.from_arrays(
            pa.array(key.codes.astype(np.int32)), pa.array(key.values, pa.string())
        )
    for at, name in enumerate(shape.counts):
        columns[name] = pa.array(summary.counts[:, at])
    for at, name in enumerate(shape.sums):
        columns[f"{name}_high"] = pa.array(summary.sums.high[:, at])
        columns[f"{name}_low"] = pa.array(summary.sums.low[:, at])
    for at, name in enumerate(shape.extremes):
        least, most = summary.least[:, at], summary.most[:, at]
        columns[f"{name}_least"] = pa.array(least, mask=least == NO_LEAST)
        columns[f"{name}_most"] = pa.array(most, mask=most == NO_MOST)
    for name, buckets in zip(shape.histograms, summary.histograms, strict=True):
        at = shape.extremes.index(name)
        for suffix, permille in QUANTILES.items():
            found = quantile(
                permille,
                rows=n,
                buckets=buckets,
                zeros=summary.count(f"{name}_zeros"),
                least=summary.least[:, at],
                most=summary.most[:, at],
            )
            columns[f"{name}_{suffix}"] = pa.array(found, mask=found < 0)
        columns[f"{name}_buckets"] = _lists(n, buckets.row, pa.array(buckets.bucket))
        columns[f"{name}_bucket_counts"] = _lists(n, buckets.row, pa.array(buckets.n))
    if shape is SCORES:
        worst = summary.exemplars
        columns["exemplar_scores"] = _lists(n, worst.row, pa.array(worst.score))
        columns["exemplar_high"] = _lists(n, worst.row, pa.array(np.ascontiguousarray(worst.trace[:, 0])))
        columns["exemplar_low"] = _lists(n, worst.row, pa.array(np.ascontiguousarray(worst.trace[:, 1])))
    return pa.table(columns)


def from_arrow(table: pa.Table, shape: Shape) -> Summary:
    """The summary that ``select_sql`` read."""
    table = table.combine_chunks()

    def ints(name: str) -> Ints:
        found: Ints = table.column(name).to_numpy().astype(np.int64, copy=False)
        return found

    def stack(names: list[str]) -> Ints:
        return np.stack([ints(name) for name in names], axis=1) if names else np.empty((len(table), 0), np.int64)

    histograms = []
    for name in shape.histograms:
        row, bucket = _flat(table.column(f"{name}_buckets"))
        histograms.append(Buckets(row, bucket.astype(np.int16), _flat(table.column(f"{name}_bucket_counts"))[1]))
    if shape is SCORES:
        row, score = _flat(table.column("exemplar_scores"))
        halves = [_flat(table.column(f"exemplar_{half}"))[1].astype(np.uint64) for half in ("high", "low")]
        exemplars = Exemplars(row, score, np.stack(halves, axis=1))
    else:
        exemplars = Exemplars(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 2), np.uint64))
    return Summary(
        shape=shape,
        window=ints("window_start"),
        keys=tuple(words(table.column(key)) for key in shape.keys),
        counts=stack(list(shape.counts)),
        sums=Wide(stack([f"{name}_high" for name in shape.sums]), stack([f"{name}_low" for name in shape.sums])),
        least=stack([f"{name}_least" for name in shape.extremes]),
        most=stack([f"{name}_most" for name in shape.extremes]),
        histograms=tuple(histograms),
        exemplars=exemplars,
    )


def select_sql(shape: Shape) -> str:
    """The select list that reads a summary's table for ``from_arrow``."""
    return ", ".join(
        (
            "epoch_us(window_start) // 1000000 AS window_start",
            *shape.keys,
            *shape.counts,
            *(
                f"({name} // {_LIMB})::BIGINT AS {name}_high, ({name} % {_LIMB})::BIGINT AS {name}_low"
                for name in shape.sums
            ),
            *(
                f"coalesce({name}_least, {NO_LEAST}) AS {name}_least, coalesce({name}_most, {NO_MOST}) AS {name}_most"
                for name in shape.extremes
            ),
            *(f"{name}_buckets, {name}_bucket_counts" for name in shape.histograms),
            *(("exemplar_scores", "exemplar_high", "exemplar_low") if shape is SCORES else ()),
        )
    )


def insert_sql(shape: Shape) -> str:
    """The select list that turns ``to_arrow``'s columns into those of schema.sql, in its order."""
    return ", ".join(
        (
            "window_start",
            *shape.keys,
            *shape.counts,
            *(f"{name}_high::HUGEINT * {_LIMB} + {name}_low AS {name}" for name in shape.sums),
            *(f"{name}_least, {name}_most" for name in shape.extremes),
            *(f"{name}_{suffix}" for name in shape.histograms for suffix in QUANTILES),
            *(f"{name}_buckets, {name}_bucket_counts" for name in shape.histograms),
            *(("exemplar_scores", "exemplar_high", "exemplar_low") if shape is SCORES else ()),
        )
    )


def _scores(delta: Delta, table: pa.Table) -> tuple[ScoreValues, ...]:
    """A signal's scores a suite: rows of another suite are NOT_IN_SUITE."""
    suite = words(table.column("suite"))
    found = []
    for code, name in enumerate(suite.values):
        mine = suite.codes == code
        for entry in delta.footer.suites[name]:
            column = table.column(f"s_{entry.spec().column}")
            values = column.fill_null(NOT_IN_SUITE).to_numpy()
            found.append(
                ScoreValues(
                    signal=entry.signal,
                    side=entry.side,
                    version=signal_version(entry),
                    values=values if len(suite.values) == 1 else np.where(mine, values, NOT_IN_SUITE).astype(np.int32),
                )
            )
    return tuple(found)


def _traces(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    array = _one_chunk(column)
    data = np.frombuffer(array.buffers()[1], dtype=">u8")[array.offset * 2 :] if len(array) else np.empty(0, ">u8")
    return data[: len(array) * 2].reshape(-1, 2).astype(np.uint64)


def _coded(column: pa.ChunkedArray, codes: dict[str, int]) -> Ints:
    """A column of known words as their codes, null as 0."""
    encoded = _one_chunk(column)
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    unknown = [word for word in encoded.dictionary.to_pylist() if word not in codes]
    if unknown:
        raise DeltaError(f"a delta with words that this version does not know: {unknown[:3]}")
    table = np.array([*(codes[word] for word in encoded.dictionary.to_pylist()), 0], dtype=np.int64)
    found: Ints = table[encoded.indices.fill_null(len(table) - 1).to_numpy()]
    return found


def _numbers(column: pa.ChunkedArray) -> Ints:
    found: Ints = np.maximum(column.fill_null(UNKNOWN).to_numpy(), UNKNOWN)
    return found


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    combined = column.unify_dictionaries().combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(combined, pa.ChunkedArray):
        return combined.chunk(0) if combined.num_chunks else pa.array([], combined.type)
    return combined


def _lists(n: int, row: Ints, values: pa.Array) -> pa.Array:
    offsets = np.searchsorted(row, np.arange(n + 1), side="left").astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _flat(column: pa.ChunkedArray) -> tuple[Ints, Ints]:
    array = _one_chunk(column)
    lengths = pc.list_value_length(array).to_numpy()
    return np.repeat(np.arange(len(array)), lengths), array.flatten().to_numpy(zero_copy_only=False)
