"""promtool over made-up series: what fires at which minute, on either major version of Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.servers import installed

Values = Sequence[float | None]  # one a minute; None: no sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """At ``minute``, an alert fires with exactly these sets of labels (none: it does not fire)."""

    minute: int
    labels: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Made-up series, and what an alert does over them."""

    series: Mapping[str, Values]
    expected: Sequence[Firing]


def check(
    folder: Path,
    major: int,
    rules: Mapping[str, Any],
    alert: str,
    scenarios: Sequence[Scenario],
    evaluated: str = "1m",
) -> str:
    """ "" when promtool agrees, else what it printed; rules are ``evaluated`` so often."""
    tests = [_test(scenario.series, {"promql_expr_test": _fires(alert, scenario.expected)}) for scenario in scenarios]
    done = _run(folder, major, rules, tests, evaluated)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _fires(alert: str, expected: Sequence[Firing]) -> list[dict[str, Any]]:
    return [
        {
            "expr": f'ALERTS{{alertname="{alert}",alertstate="firing"}}',
            "eval_time": f"{firing.minute}m",
            "exp_samples": [{"labels": _sample(alert, labels), "value": 1} for labels in firing.labels],
        }
        for firing in expected
    ]


def values(folder: Path, major: int, rules: Mapping[str, Any], series: Mapping[str, Values], expr: str, at: int) -> str:
    """What ``expr`` is at a minute, as promtool prints it; "" for nothing."""
    tests = [{"expr": expr, "eval_time": f"{at}m", "exp_samples": [{"labels": "never", "value": 0}]}]
    done = _run(folder, major, rules, [_test(series, {"promql_expr_test": tests})])
    found = re.search(r"got:(.*)", done.stdout + done.stderr)
    return "" if found is None else found[1].strip().strip('"')


def texts(
    folder: Path, major: int, rules: Mapping[str, Any], series: Mapping[str, Values], alert: str, minute: int
) -> dict[str, str]:
    """The annotations of the alert that fires at a minute, expanded by Prometheus itself."""
    tests = [{"alertname": alert, "eval_time": f"{minute}m", "exp_alerts": [{"exp_labels": {"never": "so"}}]}]
    done = _run(folder, major, rules, [_test(series, {"alert_rule_test": tests})])
    told = (done.stdout + done.stderr).partition("got:")[2]
    found = re.search(r"Annotations:\{(.*)\}", told)
    assert found, done.stdout + done.stderr
    return {name: json.loads(f'"{text}"') for name, text in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found[1])}


def _sample(alert: str, labels: Mapping[str, str]) -> str:
    every = {"alertname": alert, "alertstate": "firing", **labels}
    return "ALERTS{" + ",".join(f'{name}="{value}"' for name, value in every.items()) + "}"


def _test(series: Mapping[str, Values], tests: dict[str, Any]) -> dict[str, Any]:
    inputs = [{"series": name, "values": _notation(each)} for name, each in series.items()]
    return {"interval": "1m", "input_series": inputs, **tests}


def _run(
    folder: Path, major: int, rules: Mapping[str, Any], tests: list[dict[str, Any]], evaluated: str = "1m"
) -> subprocess.CompletedProcess[str]:
    (folder / "rules.yaml").write_text(yaml.safe_dump(dict(rules)), encoding="utf-8")
    case = {"rule_files": ["rules.yaml"], "evaluation_interval": evaluated, "tests": tests}
    (folder / "case.yaml").write_text(yaml.safe_dump(case), encoding="utf-8")
    return subprocess.run(
        [str(installed.promtool(major)), "test", "rules", "case.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def _notation(values: Values) -> str:
    return " ".join("_" if value is None else f"{value:g}" if abs(value) < 1e5 else f"{value:.0f}" for value in values)
