"""Snippets wherever they lie: put once, found by name, gone when their time is over, whoever slept meanwhile."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore

from collector.chain import Chain, ChainError, open_chain
from collector.evidence import WorstCall
from collector.records import SnippetDrop
from collector.serve import Server
from collector.snippets import shelf as shelves
from collector.snippets.record import Key
from collector.snippets.shelf import NOTHING, open_shelf
from tests.core.build import NOON
from tests.snippets.build import HOUR, MICROSECONDS, Clock, Counts, Memory, key, shelf, snippet
from tests.store.build import config

BEGIN = NOON // 3_600 * 3_600  # of an hour


@pytest.fixture(params=["directory", "memory", "fake", pytest.param("s3", marks=pytest.mark.server("s3"))])
def objects(request, tmp_path):
    if request.param == "directory":
        return Chain(LocalStore(str(tmp_path)), tmp_path)
    if request.param == "memory":
        return Chain(MemoryStore())
    if request.param == "fake":
        return Memory()
    return Chain(request.getfixturevalue("s3_store"))


def test_what_was_put_is_found_by_its_name_and_nothing_else_is(objects):
    kept = shelf(objects)
    kept.put(key(1), snippet("one"))
    kept.put(key(2), snippet("two"))

    found = kept.read([key(1), key(2), key(3), key(1, column="pii_output"), key(1, at=NOON + 1)])

    assert found == {key(1): snippet("one"), key(2): snippet("two")}


def test_the_first_snippet_of_a_call_stays_and_the_same_again_is_no_fault(objects):
    kept = shelf(objects)

    assert kept.put(key(), snippet("first")) is None
    assert kept.put(key(), snippet("first")) is None
    assert kept.put(key(), snippet("second")) is SnippetDrop.TAKEN
    assert kept.read([key()]) == {key(): snippet("first")}


def test_of_many_writers_one_wins(objects):
    kept, outcomes = shelf(objects), []

    def put(number):
        outcomes.append(kept.put(key(), snippet(f"{number}")))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes, key=str) == [None] + [SnippetDrop.TAKEN] * 7


def test_an_expired_snippet_is_not_there_though_nobody_deleted_it(objects):
    clock = Clock()
    kept = shelf(objects, clock)
    kept.put(key(), snippet())
    clock.at = NOON + 2 * HOUR - 1
    before = kept.read([key()])
    clock.at = NOON + 2 * HOUR

    assert before == {key(): snippet()}
    assert kept.read([key()]) == {}
    assert kept.put(key(1), snippet()) is SnippetDrop.EXPIRED


def test_a_sweep_deletes_what_has_expired_to_the_second_and_leaves_the_rest(objects):
    clock = Clock(BEGIN)
    kept = shelf(objects, clock)
    every = [key(number, at=BEGIN - HOUR + 600 * number) for number in range(13)]
    for one in every:
        kept.put(one, snippet())
    clock.at = BEGIN + HOUR + 1_800 + 1  # by now the first hour is over, and half of the second

    swept = kept.sweep()
    again = kept.sweep()

    left = [one for one in every if one.at / MICROSECONDS + 2 * HOUR > clock.at]
    assert [Key.of(path) for path in kept.paths()] == left
    assert swept.expired == len(every) - len(left)
    assert swept.oldest_at == left[0].at / MICROSECONDS
    assert (again.expired, again.bytes) == (0, swept.bytes)
    assert swept.bytes == sum(sum(objects.sizes(hour).values()) for hour in objects.folders())


def test_a_daemon_that_slept_through_the_time_deletes_it_all_at_its_start(objects):
    clock = Clock()
    for number in range(5):
        shelf(objects, clock).put(key(number, at=NOON - 600 * number), snippet())
    clock.at += 30 * 24 * HOUR

    swept = shelf(objects, clock).sweep()

    assert swept.expired == 5
    assert swept.oldest_at is None
    assert objects.folders() == []


def test_beyond_its_room_the_oldest_hours_go(objects):
    clock = Clock(BEGIN + HOUR)
    size = len(shelves.encode(snippet("x" * 1_000)))
    kept = shelf(objects, clock, ttl_seconds=100 * HOUR, bytes_max=int(2.5 * size))
    for number in range(4):
        kept.put(key(number, at=BEGIN - HOUR * number), snippet("x" * 1_000))

    swept = kept.sweep()

    assert swept.crowded == 2
    assert swept.bytes == 2 * size
    assert sorted(kept.read([key(number, at=BEGIN - HOUR * number) for number in range(4)])) == sorted(
        [key(0, at=BEGIN), key(1, at=BEGIN - HOUR)]
    )


def test_late_calls_of_an_hour_that_was_counted_are_counted_in_time(objects):
    clock = Clock(BEGIN + 3 * HOUR)
    kept = shelf(objects, clock, ttl_seconds=100 * HOUR)
    kept.put(key(0, at=BEGIN), snippet())
    before = kept.sweep().bytes
    kept.put(key(1, at=BEGIN + 1), snippet())
    clock.at += shelves.RECOUNT_SECONDS

    assert kept.sweep().bytes == 2 * before


def test_what_is_no_snippet_and_no_hour_is_left_alone(tmp_path):
    objects = Chain(LocalStore(str(tmp_path)), tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")

    shelf(objects, ttl_seconds=NOTHING).sweep()

    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def test_what_an_interrupted_write_left_in_a_directory_goes_with_its_hour(tmp_path):
    objects = Chain(LocalStore(str(tmp_path)), tmp_path)
    clock = Clock()
    kept = shelf(objects, clock)
    kept.put(key(), snippet())
    left = tmp_path / f"{key().path}#7"  # as the store names what it has not finished
    left.write_bytes(b"You idiot.")
    clock.at += 4 * HOUR

    kept.sweep()

    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_away_is_said_so_and_one_that_is_slow_too(monkeypatch):
    memory, gate = Memory(away=True), threading.Event()

    class Slow(Memory):
        def read(self, path):
            gate.wait(30)
            return super().read(path)

    with pytest.raises(ChainError):
        shelf(memory).read([key()])
    monkeypatch.setattr(shelves, "READ_SECONDS_MAX", 0.1)
    with pytest.raises(ChainError, match=r"not read within 0\.1 s"):
        shelf(Slow()).read([key()])
    gate.set()


def test_the_worst_calls_of_a_page_find_theirs():
    kept = shelf()
    kept.put(Key(NOON * MICROSECONDS + 7, "ab" * 16, "cd" * 8, "toxicity_output"), snippet("text"))
    time = datetime.fromtimestamp(NOON, UTC).replace(tzinfo=None, microsecond=7)
    call = WorstCall(
        time=time, trace_id="ab" * 16, span_id="cd" * 8, service="", model="", model_version="", prompt="", tenant="",
        score=1.0,
    )  # fmt: skip

    assert kept.said([call], "toxicity_output") == {("ab" * 16, "cd" * 8): snippet("text").said}
    assert kept.said([call], "toxicity_input") == {}


def test_the_folder_is_for_this_user_alone_and_lies_beside_the_chain(tmp_path):
    settings = config(tmp_path / "data", evidence={"snippets": {"enabled": True}})
    kept = open_shelf(settings, Clock(), {})
    assert kept is not None
    kept.put(key(), snippet())

    folder = tmp_path / "data" / "chain-snippets"
    assert folder.stat().st_mode & 0o077 == 0
    assert [str(path.relative_to(folder)) for path in folder.rglob("*.json")] == [key().path]


def test_switched_off_there_is_no_folder_and_what_was_kept_is_deleted(tmp_path):
    off = config(tmp_path / "data")
    on = config(tmp_path / "data", evidence={"snippets": {"enabled": True}})

    assert open_shelf(off, Clock(), {}) is None
    assert not Path(off.snippets_url).exists()

    first = open_shelf(on, Clock(), {})
    first.put(key(), snippet())
    open_shelf(off, Clock(), {}).sweep()

    assert list(Path(on.snippets_url).iterdir()) == []
    assert first.read([key()]) == {}


@pytest.mark.parametrize("left", [True, False])
def test_a_server_goes_on_deleting_what_was_switched_off_until_nothing_is_left(tmp_path, left):
    clock, objects = Clock(), Memory()
    many = shelf(objects, clock, ttl_seconds=100 * HOUR)
    for number in range(shelves.HOURS_MAX + 6 if left else 3):
        many.put(key(number, at=NOON - HOUR * number), snippet())
    settings = config(tmp_path)
    serving = Server(
        chain=open_chain(settings), config=settings, telemetry=Counts(), clock=clock,
        shelf=shelf(objects, clock, ttl_seconds=NOTHING),
    )  # fmt: skip

    serving.start()
    after_start, repeated = len(objects.objects), serving._jobs.get_job("expire") is not None
    serving.expire()
    serving.close()

    assert (after_start > 0, repeated) == (left, left)
    assert objects.objects == {}
