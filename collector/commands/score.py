"""Run the signals over a file of exchanges."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from collector.commands._models import add_models, options_of
from signals.offline import score_file
from signals.suite import SuiteError, load_suite
from signals.tables import TableError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Exit status: 0 every line scored, 1 some were left out or a signal failed, 2 nothing could be done."
    )
    parser.add_argument(
        "file",
        type=Path,
        help="JSONL or Parquet with input, output, context, documents, reference, system (all optional)",
    )
    parser.add_argument("--output", type=Path, required=True, help=".jsonl, .parquet or .csv")
    parser.add_argument("--signals", nargs="+", metavar="NAME", help="only these; default: all")
    parser.add_argument("--detoxify", type=Path, metavar="DIR", help="a folder made by `assay import-detoxify`")
    parser.add_argument("--nli", type=Path, metavar="DIR", help="a folder with an entailment model and SHA256SUMS")
    add_models(parser)


def run(args: argparse.Namespace) -> int:
    def explain(number: int, problem: str) -> None:
        print(f"{args.file}:{number}: {problem}", file=sys.stderr)

    try:
        suite = load_suite(options_of(args, enabled=args.signals, detoxify=args.detoxify, nli=args.nli))
        tally = score_file(args.file, args.output, suite, explain)
    except (SuiteError, TableError) as error:
        print(f"assay score: {error}", file=sys.stderr)
        return 2
    print(f"{args.output}: {tally.rows} rows scored, {tally.bad} lines left out", file=sys.stderr)
    print(f"versions: {', '.join(f'{spec.column} {spec.version}' for spec in suite.specs)}", file=sys.stderr)
    if suite.runs_on:
        print(f"models ran on {suite.runs_on}", file=sys.stderr)
    for signal, failure in tally.failures.items():
        print(f"{signal} failed on some rows: {failure}", file=sys.stderr)
    if tally.rows and not tally.with_text:
        print("no row has a field input or output: there was nothing to score", file=sys.stderr)
    return 1 if tally.bad or tally.failures or not tally.with_text else 0
