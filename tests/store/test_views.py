"""The documented views are the real ones, and agree with each other."""

from __future__ import annotations

import duckdb
import pytest

from collector.store.database import FILE
from collector.store.session import make_views
from collector.store.views import VIEWS, column_table
from tests.store.build import fill, totals, view


@pytest.fixture(scope="module")
def analyst(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    chain, materialiser = view(folder)
    fill(chain, deltas=20)
    materialiser.step()
    materialiser.store.close()
    with duckdb.connect(str(folder / FILE), read_only=True) as connection:
        make_views(connection, f"{chain.root}/")
        yield connection, chain


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_a_view_has_the_columns_that_its_table_documents(analyst, name):
    connection, _ = analyst
    documented = [(column.name, column.type) for column in VIEWS[name].columns]

    found = [(column, kind) for column, kind, *_ in connection.execute(f"DESCRIBE {name}").fetchall()]

    assert found[: len(documented)] == documented
    signals = [("toxicity_input", "DOUBLE"), ("toxicity_output", "DOUBLE")] if name == "calls" else []
    assert found[len(documented) :] == signals
    assert all(f"| `{column}` |" in column_table(VIEWS[name]) for column, _ in documented)
    connection.execute(f"SELECT * FROM {name}").fetchall()


def test_calls_are_exactly_the_rows_of_the_applied_deltas(analyst):
    connection, chain = analyst

    assert connection.execute("SELECT count(*) FROM calls").fetchall() == [(totals(chain)["calls"],)]
    assert connection.execute("SELECT sum(calls) FROM partitions").fetchall() == [(totals(chain)["calls"],)]


def test_a_bound_on_time_opens_only_the_files_it_needs(analyst):
    connection, _ = analyst

    (plan,) = connection.execute(
        "EXPLAIN ANALYZE SELECT count(*) FROM calls WHERE time < TIMESTAMP '2020-01-01'"
    ).fetchall()

    assert "read_parquet" not in plan[1].lower()


def test_rollups_and_scores_say_the_same(analyst):
    connection, _ = analyst
    keys = "service, environment, model, model_version, prompt, tenant, signal, side, signal_version"
    by_hand = f"""SELECT time_bucket(INTERVAL 1 MINUTE, time) AS window_start, {keys},
        count(score), coalesce(sum(round(score * 1e6)::BIGINT), 0), round(min(score), 6), round(max(score), 6),
        count(*) FILTER (reason = 'no_text'), count(*) FILTER (reason = 'shed'), count(*) FILTER (score > 0.5)
        FROM scores GROUP BY ALL ORDER BY ALL"""
    rolled = f"""SELECT window_start, {keys}, n, score_sum, min, max, unscored_no_text, unscored_shed, exceed_warn
        FROM rollup_minute ORDER BY ALL"""

    assert connection.execute(rolled).fetchall() == connection.execute(by_hand).fetchall()


def test_coarser_rollups_say_the_same(analyst):
    connection, _ = analyst
    what = "signal, side, signal_version, sum(n), sum(score_sum), min(min), max(max)"
    query = f"SELECT {what} FROM {{}} GROUP BY ALL ORDER BY ALL"

    minute = connection.execute(query.format("rollup_minute")).fetchall()

    assert len(minute) == 3
    assert minute == connection.execute(query.format("rollup_hour")).fetchall()
    assert minute == connection.execute(query.format("rollup_day")).fetchall()


def test_means_deviations_and_traffic_agree_with_the_calls(analyst):
    connection, _ = analyst
    rows = connection.execute(
        """SELECT r.mean, s.mean, r.stddev, s.stddev FROM rollup_day r JOIN (
            SELECT time_bucket(INTERVAL 1 DAY, time) AS day, service, model, model_version, tenant, signal, side,
                   signal_version, avg(score) AS mean, stddev_samp(score) AS stddev FROM scores GROUP BY ALL
        ) s ON r.window_start = s.day AND r.service = s.service AND r.model = s.model AND r.tenant = s.tenant
            AND r.signal = s.signal AND r.side = s.side AND r.signal_version = s.signal_version WHERE r.n > 1"""
    ).fetchall()
    assert rows
    for mean, expected_mean, deviation, expected_deviation in rows:
        assert mean == pytest.approx(expected_mean)
        assert deviation == pytest.approx(expected_deviation)

    traffic = "SELECT sum(calls), sum(errors), sum(input_tokens), sum(latency_calls) FROM traffic_day"
    calls = "SELECT count(*), count(error), sum(input_tokens), count(latency_seconds) FROM calls"
    assert connection.execute(traffic).fetchall() == connection.execute(calls).fetchall()


def test_exemplars_are_the_worst_calls(analyst):
    connection, _ = analyst
    rows = connection.execute(
        "SELECT exemplars, exemplar_scores, max, signal, side FROM rollup_day WHERE max > 0"
    ).fetchall()

    assert rows
    for traces, scores, highest, signal, side in rows:
        assert 1 <= len(traces) == len(scores) <= 3
        assert scores[0] == highest
        query = "SELECT score FROM scores WHERE trace_id = ? AND signal = ? AND side = ?"
        assert connection.execute(query, [traces[0], signal, side]).fetchall()[0][0] == pytest.approx(highest)


def test_the_quantile_macro_agrees_with_the_stored_quantile(analyst):
    connection, _ = analyst
    rows = connection.execute(
        "SELECT p95, histogram_quantile(0.95, zeros, buckets, bucket_counts), min, max FROM rollup_hour WHERE n > 0"
    ).fetchall()

    assert rows
    for stored, estimated, lowest, highest in rows:
        assert min(max(estimated, lowest), highest) == pytest.approx(stored, abs=2e-6)


def test_coverage_counts_what_was_missed_and_not_what_does_not_apply(analyst):
    connection, _ = analyst
    rows = connection.execute("SELECT scored, eligible, coverage, shed, no_text FROM coverage").fetchall()

    assert any(shed for *_, shed, _ in rows)
    for scored, eligible, coverage, shed, _ in rows:
        assert eligible == scored + shed
        assert coverage == (pytest.approx(scored / eligible) if eligible else None)


def test_rejects_add_up_to_the_partitions(analyst):
    connection, _ = analyst
    query = "SELECT coalesce(sum(n), 0) FROM rejects WHERE kind = '{}'"
    sums = "SELECT sum(rejected), sum(dropped), sum(unscored), sum(lost) FROM partitions"
    (expected,) = connection.execute(sums).fetchall()

    found = tuple(
        connection.execute(query.format(kind)).fetchall()[0][0] for kind in ("rejected", "dropped", "unscored", "lost")
    )

    assert found == expected
    assert all(found)


def test_comparisons_put_every_pair_of_models_side_by_side_once(analyst):
    connection, _ = analyst
    rows = connection.execute(
        "SELECT service, model, other_model, n, other_n, mean, other_mean, difference, low, high FROM comparisons"
    ).fetchall()

    assert rows
    for _, model, other, n, other_n, mean, other_mean, difference, low, high in rows:
        assert (model, other) == ("claude", "gpt-4o")
        assert min(n, other_n) > 1
        assert difference == pytest.approx(other_mean - mean)
        assert low <= difference <= high


def test_an_empty_view_answers_every_query(tmp_path):
    _, materialiser = view(tmp_path)
    materialiser.step()
    materialiser.store.close()
    with duckdb.connect(str(tmp_path / FILE), read_only=True) as connection:
        make_views(connection)
        for name in VIEWS:
            assert connection.execute(f"SELECT * FROM {name}").fetchall() == []
