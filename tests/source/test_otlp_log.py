"""The durable log behind the built-in receiver: offsets, time, room, damage."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.source import Bounds
from collector.source.locallog import TRIM_RECORDS_MAX, LocalLog, LogError, LogFullError

TOPICS = ("spans", "logs")


class Clock:
    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@contextmanager
def opened(path: Path, *, bytes_max: int = 1 << 30, clock: Callable[[], float] | None = None) -> Iterator[LocalLog]:
    log = LocalLog(path, TOPICS, bytes_max=bytes_max, clock=clock or Clock())
    try:
        yield log
    finally:
        log.close()


def values(log: LocalLog, topic: str, offset: int = 0) -> list[bytes | None]:
    return [entry.value for entry in log.read(topic, offset, records_max=10_000, bytes_max=1 << 30)]


def fill(log: LocalLog) -> None:
    for _ in range(100):
        log.append([("spans", bytes(50_000))])


def test_offsets_count_from_zero_in_each_topic(tmp_path: Path) -> None:
    with opened(tmp_path / "log") as log:
        assert log.append([("spans", b"a"), ("logs", b"b"), ("spans", b"c")]) == [0, 0, 1]
        assert log.append([("logs", b"d")]) == [1]

        assert values(log, "spans") == [b"a", b"c"]
        assert values(log, "logs") == [b"b", b"d"]
        assert log.bounds("spans") == Bounds(0, 2)


def test_a_restart_continues_offsets_and_epoch(tmp_path: Path) -> None:
    with opened(tmp_path / "log") as log:
        log.append([("spans", b"a")])
        epoch = log.epoch
    with opened(tmp_path / "log") as log:
        assert log.epoch == epoch
        assert log.bounds("spans") == Bounds(0, 1)
        assert log.append([("spans", b"b")]) == [1]
        assert values(log, "spans") == [b"a", b"b"]


def test_offsets_are_not_used_again_after_everything_was_trimmed(tmp_path: Path) -> None:
    with opened(tmp_path / "log") as log:
        log.append([("spans", b"a"), ("spans", b"b")])
        assert log.trim("spans", 99) == 2
        assert values(log, "spans") == []
    with opened(tmp_path / "log") as log:
        assert log.bounds("spans") == Bounds(2, 2)
        assert log.append([("spans", b"c")]) == [2]


def test_a_trim_is_bounded_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with opened(tmp_path / "log") as log:
        log.append([("spans", b"x")] * (TRIM_RECORDS_MAX + 5))

        assert log.trim("spans", TRIM_RECORDS_MAX + 3) == TRIM_RECORDS_MAX
        assert log.trim("spans", TRIM_RECORDS_MAX + 3) == 3
        assert log.trim("spans", TRIM_RECORDS_MAX + 3) == 0
        assert log.bounds("spans").first == TRIM_RECORDS_MAX + 3


def test_a_read_stops_at_its_bounds(tmp_path: Path) -> None:
    with opened(tmp_path / "log") as log:
        log.append([("spans", bytes(100))] * 10)

        assert [entry.offset for entry in log.read("spans", 3, records_max=2, bytes_max=10_000)] == [3, 4]
        assert (
            len(log.read("spans", 0, records_max=10, bytes_max=250)) == 3
        )  # the one that passes the bound still comes
        assert log.read("spans", 10, records_max=10, bytes_max=250) == []


def test_stamps_never_fall_when_the_clock_does(tmp_path: Path) -> None:
    clock = Clock(100.0)
    with opened(tmp_path / "log", clock=clock) as log:
        log.append([("spans", b"a")])
        clock.now = 50.0
        log.append([("spans", b"b")])
    with opened(tmp_path / "log", clock=clock) as log:
        log.append([("spans", b"c")])

        assert [entry.timestamp for entry in log.read("spans", 0, records_max=9, bytes_max=99)] == [100.0] * 3


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.integers(0, 5), max_size=30),
    trimmed=st.integers(0, 10),
    asked=st.integers(-3, 160),
)
def test_the_offset_at_a_time_is_that_of_the_first_record_not_older(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], trimmed: int, asked: int
) -> None:
    clock = Clock(0.0)
    with opened(tmp_path_factory.mktemp("log") / "log", clock=clock) as log:
        stamps = []
        for step in steps:
            clock.now += step
            stamps.append(clock.now)
            log.append([("spans", b"x")])
        log.trim("spans", trimmed)

        kept = [offset for offset in range(min(trimmed, len(stamps)), len(stamps)) if stamps[offset] >= asked]
        assert log.offset_at("spans", asked) == (kept[0] if kept else len(stamps))


def test_an_append_is_all_or_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "log", bytes_max=1 << 20) as log:
        log.append([("spans", b"a")])

        with pytest.raises(LogFullError):
            log.append([("spans", b"fits"), ("logs", bytes(2 << 20))])
        assert values(log, "spans") == [b"a"]
        assert log.append([("spans", b"b")]) == [1]


def test_a_full_log_refuses_and_takes_again_once_there_is_room(tmp_path: Path) -> None:
    with opened(tmp_path / "log", bytes_max=1 << 20) as log:
        with pytest.raises(LogFullError):
            fill(log)
        assert log.used_ratio() > 0.8
        end = log.bounds("spans").end
        assert len(values(log, "spans")) == end

        log.trim("spans", end // 2)

        assert log.used_ratio() < 0.6
        assert log.append([("spans", bytes(50_000))]) == [end]


def test_many_threads_get_offsets_without_holes(tmp_path: Path) -> None:
    with opened(tmp_path / "log") as log:
        got: list[int] = []

        def write() -> None:
            for _ in range(25):
                got.extend(log.append([("spans", b"x"), ("spans", b"y")]))

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(got) == list(range(200))


def test_a_file_of_rubbish_is_kept_aside_and_a_new_epoch_begins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log"
    with opened(path) as log:
        epoch = log.epoch
    path.write_bytes(b"this is no database" * 1_000)

    with opened(path) as log:
        assert log.epoch != epoch
        assert log.bounds("spans") == Bounds(0, 0)
        assert log.replaced is not None
        assert log.replaced.read_bytes().startswith(b"this is no database")
    assert "damaged" in caplog.text


def test_a_second_damaged_file_does_not_overwrite_the_first(tmp_path: Path) -> None:
    path = tmp_path / "log"
    kept = []
    for text in (b"first rubbish" * 500, b"second rubbish" * 500):
        path.write_bytes(text)
        with opened(path) as log:
            kept.append(log.replaced)

    assert len(set(kept)) == 2


def test_the_database_of_another_application_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.commit()
    connection.close()
    before = path.read_bytes()

    with pytest.raises(LogError, match="another application"), opened(path):
        pass
    assert path.read_bytes() == before


def test_a_log_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with opened(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(LogError, match="format 99"), opened(path):
        pass


def test_a_record_whose_bytes_changed_on_disk_comes_without_its_value_and_its_neighbours_come_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    with opened(path) as log:
        log.append([("spans", b"good before"), ("spans", b"TO BE DAMAGED"), ("spans", b"good after")])
    raw = path.read_bytes()
    assert raw.count(b"TO BE DAMAGED") == 1
    path.write_bytes(raw.replace(b"TO BE DAMAGED", b"TO BE dAMAGED"))

    with opened(path) as log:
        assert values(log, "spans") == [b"good before", None, b"good after"]


def test_a_record_on_a_broken_page_is_stepped_over_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with opened(path) as log:
        log.append([("spans", bytes([65 + number]) * 30_000) for number in range(6)])
    raw = bytearray(path.read_bytes())
    page = 4_096
    inside = next(at for at in range(0, len(raw), page) if raw[at + 100 : at + 200] == b"C" * 100)
    raw[inside : inside + 4] = b"\xff\xff\xff\xff"  # the link to the record's next page
    path.write_bytes(bytes(raw))

    with opened(path) as log:
        read: list[bytes | None] = []
        while len(read) < 6:
            read += values(log, "spans", len(read))

        assert [value and value[:1] for value in read] == [b"A", b"B", None, b"D", b"E", b"F"]


def test_a_closed_log_says_so(tmp_path: Path) -> None:
    with opened(tmp_path / "log") as log:
        pass
    log.close()

    with pytest.raises(LogError):
        log.append([("spans", b"x")])
    with pytest.raises(LogError):
        values(log, "spans")


_WRITER = """
import sys, time
from pathlib import Path
from collector.source.locallog import LocalLog
log = LocalLog(Path(sys.argv[1]), ("spans", "logs"), bytes_max=1 << 30, clock=time.time)
number = log.bounds("spans").end
while True:
    [offset] = log.append([("spans", b"record %d" % number)])
    print(offset, flush=True)
    number += 1
"""


def test_what_was_acknowledged_before_kill_9_is_there_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "log"
    acknowledged = -1
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with process, process.stdout as out:
            for _ in range(40):
                acknowledged = int(out.readline())
            process.kill()
            acknowledged = max([acknowledged, *(int(line) for line in out.read().split("\n")[:-1] if line)])

    with opened(path) as log:
        stored = values(log, "spans")
        assert len(stored) > acknowledged >= 119
        assert stored == [b"record %d" % number for number in range(len(stored))]
