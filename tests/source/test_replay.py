"""Replayed files."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.config import ReplayConfig
from collector.source import SourceError
from collector.source.replay import LOGS, TRACES, ReplaySource, expand
from tests.source.worlds import Reader


def write(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_directory_stands_for_its_requests_in_order_of_name(tmp_path: Path) -> None:
    for name in ("10.pb", "02.json", "01.pb", "notes.txt", "sub/03.pb"):
        write(tmp_path / name)

    assert [file.name for file in expand([tmp_path])] == ["01.pb", "02.json", "10.pb"]


def test_a_pattern_gives_what_it_matches_and_files_keep_the_order_given(tmp_path: Path) -> None:
    last = write(tmp_path / "z.json")
    for name in ("a/traces.pb", "b/traces.pb", "b/logs.pb"):
        write(tmp_path / name)

    files = expand([last, tmp_path / "*" / "traces.pb"])

    assert [str(file.relative_to(tmp_path)) for file in files] == ["z.json", "a/traces.pb", "b/traces.pb"]


def test_a_path_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        ReplaySource(ReplayConfig(traces=(tmp_path / "missing.pb",))).start()


def test_it_finishes_when_everything_was_delivered(tmp_path: Path) -> None:
    source = ReplaySource(ReplayConfig(traces=(write(tmp_path / "t.pb"),), logs=(write(tmp_path / "l.pb"),)))
    source.start()
    assert not source.finished

    seen = Reader(source).until(lambda seen: len(seen.records) == 2)

    assert seen.offsets == {TRACES: [0], LOGS: [0]}
    assert source.finished
    assert source.lag() == {TRACES: 0, LOGS: 0}


def test_traces_alone_are_a_replay(tmp_path: Path) -> None:
    source = ReplaySource(ReplayConfig(traces=(write(tmp_path / "t.pb"),)))
    source.start()

    assert Reader(source).until(lambda seen: len(seen.records) == 1).owned == {TRACES}
    assert source.finished


def test_the_epoch_follows_the_contents_and_not_the_place(tmp_path: Path) -> None:
    def epoch(*files: Path) -> str:
        source = ReplaySource(ReplayConfig(traces=files))
        source.start()
        return source.epoch(TRACES.topic)

    first, second = write(tmp_path / "1.pb", b"one"), write(tmp_path / "2.pb", b"two")
    again = epoch(first, second)
    moved = write(tmp_path / "elsewhere" / "1.pb", b"one"), write(tmp_path / "elsewhere" / "2.pb", b"two")

    assert epoch(*moved) == again
    assert epoch(second, first) != again
    assert epoch(first) != again


def test_a_file_that_goes_away_is_an_outage_until_it_is_back(tmp_path: Path) -> None:
    file = write(tmp_path / "t.pb", b"kept")
    source = ReplaySource(ReplayConfig(traces=(file,)))
    source.start()
    file.unlink()
    reader = Reader(source)
    reader.until(lambda _: not source.healthy)

    write(file, b"kept")

    assert reader.until(lambda seen: len(seen.records) == 1).records[0].value == b"kept"
    assert source.healthy
