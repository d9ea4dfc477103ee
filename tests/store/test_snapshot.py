"""Snapshots are whole, while the daemon writes and after it stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import duckdb
import pytest

from collector.store.database import FILE
from collector.store.materialise import Materialiser, Store
from collector.store.snapshot import LATEST, Snapshots, export
from collector.store.views import VIEWS
from tests.store.build import STREAMS, config, digest, fill, rebuilt, totals, view

OPEN = "import duckdb, sys; duckdb.connect(sys.argv[1], read_only=True)"


@pytest.fixture
def world(tmp_path):
    chain, materialiser = view(tmp_path)
    fill(chain)
    yield chain, materialiser, Snapshots(tmp_path, kept=2)
    materialiser.store.close()


def test_a_snapshot_opens_while_the_daemon_holds_the_file(world, tmp_path):
    chain, materialiser, snapshots = world
    materialiser.step()

    published = snapshots.publish(materialiser.store)

    assert published is not None
    assert published.bytes == published.path.stat().st_size
    assert (snapshots.folder / LATEST).resolve() == published.path
    assert digest(published.path) == rebuilt(chain, tmp_path / "straight")


def test_publishing_keeps_the_lock_on_the_live_file_and_others_read_the_snapshot(world, tmp_path):
    chain, materialiser, snapshots = world
    materialiser.step()
    snapshots.publish(materialiser.store)
    os.utime(materialiser.store.database.path)  # newer than the snapshot, and yet not to be had
    run = [sys.executable, "-m", "collector.cli", "sql", "--data", str(tmp_path), "--format", "csv"]

    opened = subprocess.run([sys.executable, "-c", OPEN, str(tmp_path / FILE)], capture_output=True, check=False)
    answer = subprocess.run([*run, "SELECT count(*) AS n FROM calls"], capture_output=True, check=False)

    assert b"Could not set lock" in opened.stderr
    assert (answer.stdout, answer.stderr) == (f"n\n{totals(chain)['calls']}\n".encode(), b"")


def test_the_newest_snapshots_are_kept_and_nothing_new_publishes_nothing(world):
    chain, materialiser, snapshots = world
    store = materialiser.store
    links = list(chain.walk(STREAMS[0]))
    for link in links[:4]:
        store.apply([link])
        assert snapshots.publish(store) is not None
        assert snapshots.publish(store) is None

    names = {path.name for path in snapshots.folder.iterdir()}
    assert names == {"assay-3.duckdb", "assay-4.duckdb", LATEST}
    assert snapshots.newest() == snapshots.folder / "assay-4.duckdb"


def test_every_snapshot_taken_while_writing_balances(world):
    chain, materialiser, snapshots = world
    snapshots = Snapshots(snapshots.folder.parent, kept=100)
    done = threading.Event()

    def write():
        for stream in STREAMS:
            for link in chain.walk(stream):
                materialiser.store.apply([link])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        snapshots.publish(materialiser.store)
    writer.join()
    snapshots.publish(materialiser.store)

    taken = sorted(snapshots.folder.glob("assay-*.duckdb"))
    assert len(taken) > 1
    for path in taken:
        with duckdb.connect(str(path), read_only=True) as connection:
            ((calls, balance),) = connection.execute("SELECT sum(calls), sum(balance) FROM partitions").fetchall()
            rolled = connection.execute("SELECT sum(calls) FROM traffic_minute").fetchall()
        assert (rolled, balance or 0) == ([(calls,)], 0)


def test_what_a_killed_daemon_left_is_adopted_with_its_log(world, tmp_path):
    chain, materialiser, _ = world
    materialiser.step()
    left = tmp_path / "left"
    left.mkdir()
    with materialiser.store.database.read():
        for path in tmp_path.glob(f"{FILE}*"):
            subprocess.run(["cp", path, left], check=True)
    assert (left / f"{FILE}.wal").exists()
    before = {path.name: path.read_bytes() for path in left.iterdir()}
    snapshots = Snapshots(left, 2)

    published = snapshots.adopt(left / FILE)

    assert published is not None
    assert digest(published.path) == rebuilt(chain, tmp_path / "straight")
    assert {path.name: path.read_bytes() for path in left.glob(f"{FILE}*")} == before
    assert snapshots.adopt(left / FILE) is None


def test_an_export_stands_alone(world, tmp_path):
    chain, materialiser, snapshots = world
    materialiser.step()
    published = snapshots.publish(materialiser.store)
    assert published is not None
    export(published.path, chain.root, tmp_path / "out.duckdb")
    export(published.path, chain.root, tmp_path / "out")
    for stream in STREAMS:
        chain.delete([item.path for item in chain.objects(stream)])

    expected = totals_of(published.path)
    with duckdb.connect(str(tmp_path / "out.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM calls").fetchall() == expected
        for name in VIEWS:
            rows = connection.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall()
            file = tmp_path / "out" / f"{name}.parquet"
            assert len(duckdb.read_parquet(str(file)).fetchall()) == len(rows)
    with pytest.raises(FileExistsError):
        export(published.path, chain.root, tmp_path / "out.duckdb")


def totals_of(path):
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute("SELECT sum(calls)::BIGINT FROM partitions").fetchall()


def test_vacuum_packs_the_file_and_changes_nothing(world, tmp_path):
    chain, materialiser, _ = world
    database = materialiser.store.database
    with database.transaction() as connection:
        connection.execute("CREATE TABLE ballast AS SELECT range AS a, hash(range) AS b FROM range(3000000)")
    materialiser.step()
    with database.transaction() as connection:
        connection.execute("DROP TABLE ballast")
    with database.read() as connection:
        connection.execute("CHECKPOINT")
    large = database.path.stat().st_size

    assert database.vacuum()
    assert not database.vacuum()
    assert database.path.stat().st_size < large / 4
    materialiser.store.close()
    assert digest(database.path) == rebuilt(chain, tmp_path / "straight")
    again = Materialiser(chain, Store(config(tmp_path), chain.root))
    assert again.step().deltas == 0
    again.store.close()
