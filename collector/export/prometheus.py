"""The catalogue as a Prometheus registry: the rooms' telemetry in, an exposition out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from itertools import chain

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from collector import catalog
from collector.catalog import CRITICAL_AT, WARN_AT, Metric, MetricType
from collector.delta import SCORE_SCALE, Delta
from collector.export import deltas, exposition
from collector.export.series import Exemplars, HistogramCopy, Histograms, Ints, Key, Keys, Scalars, label_key

SERIES_MAX = 20_000


class Exporter(Collector):
    """Holds every metric of the catalogue; implements ``collector.telemetry.Telemetry``. Thread-safe.

    ``warn_at`` and ``critical_at`` become edges of the score histograms. A metric with more than ``series_max`` label
    sets counts the rest under ``__other__``. A gauge that is set to not-a-number disappears from the exposition.
    """

    def __init__(
        self,
        *,
        warn_at: float = WARN_AT,
        critical_at: float = CRITICAL_AT,
        series_max: int = SERIES_MAX,
    ) -> None:
        self.catalog = catalog.metrics(warn_at, critical_at)
        self._lock = threading.RLock()
        self._scalars: dict[str, Scalars] = {}
        self._histograms: dict[str, Histograms] = {}
        for metric in self.catalog.values():
            keys = Keys(metric, series_max, self._overflowed)
            if metric.type is MetricType.HISTOGRAM:
                scale = SCORE_SCALE if metric.durable else 1  # deltas hold scores and seconds in millionths
                self._histograms[metric.name] = Histograms(metric, keys, scale=scale, exemplars=metric.durable)
            else:
                self._scalars[metric.name] = Scalars(metric, keys)
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)

    def add(self, metric: str, value: float = 1.0, /, **labels: str) -> None:
        """Raise a counter; ValueError for a metric that only deltas may raise, and for a fall."""
        scalars = self._scalars[metric]
        if scalars.metric.durable or scalars.metric.type is not MetricType.COUNTER or not value >= 0:
            raise ValueError(f"{metric} is no counter that a stage may raise by {value}")
        key = label_key(scalars.metric, labels)
        with self._lock:
            scalars.add(key, value)

    def set(self, metric: str, value: float, /, **labels: str) -> None:
        """Set a gauge; not-a-number takes its series away."""
        scalars = self._scalars[metric]
        if scalars.metric.durable or scalars.metric.type is not MetricType.GAUGE:
            raise ValueError(f"{metric} is no gauge that a stage may set")
        key = label_key(scalars.metric, labels)
        with self._lock:
            scalars.set(key, value)

    def observe(self, metric: str, value: float, /, **labels: str) -> None:
        """Put one value into a histogram."""
        histograms = self._histograms[metric]
        if histograms.metric.durable:
            raise ValueError(f"{metric} is counted from deltas")
        key = label_key(histograms.metric, labels)
        with self._lock:
            histograms.observe(key, value)

    def count_delta(self, delta: Delta) -> None:
        """Count the calls of a delta that this process has just made durable: all of it before the next scrape."""
        with self._lock:
            deltas.count(delta, self)

    def count(self, metric: str, key: Key, value: float) -> None:
        """For ``deltas``, which holds the lock."""
        self._scalars[metric].add(key, value)

    def observe_batch(
        self,
        metric: str,
        keys: Sequence[Key],
        group: Ints,
        values: Ints,
        evidence: deltas.Evidence | None = None,
    ) -> None:
        """For ``deltas``, which holds the lock."""
        self._histograms[metric].observe_batch(keys, group, values, evidence)

    def read(self, metric: str) -> list[tuple[dict[str, str], tuple[float, ...]]]:
        """Labels and numbers of each series: the value, or count and sum of a histogram."""
        labels = self.catalog[metric].labels
        with self._lock:
            if metric in self._scalars:
                values = self._scalars[metric].snapshot()
                return [(dict(zip(labels, key, strict=True)), (value,)) for key, value in values]
            copy = self._histograms[metric].snapshot()
        totals = zip(copy.keys, copy.counts.sum(axis=1).tolist(), copy.sums.tolist(), strict=True)
        return [(dict(zip(labels, key, strict=True)), (count, total)) for key, count, total in totals]

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The exposition and its content type: OpenMetrics with exemplars where ``accept`` asks for it, else text."""
        encode, content_type = choose_encoder(accept)
        openmetrics = content_type.startswith("application/openmetrics-text")
        scalars, histograms = self._snapshot()
        lines = [
            *chain.from_iterable(exposition.scalars(*each, openmetrics=openmetrics) for each in scalars),
            *chain.from_iterable(exposition.histogram(*each, openmetrics=openmetrics) for each in histograms),
        ]
        return "".join(lines).encode() + encode(self._process), content_type

    def collect(self) -> Iterator[Family]:
        """Every family, also those without a series yet; one consistent moment."""
        scalars, histograms = self._snapshot()
        for metric, values in scalars:
            family = _family(metric)
            for key, value in values:
                family.add_sample(metric.name, dict(zip(metric.labels, key, strict=True)), value)
            yield family
        for metric, copy in histograms:
            family = _family(metric)
            edges = [*map(floatToGoString, metric.buckets), "+Inf"]
            cumulative = copy.counts.cumsum(axis=1).tolist()
            for row, key in enumerate(copy.keys):
                labels = dict(zip(metric.labels, key, strict=True))
                evidence = _exemplars(copy.exemplars, row) if copy.exemplars else [None] * len(edges)
                for edge, total, exemplar in zip(edges, cumulative[row], evidence, strict=True):
                    family.add_sample(f"{metric.name}_bucket", {**labels, "le": edge}, total, exemplar=exemplar)
                family.add_sample(f"{metric.name}_count", labels, cumulative[row][-1])
                family.add_sample(f"{metric.name}_sum", labels, float(copy.sums[row]))
            yield family

    def _snapshot(self) -> tuple[list[tuple[Metric, list[tuple[Key, float]]]], list[tuple[Metric, HistogramCopy]]]:
        with self._lock:
            scalars = [(entry.metric, entry.snapshot()) for entry in self._scalars.values()]
            return scalars, [(entry.metric, entry.snapshot()) for entry in self._histograms.values()]

    def _overflowed(self, metric: str) -> None:
        self._scalars[catalog.SERIES_OVERFLOWED.name].add((metric,), 1.0)


def _family(metric: Metric) -> Family:
    name = metric.name.removesuffix("_total") if metric.type is MetricType.COUNTER else metric.name
    return Family(name, metric.help, metric.type.value)


def _exemplars(kept: Exemplars, row: int) -> list[Exemplar | None]:
    return [
        Exemplar({"trace_id": trace.tobytes().hex()}, value, round(at, 3)) if at > float("-inf") else None
        for trace, value, at in zip(kept.traces[row], kept.values[row].tolist(), kept.times[row].tolist(), strict=True)
    ]
