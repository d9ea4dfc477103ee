"""Role serve shows drift: durable before it is seen, alike in every process, in SQL and in the metrics."""

from __future__ import annotations

import json
import math
import random
import re
import subprocess
import sys
import time

import pytest

from collector import cli
from collector.chain import open_chain
from collector.drift.log import DriftLog
from collector.export.prometheus import Exporter
from collector.serve import Server
from collector.store.database import FILE, rows_of
from tests.drift.build import DAY, HOUR, MORNING, SETTINGS, Traffic, World
from tests.store.build import config, digest

SHIFT = (0, 1, 5)
TABLES = ("drift_position", "drift_topics", "drift_windows")


def traffic(chain, *, shift=True, minutes=30):
    """A reference week ago, and a morning whose second half has another topic."""
    made = Traffic(chain)
    made.minutes(MORNING - 7 * DAY, 2 * minutes)
    made.minutes(MORNING, minutes)
    made.minutes(MORNING + minutes * 60, minutes, topics=SHIFT if shift else (0, 1, 2))


def server(folder, exporter=None, now=MORNING + 2 * HOUR, **sections):
    settings = config(folder, **{"drift": SETTINGS, **sections})
    return Server(
        chain=open_chain(settings), config=settings, telemetry=exporter or Exporter(), clock=lambda: float(now)
    )


def follow(serving):
    """All that its thread and its jobs would do until nothing is left."""
    serving.materialiser.step()
    serving.examine()
    while serving.watch.step(drift_files_of(serving), serving.clock()):
        pass
    serving.examine()
    return serving


def drift_files_of(serving):
    from collector.store.driftlog import drift_files

    return drift_files(serving.store)


def metrics(exporter):
    text = exporter.render()[0].decode()
    return {name: float(value) for name, value in re.findall(r"^(assay_[^ ]+) (\S+)$", text, re.MULTILINE)}


def drift_digest(folder):
    return {name: rows for name, rows in digest(folder / FILE).items() if name in TABLES}


def test_a_shift_is_told_by_sql_and_metrics_with_its_false_alarm_rate(tmp_path, capsysbinary):
    exporter = Exporter()
    serving = server(tmp_path, exporter)
    traffic(serving.chain)
    for _ in range(4):
        serving.materialiser.step()
        serving.examine()
    serving.snapshot()
    serving.close()

    query = "SELECT service, model, side, alarm, alarm_since, log_evalue, false_alarm_pairs, phase FROM drift_alarms"
    assert cli.main(["sql", "--data", str(tmp_path), "--format", "json", query]) == 0
    (row,) = json.loads(capsysbinary.readouterr().out)
    assert (row["service"], row["model"], row["side"], row["alarm"]) == ("shop", "gpt-4o", "input", True)
    assert row["alarm_since"] > "2026-"
    assert (row["false_alarm_pairs"], row["phase"]) == (pytest.approx(20_000), "hour_of_week")
    shown, place = metrics(exporter), '{model="gpt-4o",service="shop",side="input"}'
    assert shown[f"assay_drift_log_evalue{place}"] == pytest.approx(row["log_evalue"])
    assert shown[f"assay_drift_alarm{place}"] == 1
    assert shown["assay_drift_alarm_threshold"] == pytest.approx(math.log(1_000))
    assert shown["assay_drift_false_alarm_calls"] == pytest.approx(20_000)
    assert shown[f"assay_drift_pairs_total{place}"] == 1_200
    assert shown['assay_drift_calls_skipped_total{reason="no_reference"}'] == 1_200
    assert shown["assay_last_drift_window_timestamp_seconds"] == MORNING + HOUR
    assert cli.main(["verify", "--data", str(tmp_path)]) == 0
    assert b"drift_windows 120" in capsysbinary.readouterr().out


def test_traffic_that_stays_the_same_raises_nothing(tmp_path):
    exporter = Exporter()
    serving = server(tmp_path, exporter)
    traffic(serving.chain, shift=False)
    follow(serving).close()

    assert metrics(exporter)['assay_drift_alarm{model="gpt-4o",service="shop",side="input"}'] == 0


def test_a_deleted_view_is_rebuilt_with_the_same_rows(tmp_path):
    serving = server(tmp_path)
    traffic(serving.chain, minutes=10)
    follow(serving).close()
    before = drift_digest(tmp_path)
    (tmp_path / FILE).unlink()

    again = server(tmp_path, now=MORNING - DAY)  # no window has ended for its clock: it can only replay
    again.materialiser.step()
    again.examine()
    again.close()

    assert before["drift_windows"].startswith("40:")
    assert drift_digest(tmp_path) == before


def test_the_log_merged_and_the_view_deleted_the_rows_are_the_same(tmp_path):
    serving = server(tmp_path)
    traffic(serving.chain, minutes=30)
    follow(serving)
    before = drift_digest(tmp_path) if serving.store.close() is None else {}
    for _ in range(2):
        serving.watch.log.compact(0.0)
    (tmp_path / FILE).unlink()

    again = server(tmp_path, now=MORNING - DAY)
    again.materialiser.step()
    again.examine()
    again.close()

    assert any("merged" in name for name in again.chain.names("drift"))
    assert drift_digest(tmp_path) == before


def test_of_two_servers_one_decides_and_both_show_the_same(tmp_path):
    place = {"chain": {"url": str(tmp_path / "chain")}}
    exporters = [Exporter(), Exporter()]
    one, other = (server(tmp_path / name, exporter, **place) for name, exporter in zip("ab", exporters, strict=True))
    traffic(one.chain, minutes=10)
    for serving in (one, other):
        serving.materialiser.step()
    rng = random.Random(5)
    for _ in range(200):  # turns in any order: every race is for the same number
        serving = rng.choice([one, other])
        serving.watch.step(drift_files_of(serving), serving.clock())
    for serving in (one, other):
        serving.examine()
        serving.close()

    rows = [drift_digest(tmp_path / name) for name in "ab"]
    assert rows[0] == rows[1]
    assert rows[0]["drift_windows"].startswith("40:")
    numbers = [record.number for record in DriftLog(one.chain).records(0)]
    assert numbers == list(range(40))


def test_two_that_decide_at_once_take_the_winners_word(tmp_path):
    world = World(tmp_path)
    traffic(world.chain, minutes=10)
    world.materialiser.step()
    one, other = world.watch, world.watcher()
    from collector.store.driftlog import drift_files

    files = drift_files(world.materialiser.store)
    while True:
        due = other._due(files, other.catch_up(), MORNING + HOUR)  # both look …
        record = one.step(files, MORNING + HOUR)  # … and the one is first
        if record is None:
            break
        other._files = files
        late = other._decide(due, other.head)
        assert not other.log.append(late) or late == record
        other._judge.forget()

    assert other.catch_up() == one.catch_up()
    world.close()


def test_a_decision_that_nobody_lived_to_show_is_shown_by_the_next(tmp_path):
    serving = server(tmp_path)
    traffic(serving.chain, minutes=10)
    serving.materialiser.step()
    assert serving.watch.step(drift_files_of(serving), serving.clock())
    serving.close()  # killed between the append and the view

    again = server(tmp_path)
    again.materialiser.step()
    again.examine()
    with again.store.database.read() as connection:
        found = rows_of(connection, "SELECT number, count(*) FROM data.drift_windows GROUP BY ALL ORDER BY ALL")
    again.close()

    assert found[:2] == [(0, 1), (1, 1)]
    assert len({number for number, _ in found}) == len(found)


SERVER = """
import sys
from pathlib import Path
from tests.drift.test_serve import follow, server
print("ready", flush=True)
while True:
    serving = server(Path(sys.argv[1]))
    follow(serving).close()
"""


@pytest.mark.slow
def test_no_kill_loses_or_doubles_a_decision(tmp_path):
    chain = open_chain(config(tmp_path))
    traffic(chain, minutes=20)
    rng = random.Random(3)
    for _ in range(6):
        with subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.2 + rng.random() * 0.6)
            process.kill()
    follow(server(tmp_path)).close()

    straight = server(tmp_path / "straight")
    traffic(straight.chain, minutes=20)
    follow(straight).close()

    assert drift_digest(tmp_path) == drift_digest(tmp_path / "straight")


def test_switched_off_nothing_is_decided_and_what_was_decided_stays_in_view(tmp_path):
    serving = server(tmp_path)
    traffic(serving.chain, minutes=10)
    follow(serving).close()
    decided = len(serving.chain.names("drift"))

    off = server(tmp_path, drift={**SETTINGS, "enabled": False})
    Traffic(off.chain, at=Traffic(off.chain).at + 1_000_000)
    off.materialiser.step()
    off.examine()
    off.close()

    assert len(off.chain.names("drift")) == decided == 40


@pytest.mark.parametrize(("enabled", "kept"), [(True, 3), (False, 0)])
def test_topics_name_calls_first_whose_texts_are_kept_where_any_are(tmp_path, enabled, kept):
    snippets = {"enabled": enabled, "drift_calls_per_minute_max": 3}

    serving = server(tmp_path, evidence={"snippets": snippets})

    assert serving.watch.kept_max == kept
    serving.close()
