"""Memory of the whole daemon over a million calls: Kafka to rollups, SQL snapshots and /metrics, models left out.

    python -m bench.memory [--calls 1000000]

A process of role ``all`` reads records of 50 calls (1 KB each, 200 series of service and model) from a real broker
(tools/install-servers) while they are produced. Every tenth of the way its resident memory is read from /proc. Printed:
the table, and the growth over the second half, which is what does not stop.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
import urllib.request
from multiprocessing.connection import Connection
from pathlib import Path

from kafka import KafkaProducer

from bench.path import NoModels
from collector.config import Config
from collector.daemon import Daemon, settle_heap
from tests.fakes.otlp import FakeCall, traces
from tests.servers.kafka import KafkaBroker

CALLS_PER_RECORD = 50
SERIES = 200
TEXT = " ".join(f"word{number} of an answer that somebody waits for" for number in range(8))
ROWS = 10
AHEAD_CALLS = 100_000  # the producer does not run further ahead than this


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, KafkaBroker(Path(folder) / "kafka") as broker:
        for topic in ("otlp_spans", "otlp_logs"):
            broker.create_topic(topic, 4)
        ours, theirs = multiprocessing.Pipe()
        spawn = multiprocessing.get_context("spawn")
        process = spawn.Process(target=serve, args=(theirs, broker.bootstrap, folder))
        process.start()
        try:
            url = ours.recv()
            assert process.pid is not None
            watch(process.pid, url, broker.bootstrap, options.calls)
            print(f"DuckDB file at the end {Path(folder, 'assay.duckdb').stat().st_size / 1e6:.1f} MB")
        finally:
            ours.send("stop")
            process.join(60)
            process.kill()


def serve(pipe: Connection, bootstrap: str, folder: str) -> None:
    """The daemon, in a process of its own."""
    settings = {"source": {"kafka": {"brokers": [bootstrap]}}, "data": folder, "metrics": {"port": 0}}
    daemon = Daemon(Config.model_validate(settings), suite=NoModels())
    daemon.start()
    settle_heap()
    assert daemon.web is not None
    pipe.send(daemon.web.url)

    def stop() -> None:
        pipe.recv()
        daemon.stop()

    threading.Thread(target=stop, daemon=True).start()
    daemon.wait()


def watch(pid: int, url: str, bootstrap: str, calls: int) -> None:
    counted = 0
    done = threading.Event()

    def produce() -> None:
        producer = KafkaProducer(bootstrap_servers=bootstrap, compression_type="zstd", linger_ms=20)
        for first in range(0, calls, CALLS_PER_RECORD):
            while first - counted > AHEAD_CALLS and not done.is_set():
                time.sleep(0.05)
            producer.send("otlp_spans", record(first), partition=first // CALLS_PER_RECORD % 4)
        producer.flush()
        producer.close()

    producing = threading.Thread(target=produce)
    producing.start()
    print(f"{'calls':>10} {'resident MB':>12}")
    rows: list[tuple[int, float]] = []
    try:
        while counted < calls:
            time.sleep(1)
            counted = total(url)
            if counted >= (len(rows) + 1) * calls // ROWS:
                rows.append((counted, resident(pid)))
                print(f"{rows[-1][0]:>10,} {rows[-1][1]:>12.1f}", flush=True)
    finally:
        done.set()
        producing.join()
    (middle, before), (end, after) = rows[len(rows) // 2 - 1], rows[-1]
    print(f"growth over the second half: {(after - before) / (end - middle) * 1e5:+.1f} MB per 100,000 calls")


def record(first: int) -> bytes:
    now = time.time()
    return traces(
        [
            FakeCall(
                number=number,
                service=f"service-{number % SERIES // 20}",
                model=f"model-{number % 20}",
                at=now,
                attributes={"gen_ai.conversation.id": f"c-{number}", "gen_ai.system_instructions": TEXT},
            )
            for number in range(first, first + CALLS_PER_RECORD)
        ]
    )


def total(url: str) -> int:
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return int(sum(float(line.split("}", 1)[1].split()[0]) for line in lines if line.startswith("assay_calls_total{")))


def resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:", 1)[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
