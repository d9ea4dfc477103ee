"""The catalogue and the rooms agree: nobody tells a metric it does not name, and it names none that nobody tells."""

from __future__ import annotations

import re
from pathlib import Path

from collector import catalog
from collector.catalog import pipeline, quality

COLLECTOR = Path(__file__).resolve().parents[2] / "collector"
SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for path in COLLECTOR.rglob("*.py")
    if path.name != "board.py" and path.parent.name != "catalog"
)
CONSTANTS = {
    value.name: name
    for module in (pipeline, quality)
    for name, value in vars(module).items()
    if isinstance(value, catalog.Metric)
}


def test_every_metric_that_a_room_tells_is_in_the_catalogue() -> None:
    told = set(re.findall(r'"(assay_[a-z_]+)"', SOURCES))

    assert told - set(catalog.metrics()) == set()


def test_every_metric_of_the_catalogue_is_told_by_a_room() -> None:
    counted = {metric.name for metric in (*catalog.SUITE_COUNTS.values(), *catalog.SUITE_GAUGES.values())}
    stages = {name for name, metric in catalog.metrics().items() if not metric.durable} - counted

    silent = {name for name in stages if not re.search(rf'"{name}"|catalog\.{CONSTANTS[name]}\b', SOURCES)}

    assert silent == set()


def test_signals_have_one_entry_each_and_no_two_metrics_share_a_name() -> None:
    names = [signal.name for signal in catalog.SIGNALS]

    assert len(names) == len(set(names))
    assert len(catalog.metrics()) == len(CONSTANTS) + len(names)
