"""The demo as a whole: the real daemon on the embedded source, the traffic as one of its clients, and the terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from collector.config import Config, ConfigError, load_config
from collector.daemon import Daemon
from collector.demo.board import History, Sample, read_totals
from collector.demo.script import CANARY
from collector.demo.traffic import Traffic
from collector.demo.view import LiveView, PlainView, Scene, View
from collector.source.otlp import OtlpSource

FRAME_SECONDS = 1.0
EARLIER_CALLS = 2_400
SNIPPET_HOURS = 24.0
STOP_SECONDS_MAX = 90.0
SETTLE_SECONDS_MAX = 15.0
SQL = "SELECT service, model, count(*) AS calls, avg(toxicity_output) AS toxicity FROM calls GROUP BY ALL ORDER BY ALL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    data: Path
    port: int = 4318
    metrics_port: int = 9464
    incident_after_seconds: float = 60.0
    duration_seconds: float | None = None  # None: until it is stopped
    rate: float = 20.0  # calls a second
    traffic: bool = True
    plain: bool = False


def demo_config(options: Options, environ: Mapping[str, str]) -> Config:
    """A configuration that shows things soon; ``ASSAY_`` variables may change what the command line does not."""
    overrides = {
        "role": "all",
        "data": str(options.data),
        "source.otlp.port": options.port,
        "metrics.port": options.metrics_port,
        "join.settle_seconds": 1.0,
        "join.window_seconds": 5.0,
        "chain.flush_seconds": 1.0,
        "store.snapshot_seconds": 10.0,
        "evidence.snippets.enabled": True,
        "evidence.snippets.ttl_hours": SNIPPET_HOURS,
        "evidence.snippets.calls_per_minute_max": 20,  # an incident of a minute or two
        "evidence.snippets.drift_calls_per_minute_max": 5,
        "evidence.snippets.per_minute_max": 2_000,
        "baseline.current_minutes": 10,
        "baseline.baseline_hours": 2,
        "baseline.calls_min": 20,
        "drift.alpha": 1e-3,  # the demo runs for minutes: one false alarm in 20,000 pairs will do
        "drift.window_seconds": 10.0,
        "drift.grace_seconds": 2.0,
        "drift.recent_gap_seconds": 600.0,  # the backdated traffic is the baseline, the incident never
        "drift.pairs_max": 20,  # so that it lasts for the minute before the incident and some of it
    }
    return load_config(None, environ, overrides)


def run_demo(options: Options, environ: Mapping[str, str], stopping: threading.Event, console: Console) -> int:
    """Run until ``stopping`` or the duration's end; returns the exit status.

    Raises ConfigError, SourceError and what else ``Daemon.start`` raises; then nothing is left running.
    """
    config = demo_config(options, environ)
    fresh = not (config.data / "otlp.sqlite").exists()
    console.print(f"[bold]Assay[/] starts in {config.data} …", highlight=False)
    daemon = Daemon(config, environ)
    daemon.start()
    status: list[int] = []
    keeper = threading.Thread(target=lambda: status.append(daemon.wait()), name="demo-daemon", daemon=True)
    keeper.start()
    try:
        endpoint = _endpoint(daemon)
        traffic = Traffic(
            endpoint=endpoint,
            rate=options.rate,
            incident_after_seconds=options.incident_after_seconds,
            earlier=EARLIER_CALLS if fresh else 0,
        )
        notes = _notes(config, daemon, endpoint, fresh)
        if options.traffic:
            traffic.start()
        try:
            _watch(options, daemon, keeper, traffic, stopping, _view(options, console, notes))
        finally:
            traffic.stop()
        settled = _settle(daemon)
    finally:
        daemon.stop()
        keeper.join(STOP_SECONDS_MAX)
    calls = sum(read_totals(_samples(daemon), time.monotonic()).calls.values())
    console.print(_farewell(config, calls, settled, traffic.sent), highlight=False, markup=False, soft_wrap=True)
    return status[0] if status else 1


def send_traffic(options: Options, endpoint: str, stopping: threading.Event, console: Console) -> int:
    """Send the traffic to ``endpoint``, a receiver of OTLP over HTTP, and run no daemon; returns the exit status."""
    traffic = Traffic(
        endpoint=endpoint,
        rate=options.rate,
        incident_after_seconds=options.incident_after_seconds,
        earlier=EARLIER_CALLS,
    )
    after = f"an incident begins after {options.incident_after_seconds:.0f} s"
    console.print(f"{options.rate:g} calls a second go to {endpoint}; {after}", highlight=False, soft_wrap=True)
    traffic.start()
    stopping.wait(options.duration_seconds)
    traffic.stop()
    console.print(f"stopped: {traffic.sent} calls sent", highlight=False)
    return 0


def _watch(
    options: Options,
    daemon: Daemon,
    keeper: threading.Thread,
    traffic: Traffic,
    stopping: threading.Event,
    view: View,
) -> None:
    history, started = History(), time.monotonic()
    with view:
        while keeper.is_alive():
            seconds = time.monotonic() - started
            board = history.add(read_totals(_samples(daemon), time.monotonic()), incident=traffic.incident)
            view.show(
                Scene(
                    board=board,
                    seconds=seconds,
                    phase=_phase(options, traffic),
                    incident=traffic.incident,
                    changed=history.changed if traffic.incident else _nothing,
                )
            )
            left = float("inf") if options.duration_seconds is None else options.duration_seconds - seconds
            if left <= 0 or stopping.wait(min(FRAME_SECONDS, left)):
                return


def _phase(options: Options, traffic: Traffic) -> str:
    if not options.traffic:
        return "waiting for your own traffic"
    if traffic.incident:
        return f"INCIDENT: {CANARY} is toxic, study-tutor's users changed the topic, docs-assistant invents facts"
    if not traffic.seconds:
        return "sending earlier traffic, as something to compare with"
    return f"all is well; an incident begins in {max(0.0, options.incident_after_seconds - traffic.seconds):.0f} s"


def _view(options: Options, console: Console, notes: list[str]) -> View:
    if console.is_terminal and not options.plain:
        return LiveView(console, notes)

    def write(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    write("\n".join(notes))
    return PlainView(write)


def _endpoint(daemon: Daemon) -> str:
    if not isinstance(daemon.source, OtlpSource):
        raise ConfigError("the demo runs on the source `otlp`; unset the ASSAY_SOURCE__ variables")
    return daemon.source.endpoint


def _notes(config: Config, daemon: Daemon, endpoint: str, fresh: bool) -> list[str]:
    """What a person needs to look further: the addresses, and a query to begin with."""
    web = daemon.web.url if daemon.web else ""
    state = "a new state begins" if fresh else "goes on from the state kept there"
    return [
        f"data       {config.data} ({state})",
        f"send OTLP  OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}  (http/protobuf or http/json)",
        f"pages      {web}/  {web}/metrics  {web}/healthz  {web}/readyz",
        f"evidence   {web}/evidence  (with redacted excerpts of what was said, kept for {SNIPPET_HOURS:.0f} hours)",
        f'ask        assay sql --data {config.data} "{SQL}"',
        "stop       Ctrl-C; the next start goes on from there",
    ]


def _settle(daemon: Daemon) -> bool:
    """Give what was sent last the time to be counted; whether it was enough."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while time.monotonic() < deadline and daemon.failure is None:
        waiting = read_totals(_samples(daemon), time.monotonic()).waiting
        if daemon.source is None or not (any(daemon.source.lag().values()) or waiting):
            return True
        time.sleep(FRAME_SECONDS)  # longer than the daemon takes to notice what was just read
    return False


def _farewell(config: Config, calls: float, settled: bool, sent: int) -> str:
    rest = "nothing waits" if settled else "the rest waits in the log for the next start"
    return (
        f"stopped: {sent} calls sent, {calls:.0f} counted by this run; {rest}.\n"
        f"kept in {config.data}: the log, the chain, the rollups and excerpts of flagged calls; "
        "the next start goes on from there."
    )


def _samples(daemon: Daemon) -> Iterator[Sample]:
    for family in daemon.exporter.collect():
        yield from family.samples


def _nothing(_: object) -> frozenset[str]:
    return frozenset()
