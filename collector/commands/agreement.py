"""Say how far raters agree with each other, and a score with them."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from signals.raters import LEVELS, Estimate, agreement, score_agreement
from signals.tables import BadLine, TableError, read_rows

BATCH_ROWS = 1_024
WORDS_FROM = 1e9  # codes of words, apart from ratings that are numbers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Exit status: 0 printed, 1 some lines were left out, 2 nothing could be done."
    parser.add_argument("file", type=Path, help="JSONL or Parquet, a row a rated unit")
    parser.add_argument("--rater", action="append", required=True, metavar="FIELD", help="a rater's field; repeat it")
    parser.add_argument("--score", metavar="FIELD", help="a score's field, as `assay score` adds them")
    parser.add_argument(
        "--level", choices=LEVELS, default="ordinal", help="what the ratings are; labels that are words are nominal"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    names = [*args.rater, *([args.score] if args.score else [])]
    try:
        rows, bad = _read(args.file, names)
        found = _estimates(rows, args)
    except TableError as error:
        print(f"assay agreement: {error}", file=sys.stderr)
        return 2
    for estimate in found:
        if args.json:
            numbers = {name: getattr(estimate, name) for name in ("value", "low", "high")}
            known = {name: None if math.isnan(value) else value for name, value in numbers.items()}
            print(json.dumps({"name": estimate.name, **known, "units": estimate.units}))
        else:
            low, high = estimate.low, estimate.high
            print(f"{estimate.name:36} {estimate.value:7.3f}   {low:6.3f} .. {high:6.3f}   {estimate.units:,} units")
    return 1 if bad else 0


def _estimates(rows: Sequence[dict[str, Any]], args: argparse.Namespace) -> list[Estimate]:
    words: dict[str, float] | None = {} if args.level == "nominal" and not args.score else None
    ratings = np.stack([_numbers(name, [row[name] for row in rows], words) for name in args.rater])
    found = agreement(ratings, args.level) if len(ratings) > 1 else []
    if args.score:
        found += score_agreement(_numbers(args.score, [row[args.score] for row in rows], None), ratings)
    return found


def _read(path: Path, names: Sequence[str]) -> tuple[list[dict[str, Any]], int]:
    rows: list[dict[str, Any]] = []
    bad = 0
    for number, row in read_rows(path, BATCH_ROWS):
        if isinstance(row, BadLine):
            bad += 1
            print(f"{path}:{number}: {row}", file=sys.stderr)
        else:
            rows.append({name: row.get(name) for name in names})
    for name in names:
        if all(row[name] is None for row in rows):
            raise TableError(f"{path}: no row has a value in {name}")
    return rows, bad


def _numbers(name: str, values: Sequence[Any], words: dict[str, float] | None) -> npt.NDArray[np.float64]:
    """NaN for null; a word as its place in ``words``, which grows, where words are taken at all."""
    told: list[float] = []
    for value in values:
        if value is None or isinstance(value, (int, float)):
            told.append(np.nan if value is None else float(value))
        elif words is None:
            raise TableError(f"{name} holds words: only --level nominal without a score takes them")
        else:
            told.append(words.setdefault(str(value), WORDS_FROM + len(words)))
    return np.array(told)
