"""How good each signal is on labelled public data, beside what a user would pick instead: python -m bench.quality

Reads a folder of sets, ``NAME/NAME.jsonl.gz`` each (``--data``; by default the development data beside the checkout),
so the same command judges another folder of the same layout. A section ends at the first set that is not there, and
says so; sets by other names are judged by their fields (``own``). Intervals are 95 %, by bootstrap. Names in italics
are baselines, measured in the same run on the same rows. Exits 1 where a target is missed or a section ended early.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Iterator
from pathlib import Path

from bench.measures import DATA, SetError
from bench.quality.rows import Row, markdown

SECTIONS = ("groundedness", "citations", "toxicity", "marks", "injection", "others", "reference", "drift", "own")
"""Modules of this package, each with ``measure(data) -> Iterator[Row]``."""


def main() -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of labelled sets")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="sections to run")
    args = parser.parse_args()
    if not args.data.is_dir():
        parser.error(f"{args.data} is no folder: --data names one that holds NAME/NAME.jsonl.gz")
    missed: list[Row] = []
    ended: list[str] = []

    def rows() -> Iterator[Row]:
        for section in args.only:
            try:
                for row in importlib.import_module(f"bench.quality.{section}").measure(args.data):
                    if row.missed:
                        missed.append(row)
                    yield row
            except SetError as error:
                ended.append(f"{section}: {error}")

    for line in markdown(rows()):
        print(line, flush=True)
    print(f"\n{len(missed)} targets missed" + "".join(f"\n  {row.who} on {row.on}: {row.measure}" for row in missed))
    if ended:
        print(f"{len(ended)} sections ended early" + "".join(f"\n  {sentence}" for sentence in ended))
    raise SystemExit(1 if missed or ended else 0)


if __name__ == "__main__":
    main()
