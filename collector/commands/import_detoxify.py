"""Convert a Detoxify checkpoint to a directory without pickle."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from signals.detoxify import import_checkpoint
from signals.runtime.weights import WeightsError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="the .ckpt that the Detoxify project publishes")
    parser.add_argument(
        "--base",
        type=Path,
        required=True,
        help="local folder with config.json and tokeniser files of the base model: bert-base-uncased for original, "
        "roberta-base for unbiased, xlm-roberta-base for multilingual",
    )
    parser.add_argument("--output", type=Path, required=True, help="new folder, for signals.detoxify")


def run(args: argparse.Namespace) -> int:
    try:
        manifest = import_checkpoint(args.checkpoint, args.base, args.output)
    except WeightsError as error:
        print(f"assay import-detoxify: {error}", file=sys.stderr)
        return 2
    print(f"{args.output}: {manifest['name']} ({manifest['architecture']}), labels {', '.join(manifest['labels'])}")
    print("set signals.detoxify to this folder; the checkpoint is not needed any more")
    return 0
