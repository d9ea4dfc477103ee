"""``assay verify``, ``sql`` and ``snapshot`` as an operator meets them."""

from __future__ import annotations

import io
import json
import os
import random
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import msgspec
import pytest

from collector import cli
from collector.chain import Chain
from collector.commands._place import newest_snapshot
from collector.config import Config
from collector.store.database import FILE
from collector.store.housekeeping import Housekeeper
from collector.store.snapshot import Snapshots
from collector.store.verify import verify
from tests.core.build import NOON
from tests.store.build import STREAMS, fill, go_on, some_delta, totals, view


@pytest.fixture
def data(tmp_path):
    """A folder that a daemon has left: chain and view, no snapshot."""
    folder = tmp_path / "data"
    chain, materialiser = view(folder)
    fill(chain)
    materialiser.step()
    materialiser.store.close()
    return folder, chain


def assay(capsysbinary, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    out, err = capsysbinary.readouterr()
    return status, out.decode(), err.decode()


def test_all_is_well_when_chain_and_view_agree(data, capsysbinary):
    folder, _ = data

    status, out, _ = assay(capsysbinary, "verify", "--data", folder)

    assert status == 0
    lines = out.splitlines()
    assert [line.split(" ", 1)[0] for line in lines[:3]] == [stream.path for stream in sorted(STREAMS)]
    assert all(" = scored " in line and "dropped: twin" in line for line in lines[:3])
    assert "agrees with the chain row by row" in lines[3]


def test_it_also_agrees_while_the_daemon_runs_compacts_and_retires(data, capsysbinary):
    folder, _ = data
    chain, materialiser = view(folder, store={"compact_after_deltas": 4})
    snapshots = Snapshots(folder, 2)
    keeper = Housekeeper(chain, materialiser.store)
    with materialiser.store.database.read():
        pass
    snapshots.publish(materialiser.store)
    keeper.compact(NOON + 10**6)
    go_on(chain, materialiser, NOON + 8 * 86_400)
    keeper.retire(NOON + 8 * 86_400)
    snapshots.publish(materialiser.store)
    keeper.sweep()
    keeper.sweep()
    fill_more(chain)

    status, out, _ = assay(capsysbinary, "verify", "--data", folder)
    materialiser.store.close()

    assert (status, "WRONG" in out) == (0, False)


def fill_more(chain):
    head = chain.head(STREAMS[0])[-1]
    chain.append(some_delta(random.Random(1), STREAMS[0], head.next, 5, NOON + 900))


def test_a_view_that_lies_is_found_out(data, capsysbinary):
    folder, _ = data
    with duckdb.connect(str(folder / FILE)) as connection:
        connection.execute(
            "UPDATE data.hour_scores SET n = n + 1 WHERE rowid = (SELECT min(rowid) FROM data.hour_scores)"
        )

    status, out, _ = assay(capsysbinary, "verify", "--data", folder)

    assert status == 1
    assert "WRONG: hour_scores: 1 rows of the chain are not in the view, 1 only there" in out


def test_a_view_that_misses_a_delta_is_found_out(data, capsysbinary):
    folder, _ = data
    with duckdb.connect(str(folder / FILE)) as connection:
        connection.execute("DELETE FROM data.deltas WHERE start = (SELECT max(start) FROM data.deltas)")

    status, out, _ = assay(capsysbinary, "verify", "--data", folder)

    assert status == 1
    assert "WRONG: partitions" in out


def test_a_gap_and_a_chain_behind_its_view_are_found_out(data, capsysbinary):
    folder, chain = data
    links = list(chain.walk(STREAMS[0]))
    chain.delete([links[5].path])

    status, out, _ = assay(capsysbinary, "verify", "--data", folder)

    assert status == 1
    assert f"nothing begins at {links[5].start}, and yet" in out
    assert f"the view is at {links[-1].next}, the chain ends at {links[5].start}" in out


@dataclass
class Busy:
    """A chain that goes on, and a view that newer ones take the place of, while somebody verifies."""

    chain: Chain
    view: Path

    def __getattr__(self, name):
        return getattr(self.chain, name)

    def walk(self, stream, start=None):
        at = start or 0
        for link in self.chain.walk(stream, start):
            at = link.next
            yield link
        for _ in range(2):
            delta = some_delta(random.Random(at), stream, at, 3, NOON)
            self.chain.append(delta)
            at = delta.footer.next
        self.view.unlink(missing_ok=True)


def test_what_a_daemon_does_meanwhile_is_no_fault(data, tmp_path):
    folder, chain = data
    settings = Config.model_validate({"source": {"otlp": {}}, "data": folder})
    busy = Busy(chain, newest_snapshot(settings))

    report = verify(busy, settings, busy.view, tmp_path)

    assert report.problems == []
    assert report.rows["minute_scores"] > 0
    assert not busy.view.exists()


def test_books_that_do_not_balance_are_found_out(data, capsysbinary):
    folder, chain = data
    link = list(chain.walk(STREAMS[1]))[-1]
    footer = msgspec.structs.replace(link.delta.footer, consumed=99, start=link.next, next=link.next + 50)
    chain.append(replace(link.delta, footer=footer))

    status, out, _ = assay(capsysbinary, "verify", "--data", folder, "--chain-only")

    assert status == 1
    assert f"consumed 99, which became {link.delta.footer.consumed}" in out


def test_a_damaged_object_is_a_problem_with_its_name(data, capsysbinary):
    folder, chain = data
    link = list(chain.walk(STREAMS[0]))[3]
    path = chain.root / link.path
    path.write_bytes(path.read_bytes()[:-10])

    status, out, _ = assay(capsysbinary, "verify", "--data", folder, "--chain-only")

    assert status == 1
    assert f"WRONG: {STREAMS[0].path}: not a delta" in out


def test_sql_answers_over_what_a_stopped_daemon_left(data, capsysbinary):
    folder, chain = data

    status, out, err = assay(
        capsysbinary, "sql", "--data", folder, "--format", "json", "SELECT sum(calls)::BIGINT AS n FROM traffic_day"
    )

    assert (status, err) == (0, "")
    assert json.loads(out) == [{"n": totals(chain)["calls"]}]


def test_sql_reads_a_long_question_from_its_input(data, capsysbinary, monkeypatch):
    folder, chain = data
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT sum(calls)::BIGINT AS n -- of all\nFROM traffic_day\n"))

    status, out, err = assay(capsysbinary, "sql", "--data", folder, "--format", "csv", "-")

    assert (status, err) == (0, "")
    assert out.splitlines() == ["n", str(totals(chain)["calls"])]


def test_sql_says_what_is_wrong_on_one_line(data, capsysbinary):
    folder, _ = data

    status, out, err = assay(capsysbinary, "sql", "--data", folder, "SELECT nope FROM calls")

    assert (status, out) == (1, "")
    assert err.startswith("assay sql: Binder Error")
    assert err.count("\n") == 1


def test_sql_tells_that_rows_were_cut(data, capsysbinary):
    folder, _ = data

    status, out, err = assay(capsysbinary, "sql", "--data", folder, "--max-rows", 2, "SELECT service FROM calls")

    assert status == 0
    assert len(out.splitlines()) == 2 + 2
    assert "only the first 2 rows" in err


@pytest.mark.parametrize(("folder", "told"), [("", "holds no snapshot yet"), ("nothing", "there is no folder")])
def test_without_a_daemon_there_is_no_snapshot_and_it_says_so(tmp_path, capsysbinary, folder, told):
    for command in (["sql", "SELECT 1"], ["snapshot", "--output", tmp_path / "x.duckdb"]):
        status, _, err = assay(capsysbinary, command[0], "--data", tmp_path / folder, *command[1:])

        assert status == 1
        assert told in err


def test_verify_without_a_snapshot_says_that_nothing_was_compared_and_nothing_is_wrong(data, capsysbinary):
    folder, _ = data
    (folder / FILE).unlink()

    status, out, err = assay(capsysbinary, "verify", "--data", folder)

    assert status == 1
    assert out.endswith("the chain balances\n")
    assert "WRONG" not in out
    assert "no view was compared" in err


@pytest.mark.parametrize("command", [["sql", "SELECT 1"], ["verify"], ["snapshot", "--output", "x.duckdb"]])
def test_what_is_damaged_is_told_on_one_line(data, capsysbinary, monkeypatch, command):
    folder, _ = data
    monkeypatch.chdir(folder)
    published = Snapshots(folder, kept=2).adopt(folder / FILE)
    damaged = bytearray(published.path.read_bytes())
    damaged[8_192:20_000] = bytes(len(damaged[8_192:20_000]))
    published.path.write_bytes(damaged)

    status, _, err = assay(capsysbinary, command[0], "--data", folder, *command[1:])

    assert status == 1
    assert err.startswith(f"assay {command[0]}: ")
    assert err.count("\n") == 1


def test_a_damaged_file_of_a_stopped_daemon_is_told_with_its_remedy(data, capsysbinary):
    folder, _ = data
    os.truncate(folder / FILE, 5_000)

    status, _, err = assay(capsysbinary, "sql", "--data", folder, "SELECT 1")

    assert status == 1
    assert "a daemon that starts builds it again" in err


def test_a_snapshot_that_cannot_be_written_is_told_on_one_line(data, tmp_path, capsysbinary):
    folder, _ = data
    (tmp_path / "taken").write_text("")

    for output in (tmp_path / "taken" / "x.duckdb", tmp_path / "taken" / "folder"):
        status, _, err = assay(capsysbinary, "snapshot", "--data", folder, "--output", output)

        assert status == 1
        assert err.startswith("assay snapshot: ")
        assert err.count("\n") == 1


def test_snapshot_copies_to_a_file_and_never_over_one(data, tmp_path, capsysbinary):
    folder, chain = data
    output = tmp_path / "mine.duckdb"

    assert assay(capsysbinary, "snapshot", "--data", folder, "--output", output)[0] == 0
    status, _, err = assay(capsysbinary, "snapshot", "--data", folder, "--output", output)

    assert status == 1
    assert "exists already" in err
    with duckdb.connect(str(output), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM calls").fetchall() == [(totals(chain)["calls"],)]
