"""print the calls that files of telemetry hold, one JSON object a line"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from collector.decode.files import decode_files
from collector.decode.printed import printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--traces", nargs="+", type=Path, default=[], metavar="FILE", help="requests with spans, in order"
    )
    parser.add_argument("--logs", nargs="+", type=Path, default=[], metavar="FILE", help="requests with log records")


def run(args: argparse.Namespace) -> int:
    if not args.traces and not args.logs:
        print("assay decode: name at least one file with --traces or --logs", file=sys.stderr)
        return 2
    decoded = decode_files(args.traces, args.logs)
    for problem in decoded.problems:
        print(f"assay decode: {problem}", file=sys.stderr)
    for call in decoded.calls:
        print(printed(call).decode())
    return 1 if decoded.problems else 0
