"""Retention, compaction and sweeping make things smaller and change no number that is kept."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.compaction import Held, merge_deltas, off_clock, plan
from collector.delta import Delta, decode, encode
from collector.rows import embedding_sums, table
from collector.store.database import rows_of
from collector.store.housekeeping import Housekeeper
from collector.store.materialise import Materialiser, Store
from collector.store.retention import DAY, kept
from tests.core.build import NOON, call, delta, rows
from tests.store.build import STREAMS, config, digest, fill, go_on, rebuilt, some_delta, totals, view

COMPACT = {"compact_after_deltas": 4, "compact_grace_seconds": 100.0}


@pytest.fixture
def world(tmp_path):
    chain, materialiser = view(tmp_path / "live", store=COMPACT)
    fill(chain)
    materialiser.step()
    yield chain, materialiser, Housekeeper(chain, materialiser.store)
    materialiser.store.close()


def paths(chain):
    return {item.path for stream in STREAMS for item in chain.objects(stream)}


held_runs = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 120), st.integers(0, 300)), max_size=40)


@given(held_runs)
def test_a_plan_merges_settled_neighbours_within_its_bounds(parts):
    held, at = [], 0
    for size, calls, log_time in parts:
        held.append(Held(start=at, next=at + size, path=str(at), calls=calls, log_time=log_time))
        at += size

    runs = plan(held, now=200, after_deltas=5, grace_seconds=100, calls_max=200)

    for run in runs:
        assert 2 <= len(run) <= 5
        assert sum(item.calls for item in run) <= 200
        assert all(item.log_time <= 100 and item.calls <= 100 for item in run)
        assert [item.start for item in run[1:]] == [item.next for item in run[:-1]]
    starts = [item.start for run in runs for item in run]
    assert starts == sorted(set(starts))


def test_a_merged_delta_says_what_its_run_says():
    rng = random.Random(2)
    run, at = [], 0
    for number in range(6):
        run.append(some_delta(rng, STREAMS[0], at, 8, NOON + 40 * number))
        at = run[-1].footer.next

    merged = decode(encode(merge_deltas(run)))

    footer = merged.footer
    assert (footer.start, footer.next) == (0, at)
    assert footer.consumed == sum(one.footer.consumed for one in run)
    assert footer.records == sum(one.footer.records for one in run)
    assert footer.lost == sum(one.footer.lost for one in run)
    assert off_clock(merged) == tuple(map(sum, zip(*map(off_clock, run), strict=True)))
    assert footer.resume_at == run[-1].footer.resume_at
    names = run[0].calls.column_names[:-2]
    assert merged.calls.select(names).to_pylist() == [row for one in run for row in one.calls.select(names).to_pylist()]
    assert merge_deltas([merge_deltas(run[:2]), merge_deltas(run[2:])]).footer == merge_deltas(run).footer


def test_a_run_with_a_hole_is_refused():
    with pytest.raises(AssertionError):
        merge_deltas([delta(0, 10), delta(11, 20)])


def test_after_compaction_the_view_is_what_a_rebuild_makes(world, tmp_path):
    chain, materialiser, keeper = world
    before = rebuilt(chain, tmp_path / "before")

    assert keeper.compact(NOON + 10**6) == 36
    materialiser.store.close()
    after = digest(materialiser.store.database.path)

    assert after == rebuilt(chain, tmp_path / "after")
    assert after["deltas"].startswith("9:")
    assert {name for name in before if before[name] != after[name]} == {"deltas", "outcomes"}
    assert materialiser.step().deltas == 0


def test_what_is_within_grace_or_merged_enough_stays(world):
    _, _, keeper = world

    assert keeper.compact(NOON) == 0
    assert keeper.compact(NOON + 4 * 40 + 100) == 3 * 4
    assert keeper.compact(NOON + 4 * 40 + 100) == 0


def test_replaced_objects_go_with_the_second_sweep(world):
    chain, materialiser, keeper = world
    small = paths(chain)
    keeper.compact(NOON + 10**6)

    assert keeper.sweep() == 0
    assert small < paths(chain)
    assert keeper.sweep() == 36
    assert paths(chain) == {item.path for stream in STREAMS for item in materialiser.store.held(stream)}
    assert keeper.sweep() == 0


def test_what_the_view_has_not_reached_is_never_swept(world):
    chain, materialiser, keeper = world
    ahead = some_delta(random.Random(4), STREAMS[0], materialiser.store.cursor(STREAMS[0]), 3, NOON)
    chain.append(ahead)
    orphan = some_delta(random.Random(4), STREAMS[0], ahead.footer.next + 7, 3, NOON)
    chain.append(orphan)
    before = paths(chain)

    assert [keeper.sweep() for _ in range(3)] == [0, 0, 0]
    assert paths(chain) == before


def test_a_merged_object_whose_counts_differ_replaces_nothing(world):
    chain, materialiser, _ = world
    links = list(chain.walk(STREAMS[0]))
    merged = merge_deltas([link.delta for link in links[:3]])
    wrong = type(merged)(footer=merged.footer, calls=merged.calls.slice(1), embeddings=merged.embeddings)
    before = materialiser.store.held(STREAMS[0])

    with pytest.raises(AssertionError):
        materialiser.store.replace(chain.put_merged(wrong))
    assert materialiser.store.held(STREAMS[0]) == before


def test_retention_drops_whole_windows_and_only_them(world):
    chain, materialiser, keeper = world
    store = materialiser.store
    now = NOON + 7 * DAY - 40  # the minutes before NOON - 40 are older than seven days
    go_on(chain, materialiser, now)

    query = "SELECT sum(calls) FROM traffic_{}"

    def calls(resolution):
        with store.database.read() as connection:
            return rows_of(connection, query.format(resolution))[0][0]

    whole = calls("minute")
    assert calls("hour") == whole
    keeper.retire(now)

    with store.database.read() as connection:
        ((oldest,),) = rows_of(connection, "SELECT epoch_us(min(window_start)) // 1000000 FROM rollup_minute")
    assert oldest >= (NOON - 40) // 60 * 60
    assert 0 < calls("minute") < whole
    assert calls("hour") == whole
    assert keeper.retire(now).windows == 0
    assert len(store.held(STREAMS[0])) == 12


def test_objects_go_when_all_their_calls_are_older_than_anything_kept(world, tmp_path):
    chain, materialiser, keeper = world
    store = materialiser.store
    go_on(chain, materialiser, NOON + 34 * DAY)
    assert keeper.retire(NOON + 30 * DAY).objects == 0

    retired = keeper.retire(NOON + 34 * DAY)

    assert retired.objects == 3 * 11
    assert [keeper.sweep(), keeper.sweep()] == [0, 33]
    for stream in STREAMS:
        (last,) = store.held(stream)
        assert last.next == store.cursor(stream)
        assert [link.path for link in chain.walk(stream)] == [last.path]
    more = some_delta(random.Random(4), STREAMS[0], store.cursor(STREAMS[0]), 3, NOON + 34 * DAY)
    chain.append(more)
    assert materialiser.step().calls == 3
    again = Materialiser(chain, Store(config(tmp_path / "again"), chain.root))
    assert again.step().deltas == 5  # with the one of the stream where time went on
    again.store.close()


def test_a_clock_that_leaps_ahead_deletes_nothing(world):
    chain, _, keeper = world
    before = totals(chain)

    retired = keeper.retire(NOON + 3_650 * DAY)
    swept = [keeper.sweep(), keeper.sweep()]

    assert (retired.windows, retired.objects, swept) == (0, 0, [0, 0])
    assert retired.at == pytest.approx(NOON + DAY, abs=600)
    assert totals(chain) == before


def stamped(start, days, ahead):
    """Two calls that were read ``days`` after NOON; the second one's client is ``ahead`` days ahead."""
    at = NOON + days * DAY
    made = rows([start, start + 1], calls=[call(start, ended_at=(at + days) * 10**9) for days in (0, ahead * DAY)])
    footer = msgspec.structs.replace(delta(start, start + 2, stream=STREAMS[0]).footer, resume_at=float(at))
    return Delta(footer=footer, calls=table([made]), embeddings=embedding_sums([made]))


@pytest.mark.parametrize(("ahead", "days"), [(2, 32), (20, 32), (20, 45), (40, 15), (40, 45), (400, 15)])
def test_a_view_from_which_old_objects_are_gone_is_what_a_rebuild_makes(tmp_path, ahead, days):
    chain, materialiser = view(tmp_path / "live")
    keeper = Housekeeper(chain, materialiser.store)
    chain.append(stamped(0, 0, ahead))
    materialiser.step()
    keeper.retire(NOON + 60)
    chain.append(stamped(2, days, 0))
    materialiser.step()
    keeper.retire(NOON + days * DAY)
    keeper.sweep()
    keeper.sweep()

    again = Materialiser(chain, Store(config(tmp_path / "again"), chain.root))
    again.step()
    Housekeeper(chain, again.store).retire(NOON + days * DAY)
    for each in (materialiser, again):
        each.store.close()
    assert digest(materialiser.store.database.path) == digest(again.store.database.path)


@pytest.mark.parametrize("seed", range(3))
def test_merged_objects_leave_out_of_windows_what_the_deltas_left_out(tmp_path, seed):
    """Of calls whose clocks are ahead by about as much as windows take."""
    chain, materialiser = view(tmp_path / "live", store=COMPACT)
    rng, start = random.Random(seed), 0
    for hour in range(60):
        chain.append(stamped(start, hour / 24, rng.uniform(30.5, 33)))
        start += 2
    materialiser.step()
    within = {table: one for table, one in rebuilt(chain, tmp_path / "before", store=COMPACT).items() if "_" in table}
    keeper = Housekeeper(chain, materialiser.store)

    while keeper.compact(NOON + 10 * DAY):
        pass
    materialiser.store.close()

    after = rebuilt(chain, tmp_path / "after", store=COMPACT)
    assert digest(materialiser.store.database.path) == after
    assert within.items() <= after.items()
    assert int(after["deltas"].partition(":")[0]) <= 3 + 2 * COMPACT["compact_after_deltas"]


def test_one_client_from_the_future_does_not_keep_the_chain_for_ever(tmp_path):
    chain, materialiser = view(tmp_path)
    chain.append(stamped(0, 0, 4_000))
    chain.append(stamped(2, 62, 0))
    materialiser.step()

    assert Housekeeper(chain, materialiser.store).retire(NOON + 62 * DAY).objects == 1
    materialiser.store.close()


def test_what_is_kept_depends_on_the_time_alone(tmp_path):
    settings = config(tmp_path)
    one, other = kept(settings, NOON + 0.5), kept(settings, NOON + 0.5)

    assert one == other
    for item in one:
        assert item.begin < NOON < item.end
    begins = {item.table: item.begin for item in one}
    assert begins["minute_scores"] == (NOON - 7 * DAY) // 60 * 60
    assert begins["day_scores"] == (NOON - 30 * DAY) // DAY * DAY


def test_totals_survive_everything(world, tmp_path):
    chain, _, keeper = world
    expected = totals(chain)
    keeper.compact(NOON + 10**6)
    keeper.sweep()
    keeper.sweep()
    keeper.compact(NOON + 10**6)

    assert totals(chain) == expected
    fresh = Materialiser(chain, Store(config(tmp_path / "fresh"), chain.root))
    assert fresh.step().calls == expected["calls"]
    fresh.store.close()


def another(chain, data):
    """A second process that serves the same chain."""
    materialiser = Materialiser(chain, Store(config(data, store=COMPACT), chain.root))
    materialiser.step()
    return Housekeeper(chain, materialiser.store), materialiser


def found(chain, materialiser):
    """The calls that a view's own rows lead to."""
    held = [item for stream in STREAMS for item in materialiser.store.held(stream)]
    return sum(decode(chain.read(item.path)).calls.num_rows for item in held)


@pytest.mark.parametrize("seed", range(3))
def test_two_processes_that_serve_one_chain_delete_nothing_that_it_needs(world, tmp_path, seed):
    chain, materialiser, keeper = world
    other, follower = another(chain, tmp_path / "other")
    expected, rng = totals(chain), random.Random(seed)
    jobs = [job for one in (keeper, other) for job in (one.sweep, lambda one=one: one.compact(NOON + 10**6))]

    for _ in range(12):
        rng.choice(jobs)()
        assert totals(chain) == expected

    for one in (keeper, other):
        one.compact(NOON + 10**6)
    assert found(chain, materialiser) == found(chain, follower) == expected["calls"]
    follower.store.close()


def test_a_merged_object_of_a_process_that_was_killed_is_held_and_not_merged_again(world):
    chain, materialiser, keeper = world
    run = list(chain.walk(STREAMS[0]))[:3]
    merged = chain.put_merged(merge_deltas([link.delta for link in run]))

    keeper.compact(NOON)

    assert materialiser.store.held(STREAMS[0])[0].path == merged.path


def test_a_delta_that_only_its_deleted_merged_object_made_superfluous_stays(world, tmp_path):
    chain, materialiser, keeper = world
    keeper.compact(NOON + 10**6)
    chain.delete([item.path for item in materialiser.store.held(STREAMS[0])])
    before = paths(chain)

    assert [keeper.sweep(), keeper.sweep()] == [0, 24]
    assert {path for path in before if path.startswith(STREAMS[0].path)} <= paths(chain)
