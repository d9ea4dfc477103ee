"""Counts a delta into the durable metrics, a column at a time: about a microsecond a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from collector import catalog
from collector.catalog import Metric
from collector.compaction import off_clock
from collector.delta import Delta
from collector.export.series import Ints, Key
from signals.types import Abstention

MICROSECONDS = 1_000_000
_ABSENT = -(1 << 62)
_SCORE_METRICS = {signal.name: signal.metric for signal in catalog.SIGNALS}
_REASONS = tuple(reason.name.lower() for reason in Abstention)

Evidence = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]


class Board(Protocol):
    """Where the numbers go."""

    def count(self, metric: str, key: Key, value: float) -> None: ...
    def observe_batch(
        self,
        metric: str,
        keys: Sequence[Key],
        group: Ints,
        values: Ints,
        evidence: Evidence | None = None,
    ) -> None: ...


class _Word(NamedTuple):
    """A column of words: each row's code, and what the codes mean; null is the last code."""

    codes: Ints
    words: list[str]


@dataclass(frozen=True, slots=True)
class _Groups:
    """Rows by the values of some columns."""

    keys: list[Key]
    index: Ints  # shape (rows,): which key

    def sizes(self, weights: npt.NDArray[np.float64] | None = None) -> list[float]:
        sizes: list[float] = np.bincount(self.index, weights=weights, minlength=len(self.keys)).tolist()
        return sizes


def count(delta: Delta, board: Board) -> None:
    """Count the calls and the footer of a delta; KeyError for a score that the catalogue does not name."""
    _footer(delta, board)
    if delta.calls.num_rows:
        _traffic(delta.calls, board)
        _scores(delta.calls, board)


def _footer(delta: Delta, board: Board) -> None:
    footer = delta.footer
    rejected = sum(footer.rejected.values())
    board.count(catalog.RECORDS.name, (footer.topic,), footer.records)
    board.count(catalog.RECORDS_LOST.name, (footer.topic,), footer.lost)
    balance = footer.consumed - delta.calls.num_rows - rejected - footer.lost
    board.count(catalog.IMBALANCE.name, (footer.topic,), balance)
    for direction, n in zip(("ahead", "late"), off_clock(delta), strict=True):
        board.count(catalog.CALLS_OFF_CLOCK.name, (footer.topic, direction), n)
    for reason, n in footer.rejected.items():
        board.count(catalog.RECORDS_REJECTED.name, (reason,), n)
    for reason, n in footer.dropped.items():
        board.count(catalog.SPANS_DROPPED.name, (reason,), n)


def _traffic(calls: pa.Table, board: Board) -> None:
    service, model = _word(calls, "service"), _word(calls, "model")
    unscored = _word(calls, "unscored")
    scored = unscored.codes == len(unscored.words)
    outcome = _Word(scored.astype(np.int64), ["unscored", "scored"])
    _tally(board, catalog.CALLS, service, model, outcome)
    _tally(board, catalog.CALLS_UNSCORED, service, unscored)
    _tally(board, catalog.CALLS_CONTENT, service, _word(calls, "content"))
    _tally(board, catalog.CALLS_FAILED, service, model, _word(calls, "error"))
    unjoined = _Word(1 - _numbers(calls, "unjoined"), [""])  # every code but 0 is null here
    by_service = _group(service, unjoined)
    for key, n in zip(by_service.keys, by_service.sizes(), strict=True):
        board.count(catalog.CALLS_UNJOINED.name, key[:1], n)
    by_model = _group(service, model)
    for direction in ("input", "output", "cache_read"):
        tokens = _numbers(calls, f"{direction}_tokens")
        present = tokens != _ABSENT
        totals = by_model.sizes(np.where(present, tokens, 0).astype(np.float64))
        for key, total in zip(by_model.keys, totals, strict=True):
            if total:
                board.count(catalog.TOKENS.name, (*key, direction), total)
    evidence = _evidence(calls)
    for metric, name in ((catalog.LATENCY, "latency_us"), (catalog.TTFT, "ttft_us")):
        values = _numbers(calls, name)
        known = np.flatnonzero(values != _ABSENT)
        if len(known):
            board.observe_batch(
                metric.name, by_model.keys, by_model.index[known], values[known], _rows(evidence, known)
            )


def _scores(calls: pa.Table, board: Board) -> None:
    service, model = _word(calls, "service"), _word(calls, "model")
    by_model = _group(service, model)
    evidence = _evidence(calls)
    for column in calls.column_names:
        if not column.startswith("s_"):
            continue
        signal, side = column[2:].rsplit("_", 1)
        metric = _SCORE_METRICS[signal]
        values = _numbers(calls, column)
        known = np.flatnonzero(values >= 0)
        if len(known):
            keys = [(*key, side) for key in by_model.keys]
            board.observe_batch(metric, keys, by_model.index[known], values[known], _rows(evidence, known))
        abstained = np.flatnonzero((values < 0) & (values != _ABSENT))
        if len(abstained):
            reasons = _Word(-values[abstained], list(_REASONS))
            groups = _group(_Word(service.codes[abstained], service.words), reasons)
            for (name, reason), n in zip(groups.keys, groups.sizes(), strict=True):
                board.count(catalog.SIGNAL_UNSCORED.name, (name, signal, side, reason), n)


def _tally(board: Board, metric: Metric, *words: _Word) -> None:
    groups = _group(*words)
    for key, n in zip(groups.keys, groups.sizes(), strict=True):
        board.count(metric.name, key, n)


def _group(*words: _Word) -> _Groups:
    """Rows by the values of the columns; a row with a null in one of them is in no group."""
    code, known = np.zeros(len(words[0].codes), dtype=np.int64), np.ones(len(words[0].codes), dtype=np.bool_)
    for word in words:
        known &= word.codes < len(word.words)
        code = code * len(word.words) + word.codes
    present, index = np.unique(code[known], return_inverse=True)
    sizes = [len(word.words) for word in words]
    columns = np.unravel_index(present, sizes) if len(present) else ()
    named = ([word.words[at] for at in codes.tolist()] for word, codes in zip(words, columns, strict=False))
    keys: list[Key] = list(zip(*named, strict=True))
    return _Groups(keys, index)


def _word(calls: pa.Table, name: str) -> _Word:
    column = calls.column(name).unify_dictionaries().combine_chunks()
    words = column.dictionary.to_pylist()
    return _Word(pc.fill_null(column.indices, len(words)).to_numpy(zero_copy_only=False).astype(np.int64), words)


def _numbers(calls: pa.Table, name: str) -> Ints:
    column = calls.column(name)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    numbers: Ints = pc.fill_null(column.cast(pa.int64()), _ABSENT).to_numpy()
    return numbers


def _evidence(calls: pa.Table) -> Evidence:
    traces = calls.column("trace_id").combine_chunks()
    raw = np.frombuffer(traces.buffers()[1], dtype=np.uint8).reshape(-1, 16)
    times = calls.column("time").cast(pa.int64()).to_numpy() / MICROSECONDS
    return raw[traces.offset : traces.offset + len(traces)], times


def _rows(evidence: Evidence, rows: Ints) -> Evidence:
    return evidence[0][rows], evidence[1][rows]
