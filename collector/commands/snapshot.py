"""Copy the newest snapshot, calls included, to a file or a folder of Parquet."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from collector.commands._place import add_place, config_of, newest_snapshot, no_snapshot
from collector.store.database import StoreError
from collector.store.desk import calls_folder
from collector.store.snapshot import export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument(
        "--output", type=Path, required=True, help="FILE.duckdb, or a folder that gets one Parquet file a view"
    )


def run(args: argparse.Namespace) -> int:
    config = config_of(args)
    try:
        snapshot = newest_snapshot(config)
        if snapshot is None:
            print(f"assay snapshot: {no_snapshot(config)}", file=sys.stderr)
            return 1
        export(snapshot, calls_folder(config).absolute(), args.output)
    except FileExistsError as error:
        print(f"assay snapshot: {error} exists already", file=sys.stderr)
        return 1
    except StoreError as error:
        print(f"assay snapshot: {error}", file=sys.stderr)
        return 1
    print(args.output)
    return 0
