"""Walk the chain, balance the counts, rebuild beside the live view and compare."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from collector.chain import ChainError, open_chain
from collector.commands._place import add_place, config_of, newest_snapshot, no_snapshot
from collector.store.database import StoreError
from collector.store.verify import verify


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument("--chain-only", action="store_true", help="balance the chain, compare no view")


def run(args: argparse.Namespace) -> int:
    config = config_of(args)
    try:
        view = None if args.chain_only else newest_snapshot(config)
        with tempfile.TemporaryDirectory(prefix="assay-verify-") as scratch:
            report = verify(open_chain(config), config, view, Path(scratch))
    except (StoreError, ChainError) as error:
        print(f"assay verify: {error}", file=sys.stderr)
        return 1
    for balance in report.balances:
        print(balance.line())
    for problem in report.problems:
        print(f"WRONG: {problem}")
    if report.problems:
        return 1
    if view is None:
        print("the chain balances")
        if args.chain_only:
            return 0
        print(f"assay verify: no view was compared: {no_snapshot(config)}", file=sys.stderr)
        return 1
    compared = ", ".join(f"{name} {rows}" for name, rows in report.rows.items())
    print(f"the view agrees with the chain row by row: {compared}")
    return 0
