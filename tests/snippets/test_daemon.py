"""A whole daemon: unless it is asked to, it writes no word of a call anywhere; asked to, only where it may."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pyarrow.parquet as pq
import pytest
import yaml

from collector.config import Config, ConfigError, load_config
from collector.daemon import Daemon
from collector.snippets.record import Key
from collector.store.database import FILE
from collector.store.sandbox import SqlError, run_sql
from collector.store.snapshot import Snapshots
from tests.fakes.otlp import FakeCall, traces
from tests.fakes.suite import HashSuite
from tests.snippets.test_keeping import eventually

WORDS, SECRET = "canary-words", "canary.hidden@shop.io"
CALLS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk(FakeCall):
    """A call that says what the test looks for."""

    @property
    def question(self) -> str:
        return f"{WORDS} number {self.number}: my address is {SECRET}, and who are you?"

    @property
    def answer(self) -> str:
        return f"{WORDS} again, {self.number}. I write to {SECRET} at once."


@pytest.fixture
def telemetry(tmp_path: Path) -> Path:
    path = tmp_path / "telemetry" / "spans.pb"
    path.parent.mkdir()
    path.write_bytes(traces(Talk(number=number, at=time.time()) for number in range(CALLS)))
    return path


def settings(folder: Path, telemetry: Path, **sections: Any) -> Config:
    tree = {
        "source": {"replay": {"traces": [str(telemetry)]}},
        "data": str(folder / "data"),
        "join": {"settle_seconds": 0.1, "window_seconds": 0.2},
        "chain": {"flush_seconds": 0.2},
        "store": {"snapshot_seconds": 0.5, "materialise_seconds": 0.2},
        "metrics": {"port": 0},
        **sections,
    }
    path = folder / "assay.yaml"
    path.write_text(yaml.safe_dump(tree))
    return load_config(path, {})


@contextmanager
def running(config: Config) -> Iterator[Daemon]:
    daemon = Daemon(config, {}, suite=HashSuite())
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()
        assert daemon.wait() == 0


def holders(folder: Path, words: str) -> set[str]:
    """The files that hold the words, as bytes, as Parquet or in a table of DuckDB."""
    found = set()
    for path in (path for path in folder.rglob("*") if path.is_file()):
        texts = [path.read_bytes().decode("utf-8", "replace")]
        if path.suffix == ".parquet":
            file = pq.ParquetFile(path)
            texts += [str(file.read().to_pylist()), str(file.metadata.metadata)]
        elif path.name.endswith(".duckdb"):
            texts += tables(path)
        if any(words in text for text in texts):
            found.add(path.relative_to(folder).parts[0])
    return found


def tables(path: Path) -> list[str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        names = connection.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'data'").fetchall()
        assert names
        return [str(connection.execute(f'FROM data."{name}"').fetchall()) for (name,) in names]


def test_unless_asked_to_it_writes_no_word_of_a_call(
    tmp_path: Path, telemetry: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = settings(tmp_path, telemetry)
    with caplog.at_level(logging.DEBUG), running(config) as daemon:
        eventually(lambda: shown(daemon, "SELECT count(*) AS n FROM calls") == [{"n": CALLS}])
        page = evidence(daemon)
        metrics = httpx.get(f"{daemon.web.url}/metrics").text  # type: ignore[union-attr]

    assert (config.data / FILE).is_file()
    assert holders(tmp_path, WORDS) == {"telemetry"}
    assert holders(tmp_path, SECRET) == {"telemetry"}
    assert not Path(config.snippets_url).exists()
    assert "Worst calls" in page
    assert WORDS not in page + metrics + caplog.text


def test_asked_to_it_keeps_redacted_words_beside_the_chain_alone_and_shows_them(
    tmp_path: Path, telemetry: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = settings(tmp_path, telemetry, evidence={"snippets": {"enabled": True, "calls_per_minute_max": 100}})
    with caplog.at_level(logging.DEBUG), running(config) as daemon:
        eventually(lambda: WORDS in evidence(daemon))
        page = evidence(daemon)
        metrics = httpx.get(f"{daemon.web.url}/metrics").text  # type: ignore[union-attr]

    assert holders(config.data, WORDS) == {"chain-snippets"}
    assert holders(config.data, SECRET) == set()
    assert holders(config.data, "hidden") == set()
    assert "[EMAIL]" in page
    assert "taken out: a mail address" in page
    assert SECRET not in page + metrics + caplog.text
    assert WORDS not in metrics + caplog.text
    assert f"assay_snippets_written_total {len(kept(config))}.0" in metrics


def test_every_flagged_call_of_the_page_has_its_texts(tmp_path: Path, telemetry: Path) -> None:
    config = settings(tmp_path, telemetry, evidence={"snippets": {"enabled": True, "calls_per_minute_max": 100}})
    with running(config) as daemon:
        eventually(lambda: WORDS in evidence(daemon))
        flagged = shown(daemon, "SELECT lower(trace_id) AS id FROM calls WHERE toxicity_output > 0.5")
        page = evidence(daemon)

    assert {key.trace_id for key in kept(config) if key.column == "toxicity_output"} == {row["id"] for row in flagged}
    assert page.count('<dl class="said">') == min(20, len(flagged)) > 0


def test_what_analysts_ask_never_reads_them(tmp_path: Path, telemetry: Path) -> None:
    config = settings(tmp_path, telemetry, evidence={"snippets": {"enabled": True}})
    with running(config) as daemon:
        eventually(lambda: WORDS in evidence(daemon))
    snapshot = Snapshots(config.data, config.store.snapshots_kept).newest()
    base = Path(config.chain_url).absolute()
    folder = Path(config.snippets_url).absolute()

    assert snapshot is not None
    assert len(kept(config)) > 0
    for path in (f"{folder}/*/*.json", f"{base}/../{folder.name}/*/*.json", f"{base}-snippets/**"):
        found = run_sql(snapshot, base, f"SELECT * FROM read_text('{path}')", config.sql)
        assert isinstance(found, SqlError)
        assert WORDS not in str(found)


def test_a_start_deletes_what_expired_while_nobody_was_there(tmp_path: Path, telemetry: Path) -> None:
    config = settings(tmp_path, telemetry, evidence={"snippets": {"enabled": True}})
    with running(config) as daemon:
        eventually(lambda: WORDS in evidence(daemon))
    old = Path(config.snippets_url) / "20200101T00" / Key(1_577_836_800_000_000, "ab" * 16, "cd" * 8, "x").path[12:]
    now = kept(config)
    old.parent.mkdir()
    old.write_text(WORDS)

    with running(config):
        found = kept(config)

    assert found == now
    assert not old.parent.exists()


def test_switched_off_it_deletes_what_it_kept(tmp_path: Path, telemetry: Path) -> None:
    with running(settings(tmp_path, telemetry, evidence={"snippets": {"enabled": True}})) as daemon:
        eventually(lambda: WORDS in evidence(daemon))
    off = settings(tmp_path, telemetry)
    assert kept(off)

    with running(off) as daemon:
        page = evidence(daemon)

    assert kept(off) == set()
    assert WORDS not in page


def test_a_worker_that_serves_no_page_keeps_them_too(tmp_path: Path, telemetry: Path) -> None:
    config = settings(tmp_path, telemetry, role="score", evidence={"snippets": {"enabled": True}})
    with running(config):
        eventually(lambda: len(kept(config)) > 0)

    assert holders(config.data, WORDS) == {"chain-snippets"}


def test_a_signal_that_does_not_exist_ends_the_start(tmp_path: Path, telemetry: Path) -> None:
    config = settings(tmp_path, telemetry, evidence={"snippets": {"enabled": True, "signals": ["toxicty"]}})

    with pytest.raises(ConfigError, match="there is no signal toxicty"):
        Daemon(config, {}, suite=HashSuite()).start()


def kept(config: Config) -> set[Key]:
    folder = Path(config.snippets_url)
    return {key for path in folder.rglob("*.json") if (key := Key.of(str(path.relative_to(folder))))}


def evidence(daemon: Daemon) -> str:
    assert daemon.web is not None
    return httpx.get(f"{daemon.web.url}/evidence?signal=toxicity&side=output", timeout=30).text


def shown(daemon: Daemon, query: str) -> list[dict[str, Any]]:
    assert daemon.web is not None
    answer = httpx.post(f"{daemon.web.url}/sql", content=query, timeout=60)
    return answer.json()["rows"] if answer.status_code == 200 else []
