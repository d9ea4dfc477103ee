"""Run the signals over a file of exchanges."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from signals.offline import score_file
from signals.suite import SuiteError, SuiteOptions, load_suite
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
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--workers", type=int, default=0, help="threads of the models; 0: one a core")


def run(args: argparse.Namespace) -> int:
    def explain(number: int, problem: str) -> None:
        print(f"{args.file}:{number}: {problem}", file=sys.stderr)

    try:
        suite = load_suite(
            SuiteOptions(
                enabled=args.signals,
                device=args.device,
                workers=args.workers,
                detoxify=args.detoxify,
                nli=args.nli,
            )
        )
        tally = score_file(args.file, args.output, suite, explain)
    except (SuiteError, TableError) as error:
        print(f"assay score: {error}", file=sys.stderr)
        return 2
    print(f"{args.output}: {tally.rows} rows scored, {tally.bad} lines left out", file=sys.stderr)
    for signal, failure in tally.failures.items():
        print(f"{signal} failed on some rows: {failure}", file=sys.stderr)
    if tally.rows and not tally.with_text:
        print("no row has a field input or output: there was nothing to score", file=sys.stderr)
    return 1 if tally.bad or tally.failures or not tally.with_text else 0
