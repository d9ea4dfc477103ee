"""Prints a report: a table and sentences for people, one JSON object for machines."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from collector.doctor.facts import Facts, ServiceFacts
from collector.doctor.findings import Finding, Severity

_STYLE = {Severity.BLIND: "bold red", Severity.PARTIAL: "yellow", Severity.NOTE: "cyan"}


def as_json(facts: Facts, found: list[Finding]) -> bytes:
    """The whole report; counts only, never text of the payload."""
    report: dict[str, Any] = {
        "records": facts.records,
        "spans": facts.spans,
        "rejected": facts.rejected,
        "drops": facts.drops,
        "services": [
            {
                "service": each.service,
                "dialect": each.dialect,
                "instrumentations": each.instrumentations,
                "calls": each.calls,
                "content": each.content,
                "missing": each.missing,
                "dropped_attributes": each.dropped_attributes,
                "events": each.events,
                "unjoined": each.unjoined,
                "unknown_operations": each.unknown_operations,
            }
            for each in facts.services.values()
        ],
        "topics": [
            {
                "topic": each.topic,
                "kind": each.kind.value,
                "records": each.records,
                "keyed": each.keyed,
                "partitions": sorted(each.partitions),
            }
            for each in facts.topics.values()
        ],
        "findings": [
            {
                "name": each.name,
                "severity": each.severity.value,
                "service": each.service,
                "dialect": each.dialect,
                "count": each.count,
                "says": each.says,
                "setting": each.setting,
            }
            for each in found
        ],
    }
    return msgspec.json.encode(report)


def show(facts: Facts, found: list[Finding], console: Console) -> None:
    """The report for a person."""
    console.print(f"{facts.records} records, {facts.spans} spans in the sample", highlight=False)
    table = Table()
    for heading in ("service", "dialect", "instrumentation", "calls", "text", "missing"):
        table.add_column(heading, overflow="fold")
    for each in facts.services.values():
        table.add_row(*(escape(cell) for cell in _cells(each)))
    if facts.services:
        console.print(table)
    elif facts.records:
        console.print("no LLM telemetry found: is this the topic that the Collector's kafkaexporter writes to?")
    else:
        console.print("there is nothing to look at: the topics are empty, or were not read in time (--seconds)")
    for finding in found:
        where = f"{finding.service} ({finding.dialect}): " if finding.service else ""
        style = _STYLE[finding.severity]
        console.print(
            f"[{style}]{finding.severity.value:8}[/] {escape(where)}{finding.name} ×{finding.count}: {finding.says}",
            highlight=False,
        )
        console.print(f"         → {escape(finding.setting)}", highlight=False)


def _cells(facts: ServiceFacts) -> tuple[str, ...]:
    return (
        facts.service,
        facts.dialect,
        "\n".join(facts.instrumentations) or "—",
        str(facts.calls),
        _counts(facts.content),
        _counts(facts.missing),
    )


def _counts(counter: Counter[str]) -> str:
    return "\n".join(f"{name} {count}" for name, count in counter.most_common()) or "—"
