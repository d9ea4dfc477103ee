"""The embedded source as the contract's tests want it: a clock to set, and records sent over HTTP once it listens."""

from __future__ import annotations

from pathlib import Path

import httpx

from collector.config import LimitsConfig, OtlpConfig
from collector.records import Partition
from collector.source import SourceError
from collector.source.locallog import LocalLog
from collector.source.otlp import KINDS, LOGS, TRACES, OtlpSource

PATHS = {TRACES: "/v1/traces", LOGS: "/v1/logs"}


class Clock:
    """Says what it was told."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class OtlpWorld:
    live = True

    def __init__(self, data: Path) -> None:
        self.partitions = [TRACES, LOGS]
        self._data = data
        self._clock = Clock()
        self._sources: list[OtlpSource] = []

    def source(self) -> OtlpSource:
        made = OtlpSource(OtlpConfig(port=0), self._data, LimitsConfig(), clock=self._clock)
        self._sources.append(made)
        return made

    def append(self, partition: Partition, value: bytes | None, timestamp: float) -> int:
        assert value is not None, "a request has a body"
        self._clock.now = timestamp
        for source in self._sources:
            try:
                url = source.endpoint + PATHS[partition]
            except SourceError:  # not started
                continue
            httpx.post(url, content=value, headers={"content-type": "application/x-protobuf"}).raise_for_status()
            return source.bounds(partition).end - 1
        topics = [each.topic for each in KINDS]
        log = LocalLog(self._data / "otlp.sqlite", topics, bytes_max=1 << 30, clock=self._clock)
        [offset] = log.append([(partition.topic, value)])
        log.close()
        return offset
