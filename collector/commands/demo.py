"""The whole of Assay in one process, with traffic of its own and, after a minute, an incident."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler

from collector.commands._logs import quieten


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=Path(".assay/demo"), help="where the state is kept (default: .assay/demo)"
    )
    parser.add_argument("--port", type=int, default=4318, help="of the OTLP receiver (default: 4318; 0: any free one)")
    parser.add_argument(
        "--metrics-port", type=int, default=9464, help="of /metrics and the pages (default: 9464; 0: any free one)"
    )
    parser.add_argument(
        "--incident-after", type=float, default=60.0, metavar="SECONDS", help="when it begins (default: 60)"
    )
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="end by itself after so long")
    parser.add_argument(
        "--rate", type=_rate, default=20.0, metavar="CALLS_PER_SECOND", help="of its own traffic (default: 20)"
    )
    parser.add_argument("--no-traffic", action="store_true", help="wait for your own services' telemetry instead")
    parser.add_argument("--send-to", metavar="URL", help="only send the traffic, to this receiver of OTLP over HTTP")
    parser.add_argument("--plain", action="store_true", help="lines instead of a live table")


def run(args: argparse.Namespace) -> int:
    console = Console()
    logging.basicConfig(level="WARNING", format="%(message)s", handlers=[RichHandler(console=console, show_path=False)])
    quieten()
    from collector.demo.run import Options, run_demo, send_traffic  # noqa: PLC0415 - torch: --help needs none

    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    options = Options(
        data=args.data,
        port=args.port,
        metrics_port=args.metrics_port,
        incident_after_seconds=args.incident_after,
        duration_seconds=args.duration,
        rate=args.rate,
        traffic=not args.no_traffic,
        plain=args.plain,
    )
    if args.send_to:
        return send_traffic(options, args.send_to.rstrip("/"), stopping, console)
    return run_demo(options, os.environ, stopping, console)


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value <= 10_000:
        raise argparse.ArgumentTypeError("a rate is above 0 and at most 10000")
    return value
