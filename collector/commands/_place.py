"""The arguments that say where a daemon keeps its state, shared by the commands that look at it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from collector.config import Config, load_config
from collector.store.database import FILE
from collector.store.snapshot import Snapshots


def add_place(parser: argparse.ArgumentParser) -> None:
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--config", type=Path, help="the daemon's YAML")
    place.add_argument("--data", type=Path, default=Path(".assay"), help="the daemon's folder (default: .assay)")


def config_of(args: argparse.Namespace) -> Config:
    """The configuration named, or the default one over the folder named."""
    if args.config is not None:
        return load_config(args.config, os.environ)
    return Config.model_validate({"source": {"otlp": {}}, "data": args.data})


def newest_snapshot(config: Config) -> Path | None:
    """The newest snapshot; of a daemon that is not running, one of what it left."""
    snapshots = Snapshots(config.data, config.store.snapshots_kept)
    snapshots.adopt(config.data / FILE)
    return snapshots.newest()


def no_snapshot(config: Config) -> str:
    """Why there is none, for whoever asked."""
    if not config.data.is_dir():
        return f"there is no folder {config.data}: name the daemon's with --data or --config"
    return f"{config.data} holds no snapshot yet: a serving daemon publishes one when the first calls are counted"
