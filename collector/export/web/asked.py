"""A page's query string as a question: times as people and Grafana write them, names as they are; nothing raises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from collector import catalog
from collector.evidence import Question
from signals.types import Side

RANGE = timedelta(hours=1)
RANGE_MAX = timedelta(days=92)
NAME_CHARS_MAX = 200
DRIFT = "drift"
_RELATIVE = re.compile(r"now(?:-(\d{1,6})([smhdw]))?")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MILLISECONDS_FROM = 1e11  # such a number of seconds lies in the year 5138
_SIDES = {signal.name: tuple(side.value for side in signal.sides) for signal in catalog.SIGNALS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The question, what was wrong with the query string, and whether a signal was named at all."""

    question: Question
    faults: tuple[str, ...] = ()

    @property
    def named(self) -> bool:
        return bool(self.question.signal)

    def link(self, **changes: str) -> str:
        """The query string of this question with other values; an empty one leaves a name out."""
        question = self.question
        values = {
            "signal": question.signal,
            "side": question.side,
            "service": question.service,
            "model": question.model,
            "from": f"{question.start.replace(tzinfo=UTC).timestamp():.0f}",
            "to": f"{question.end.replace(tzinfo=UTC).timestamp():.0f}",
            **changes,
        }
        return urlencode({name: value for name, value in values.items() if value})


def read(query: Mapping[str, str], now: datetime) -> Asked:
    """``now`` is UTC, naive. What cannot be read is told in ``faults`` and replaced by what is usual."""
    faults: list[str] = []
    end = _time("to", query, now, now, faults)
    start = _time("from", query, now, end - RANGE, faults)
    if not end - RANGE_MAX <= start < end:
        faults.append(f"from must lie before to, and at most {RANGE_MAX.days} days")
        start = end - RANGE
    signal, side = (query.get(name, "")[:NAME_CHARS_MAX] for name in ("signal", "side"))
    if " " in signal:  # one choice of the form
        signal, _, side = signal.partition(" ")
    if signal and signal != DRIFT and signal not in _SIDES:
        faults.append("no signal has that name")
        signal = ""
    sides = _SIDES.get(signal, ("", *(each.value for each in Side)))
    if side not in sides:
        if side:
            faults.append("the signal does not judge that side")
        side = sides[-1] if signal in _SIDES else ""
    question = Question(
        signal=signal,
        side=side,
        start=start,
        end=end,
        service=query.get("service", "")[:NAME_CHARS_MAX],
        model=query.get("model", "")[:NAME_CHARS_MAX],
    )
    return Asked(question=question, faults=tuple(faults))


def _time(name: str, query: Mapping[str, str], now: datetime, usual: datetime, faults: list[str]) -> datetime:
    text = query.get(name, "").strip()
    if not text:
        return usual
    try:
        return _read_time(text, now)
    except (ValueError, OverflowError, OSError):
        faults.append(f"{name} is no time: seconds since 1970, now-6h, or 2026-11-24T10:00 (UTC)")
        return usual


def _read_time(text: str, now: datetime) -> datetime:
    if found := _RELATIVE.fullmatch(text):
        return now - timedelta(seconds=int(found[1] or 0) * _UNITS[found[2] or "s"])
    if re.fullmatch(r"\d{1,15}(?:\.\d+)?", text):
        seconds = float(text)
        return datetime.fromtimestamp(seconds / 1_000 if seconds > _MILLISECONDS_FROM else seconds, UTC).replace(
            tzinfo=None
        )
    at = datetime.fromisoformat(text)
    return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
