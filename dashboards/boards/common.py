"""What boards share: variables, annotations and the link to the evidence."""

from __future__ import annotations

from collections.abc import Sequence

from collector.catalog import EVIDENCE_PATH
from dashboards.panels import Variable
from dashboards.promql import OF_SERVICE

FIRING = 'ALERTS{alertname=~"Assay.+",alertname!="AssayWatchdog",alertstate="firing"}'
EVENTS = {
    "Alert": f"sum by (alertname, service, signal) ({FIRING})",
    "Change": f"sum by (service, model, kind) (increase(assay_version_changes_total{{{OF_SERVICE}}}[5m])) > 0",
}
SERVICE = Variable(name="service", label="Service", query="label_values(assay_calls_total, service)")
MODEL = Variable(name="model", label="Model", query=f"label_values(assay_calls_total{{{OF_SERVICE}}}, model)")
SIDE = Variable(name="side", label="Side", values=("output", "input"))
ADDRESS = Variable(name="assay", label="Assay", text="http://localhost:9464")


def signal(names: Sequence[str]) -> Variable:
    return Variable(name="signal", label="Signal", values=tuple(names))


def evidence(title: str = "Worst calls", **slices: str) -> tuple[str, str]:
    """A link to the evidence page over the board's time range; values are Grafana's variables."""
    chosen = "".join(f"{name}={value}&" for name, value in slices.items())
    return title, f"${{assay}}{EVIDENCE_PATH}?{chosen}from=${{__from:date:seconds}}&to=${{__to:date:seconds}}"
