"""``POST /sql`` over sockets and a real snapshot: formats, faults as statuses, limits, clients that go away."""

from __future__ import annotations

import csv
import io
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from collector.config import Config, MetricsConfig
from collector.export.prometheus import Exporter
from collector.export.web.health import Health
from collector.export.web.server import MetricsServer
from collector.export.web.sql import sql_routes
from collector.store.desk import Desk
from collector.store.sandbox import MEDIA_TYPES
from collector.store.snapshot import Snapshots
from tests.store.build import config, fill, view

SLOW = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE hash(a.range, b.range) = 1"
SQL = {"seconds_max": 4.0, "memory_bytes_max": 512 << 20, "rows_max": 50, "concurrent_max": 2}
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Config:
    data = tmp_path_factory.mktemp("sql") / "data"
    chain, materialiser = view(data)
    fill(chain, deltas=6)
    materialiser.step()
    assert Snapshots(data, 2).publish(materialiser.store) is not None
    materialiser.store.close()
    return config(data, sql=SQL)


def serving(settings: Config) -> MetricsServer:
    routes = sql_routes(Desk(settings).ask, MEDIA_TYPES, settings.sql)
    server = MetricsServer(Exporter(), Health(), MetricsConfig(port=0), routes=routes, own={"sql": settings.sql.access})
    server.start()
    return server


@pytest.fixture(scope="module")
def url(settings: Config) -> Iterator[str]:
    server = serving(settings)
    yield f"{server.url}/sql"
    server.close()


def post(url: str, query: str, **options: object) -> httpx.Response:
    return httpx.post(url, content=query, timeout=30, **options)  # type: ignore[arg-type]


def test_the_body_the_query_string_and_the_accept_header_choose_the_same_answer(url: str) -> None:
    query = "SELECT service, count(*) AS n FROM calls GROUP BY ALL ORDER BY ALL"

    told = post(url, query)
    named = httpx.post(url, json={"query": query, "format": "csv"}, timeout=30)
    arrow = post(url, query, headers={"accept": "text/html, application/vnd.apache.arrow.stream;q=0.9"})
    table = post(f"{url}?format=table", query)

    rows = told.json()["rows"]
    assert told.json() == {"truncated": False, "count": 2, "rows": rows}
    assert [row["service"] for row in rows] == ["desk", "shop"]
    assert [int(row["n"]) for row in csv.DictReader(io.StringIO(named.text))] == [row["n"] for row in rows]
    assert pa.ipc.open_stream(arrow.content).read_all().to_pylist() == rows
    assert table.text.split()[0] == "service"
    assert [answer.headers["content-type"].partition(";")[0] for answer in (told, named, arrow, table)] == [
        "application/json", "text/csv", "application/vnd.apache.arrow.stream", "text/plain",
    ]  # fmt: skip
    assert {answer.headers["assay-rows"] for answer in (told, named, arrow, table)} == {"2"}


def test_an_answer_that_was_cut_says_so_in_header_and_body(url: str) -> None:
    told = post(url, "SELECT * FROM range(1000)")
    arrow = post(f"{url}?format=arrow", "SELECT * FROM range(1000)")

    assert told.headers["assay-truncated"] == "true"
    assert (told.json()["truncated"], told.json()["count"], len(told.json()["rows"])) == (True, 50, 50)
    assert pa.ipc.open_stream(arrow.content).schema.metadata == {b"assay.truncated": b"true"}


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"SELEC 1", {}, 400, "syntax error"),
        (b"SELECT nope FROM calls", {}, 400, "nope"),
        (b"DELETE FROM calls", {}, 400, "only SELECT and EXPLAIN"),
        (b"SELECT * FROM read_text('/etc/passwd')", {}, 400, "disabled"),
        (b"SELECT path FROM duckdb_databases()", {}, 400, "not one of the views"),
        (b"\xff", {}, 400, "UTF-8"),
        (b"{", JSON, 400, "JSON"),
        (b'{"sql": 1}', JSON, 400, "query"),
        (b'{"query": "SELECT 1", "format": "xml"}', JSON, 400, "a format is one of"),
        (b"SELECT '" + b"x" * 70_000 + b"'", {}, 413, "longer than"),
        (b"x" * 600_000, {}, 413, "bytes"),
        (b"SELECT repeat('x', 2000000000)", {}, 413, "memory"),
        (SLOW.encode(), {}, 408, "longer than 4 seconds"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_fault_is_a_status_and_one_sentence(
    url: str, body: bytes, headers: dict[str, str], status: int, says: str
) -> None:
    answer = httpx.post(url, content=body, headers=headers, timeout=60)

    assert answer.status_code == status
    assert says in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_without_a_snapshot_the_client_is_told_to_come_back(tmp_path: Path) -> None:
    server = serving(config(tmp_path, sql=SQL))
    try:
        answer = post(f"{server.url}/sql", "SELECT 1")
    finally:
        server.close()

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


def jails() -> list[str]:
    """The processes of queries that this one has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"collector.store.jail" in (folder / "cmdline").read_bytes():
                found.append(folder.name)
        except OSError:
            continue
    return found


def until(condition: object) -> None:
    deadline = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_queries_run_at_once_and_a_third_waits(settings: Config, url: str) -> None:
    threads = [threading.Thread(target=post, args=(url, SLOW)) for _ in range(3)]
    for thread in threads:
        thread.start()
    most = 0
    while any(thread.is_alive() for thread in threads):
        most = max(most, len(jails()))
        time.sleep(0.02)

    assert most == 2


def test_a_client_that_goes_away_takes_its_query_with_it(url: str) -> None:
    with httpx.Client() as client:

        def ask() -> None:
            with pytest.raises(httpx.ReadTimeout):
                client.post(url, content=SLOW, timeout=1)

        impatient = threading.Thread(target=ask)
        impatient.start()
        until(jails)
        began = time.monotonic()
        impatient.join()

    until(lambda: not jails())
    assert time.monotonic() - began < SQL["seconds_max"]
