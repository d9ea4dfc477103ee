"""What serves a chain, with its thread and its jobs."""

from __future__ import annotations

import time

from collector.chain import open_chain
from collector.config import Config
from collector.export.prometheus import Exporter
from collector.serve import Server
from tests.store.build import fill


def test_the_first_calls_are_published_at_once_and_not_when_the_job_is_due(tmp_path):
    config = Config.model_validate(
        {"source": {"otlp": {}}, "data": tmp_path, "store": {"snapshot_seconds": 3_600, "materialise_seconds": 0.05}}
    )
    chain = open_chain(config)
    serving = Server(chain=chain, config=config, telemetry=Exporter(), clock=time.time)
    serving.start()
    fill(chain)
    deadline = time.monotonic() + 30
    while serving.snapshots.newest() is None and time.monotonic() < deadline:
        time.sleep(0.05)

    published = serving.snapshots.newest()
    serving.close()

    assert published is not None
