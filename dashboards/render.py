"""Boards as files: ``python -m dashboards.render`` writes ``generated/``, which Grafana's file provisioning reads."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.boards import pages
from dashboards.panels import build

GENERATED = Path(__file__).parent / "generated"
TAG = "assay"


def files() -> dict[str, str]:
    """Name and text of every dashboard."""
    return {
        f"{page.uid}.json": JSONEncoder(sort_keys=True, indent=1).encode(build(page, TAG)) + "\n" for page in pages()
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=GENERATED, help="folder for the files")
    output: Path = parser.parse_args(argv).output
    output.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        json.loads(text)
        (output / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
