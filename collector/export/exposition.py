"""Writes families as Prometheus reads them: the bytes that prometheus_client would write, in a fraction of its time.

The client writes each sample by itself, which takes seconds where hundreds of services have dozens of histograms, and
the scrape times out. Here the labels of a series are written once and its buckets follow from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.utils import floatToGoString

from collector.catalog import Metric, MetricType
from collector.export.series import Exemplars, HistogramCopy, Key

_number: Callable[[float], str] = floatToGoString
_EXACT_MAX = 1_000_000  # from here on Go writes an exponent
_TRACE_CHARS = 32


def scalars(metric: Metric, values: Sequence[tuple[Key, float]], *, openmetrics: bool) -> Iterator[str]:
    """The lines of a counter or gauge."""
    yield from _head(metric, openmetrics=openmetrics)
    for key, value in values:
        before, after = _labels(metric, key)
        labels = f"{before}{after}".removesuffix(",")
        yield (f"{metric.name}{{{labels}}} {_number(value)}\n" if labels else (f"{metric.name} {_number(value)}\n"))


def histogram(metric: Metric, copy: HistogramCopy, *, openmetrics: bool) -> Iterator[str]:
    """The lines of a histogram, with its exemplars where the format has them."""
    yield from _head(metric, openmetrics=openmetrics)
    name = metric.name
    edges = [*map(_number, metric.buckets), "+Inf"]
    shown = copy.exemplars if openmetrics else None
    for row, (key, counts) in enumerate(zip(copy.keys, copy.counts.cumsum(axis=1).tolist(), strict=True)):
        before, after = _labels(metric, key)
        begin, end = f'{name}_bucket{{{before}le="', f'"{"," if after else ""}{after.removesuffix(",")}}} '
        totals = [f"{count}.0" if count < _EXACT_MAX else _number(count) for count in counts]
        if shown is None:
            yield "".join([f"{begin}{edge}{end}{total}\n" for edge, total in zip(edges, totals, strict=True)])
        else:
            calls = _exemplars(shown, row)
            yield "".join(
                [f"{begin}{edge}{end}{total}{call}\n" for edge, total, call in zip(edges, totals, calls, strict=True)]
            )
        labels = f"{before}{after}".removesuffix(",")
        place = f"{{{labels}}}" if labels else ""
        yield f"{name}_count{place} {totals[-1]}\n{name}_sum{place} {_number(copy.sums[row])}\n"


def _head(metric: Metric, *, openmetrics: bool) -> Iterator[str]:
    name, told = metric.name, metric.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        told = told.replace('"', r"\"")
        name = name.removesuffix("_total") if metric.type is MetricType.COUNTER else name
    yield f"# HELP {name} {told}\n# TYPE {name} {metric.type.value}\n"


def _labels(metric: Metric, key: Key) -> tuple[str, str]:
    """The labels in the order of their names, those before and those after ``le``; each ends with a comma."""
    pairs = sorted(zip(metric.labels, key, strict=True))
    written = [(name, f'{name}="{_escaped(value)}",') for name, value in pairs]
    before = "".join([pair for name, pair in written if name < "le"])
    return before, "".join([pair for name, pair in written if name > "le"])


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _exemplars(kept: Exemplars, row: int) -> list[str]:
    traces = kept.traces[row].tobytes().hex()
    places = range(0, len(traces), _TRACE_CHARS)
    return [
        f' # {{trace_id="{traces[at : at + _TRACE_CHARS]}"}} {_number(value)} {round(time, 3)}'
        if time > float("-inf")
        else ""
        for at, value, time in zip(places, kept.values[row].tolist(), kept.times[row].tolist(), strict=True)
    ]
