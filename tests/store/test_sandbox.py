"""Analyst SQL: right answers in every format, and nothing that a query may take, read, write or outlast."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collector.config import SqlConfig
from collector.store.sandbox import Answer, Fault, SqlError, run_sql
from collector.store.snapshot import Snapshots
from tests.store.build import fill, totals, view

CANARY = "canary-5d1f"
LIMITS = SqlConfig(seconds_max=2.0, memory_bytes_max=512 << 20, rows_max=1_000)
SLACK_SECONDS = 30.0  # for the process to start on a busy machine
START_PROCESSOR_SECONDS = 10.0  # it imports DuckDB and Arrow, and opens the snapshot
THREADS = 2  # of a query

READS = [
    "SELECT * FROM read_csv('{secret}.csv')",
    "SELECT * FROM read_csv_auto('{secret}.csv')",
    "SELECT * FROM read_text('{secret}.csv')",
    "SELECT * FROM read_blob('{secret}.csv')",
    "SELECT * FROM read_json('{secret}.json')",
    "SELECT * FROM read_json_objects('{secret}.json')",
    "SELECT * FROM read_ndjson('{secret}.json')",
    "SELECT * FROM read_parquet('{secret}.parquet')",
    "SELECT * FROM parquet_scan('{secret}.parquet')",
    "SELECT * FROM parquet_metadata('{secret}.parquet')",
    "SELECT * FROM parquet_schema('{secret}.parquet')",
    "SELECT * FROM '{secret}.csv'",
    "SELECT * FROM '{secret}.parquet'",
    'SELECT * FROM "{secret}.parquet"',
    "FROM '{secret}.csv'",
    "SELECT * FROM sniff_csv('{secret}.csv')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM glob('/**')",
    "SELECT * FROM read_parquet('{base}/../{name}.parquet')",
    "SELECT * FROM read_text('{base}/../{name}.csv')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM read_blob('/proc/self/mem')",
    "SELECT * FROM read_text('http://127.0.0.1:9/x')",
    "SELECT * FROM read_csv('s3://bucket/x.csv')",
    "SELECT getenv('SECRET_TOKEN')",
    "SELECT * FROM duckdb_secrets()",
    "SELECT content FROM read_text('{live}')",
    "SELECT * FROM query('SELECT * FROM read_text(''{secret}.csv'')')",
    "SELECT * FROM query_table('{secret}.csv')",
    "SELECT * FROM sys.modules",
    "SELECT * FROM os",
]
WRITES = [
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{base}/out.parquet' (FORMAT parquet)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/out.csv'",
    "EXPORT DATABASE '{folder}/out'",
    "IMPORT DATABASE '{folder}/out'",
    "ATTACH '{folder}/out.duckdb' AS other",
    "ATTACH ':memory:' AS other",
    "ATTACH '{live}' AS live",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{folder}/evil.duckdb_extension'",
    "CREATE TABLE t AS SELECT 1",
    "CREATE TEMP TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW calls AS SELECT 1",
    "CREATE MACRO f() AS 1",
    "CREATE SECRET (TYPE s3)",
    "INSERT INTO data.deltas SELECT * FROM data.deltas",
    "UPDATE data.cursors SET next = 0",
    "DELETE FROM data.deltas",
    "DROP TABLE data.deltas",
    "DROP VIEW coverage",
    "ALTER TABLE data.deltas ADD COLUMN x INTEGER",
    "TRUNCATE data.deltas",
    "VACUUM",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET memory_limit = '100GB'",
    "RESET enable_external_access",
    "PRAGMA enable_profiling",
    "CALL pragma_version()",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "BEGIN",
    "SELECT 1; DROP TABLE data.deltas",
    "SELECT 1; SET lock_configuration = false",
    "USE temp",
]
TELLS = [  # where the snapshot lies and how DuckDB is set: no secret, and not one of the views
    "PRAGMA database_list",
    "SELECT path FROM duckdb_databases()",
    "SELECT path FROM /* calls */ DUCKDB_DATABASES ()",
    'SELECT * FROM "duckdb_settings"()',
    "SELECT sql FROM duckdb_views()",
    "SELECT current_setting('allowed_directories')",
    "SELECT error(current_setting('allowed_directories'))",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM pg_settings",
    "SELECT sql FROM sqlite_master",
    "SELECT path FROM data.deltas",
    'SELECT path FROM "data" . "deltas"',
    "WITH t AS (SELECT path FROM data.deltas) SELECT error(path) FROM t",
    "FROM query('SELECT path FROM data.deltas')",
]
EATS = [
    "SELECT repeat('x', 2000000000)",
    "SELECT sum(length(repeat('x', 100000000 + range::INT))) FROM range(1000)",
    "SELECT count(DISTINCT range) FROM range(1000000000)",
    "SELECT list_reduce(range(100000000), lambda a, b: a + b)",
    "SELECT list(range) FROM range(1000000000)",
    "SELECT string_agg(range::VARCHAR, ',') FROM range(1000000000)",
    "SELECT * FROM range(1000000000) ORDER BY hash(range)",
    "WITH RECURSIVE t(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM t) SELECT max(length(s)) FROM t",
    "SELECT regexp_matches(repeat('a', 30000000), '(a+)+b')",
    "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
    "SELECT " + "+".join(["1"] * 20_000),
    "SELECT " + "[" * 2_000 + "]" * 2_000,
    "SELECT 1 /* " + "x" * 70_000 + " */",
    "SELECT unnest(range(1000000000))",
    "SELECT array_agg(a.range ORDER BY b.range) FROM range(100000) a, range(100000) b",
    "SELECT lpad('x', 1500000000, 'y')",
    "SELECT bit_count(bitstring('1', 2000000000))",
    "SELECT count(*) FROM (SELECT list_transform(range(100000), lambda x: repeat('y', x)) FROM range(1000))",
    "SELECT max(md5(repeat(range::VARCHAR, 100000))) FROM range(100000000)",
    "SELECT count(*) FROM calls a, calls b, calls c, calls d, calls e",
    "SELECT regexp_replace(repeat('ab', 20000000), '(a|b)*c', 'x', 'g')",
    "SELECT histogram(range) FROM range(1000000000)",
]
ENDLESS = [  # no machine comes to their end: only a limit ends them
    "SELECT count(*) FROM range(1000000000000)",
    "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE hash(a.range, b.range) = 1",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sandbox")
    chain, materialiser = view(folder / "data")
    fill(chain, deltas=20)
    materialiser.step()
    published = Snapshots(folder / "data", 2).publish(materialiser.store)
    assert published is not None
    for secret in (folder / "secret", folder / "data" / "secret"):
        secret.with_suffix(".csv").write_text(f"a\n{CANARY}\n")
        secret.with_suffix(".json").write_text(json.dumps([{"a": CANARY}]))
        pq.write_table(pa.table({CANARY: [CANARY]}), secret.with_suffix(".parquet"))
    os.environ["SECRET_TOKEN"] = CANARY
    yield folder, chain, published.path
    del os.environ["SECRET_TOKEN"]
    materialiser.store.close()


def ask(world, query, fmt="json", limits=LIMITS, started=None):
    _, chain, snapshot = world
    return run_sql(snapshot, chain.root, query, limits, fmt, started)


def processor_seconds():
    """Of all children that have ended: what other users of the machine do not lengthen."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def listing(folder):
    return {(str(path), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("query", [*READS, *WRITES, *TELLS, *EATS, *ENDLESS], ids=lambda query: query[:60])
def test_a_hostile_statement_ends_in_time_and_touches_nothing(world, query):
    folder, chain, _ = world
    places = {
        "secret": folder / "secret",
        "name": "secret",
        "folder": folder,
        "base": chain.root,
        "live": folder / "data" / "assay.duckdb",
    }
    original = query
    for name, place in places.items():
        query = query.replace("{" + name + "}", str(place))
    before, begun, spent = listing(folder), time.monotonic(), processor_seconds()
    enders = []

    answer = ask(world, query, started=enders.append)

    assert time.monotonic() - begun < LIMITS.seconds_max + SLACK_SECONDS
    assert processor_seconds() - spent < START_PROCESSOR_SECONDS + THREADS * LIMITS.seconds_max + 2
    for end in enders:
        with pytest.raises(ProcessLookupError):
            os.killpg(end.__self__.pid, 0)  # it led a group, and nobody of that is left
    assert listing(folder) == before
    if query in ENDLESS:
        assert answer.fault in (Fault.TIME, Fault.ROOM)
    if isinstance(answer, SqlError):
        assert CANARY not in answer.message
        assert "\n" not in answer.message
        assert 10 < len(answer.message) <= 1_000
    else:
        assert CANARY.encode() not in answer.body
        assert original in EATS or answer.rows == 0
        assert original not in TELLS
        assert answer.rows <= LIMITS.rows_max


def test_the_hostile_are_many_and_a_query_has_five_seconds_unless_the_operator_says_otherwise():
    assert len({*READS, *WRITES, *TELLS, *EATS, *ENDLESS}) >= 60
    assert SqlConfig().seconds_max <= 5


def test_an_endless_query_is_ended_by_the_clock_and_told_so(world):
    answer = ask(world, ENDLESS[0], limits=LIMITS.model_copy(update={"seconds_max": 0.5}))

    assert isinstance(answer, SqlError)
    assert (answer.fault, answer.message) == (Fault.TIME, "the query took longer than 0.5 seconds")


def test_the_formats_say_the_same(world):
    query = (
        "SELECT service, calls, latency_p95 AS p95, latency_bucket_counts AS n FROM traffic_day ORDER BY ALL LIMIT 3"
    )

    rows = json.loads(ask(world, query).body)
    arrow = pa.ipc.open_stream(ask(world, query, "arrow").body).read_all()
    table = ask(world, query, "table").body.decode().splitlines()
    lines = list(csv.DictReader(io.StringIO(ask(world, query, "csv").body.decode())))

    assert len(rows) == 3
    assert rows == arrow.to_pylist()
    assert [(r["service"], int(r["calls"]), json.loads(r["n"])) for r in lines] == [
        (r["service"], r["calls"], r["n"]) for r in rows
    ]
    assert table[0].split() == ["service", "calls", "p95", "n"]
    assert len(table) == 2 + 3


@pytest.mark.parametrize(
    "said", ["3 days 22:00:49.76", "1 month 1 day", "-00:00:01.5", "2 months 00:00:01", "00:00:00", "25:00:00"]
)
def test_an_interval_reads_as_duckdb_shows_it(world, said):
    answer = ask(world, f"SELECT INTERVAL '{said}' AS i, (INTERVAL '{said}')::VARCHAR AS shown")

    (row,) = json.loads(answer.body)
    assert row["i"] == row["shown"] == said


def test_calls_are_read_from_the_chain(world):
    _, chain, _ = world

    answer = ask(world, "SELECT count(*) AS n, count(toxicity_output) > 0 AS scored FROM calls")

    assert json.loads(answer.body) == [{"n": totals(chain)["calls"], "scored": True}]


def test_more_rows_than_allowed_are_cut_and_said_so(world):
    answer = ask(world, "SELECT * FROM range(100000000000)")

    assert (answer.rows, answer.truncated) == (1_000, True)
    exact = ask(world, "SELECT * FROM range(1000)")
    assert (exact.rows, exact.truncated) == (1_000, False)


def test_equal_names_of_columns_both_arrive(world):
    assert json.loads(ask(world, "SELECT 1 AS a, 2 AS a, NULL AS b, 'nan'::DOUBLE AS c").body) == [
        {"a": 1, "a_1": 2, "b": None, "c": None}
    ]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT nope FROM calls", "nope"),
        ("SELECT * FROM nope", "nope"),
        ("", "one statement at a time"),
        ("SELECT 1; SELECT 2", "one statement at a time, this text holds 2"),
        ("DELETE FROM calls", "only SELECT and EXPLAIN are allowed here, not DELETE"),
        ("SELECT error('boom')", "boom"),
    ],
)
def test_an_error_is_one_clear_sentence(world, query, says):
    answer = ask(world, query)

    assert isinstance(answer, SqlError)
    assert says in answer.message
    assert "\n" not in answer.message


def test_questions_about_the_views_are_allowed(world):
    for query in ("DESCRIBE calls", "SUMMARIZE rollup_day", "EXPLAIN SELECT * FROM calls", "SHOW TABLES", "VALUES (1)"):
        assert isinstance(ask(world, query), Answer), query


def test_a_snapshot_that_is_gone_is_an_error_and_no_crash(world, tmp_path):
    answer = run_sql(tmp_path / "none.duckdb", tmp_path, "SELECT 1", LIMITS)

    assert isinstance(answer, SqlError)
