"""What boards share: variables, annotations and the link to the evidence."""

from __future__ import annotations

import re
from collections.abc import Sequence

from collector.catalog import EVIDENCE_PATH
from dashboards.panels import Event, Variable
from dashboards.promql import OF_SERVICE

FIRING = 'ALERTS{alertname=~"Assay.+",alertname!="AssayWatchdog",alertstate="firing"}'
_CHANGE = "service, kind, subject, before, after"
EVENTS = {
    "Alert": Event(expr=f"sum by (alertname, service, signal) ({FIRING})", text="{{alertname}} {{service}} {{signal}}"),
    "Change": Event(
        expr=f"max by ({_CHANGE}) (assay_version_change_timestamp_seconds{{{OF_SERVICE}}}) * 1000",
        text="{{service}} {{kind}} {{subject}}: {{before}} to {{after}}",
        stamped=True,
    ),
}
SERVICE = Variable(name="service", label="Service", query="label_values(assay_calls_total, service)")
MODEL = Variable(name="model", label="Model", query=f"label_values(assay_calls_total{{{OF_SERVICE}}}, model)")
SIDE = Variable(name="side", label="Side", values=("output", "input"))
ADDRESS = Variable(name="assay", label="Assay", text="http://localhost:9464")


def signal(names: Sequence[str]) -> Variable:
    return Variable(name="signal", label="Signal", values=tuple(names))


def evidence(title: str = "Worst calls", **slices: str) -> tuple[str, str]:
    """A link to the evidence page over the board's time range; values are words or Grafana's variables (``${name}``).

    By itself Grafana leaves ``&``, ``#`` and ``+`` of a value in a link as they are.
    """
    encoded = {name: re.sub(r"\}$", ":percentencode}", value) for name, value in slices.items()}
    chosen = "".join(f"{name}={value}&" for name, value in encoded.items())
    return title, f"${{assay}}{EVIDENCE_PATH}?{chosen}from=${{__from:date:seconds}}&to=${{__to:date:seconds}}"
