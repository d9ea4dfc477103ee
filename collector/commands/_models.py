"""The arguments that say how models run, shared by the commands that score files; or a daemon's configuration does."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from collector.config import SignalsConfig, load_config
from collector.scoring import suite_options
from signals.suite import SuiteOptions

_WORDS = {
    "device": "`auto` takes a GPU where there is one",
    "backend": "on a CPU; `openvino` needs the extra, `auto` takes what a short measurement finds",
    "precision": "number format; `auto` takes bf16 where the hardware multiplies it",
}


def add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="a daemon's YAML: what is not said here is as there"
    )
    for word, meaning in _WORDS.items():
        words = get_args(SignalsConfig.model_fields[word].annotation)
        parser.add_argument(f"--{word}", choices=words, help=f"{meaning} (default: auto)")
    parser.add_argument("--workers", type=int, help="threads of the models on a CPU; 0: one a core (default: 0)")


def options_of(args: argparse.Namespace, **own: Any) -> SuiteOptions:
    """What to load: as the daemon of ``--config`` does, but for the arguments given and ``own`` that is not None.

    Scores are compared by their versions, so what ``auto`` chose for that daemon is taken from where it keeps it.
    Raises ConfigError.
    """
    configured = SuiteOptions()
    if args.config is not None:
        config = load_config(args.config, os.environ)
        configured = suite_options(config)
        if configured.backend_file is not None and not configured.backend_file.exists():
            configured = replace(configured, backend_file=None)  # the daemon's own to write
    said = {word: getattr(args, word) for word in (*_WORDS, "workers")} | own
    return replace(configured, **{name: value for name, value in said.items() if value is not None})
