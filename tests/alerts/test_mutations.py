"""A rule whose threshold or wait is changed no longer passes its case: the cases hold every number of every alert."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.alerts.cases import CASES, Case
from tests.alerts.test_rules import of, rules_of, run

LIMIT = re.compile(
    r"(?<=[<>] )-?\d+(?:\.\d+)?|(?<=[<>]= )\d+(?:\.\d+)?|(?<=group_left \(\) )\d+(?:\.\d+)?|(?<=[+-] )0\.\d+"
    r"|(?<=> \()\d+(?= \* )|(?<=[+-] )\d\.\d+(?= \* sqrt)"
)
"""Numbers that something is compared with: after a comparison, factors, margins, and how sure a bound is."""
PRESENCE = "0"  # "> 0" asks whether there is anything
FACTORS = (0.7, 1.3)


def mutants(case: Case) -> Iterator[tuple[str, dict[str, Any]]]:
    """The case's rules, each with one number changed; the others that share its name stay."""
    alert = of(case)
    rules = rules_of(case.alert)
    at = next(
        index
        for index, rule in enumerate(rules["groups"][0]["rules"])
        if rule["expr"] == alert.expr and rule["labels"]["severity"] == alert.severity
    )

    def changed(name: str, value: Any) -> dict[str, Any]:
        mutant = copy.deepcopy(rules)
        mutant["groups"][0]["rules"][at][name] = value
        return mutant

    for found in LIMIT.finditer(alert.expr):
        if found[0] != PRESENCE:
            for factor in FACTORS:
                number = f"{float(found[0]) * factor:g}"
                text = f"{alert.expr[: found.start()]}{number}{alert.expr[found.end() :]}"
                yield f"{found[0]} at {found.start()} becomes {number}", changed("expr", text)
    for name, seconds in (("for", alert.for_seconds), ("keep_firing_for", alert.keep_firing_seconds)):
        for other in {0, seconds * 2} - {seconds}:
            yield f"{name} {seconds} becomes {other}", changed(name, f"{other}s")


@pytest.mark.server("prometheus3")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_no_number_can_change_unnoticed(case: Case, tmp_path: Path) -> None:
    unnoticed = [what for what, rules in mutants(case) if not run(case, tmp_path, 3, rules)]

    assert unnoticed == []


def test_every_alert_has_a_number_to_change() -> None:
    assert [case.id for case in CASES if not list(mutants(case))] == []
