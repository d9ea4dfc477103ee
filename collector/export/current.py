"""Current alerts as Alertmanager tells them, made plain: only Assay's, only what is well-formed, all of it bounded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

OURS = "Assay[A-Za-z]{1,60}( [0-9a-z]{1,10})?"
"""Names of alerts that are shown: those of alerts/ and no other. Where Grafana evaluates them, some end in a window."""
WATCHDOG = "AssayWatchdog"
ALERTS_MAX = 100
LABELS_MAX = 8
TEXT_CHARS_MAX = 300
_ASKED = ("signal", "side", "service", "model", "from", "to")
_FIRST = ("service", "model", "signal", "side", "topic", "partition")
_GRAVEST = ("critical", "warning", "info")


class State(StrEnum):
    """Of an alert that fires: whether somebody is told, and if not, why not."""

    FIRING = "firing"
    SILENCED = "silenced"
    INHIBITED = "inhibited"
    MUTED = "muted"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentAlert:
    """One alert; ``since`` is UTC, naive. ``runbook`` is the anchor of its section."""

    name: str
    severity: str
    state: State
    since: datetime
    summary: str
    slice: tuple[tuple[str, str], ...]
    runbook: str
    evidence: str = ""  # query string of the page with its calls; "": it has none
    board: str = ""  # URL


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentAlerts:
    """Those who are told about first, then the graver, then the newer; ``left_out`` are beyond ALERTS_MAX."""

    alerts: tuple[CurrentAlert, ...] = ()
    left_out: int = 0
    watchdog: bool = False  # the alert that always fires is among them, so the rules are evaluated


class _Status(msgspec.Struct, rename="camel"):
    silenced_by: list[str] | None = None
    inhibited_by: list[str] | None = None
    muted_by: list[str] | None = None


class _Wire(msgspec.Struct, rename="camel"):
    """What is read of Alertmanager's ``gettableAlert``."""

    labels: dict[str, str]
    starts_at: datetime
    annotations: dict[str, str] = {}
    status: _Status = msgspec.field(default_factory=_Status)


def read(body: bytes) -> CurrentAlerts:
    """``body`` is the answer of ``GET /api/v2/alerts``; ValueError where it is none."""
    try:
        wire = msgspec.json.decode(body, type=list[_Wire])
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("its answer is no list of alerts") from None
    ours = [each for each in wire if re.fullmatch(OURS, each.labels.get("alertname", ""))]
    found = [_alert(each) for each in ours if each.labels["alertname"] != WATCHDOG]
    found.sort(key=lambda alert: alert.since, reverse=True)
    found.sort(key=lambda alert: (alert.state is not State.FIRING, _rank(alert.severity)))
    return CurrentAlerts(
        alerts=tuple(found[:ALERTS_MAX]),
        left_out=max(0, len(found) - ALERTS_MAX),
        watchdog=len(found) < len(ours),
    )


def _alert(wire: _Wire) -> CurrentAlert:
    labels, annotations = wire.labels, wire.annotations
    board = annotations.get("dashboard_url", "")
    return CurrentAlert(
        name=labels["alertname"],
        severity=_cut(labels.get("severity", "")),
        state=_state(wire.status),
        since=_utc(wire.starts_at),
        summary=_cut(annotations.get("summary", "")),
        slice=_slice(labels),
        runbook=labels["alertname"].partition(" ")[0].lower(),
        evidence=_question(annotations.get("evidence_url", "")),
        board=board if re.fullmatch(r"https?://[!-~]{1,2000}", board) else "",
    )


def _state(status: _Status) -> State:
    if status.silenced_by:
        return State.SILENCED
    if status.inhibited_by:
        return State.INHIBITED
    return State.MUTED if status.muted_by else State.FIRING


def _slice(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The labels that say where, the usual ones first."""
    others = sorted(set(labels) - {"alertname", "severity", *_FIRST})
    names: Sequence[str] = [*(name for name in _FIRST if labels.get(name)), *others]
    return tuple((_cut(name), _cut(labels[name])) for name in names[:LABELS_MAX])


def _question(url: str) -> str:
    """What the link of an alert asks the evidence page, wherever that page is."""
    try:
        asked = dict(parse_qsl(urlsplit(url).query, max_num_fields=20))
    except ValueError:
        return ""
    return urlencode({name: _cut(asked[name]) for name in _ASKED if name in asked})


def _rank(severity: str) -> int:
    return _GRAVEST.index(severity) if severity in _GRAVEST else len(_GRAVEST)


def _utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    except OverflowError:  # the ends of the calendar
        return at.replace(tzinfo=None)


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARS_MAX else f"{text[: TEXT_CHARS_MAX - 1]}…"
