"""What the daemon's watch tells each turn: gauges of what runs, and the conditions that readiness asks for."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from collector.export.prometheus import Exporter
from collector.export.web.health import Health
from collector.pipeline import Pipeline
from collector.records import Partition
from collector.source import Source
from collector.source.otlp import OtlpSource


@dataclass(slots=True)
class Gauges:
    """Remembers what was told, so that others' running totals become counters and partitions that left have no lag."""

    exporter: Exporter
    health: Health
    _totals: dict[str, float] = field(default_factory=dict)
    _turned_away: dict[tuple[str, str], int] = field(default_factory=dict)
    _lagging: frozenset[Partition] = frozenset()

    def room(self, folder: Path) -> None:
        """How much the disk of ``folder`` holds and has left."""
        try:
            disk = shutil.disk_usage(folder)
        except OSError:  # taken away under our feet: what needs it says so
            free = size = math.nan
        else:
            free, size = disk.free, disk.total
        self.exporter.set("assay_data_free_bytes", free)
        self.exporter.set("assay_data_size_bytes", size)

    def door(self, listener: str, refused: Mapping[str, int], stale: bool) -> None:
        """Requests that a listener turned away, by reason, and whether its web-config file cannot be used."""
        for reason, count in refused.items():
            told = self._turned_away.get((listener, reason), 0)
            if count > told:
                self.exporter.add("assay_http_refused_total", count - told, listener=listener, reason=reason)
            self._turned_away[listener, reason] = count
        self.exporter.set("assay_web_config_stale", stale, listener=listener)

    def path(self, pipeline: Pipeline, source: Source, chain_url: str) -> None:
        """The walk of a call from the source to the chain."""
        for place, count in pipeline.waiting.items():
            self.exporter.set("assay_waiting_items", count, place=place)
        self._lag(source.lag())
        self._shedding(pipeline)
        assembler = pipeline.intake.assembler
        self._rise("assay_calls_settled_early_total", assembler.settled_early)
        self._rise("assay_traces_forgotten_total", assembler.traces_evicted)
        self._rise("assay_spans_unremembered_total", assembler.spans_unremembered)
        self._rise("assay_events_without_span_total", assembler.unjoined_events)
        self._rise("assay_labels_overflowed_total", pipeline.committer.labels.overflowed)
        self.exporter.set("assay_partitions_assigned", len(pipeline.intake.opened))
        if isinstance(source, OtlpSource):
            self.door("otlp", source.turned_away, source.stale)
            for status, count in source.take_refused().items():
                self.exporter.add("assay_otlp_refused_total", count, reason=str(status))
        self.exporter.set("assay_source_healthy", source.healthy)
        self.exporter.set("assay_chain_healthy", pipeline.chain_up)
        ready = pipeline.intake.ready and source.healthy
        self.health.set("partitions", ready, pipeline.intake.told(ready=ready))
        self.health.set("chain", pipeline.chain_up, pipeline.trouble or chain_url)

    def _lag(self, lag: Mapping[Partition, int]) -> None:
        for partition in {*self._lagging, *lag}:
            behind = lag.get(partition, math.nan)  # the partition of somebody else has no series here
            self.exporter.set("assay_lag_records", behind, topic=partition.topic, partition=str(partition.number))
        self._lagging = frozenset(lag)

    def _shedding(self, pipeline: Pipeline) -> None:
        self.exporter.set("assay_lag_seconds", pipeline.lag_seconds)
        shedding = pipeline.shedding
        self.exporter.set("assay_shed_level", shedding.level if shedding else 0)
        if shedding is not None:
            for names, share in zip(pipeline.scorer.suite.shed_order, shedding.shares, strict=True):
                for name in names:
                    self.exporter.set("assay_shed_ratio", share, signal=name)

    def _rise(self, metric: str, total: float) -> None:
        """Somebody's running total, as a counter."""
        self.exporter.add(metric, total - self._totals.get(metric, 0))
        self._totals[metric] = total
