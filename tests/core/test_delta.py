"""The format of a delta."""

from __future__ import annotations

import io
import random

import numpy as np
import pyarrow.parquet as pq
import pytest

from collector import delta as deltas
from collector.delta import EMBEDDING_SCALE, DeltaError, decode, embedding_table, encode, merge_embeddings
from collector.labels import Labels
from collector.rows import SuiteId, unscored
from collector.rows import build as build_rows
from signals.types import Abstention, ScoreColumn
from tests.core import build


def test_a_delta_comes_back_as_it_was():
    delta = build.delta(3, 9)

    again = decode(encode(delta))

    assert again.footer == delta.footer
    assert again.calls.to_pylist() == delta.calls.to_pylist()
    assert again.embeddings.equals(delta.embeddings)
    assert encode(delta) == encode(delta)


def test_a_row_group_tells_its_times_and_its_scores_so_that_the_worst_are_found_in_few():
    delta = build.delta(3, 9)
    told = {"time", *(name for name in delta.calls.column_names if name.startswith("s_"))}
    assert len(told) > 1

    group = pq.ParquetFile(io.BytesIO(encode(delta))).metadata.row_group(0)

    columns = [group.column(place) for place in range(group.num_columns)]
    spans = {one.path_in_schema: one.statistics for one in columns if one.statistics and one.statistics.has_min_max}
    assert spans.keys() == told
    for name in told - {"time"}:
        values = delta.calls.column(name).to_pylist()
        assert (spans[name].min, spans[name].max) == (min(values), max(values))


def test_an_empty_range_is_a_delta_too():
    footer = build.delta(0, 1).footer

    again = decode(
        encode(deltas.Delta(footer=footer, calls=deltas.empty_calls(), embeddings=deltas.empty_embeddings()))
    )

    assert again.calls.num_rows == 0


def test_a_damaged_object_is_refused_or_unharmed_but_never_counts_differently():
    whole = build.delta(0, 20)
    data = encode(whole)
    rng = random.Random(7)
    for _ in range(300):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            again = decode(bytes(damaged))
        except DeltaError:
            continue
        assert again.footer == whole.footer
        assert again.calls.to_pylist() == whole.calls.to_pylist()


@pytest.mark.parametrize("data", [b"", b"PAR1", b"x" * 100])
def test_what_is_no_parquet_is_refused(data):
    with pytest.raises(DeltaError):
        decode(data)


def test_a_score_and_a_reason_share_one_exact_integer():
    part = build.rows([0, 1, 2], values=[0.25, float("nan"), 1.0])

    assert part.calls.column("s_toxicity_output").to_pylist() == [250_000, -Abstention.NO_TEXT, 1_000_000]
    assert part.calls.column("unscored").to_pylist() == [None, "no_text", None]


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
def test_a_score_outside_0_to_1_stops_the_process(value):
    given = build.scores(1, values=[0.5])
    column = ScoreColumn(
        spec=build.TOXICITY, values=np.array([value], dtype=np.float32), abstentions=np.zeros(1, dtype=np.uint8)
    )
    labels = Labels(values_max=5, chars_max=20)

    with pytest.raises(AssertionError, match="a score is not in"):
        build_rows([build.call()], [0], type(given)(columns=(column,)), SuiteId.of([build.TOXICITY]), labels, 0.0)


def test_the_gravest_reason_explains_an_unscored_call():
    codes = [[Abstention.NO_CONTEXT, Abstention.NOT_CAPTURED], [Abstention.FAILED, Abstention.NO_TEXT]]
    columns = [
        ScoreColumn(
            spec=build.TOXICITY, values=np.full(2, np.nan, dtype=np.float32), abstentions=np.array(row, dtype=np.uint8)
        )
        for row in codes
    ]

    assert unscored(columns, 2) == ["failed", "not_captured"]
    assert unscored([], 1) == ["not_applicable"]


def test_embedding_sums_merge_in_any_grouping():
    parts = [build.delta(0, 5).embeddings, build.delta(5, 6).embeddings, build.delta(6, 9).embeddings]

    whole = merge_embeddings([build.delta(0, 9).embeddings])

    assert merge_embeddings(parts).equals(whole)
    assert merge_embeddings([merge_embeddings(parts[1:]), parts[0]]).equals(whole)
    assert whole.column("n").to_pylist() == [9]
    assert np.frombuffer(whole.column("sum")[0].as_py(), dtype="<i4").tolist() == [9 * EMBEDDING_SCALE, 0, 0, 0]


def test_an_embedding_sum_that_does_not_fit_is_refused_and_never_wrapped():
    key = (0, "shop", "gpt-4o", "output", "m1")

    assert embedding_table({key: (1, np.array([2**31 - 1, -(2**31)]))}).num_rows == 1
    with pytest.raises(AssertionError, match="32 bits"):
        embedding_table({key: (1, np.array([2**31, 0]))})
