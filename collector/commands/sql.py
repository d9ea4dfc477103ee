"""Ask the rollups and calls of a running or stopped daemon."""

from __future__ import annotations

import argparse
import sys

from collector.commands._place import add_place, config_of, newest_snapshot, no_snapshot
from collector.store.database import StoreError
from collector.store.desk import calls_folder
from collector.store.sandbox import MEDIA_TYPES, QUERY_CHARS_MAX, SqlError, run_sql


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument("--format", choices=sorted(MEDIA_TYPES), default="table", dest="fmt")
    parser.add_argument("--max-rows", type=int, help="default: sql.rows_max of the configuration")
    parser.add_argument("query", help="one SELECT over the views (docs/sql.md); -: read from standard input")


def run(args: argparse.Namespace) -> int:
    config = config_of(args)
    limits = config.sql
    if args.max_rows is not None:
        limits = limits.model_copy(update={"rows_max": max(1, min(args.max_rows, limits.rows_max))})
    try:
        snapshot = newest_snapshot(config)
    except StoreError as error:
        return _fail(str(error))
    if snapshot is None:
        return _fail(no_snapshot(config))
    query = sys.stdin.read(QUERY_CHARS_MAX + 1) if args.query == "-" else args.query
    answer = run_sql(snapshot, calls_folder(config), query, limits, args.fmt)
    if isinstance(answer, SqlError):
        return _fail(answer.message)
    sys.stdout.buffer.write(answer.body)
    sys.stdout.buffer.flush()
    if answer.truncated:
        print(f"assay sql: only the first {answer.rows} rows; raise --max-rows or sql.rows_max", file=sys.stderr)
    return 0


def _fail(message: str) -> int:
    print(f"assay sql: {message}", file=sys.stderr)
    return 1
