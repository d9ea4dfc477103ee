"""The daemon as a whole, with its real clock, disk and listeners."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from collector.config import Config
from collector.daemon import Daemon
from tests.fakes.suite import HashSuite


def test_where_the_system_has_no_folder_for_temporary_files_the_daemon_uses_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)  # as on a read-only root
    config = Config.model_validate({"source": {"otlp": {"port": 0}}, "metrics": {"port": 0}, "data": tmp_path})
    daemon = Daemon(config, {}, HashSuite())
    daemon.start()
    daemon.stop()

    assert daemon.wait() == 0
    assert tempfile.gettempdir() == str(tmp_path)


def test_a_data_folder_that_vanishes_does_not_end_the_daemon(tmp_path: Path) -> None:
    data = tmp_path / "data"
    config = Config.model_validate({"source": {"otlp": {"port": 0}}, "metrics": {"port": 0}, "data": data})
    daemon = Daemon(config, {}, HashSuite())
    daemon.start()
    data.rename(tmp_path / "elsewhere")

    daemon._tell()  # the view may be back by now, in a new folder
    daemon.stop()

    assert daemon.wait() == 0
