"""Each call is taken in once, paired with fresh calls of its phase, or counted with the reason why not."""

from __future__ import annotations

from collections import Counter
from datetime import UTC

import pytest

from collector.drift.calls import read
from collector.drift.record import Slice
from collector.store.database import rows_of
from collector.store.driftlog import drift_files
from collector.store.housekeeping import Housekeeper
from signals import sketch
from tests.core.build import call
from tests.drift.build import DAY, HOUR, MONDAY, MORNING, SETTINGS, Traffic, World
from tests.snippets.build import chooser
from tests.store.build import STREAMS

SHOP = Slice("shop", "gpt-4o", "input", f"encoder-1/{sketch.VERSION}")


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def totals(records):
    found = Counter()
    for record in records:
        for row in record.rows:
            found.update(calls=row.calls, pairs=row.pairs, **row.skipped)
            found.update({f"phase_{phase}": n for phase, n in row.phases.items()})
    return found


def test_a_window_waits_for_its_end_and_its_grace(world):
    Traffic(world.chain).delta(MORNING, 10)

    assert world.examine(MORNING + 64.9) == []
    (record,) = world.examine(MORNING + 65)
    assert (record.number, record.begin, record.end) == (0, MORNING, MORNING + 60)
    assert world.examine(MORNING + 10_000) == []


def test_calls_without_an_earlier_day_have_no_reference(world):
    Traffic(world.chain).minutes(MORNING, 3, calls=10)

    assert totals(world.examine(MORNING + HOUR)) == {"calls": 30, "no_reference": 30, "pairs": 0}


@pytest.mark.parametrize(
    ("days", "phase"),
    [(7, "phase_hour_of_week"), (3, "phase_hour_of_day"), (4, "phase_hour_of_day")],
)
def test_the_same_hour_of_last_week_or_of_another_working_day_is_the_reference(world, days, phase):
    traffic = Traffic(world.chain)
    traffic.minutes(MORNING - days * DAY, 5, calls=10)
    traffic.minutes(MORNING, 3, calls=10)

    found = totals(world.examine(MORNING + HOUR))

    assert found == {"calls": 80, "no_reference": 50, "pairs": 30, phase: 30}


@pytest.mark.parametrize("hours", [7 * 24 + 1, 24 + 12, 24, 2])
def test_another_hour_and_a_weekend_are_no_reference_for_a_monday(world, hours):
    traffic = Traffic(world.chain)
    traffic.minutes(MORNING - hours * HOUR, 5, calls=10)
    traffic.minutes(MORNING, 3, calls=10)

    assert totals(world.examine(MORNING + HOUR))["pairs"] == 0


def test_a_reference_call_is_used_once_whatever_asks_for_it(world):
    traffic = Traffic(world.chain)
    traffic.minutes(MORNING - 7 * DAY, 4, calls=10)
    for day in (0, 1, 2):
        traffic.minutes(MORNING + day * DAY, 3, calls=10)

    found = totals(world.examine(MORNING + 3 * DAY))

    # Monday takes 30 of last Monday's 40; Tuesday Monday's 30; Wednesday Tuesday's 30, last Monday being too old
    assert found == {
        "calls": 130, "pairs": 90, "no_reference": 40, "phase_hour_of_week": 30, "phase_hour_of_day": 60,
    }  # fmt: skip


def test_the_reference_runs_out(world):
    traffic = Traffic(world.chain)
    traffic.minutes(MORNING - 7 * DAY, 1, calls=15)
    traffic.minutes(MORNING, 4, calls=10)

    assert totals(world.examine(MORNING + HOUR)) == {
        "calls": 55, "pairs": 15, "no_reference": 40, "phase_hour_of_week": 15,
    }  # fmt: skip


def test_on_the_first_day_earlier_hours_serve_where_the_settings_allow_it(tmp_path):
    world = World(tmp_path, {**SETTINGS, "recent_gap_seconds": 120.0})
    Traffic(world.chain).minutes(MORNING, 6, calls=10)

    found = totals(world.examine(MORNING + HOUR))

    assert found == {"calls": 60, "pairs": 30, "phase_any": 30, "no_reference": 30}
    world.close()


def test_a_conversation_has_one_turn_an_hour(world):
    traffic = Traffic(world.chain)
    traffic.minutes(MORNING - 7 * DAY, 2, calls=10, conversation_id="last week's")
    traffic.minutes(MORNING - 7 * DAY, 2, calls=10)
    traffic.minutes(MORNING, 3, calls=10, conversation_id="c")
    traffic.minutes(MORNING + HOUR, 1, calls=5, conversation_id="c")
    records = world.examine(MORNING + 10)
    assert totals(records)["thinned"] == 19

    found = totals(world.examine(MORNING + 2 * HOUR, world.watcher()))

    assert (found["pairs"], found["thinned"], found["no_reference"]) == (1, 29 + 4, 1)


def test_no_more_pairs_than_the_settings_allow_and_no_call_from_the_future(tmp_path):
    world = World(tmp_path, {**SETTINGS, "pairs_max": 20})
    traffic = Traffic(world.chain)
    traffic.minutes(MORNING - 7 * DAY, 5, calls=20)
    traffic.delta(MORNING, 50)
    traffic.delta(MORNING, 5, ended_at=(MORNING + 2 * HOUR) * 10**9)

    (record,) = world.examine(MORNING + HOUR)[5:]

    assert totals([record]) == {
        "calls": 55, "pairs": 20, "phase_hour_of_week": 20, "capped": 30, "off_clock": 5,
    }  # fmt: skip
    world.close()


def test_slices_are_watched_separately_and_within_a_bound(tmp_path):
    world = World(tmp_path, {**SETTINGS, "slices_max": 2})
    traffic = Traffic(world.chain)
    for number, service in enumerate(["a", "b", "c"]):
        traffic.minutes(MORNING + 60 * number, 1, calls=10, service=service)
    traffic.minutes(MORNING + 180, 1, calls=10, service="a")

    records = world.examine(MORNING + HOUR)

    assert totals(records) == {"calls": 40, "pairs": 0, "no_reference": 30, "slices": 10}
    assert [row.slice.service for record in records for row in record.rows if row.skipped.get("slices")] == ["c"]
    world.close()


def test_another_encoder_begins_a_detector_of_its_own(world):
    traffic = Traffic(world.chain)
    traffic.minutes(MORNING - 7 * DAY, 3, calls=10)
    traffic.version = "encoder-2"
    traffic.minutes(MORNING, 3, calls=10)

    found = world.examine(MORNING + HOUR)

    assert totals(found)["pairs"] == 0
    assert {name.version.split("/")[0] for name in world.watch.catch_up().detectors} == {"encoder-1", "encoder-2"}


def test_a_view_that_lacks_a_stream_for_a_while_takes_no_call_in_twice(world):
    early, late = Traffic(world.chain), Traffic(world.chain, seed=2, stream=STREAMS[1])
    early.minutes(MORNING, 3, calls=10)
    late.minutes(MORNING + 180, 3, calls=10)
    world.materialiser.step()
    files = drift_files(world.materialiser.store)
    known = [file for file in files if file.stream == STREAMS[0].path]
    found = []
    for shown in (known, [file for file in files if file not in known], files):  # as while a view is built again
        while record := world.watch.step(shown, MORNING + HOUR):
            found.append(record)

    assert totals(found)["calls"] == 60


def test_a_shift_alarms_and_says_since_when_and_no_shift_does_not(world):
    traffic = Traffic(world.chain)
    traffic.minutes(MORNING - 7 * DAY, 60)
    traffic.minutes(MORNING, 20)
    traffic.minutes(MORNING + 20 * 60, 20, topics=(0, 1, 5))

    records = world.examine(MORNING + 2 * HOUR)

    alarms = [(record.end, row.alarm_since) for record in records for row in record.rows if row.alarm_since]
    assert alarms
    assert all(since == alarms[0][0] for _, since in alarms)
    assert MORNING + 22 * 60 <= alarms[0][0] <= MORNING + 40 * 60
    assert alarms[-1][0] == MORNING + 40 * 60


def test_the_topics_of_a_shift_are_told_with_calls_of_each(world):
    traffic = Traffic(world.chain)
    traffic.minutes(MORNING - 7 * DAY, 60)
    traffic.minutes(MORNING, 40, topics=(0, 1, 5))

    records = world.examine(MORNING + 2 * HOUR)

    looked_up = [topics for record in records for topics in record.topics]
    topics = looked_up[-1]
    assert (topics.slice, topics.n_before) == (SHOP, 1_200)
    changes = [topic.share_after - topic.share_before for topic in topics.topics]
    assert sum(change for change in changes if change > 0) == pytest.approx(1 / 3, abs=0.05)
    assert sum(changes) == pytest.approx(0)
    new = next(topic for topic in topics.topics if not topic.share_before)
    assert len(new.examples_after) == 3
    assert new.examples_before == ()
    assert 1 <= len(looked_up) <= 1 + 40 / 5
    with world.materialiser.store.database.read() as connection:
        shown = rows_of(connection, "SELECT count(*), count(DISTINCT window_start) FROM data.drift_topics")
    assert shown == [(len(topics.topics), 1)]


@pytest.mark.parametrize("seed", range(4))
def test_a_busy_week_without_a_shift_does_not_alarm(tmp_path, seed):
    world = World(tmp_path, {**SETTINGS, "window_seconds": 600.0, "pairs_max": 10_000})
    traffic = Traffic(world.chain, seed=seed)
    for day in range(3):
        traffic.minutes(MORNING + day * DAY, 20, calls=40)

    records = world.examine(MORNING + 3 * DAY)

    assert totals(records)["pairs"] > 1_000
    assert all(row.alarm_since is None for record in records for row in record.rows)
    world.close()


def shifted(world, **watching):
    """The topics of a shift, looked up last, and every row of the chain by trace id."""
    traffic = Traffic(world.chain)
    traffic.minutes(MORNING - 7 * DAY, 60)
    traffic.minutes(MORNING, 40, topics=(0, 1, 5))
    watch = world.watcher(**watching)
    found = [topics for record in world.examine(MORNING + 2 * HOUR, watch) for topics in record.topics]
    links = (link for stream in world.chain.streams() for link in world.chain.walk(stream))
    return found[-1].topics, {row["trace_id"].hex(): row for link in links for row in link.delta.calls.to_pylist()}


def test_an_example_is_told_with_its_span_and_its_end(world):
    topics, rows = shifted(world)

    told = [
        (trace, span, time)
        for topic in topics
        for when in ("before", "after")
        for trace, span, time in zip(
            *(getattr(topic, f"{what}_{when}") for what in ("examples", "spans", "times")), strict=True
        )
    ]
    assert told
    for trace, span, time in told:
        row = rows[trace]
        assert (row["span_id"].hex(), row["time"].replace(tzinfo=UTC).timestamp()) == (span, time / 1e6)


def test_calls_whose_texts_are_kept_come_first_among_a_topic_s_examples(world):
    topics, rows = shifted(world, kept_max=2)

    choosing = chooser(drift_calls_per_minute_max=2, per_minute_max=10_000, ttl_hours=2_000)
    calls = [
        call(
            trace_id=trace,
            span_id=row["span_id"].hex(),
            ended_at=int(row["time"].replace(tzinfo=UTC).timestamp()) * 10**9,
        )
        for trace, row in rows.items()
    ]
    kept = {one.key.trace_id for one in choosing.choose(calls, [], MORNING + 2 * HOUR)}
    told = [
        [trace in kept for trace in some] for topic in topics for some in (topic.examples_before, topic.examples_after)
    ]
    assert len(kept) == len(rows) / 10
    assert sum(map(sum, told)) > 0.75 * sum(map(len, told)) > 0
    assert all(some == sorted(some, reverse=True) for some in told)


def test_old_deltas_without_sketches_are_read_and_show_nothing(world):
    traffic = Traffic(world.chain, sketched=False)
    traffic.minutes(MORNING - 7 * DAY, 2, calls=10)
    traffic.sketched = True
    traffic.minutes(MORNING, 2, calls=10)

    assert totals(world.examine(MORNING + HOUR)) == {"calls": 20, "pairs": 0, "no_reference": 20}


def test_compaction_between_two_windows_changes_no_decision(tmp_path):
    plain, compacted = World(tmp_path / "plain"), World(tmp_path / "compacted")
    for world in (plain, compacted):
        traffic = Traffic(world.chain)
        keeper = Housekeeper(world.chain, world.materialiser.store)
        for begin in (MORNING - 7 * DAY, MORNING):
            for part in range(2):
                traffic.minutes(begin + part * 35 * 60, 35, calls=6)
                world.examine(begin + DAY)
                if world is compacted:
                    keeper.compact(begin + DAY)
                    keeper.sweep()
    assert len(drift_files(compacted.materialiser.store)) < 20

    heads = [world.watcher().catch_up() for world in (plain, compacted)]

    assert heads[0].detectors[SHOP].state == heads[1].detectors[SHOP].state
    assert heads[0].detectors[SHOP].used == heads[1].detectors[SHOP].used
    plain.close()
    compacted.close()


def test_a_position_inside_a_merged_object_splits_it(world):
    traffic = Traffic(world.chain)
    traffic.minutes(MONDAY, 3, calls=10)
    world.examine(MONDAY + 70)
    world.materialiser.step()
    files = drift_files(world.materialiser.store)
    stream = files[0].stream

    parts = [read(world.watch.base, files, {stream: 15}, before=before) for before in (False, True)]

    assert [len(part) for part in parts] == [15, 15]
    assert len({*parts[0].id.tolist(), *parts[1].id.tolist()}) == 30
