"""Consume, score, count and serve, as the configuration says."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from collector.commands._logs import quieten
from collector.config import load_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="YAML; ASSAY_SECTION__KEY variables lie over it")
    parser.add_argument("--role", choices=["all", "score", "serve"], help="overrides the configuration's role")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])


def run(args: argparse.Namespace) -> int:
    logging.basicConfig(
        level=args.log_level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if args.log_level != "DEBUG":
        quieten()
    config = load_config(args.config, os.environ, {"role": args.role} if args.role else None)

    from collector.daemon import Daemon, settle_heap  # noqa: PLC0415 - a configuration error is told before torch is imported

    daemon = Daemon(config)

    def shut_down(_number: int, _frame: FrameType | None) -> None:
        daemon.stop()

    signal.signal(signal.SIGTERM, shut_down)
    signal.signal(signal.SIGINT, shut_down)
    daemon.start()
    settle_heap()
    return daemon.wait()
