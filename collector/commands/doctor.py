"""say per service what is captured, what is missing and which setting fixes it"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from rich.console import Console

from collector.config import LimitsConfig, load_config
from collector.doctor.facts import add_partitions, examine
from collector.doctor.findings import findings
from collector.doctor.sample import for_sampling, from_files, from_source
from collector.doctor.show import as_json, show
from collector.source.build import open_source

PIPE_COLUMNS = 160


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--traces", nargs="+", type=Path, default=[], metavar="FILE", help="export requests with spans")
    parser.add_argument("--logs", nargs="+", type=Path, default=[], metavar="FILE", help="export requests with logs")
    parser.add_argument("--config", type=Path, help="sample the Kafka topics that this configuration names")
    parser.add_argument("--records", type=int, default=500, help="newest records of each partition (default: 500)")
    parser.add_argument("--seconds", type=float, default=30.0, help="give up waiting after this time (default: 30)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")


def run(args: argparse.Namespace) -> int:
    if (args.config is None) == (not args.traces and not args.logs):
        print("assay doctor: name files with --traces and --logs, or a configuration with --config", file=sys.stderr)
        return 2
    problems: list[str] = []
    if args.config is not None:
        config = for_sampling(load_config(args.config, os.environ))
        records, partitions = from_source(open_source(config), args.records, time.monotonic, seconds_max=args.seconds)
        facts = examine(records, config.limits, config.join)
        add_partitions(facts, partitions)
    else:
        records, problems = from_files(args.traces, args.logs, LimitsConfig())
        facts = examine(records, LimitsConfig())
    for problem in problems:
        print(f"assay doctor: {problem}", file=sys.stderr)
    found = findings(facts)
    if args.json:
        print(as_json(facts, found).decode())
    else:
        show(facts, found, _console())
    return 1 if problems else 0


def _console() -> Console:
    """The terminal; where there is none (a pipe, a file), wide enough that no cell has to break."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_COLUMNS)
