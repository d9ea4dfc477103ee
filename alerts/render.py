"""Rules as files: ``python -m alerts.render --output DIR`` for your addresses and thresholds.

``assay-rules.yaml`` is for Prometheus (2.42 and later), ``grafana-alerting.yaml`` for Grafana's provisioning, where no
rule file can be loaded, and ``alertmanager.yaml`` an example of routes and inhibitions. ``generated/`` holds the three
with the defaults.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from alerts.alertmanager import configuration
from alerts.model import Alert, Group, Record, Site, duration
from alerts.rules import groups
from collector.catalog import CRITICAL_AT, WARN_AT

GENERATED = Path(__file__).parent / "generated"
_HEADER = "# Written by `python -m alerts.render`; change the rules in alerts/ instead.\n"


def prometheus(chosen: Sequence[Group], site: Site) -> dict[str, Any]:
    """A Prometheus rule file."""
    return {"groups": [_group(group, site) for group in chosen]}


def grafana(chosen: Sequence[Group], site: Site, datasource: str = "prometheus") -> dict[str, Any]:
    """Grafana-managed alert rules over the data source with uid ``datasource``, which evaluates the recorded series.

    A rule fires where its expression has a series, as in Prometheus; the value itself stays in Prometheus' own page.
    """
    return {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": group.name,
                "folder": "Assay",
                "interval": duration(group.interval_seconds or 60),
                "rules": [_managed(alert, site, datasource) for alert in group.alerts],
            }
            for group in chosen
            if group.alerts
        ],
    }


def files(site: Site, warn_at: float = WARN_AT, critical_at: float = CRITICAL_AT) -> dict[str, str]:
    """Name and text of every generated file."""
    chosen = groups(warn_at, critical_at)
    documents = {
        "assay-rules.yaml": prometheus(chosen, site),
        "grafana-alerting.yaml": grafana(chosen, site),
        "alertmanager.yaml": configuration(),
    }
    return {name: _HEADER + _yaml(document) for name, document in documents.items()}


def _group(group: Group, site: Site) -> dict[str, Any]:
    interval = {"interval": duration(group.interval_seconds)} if group.interval_seconds else {}
    return {"name": group.name, **interval, "rules": [_rule(rule, site) for rule in group.rules]}


def _rule(rule: Record | Alert, site: Site) -> dict[str, Any]:
    if isinstance(rule, Record):
        return {"record": rule.name, "expr": rule.expr, **({"labels": dict(rule.labels)} if rule.labels else {})}
    return {
        "alert": rule.name,
        "expr": rule.expr,
        **({"for": duration(rule.for_seconds)} if rule.for_seconds else {}),
        **({"keep_firing_for": duration(rule.keep_firing_seconds)} if rule.keep_firing_seconds else {}),
        "labels": {"severity": rule.severity.value, **rule.labels},
        "annotations": rule.annotations(site),
    }


def _managed(alert: Alert, site: Site, datasource: str) -> dict[str, Any]:
    """Where the expression has no series all is well: what must be there has rules that look for its absence."""
    labels = {"severity": alert.severity.value, **alert.labels}
    named = [alert.name, *alert.labels.values()]
    annotations = {name: _without_queries(text) for name, text in alert.annotations(site).items()}
    return {
        "uid": "-".join(named).lower(),
        "title": " ".join(named),
        "condition": "fires",
        "data": [
            {
                "refId": "series",
                "relativeTimeRange": {"from": 600, "to": 0},
                "datasourceUid": datasource,
                "model": {"refId": "series", "expr": alert.expr, "instant": True, "range": False},
            },
            {
                "refId": "fires",
                "datasourceUid": "__expr__",
                "model": {"refId": "fires", "type": "math", "expression": "is_number($series) || is_inf($series)"},
            },
        ],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": duration(alert.for_seconds),
        **({"keepFiringFor": duration(alert.keep_firing_seconds)} if alert.keep_firing_seconds else {}),
        "labels": labels,
        "annotations": annotations,
    }


def _without_queries(text: str) -> str:
    """Grafana's templates run no query and hold values by the name of the query."""
    text, _, rest = text.partition("from={{ with query")
    link = f"{text}from=now-6h&to=now" if rest else text
    stated = re.sub(r"\{\{ with query .*?\{\{ end \}\}", "20 / drift.alpha", link)
    return stated.replace("$value", "$values.series.Value")


class _Dumper(yaml.SafeDumper):
    """Long expressions as blocks, so that people can read and diff them."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=">" if len(text) > 100 else None)


_Dumper.add_representer(str, _text)


def _yaml(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=118, allow_unicode=True)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=GENERATED, help="folder for the files")
    parser.add_argument("--assay-url", default=Site().assay_url, help="where people reach Assay's pages")
    parser.add_argument("--grafana-url", default=Site().grafana_url, help="where people reach Grafana")
    parser.add_argument("--warn-at", type=float, default=WARN_AT, help="signals.warn_at of the daemon")
    parser.add_argument("--critical-at", type=float, default=CRITICAL_AT, help="signals.critical_at of the daemon")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = _arguments(argv)
    site = Site(assay_url=args.assay_url.rstrip("/"), grafana_url=args.grafana_url.rstrip("/"))
    args.output.mkdir(parents=True, exist_ok=True)
    for name, text in files(site, args.warn_at, args.critical_at).items():
        (args.output / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
