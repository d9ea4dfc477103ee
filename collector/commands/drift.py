"""Say whether the traffic of one file has drifted from that of another."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from collector.commands._models import add_models, options_of
from signals.drift.offline import PAIRS_MIN, Example, Report, SideReport, compare_files
from signals.suite import SuiteError, load_suite
from signals.tables import TableError

TOPICS_SHOWN = 6
SLICES_SHOWN = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Fields: input, output; optional: time (pairs keep the hour and the weekday), conversation (one call a day of "
        "each takes part). Exit status: 0 no drift, 1 no drift but some lines were left out or the encoder failed, "
        "2 nothing could be compared, 3 drift."
    )
    parser.add_argument("--baseline", type=Path, required=True, metavar="FILE", help="JSONL or Parquet of before")
    parser.add_argument("--current", type=Path, required=True, metavar="FILE", help="JSONL or Parquet of now")
    parser.add_argument("--by", metavar="FIELD", help="also say which values of this field carry the change")
    parser.add_argument("--alpha", type=float, default=1e-3, help="false alarms: one in 20/ALPHA calls (default 0.001)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    add_models(parser)


def run(args: argparse.Namespace) -> int:
    def explain(path: Path, number: int, problem: str) -> None:
        print(f"{path}:{number}: {problem}", file=sys.stderr)

    try:
        suite = load_suite(options_of(args, enabled=("embedding",)))
        report = compare_files(args.baseline, args.current, suite, explain, by=args.by, alpha=args.alpha)
    except (SuiteError, TableError, ValueError) as error:
        print(f"assay drift: {error}", file=sys.stderr)
        return 2
    for signal, failure in report.failures.items():
        print(f"{signal} failed on some rows: {failure}", file=sys.stderr)
    if args.json:
        print(json.dumps(_plain(dataclasses.asdict(report) | {"drifted": report.drifted}), allow_nan=False))
    else:
        print("\n".join(_text(report, args.by)))
    if report.drifted:
        return 3
    return 1 if report.left_out or report.failures else 0


def _text(report: Report, by: str | None) -> Iterator[str]:
    for side in report.sides:
        yield from _side(side, by)
        yield ""
    order = "in the order of time" if report.timed else "as two samples without an order"
    yield f"Calls were compared {order}. Alarm: log e from {-math.log(report.alpha):.1f} (alpha {report.alpha:g});"
    yield f"traffic that does not change raises one in {report.arl_calls:,.0f} calls or more, in the mean."
    yield f"Vectors of {report.encoder}."


def _side(side: SideReport, by: str | None) -> Iterator[str]:
    verdict = "no drift" if side.alarm_after is None else f"DRIFT after {side.alarm_after:,} calls"
    if side.pairs < PAIRS_MIN:
        verdict = f"too few calls to tell ({PAIRS_MIN} pairs are the least)"
    yield f"{side.side.value}: {verdict}"
    yield (
        f"  {side.baseline_n:,} baseline and {side.current_n:,} current calls; {side.pairs:,} pairs, "
        f"{side.per_call} baseline to 1 current, phase: {side.phase.replace('_', ' ')}"
    )
    yield f"  centroid distance {side.distance:.4f}, highest log e {side.log_e:.2f}"
    changed = [
        (topic, examples) for topic, examples in zip(side.topics, side.examples, strict=True) if topic.share.significant
    ]
    yield f"  topics that grew or shrank beyond chance: {len(changed)} of {len(side.topics)}"
    for topic, (before, after) in changed[:TOPICS_SHOWN]:
        share = topic.share
        yield (
            f"    {share.before:6.1%} -> {share.after:6.1%}  "
            f"({share.change:+.1%}, interval {share.low:+.1%} to {share.high:+.1%})"
        )
        yield from _examples("baseline", before)
        yield from _examples("current", after)
    if side.slices:
        yield f"  by {by}, the part of the change that each carries:"
        for part in side.slices[:SLICES_SHOWN]:
            distance = "on one side only" if math.isnan(part.distance) else f"own distance {part.distance:.4f}"
            label = "(none)" if part.label is None else part.label
            yield f"    {part.part:7.1%}  {label}: {part.share.before:.1%} -> {part.share.after:.1%}, {distance}"


def _examples(name: str, examples: tuple[Example, ...]) -> Iterator[str]:
    for example in examples[:2]:
        yield f"      {name} line {example.line}: {example.excerpt}"


def _plain(value: Any) -> Any:
    """As JSON can hold it: NaN is null."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
