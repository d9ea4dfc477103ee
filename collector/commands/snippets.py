"""Say what is kept of texts, and delete it: of one trace, or all of it; while a daemon runs or not."""

from __future__ import annotations

import argparse
import re
import sys
import time
from datetime import UTC, datetime

from collector.chain import ChainError
from collector.commands._place import add_place, config_of
from collector.snippets.record import Key
from collector.snippets.shelf import open_shelf

_TRACE_ID = re.compile(r"[0-9a-f]{32}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    delete = parser.add_mutually_exclusive_group()
    delete.add_argument("--delete-trace", type=_trace_id, metavar="TRACE_ID", help="delete what is kept of its calls")
    delete.add_argument("--delete-all", action="store_true", help="delete all of it")


def run(args: argparse.Namespace) -> int:
    shelf = open_shelf(config_of(args), time.time)
    if shelf is None:
        print("no snippets are kept")
        return 0
    try:
        kept = {path: key for path in shelf.paths() if (key := Key.of(path))}
        due = [path for path, key in kept.items() if args.delete_all or key.trace_id == args.delete_trace]
        shelf.objects.delete(due)
    except ChainError as error:
        print(f"assay snippets: {error}", file=sys.stderr)
        return 1
    finally:
        shelf.close()
    if args.delete_all or args.delete_trace:
        print(f"{len(due)} snippets deleted, {len(kept) - len(due)} are left")
    elif kept:
        oldest = datetime.fromtimestamp(min(key.at for key in kept.values()) // 1_000_000, UTC)
        calls = len({(key.trace_id, key.span_id) for key in kept.values()})
        print(f"{len(kept)} snippets of {calls} calls are kept, the oldest call is of {oldest:%Y-%m-%d %H:%M:%S} UTC")
    else:
        print("no snippets are kept")
    return 0


def _trace_id(text: str) -> str:
    if not _TRACE_ID.fullmatch(text.lower()):
        raise argparse.ArgumentTypeError("a trace id is 32 hexadecimal digits")
    return text.lower()
