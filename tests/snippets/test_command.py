"""``assay snippets``: says what is kept, deletes what it is told to, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.cli import main
from collector.config import Config
from collector.snippets.shelf import Shelf, open_shelf
from tests.core.build import NOON
from tests.snippets.build import Clock, key, snippet
from tests.store.build import config


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    return config(tmp_path, evidence={"snippets": {"enabled": True}})


@pytest.fixture
def shelf(settings: Config) -> Shelf:
    found = open_shelf(settings, Clock(), {})
    assert found is not None
    for one in (key(0), key(0, column="pii_output"), key(1, at=NOON - 60)):
        found.put(one, snippet())
    return found


def assay(settings: Config, *arguments: str) -> int:
    return main(["snippets", "--data", str(settings.data), *arguments])


def test_it_says_how_many_are_kept_and_since_when(
    settings: Config, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    assert assay(settings) == 0
    assert capsys.readouterr().out == (
        "3 snippets of 2 calls are kept, the oldest call is of 2026-09-21 14:12:20 UTC\n"
    )


def test_of_one_trace_it_deletes_all_and_of_others_nothing(settings: Config, shelf: Shelf) -> None:
    assert assay(settings, "--delete-trace", key(0).trace_id.upper()) == 0

    assert shelf.paths() == [key(1, at=NOON - 60).path]


def test_all_of_it_goes(settings: Config, shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    assert assay(settings, "--delete-all") == 0
    assert assay(settings) == 0

    assert shelf.paths() == []
    assert capsys.readouterr().out == "3 snippets deleted, 0 are left\nno snippets are kept\n"


def test_where_nothing_was_ever_kept_it_says_so_and_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert assay(config(tmp_path)) == 0

    assert capsys.readouterr().out == "no snippets are kept\n"
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_trace_id_is_bad_usage(settings: Config, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        assay(settings, "--delete-trace", "4bf9")

    assert ended.value.code == 2
    assert "32 hexadecimal digits" in capsys.readouterr().err
