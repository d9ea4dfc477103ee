"""The view says what the chain says: once, in any order, after any interruption."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import islice

import pyarrow as pa
import pytest
from obstore.store import MemoryStore

from collector.chain import Chain
from collector.config import Config
from collector.delta import Stream
from collector.rollup import SCORES, TRAFFIC
from collector.store.arrays import QUANTILES
from collector.store.database import rows_of
from collector.store.materialise import Materialiser, Store
from tests.core.build import NOON
from tests.store.build import STREAMS, config, digest, fill, rebuilt, some_delta, totals, view


@pytest.fixture
def filled(tmp_path):
    chain, materialiser = view(tmp_path / "live")
    fill(chain)
    yield chain, materialiser
    materialiser.store.close()


def sql(store: Store, query: str):
    with store.database.read() as connection:
        return rows_of(connection, query)


def test_a_step_takes_every_stream_to_its_head(filled):
    chain, materialiser = filled

    step = materialiser.step()

    assert (step.deltas, step.calls) == (36, totals(chain)["calls"])
    for stream in STREAMS:
        assert materialiser.store.cursor(stream) == chain.head(stream)[-1].next
    assert materialiser.step().deltas == 0


def test_every_count_of_the_chain_is_in_the_view(filled):
    chain, materialiser = filled
    materialiser.step()
    expected = totals(chain)

    names = ("calls", "consumed", "rejected", "lost", "dropped", "records")
    (found,) = sql(materialiser.store, f"SELECT {', '.join(f'sum({name})' for name in names)} FROM partitions")
    assert dict(zip(names, found, strict=True)) == expected
    assert sql(materialiser.store, "SELECT DISTINCT balance FROM partitions") == [(0,)]
    for resolution in ("minute", "hour", "day"):
        assert sql(materialiser.store, f"SELECT sum(calls) FROM traffic_{resolution}") == [(expected["calls"],)]


def test_a_link_is_applied_once_and_only_where_its_stream_goes_on(filled):
    chain, materialiser = filled
    store = materialiser.store
    links = list(chain.walk(STREAMS[0]))

    assert store.apply(links[:2]).deltas == 2
    assert store.apply(links[:2]).deltas == 0
    assert store.apply(links[3:]).deltas == 0
    assert store.apply([links[1], links[2], links[4]]).deltas == 1
    assert store.cursor(STREAMS[0]) == links[2].next


def test_a_new_stream_appears_by_itself(filled):
    chain, materialiser = filled
    materialiser.step()
    late = Stream("otlp_spans", "e1", 7)
    chain.append(some_delta(random.Random(3), late, 5, 4, NOON))

    assert materialiser.step().calls == 4
    assert materialiser.store.cursor(late) is not None


@pytest.mark.parametrize("seed", range(4))
def test_any_interleaving_of_the_streams_and_any_batches_give_the_same_bytes(filled, tmp_path, seed):
    chain, _ = filled
    rng = random.Random(seed)
    store = Store(config(tmp_path / "shuffled"), chain.root)
    walks = {stream: chain.walk(stream) for stream in STREAMS}
    while walks:
        chosen = rng.sample(sorted(walks), rng.randint(1, len(walks)))
        batch = []
        for stream in chosen:
            links = list(islice(walks[stream], rng.randint(1, 5)))
            if not links:
                del walks[stream]
            batch += links
        store.apply(batch)
    store.close()

    assert digest(store.database.path) == rebuilt(chain, tmp_path / "straight")


def test_late_calls_are_added_to_the_windows_they_belong_to(tmp_path):
    chain, materialiser = view(tmp_path)
    rng = random.Random(5)
    chain.append(some_delta(rng, STREAMS[0], 0, 10, NOON))
    materialiser.step()
    before = dict(sql(materialiser.store, "SELECT window_start, sum(calls) FROM traffic_minute GROUP BY ALL"))
    chain.append(some_delta(random.Random(5), STREAMS[1], 0, 10, NOON))
    materialiser.step()

    after = dict(sql(materialiser.store, "SELECT window_start, sum(calls) FROM traffic_minute GROUP BY ALL"))
    assert after == {window: 2 * n for window, n in before.items()}
    (counts,) = sql(materialiser.store, "SELECT sum(late), sum(ahead) FROM partitions")
    (in_sql,) = sql(
        materialiser.store,
        f"""SELECT sum(calls) FILTER (window_start < make_timestamp({NOON - 3_600}000000)),
                   sum(calls) FILTER (window_start > make_timestamp({NOON + 3_600}000000)) FROM traffic_minute""",
    )
    assert counts == in_sql
    assert min(counts) > 0
    materialiser.store.close()


def test_other_thresholds_make_another_view_and_the_old_file_is_set_aside(filled, tmp_path):
    chain, materialiser = filled
    materialiser.step()
    materialiser.store.close()
    strict = Config.model_validate(
        materialiser.store.config.model_dump() | {"signals": {"warn_at": 0.1, "critical_at": 0.2}}
    )
    other = Materialiser(chain, Store(strict, chain.root))

    step = other.step()

    assert "outdated" in step.rebuilt
    assert step.calls == totals(chain)["calls"]
    (found,) = sql(other.store, "SELECT sum(exceed_warn), sum(exceed_critical) FROM rollup_day")
    assert found == expected_above(chain, 0.1, 0.2)
    other.store.close()


def expected_above(chain, *thresholds):
    values = [
        value
        for stream in chain.streams()
        for link in chain.walk(stream)
        for name in link.delta.calls.column_names
        if name.startswith("s_")
        for value in link.delta.calls.column(name).to_pylist()
        if value is not None
    ]
    return tuple(sum(value > threshold * 1e6 for value in values) for threshold in thresholds)


def test_the_schema_has_the_columns_of_the_rollups(filled):
    _, materialiser = filled
    for shape, table in ((SCORES, "scores"), (TRAFFIC, "traffic")):
        expected = {"window_start", *shape.keys, *shape.counts, *shape.sums}
        expected |= {f"{name}_{end}" for name in shape.extremes for end in ("least", "most")}
        expected |= {f"{name}_{end}" for name in shape.histograms for end in (*QUANTILES, "buckets", "bucket_counts")}
        if shape is SCORES:
            expected |= {"exemplar_scores", "exemplar_high", "exemplar_low"}
        for resolution in ("minute", "hour", "day"):
            found = sql(
                materialiser.store,
                f"SELECT column_name FROM duckdb_columns() WHERE table_name = '{resolution}_{table}'",
            )
            assert {name for (name,) in found} == expected


def test_copies_of_a_remote_chain_are_kept_and_swept(tmp_path):
    chain, _ = view(tmp_path / "far")
    fill(chain)
    far = Config.model_validate({"source": {"otlp": {}}, "data": tmp_path / "near", "chain": {"url": "s3://b/c"}})
    materialiser = Materialiser(chain, Store(far))
    materialiser.step()

    paths = [path for (path,) in sql(materialiser.store, "SELECT path FROM data.deltas")]
    files = materialiser.store.files
    assert files.base == (tmp_path / "near" / "calls").absolute()
    assert all((files.base / path).is_file() for path in paths)
    assert files.sweep(paths[1:]) == 1
    assert not (files.base / paths[0]).exists()
    materialiser.store.close()


def test_calls_of_a_remote_chain_that_cannot_be_copied_are_waited_for(tmp_path):
    settings = config(tmp_path, chain={"url": "s3://elsewhere/chain"})
    chain = Chain(MemoryStore())
    fill(chain, deltas=2)
    (tmp_path / "calls").write_text("a file where a folder must be")
    materialiser = Materialiser(chain, Store(settings))

    assert "cannot be copied" in materialiser.step().failure

    (tmp_path / "calls").unlink()
    steps = [materialiser.step() for _ in range(3)]
    materialiser.store.close()
    assert sum(step.deltas for step in steps) == 6


def test_a_delta_of_a_newer_version_stops_its_stream_alone(tmp_path):
    chain, materialiser = view(tmp_path)
    fill(chain, deltas=1)
    newer = some_delta(random.Random(3), STREAMS[0], chain.head(STREAMS[0])[-1].next, 4, NOON)
    place = newer.calls.schema.get_field_index("content")
    words = pa.array(["telepathy"] * newer.calls.num_rows).dictionary_encode()
    chain.append(replace(newer, calls=newer.calls.set_column(place, newer.calls.schema.field(place), words)))
    chain.append(some_delta(random.Random(4), STREAMS[1], chain.head(STREAMS[1])[-1].next, 4, NOON))

    step = materialiser.step()

    assert "does not know" in step.failure
    assert materialiser.store.cursor(STREAMS[1]) == chain.head(STREAMS[1])[-1].next
    materialiser.store.close()
