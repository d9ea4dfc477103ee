"""How long a reader waits for an evidence page, over a store of ten million calls.

    python -m bench.pages [--calls 10000000] [--days 30] [--repeats 5] [--folder FOLDER]

Thirty services with thirty models, prompts and tenants, some far more popular than others, write a chain as a daemon
and its compaction leave it (see traffic.py). The store follows the chain, compacts what is due and retires what is too
old; then every page is asked for through the web application, for several times: once after the store was opened, then
warm, then while the chain grows, is followed and a snapshot is published. Printed for each page: milliseconds cold,
warm (p50 and most) and meanwhile (p50 and most), processor milliseconds of a warm page, which other users of the
machine do not lengthen, and their ratio to those of the plain way to an answer: one scan over the view ``calls`` for
the same time and signal. A FOLDER is kept, and what it holds is not built again.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb
from starlette.testclient import TestClient

from bench.pages.traffic import FLUSH_SECONDS, PARTITIONS, Traffic, drift_records
from collector.chain import Chain, open_chain
from collector.config import Config
from collector.export.prometheus import Exporter
from collector.export.web.evidence import evidence_routes
from collector.export.web.health import Health
from collector.export.web.server import create_app
from collector.store.desk import calls_folder
from collector.store.driftlog import apply_records
from collector.store.evidence import Findings
from collector.store.housekeeping import Housekeeper
from collector.store.materialise import Materialiser, Store
from collector.store.session import make_views
from collector.store.snapshot import Snapshots

END = 1_790_000_000 // 3_600 * 3_600 + 15 * 60
BOUND_MS = 500
SLICES = ("", "&service=service-0", "&service=service-9&model=model-9")
TIMES = ("15m", "1h", "6h", "1d", "7d", "30d")
_DRIFT_DAYS = 7


class Page(NamedTuple):
    """A page, and what of ``calls`` a plain query for it would scan; empty: it is not made of calls."""

    path: str
    since: str = ""
    where: str = ""


class Asked(NamedTuple):
    """One answer: milliseconds on the clock, and of this process's processor time."""

    wall: float
    cpu: float


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--calls", type=int, default=10_000_000)
    arguments.add_argument("--days", type=int, default=30)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--folder", type=Path, help="keep the store here")
    args = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        config = Config.model_validate({"source": {"otlp": {}}, "data": args.folder or scratch})
        chain = open_chain(config)
        traffic = Traffic(calls=args.calls, days=args.days, end=END)
        _build(config, chain, traffic)
        pages = list(_pages(args.days))
        with _client(config) as (client, store):
            cold = [_get(client, page) for page in pages]
            warm = [[_get(client, page) for _ in range(args.repeats)] for page in pages]
            with _growing(chain, store, traffic):
                busy = [[_get(client, page) for _ in range(args.repeats)] for page in pages]
        plain = [_scan(config, page) for page in pages]
        _show(pages, cold, warm, busy, plain)


def _build(config: Config, chain: Chain, traffic: Traffic) -> None:
    """Chain, view and snapshot; says what they cost and hold."""
    if not chain.streams():
        begun = time.monotonic()
        for delta in traffic.deltas():
            chain.append(delta)
        print(f"{traffic.calls} calls written in {time.monotonic() - begun:.0f} s", flush=True)
    store = Store(config, chain.root)
    begun, cpu = time.monotonic(), time.process_time()
    step = Materialiser(chain, store).step()
    assert not step.failure, step.failure
    if step.calls:
        spent = (time.process_time() - cpu) / step.calls * 1e6
        print(f"followed in {time.monotonic() - begun:.0f} s, {spent:.1f} us of processor time a call", flush=True)
        keeper = Housekeeper(chain, store)
        while keeper.compact(END):
            Snapshots(config.data, 1).publish(store)
            keeper.sweep()
            keeper.sweep()
        apply_records(store, list(drift_records(END - _DRIFT_DAYS * 86_400, END)))
        keeper.retire(END)
        Snapshots(config.data, 1).publish(store)
    with store.database.read() as connection:
        tables = connection.execute("SELECT table_name, estimated_size FROM duckdb_tables() ORDER BY ALL").fetchall()
    store.close()
    size = store.database.path.stat().st_size / 1e6
    print(f"DuckDB {size:.0f} MB: {', '.join(f'{name} {rows}' for name, rows in tables if rows)}", flush=True)


def _pages(days: int) -> Iterator[Page]:
    yield Page("/evidence")
    yield Page("/evidence?signal=drift&from=now-1d")
    yield Page("/evidence?signal=drift&from=now-7d&service=service-0")
    yield Page("/evidence/cards/toxicity")
    yield Page("/evidence/runbooks")
    for since in TIMES:
        if _length(since) <= timedelta(days=days):
            for keys in SLICES:
                where = "".join(f"AND {part.replace('=', ' = ' + chr(39))}' " for part in keys.split("&")[1:])
                yield Page(f"/evidence?signal=toxicity&side=output&from=now-{since}{keys}", since, where)


@contextmanager
def _client(config: Config) -> Iterator[tuple[TestClient, Store]]:
    store = Store(config, Path(config.chain_url).absolute())
    routes = evidence_routes(lambda: Findings(store), lambda: float(END), None)
    try:
        with TestClient(create_app(Exporter(), Health(), routes)) as client:
            store.cursors()  # opens the file, as the daemon does at its start
            yield client, store
    finally:
        store.close()


def _get(client: TestClient, page: Page) -> Asked:
    wall, cpu = time.perf_counter(), time.process_time()
    answer = client.get(page.path)
    asked = Asked((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3)
    assert answer.status_code == 200, answer.text
    return asked


@contextmanager
def _growing(chain: Chain, store: Store, traffic: Traffic) -> Iterator[None]:
    """As long as the block lasts, calls arrive, are followed, and every few seconds a snapshot is published."""
    ended = threading.Event()
    materialiser, snapshots = Materialiser(chain, store), Snapshots(store.config.data, 1)
    traffic.resume(store.cursors())

    def grow() -> None:
        for number in range(1, 1_000_000):
            at = END + number * FLUSH_SECONDS
            for partition in range(PARTITIONS):
                chain.append(traffic.delta(partition, at, at + FLUSH_SECONDS))
            assert not materialiser.step().failure
            if number % 10 == 0:
                snapshots.publish(store)
            if ended.wait(0.5):
                return

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _scan(config: Config, page: Page) -> Asked | None:
    """One query over ``calls``: totals, slices and the highest scores of the time and of the time before it."""
    if not page.since:
        return None
    snapshot = Snapshots(config.data, 1).newest()
    assert snapshot is not None
    end = datetime.fromtimestamp(END, UTC).replace(tzinfo=None)
    start = end - _length(page.since)
    before = start - max(_length(page.since), timedelta(hours=1))
    with duckdb.connect(str(snapshot), read_only=True, config={"threads": "1"}) as connection:
        make_views(connection, f"{calls_folder(config)}/")
        query = (
            f"SELECT time >= TIMESTAMP '{start}' AS now, service, model, model_version, prompt, tenant, environment, "
            "count(toxicity_output), count(*) FILTER (toxicity_output > 0.8), avg(toxicity_output), "
            "max(toxicity_output, 20) FROM calls "
            f"WHERE time >= TIMESTAMP '{before}' AND time < TIMESTAMP '{end}' {page.where}"
            "AND toxicity_output IS NOT NULL "
            "GROUP BY GROUPING SETS ((now), (now, service), (now, model), (now, model_version), (now, prompt), "
            "(now, tenant), (now, environment))"
        )
        wall, cpu = time.perf_counter(), time.process_time()
        connection.execute(query).fetchall()
        return Asked((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3)


def _length(since: str) -> timedelta:
    return timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[since[-1]]: int(since[:-1])})


def _show(
    pages: list[Page],
    cold: list[Asked],
    warm: list[list[Asked]],
    busy: list[list[Asked]],
    plain: list[Asked | None],
) -> None:
    middle: Callable[[list[float]], float] = statistics.median
    print(f"{'':66} {'cold':>6} {'warm':>6} {'most':>6} {'busy':>6} {'most':>6} {'cpu':>6} {'of a scan':>10}")
    for page, first, then, meanwhile, scan in zip(pages, cold, warm, busy, plain, strict=True):
        walls, others = [asked.wall for asked in then], [asked.wall for asked in meanwhile]
        cpu = middle([asked.cpu for asked in then])
        share = f"{cpu / scan.cpu:10.2f}" if scan else f"{'–':>10}"
        over = " over" if max(*walls, first.wall, *others) > BOUND_MS else ""
        print(
            f"{page.path:66} {first.wall:6.0f} {middle(walls):6.0f} {max(walls):6.0f} {middle(others):6.0f} "
            f"{max(others):6.0f} {cpu:6.0f} {share}{over}"
        )


if __name__ == "__main__":
    main()
