"""What a metric is, what its labels mean, where its buckets end, and which pages and boards there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from collector.config import SignalsConfig
from collector.records import Content

OTHER = "__other__"
"""The value of an open label beyond its bound."""


WARN_AT: float = SignalsConfig().warn_at


CRITICAL_AT: float = SignalsConfig().critical_at


SCORE_EDGES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.9, 0.95, 0.99)


LATENCY_EDGES = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0)


TTFT_EDGES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)


STAGE_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


BATCH_EDGES = (1.0, 8.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 2_048.0, 4_096.0, 8_192.0)


EVIDENCE_PATH = "/evidence"
"""Worst calls and the slice to blame; takes ``signal``, ``side``, ``service``, ``model``, ``from`` and ``to``."""


RUNBOOKS_PATH = f"{EVIDENCE_PATH}/runbooks"


class Board(StrEnum):
    """The dashboards, by the uid that links name."""

    OVERVIEW = "assay-overview"
    QUALITY = "assay-quality"
    DRIFT = "assay-drift"
    COMPARE = "assay-compare"
    COST = "assay-cost"
    SIGNALS = "assay-signals"
    PIPELINE = "assay-pipeline"


class MetricType(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Set(StrEnum):
    """What a metric speaks of."""

    QUALITY = "quality"
    TRAFFIC = "traffic"
    PIPELINE = "pipeline"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family.

    A ``durable`` metric is counted from deltas that are safe in the chain, so it equals what SQL says of the same
    calls; nobody may add to it otherwise. ``start`` are label sets that are exported as 0 before anything happened,
    so that ``rate()`` sees the first event.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    set: Set = Set.PIPELINE
    buckets: tuple[float, ...] = ()  # upper edges, rising, without +Inf
    durable: bool = False
    start: tuple[tuple[str, ...], ...] = ()


LABELS: dict[str, str] = {
    "service": "`service.name` of the application's resource",
    "model": "the requested model, else the one that answered, else `unknown`",
    "side": "`input` or `output`: which text of the call",
    "signal": "name of a signal",
    "outcome": "how it ended; the values are in the help text",
    "reason": "why; a closed set for each metric",
    "content": "what of the call's text arrived: " + ", ".join(state.value for state in Content),
    "direction": "of tokens: `input`, `output` or `cache_read`; of a clock: `ahead` or `late`",
    "error": "class of an error",
    "topic": "topic that holds the record",
    "partition": "number of the partition; only those this process owns",
    "stage": "stage of the pipeline",
    "place": "where items wait",
    "kind": "what changed: `model`, `model_version`, `prompt`, `service_version` (a deployment) or `signal_version`",
    "subject": "whose version changed: a model, the name of a prompt, or signal and side",
    "before": "the version before",
    "after": "the version that appeared",
    "listener": "`web` (metrics, pages, SQL) or `otlp` (the receiver)",
    "task": "name of a background task",
    "metric": "name of a metric",
    "condition": "name of a readiness condition",
    "version": "version of Assay",
    "python": "version of Python",
    "role": "role of the process",
}
"""Every label and what it means. Ids and texts are never labels."""


OPEN_LABELS = frozenset({"service", "model", "error", "topic", "partition", "subject", "before", "after"})
"""Labels whose values come from outside; beyond a metric's bound they become ``__other__``, the others stay."""


def counter(name: str, help_: str, *labels: str, start: tuple[tuple[str, ...], ...] = ()) -> Metric:
    return Metric(name, MetricType.COUNTER, help_, labels, start=start or (() if labels else ((),)))


def gauge(name: str, help_: str, *labels: str) -> Metric:
    return Metric(name, MetricType.GAUGE, help_, labels)


def histogram(name: str, help_: str, *labels: str, buckets: tuple[float, ...]) -> Metric:
    return Metric(name, MetricType.HISTOGRAM, help_, labels, buckets=buckets)


def traffic(metric: Metric) -> Metric:
    return replace(metric, set=Set.TRAFFIC, durable=True)


def each(values: type[StrEnum]) -> tuple[tuple[str, ...], ...]:
    return tuple((value.value,) for value in values)
