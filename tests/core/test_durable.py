"""A file that was created is whole, on the disk, and the only one of its name."""

from __future__ import annotations

import os
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore

from collector.durable import create


def test_a_file_is_created_once(tmp_path):
    create(tmp_path / "a" / "b" / "one", b"first")

    with pytest.raises(FileExistsError):
        create(tmp_path / "a" / "b" / "one", b"second")
    assert (tmp_path / "a" / "b" / "one").read_bytes() == b"first"
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["one"]


def test_contents_reach_the_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    done = []
    sync, link = os.fsync, os.link
    monkeypatch.setattr(
        "os.fsync", lambda handle: (done.append(str(Path(f"/proc/self/fd/{handle}").readlink())), sync(handle))
    )
    monkeypatch.setattr("os.link", lambda part, path: (done.append("link"), link(part, path)))

    create(tmp_path / "new" / "one", b"data")

    folders, part, *rest = done
    assert folders == str(tmp_path)
    assert part.startswith(f"{tmp_path}/new/one#")
    assert rest == ["link", str(tmp_path / "new")]


def test_what_a_crash_leaves_is_listed_by_nobody(tmp_path, monkeypatch):
    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.link", crash)
    monkeypatch.setattr("pathlib.Path.unlink", lambda *_, **__: None)
    with pytest.raises(KeyboardInterrupt):
        create(tmp_path / "one", b"data")

    assert len(list(tmp_path.iterdir())) == 1
    assert [meta for chunk in obstore.list(LocalStore(str(tmp_path))) for meta in chunk] == []
