"""Valid snippets, calls and stores of them, to change one thing of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from collector.chain import ChainError
from collector.config import SnippetsConfig
from collector.evidence import Said
from collector.records import LLMCall, Output, SnippetDrop
from collector.snippets.choosing import Chooser
from collector.snippets.making import Maker, Pending
from collector.snippets.record import Key, Snippet
from collector.snippets.shelf import Objects, Shelf
from collector.telemetry import Silent
from signals.excerpts import Excerpt
from signals.marks import Of
from signals.types import Abstention, Judge, ScoreColumn, ScoreSpec, Side
from tests.core.build import NOON, anchor, call

HOUR = 3_600.0
MICROSECONDS = 1_000_000
TOXICITY = ScoreSpec(signal="toxicity", side=Side.OUTPUT, version="1")


@dataclass
class Clock:
    """Stands still until it is moved; ``at`` is seconds since the epoch."""

    at: float = float(NOON)

    def __call__(self) -> float:
        return self.at


class Counts(Silent):
    """Remembers what was counted, by metric and reason."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.gauges: dict[str, float] = {}

    def add(self, metric: str, value: float = 1.0, /, **labels: str) -> None:
        self.counts[metric.removeprefix("assay_"), labels.get("reason", "")] += int(value)

    def set(self, metric: str, value: float, /, **labels: str) -> None:
        self.gauges[metric.removeprefix("assay_")] = value

    def dropped(self) -> dict[SnippetDrop, int]:
        return {SnippetDrop(reason): n for (name, reason), n in self.counts.items() if name == "snippets_dropped_total"}


@dataclass
class Memory:
    """A store of objects in memory. ``away``: it does not answer."""

    objects: dict[str, bytes] = field(default_factory=dict)
    away: bool = False

    def create(self, path: str, data: bytes) -> bool:
        self._answer()
        return self.objects.setdefault(path, data) == data

    def read(self, path: str) -> bytes:
        self._answer()
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.objects[path]

    def folders(self) -> list[str]:
        self._answer()
        return sorted({path.partition("/")[0] for path in self.objects})

    def sizes(self, folder: str) -> dict[str, int]:
        self._answer()
        return {path: len(data) for path, data in self.objects.items() if path.startswith(f"{folder}/")}

    def delete(self, paths: Sequence[str]) -> None:
        self._answer()
        for path in paths:
            self.objects.pop(path, None)

    def drop(self, folder: str) -> None:
        self.delete(list(self.sizes(folder)))

    def _answer(self) -> None:
        if self.away:
            raise ChainError("away")


def shelf(objects: Objects | None = None, clock: Clock | None = None, **changes: float) -> Shelf:
    settings = {"ttl_seconds": 2 * HOUR, "bytes_max": 1 << 30} | changes
    return Shelf(objects=objects or Memory(), clock=clock or Clock(), **settings)  # type: ignore[arg-type]


def key(number: int = 0, at: float = NOON, column: str = "toxicity_output") -> Key:
    return Key(int(at * MICROSECONDS), f"{number + 1:032x}", f"{number + 1:016x}", column)


def snippet(text: str = "You idiot.") -> Snippet:
    return Snippet(said=(Said(of=Of.ANSWER, excerpt=Excerpt(text=text)),))


def pending(offset: int = 0, text: str = "You idiot.") -> Pending:
    return Pending(anchor=anchor(offset), key=key(offset), snippet=snippet(text))


def column(values: Sequence[float], spec: ScoreSpec = TOXICITY) -> ScoreColumn:
    scores = np.asarray(values, dtype=np.float32)
    missing = np.where(np.isnan(scores), Abstention.NO_TEXT, Abstention.NONE).astype(np.uint8)
    return ScoreColumn(spec=spec, values=scores, abstentions=missing)


def chooser(**changes: object) -> Chooser:
    return Chooser(SnippetsConfig(enabled=True, **changes), warn_at=0.5)  # type: ignore[arg-type]


def maker(
    telemetry: Counts | None = None, judges: Mapping[str, Judge] = MappingProxyType({}), **changes: object
) -> Maker:
    return Maker(chooser(**changes), telemetry or Counts(), judges)


def made(calls: Sequence[LLMCall], making: Maker | None = None, **columns: Sequence[float]) -> tuple[Pending, ...]:
    """Snippets of calls that toxicity flags, or those that ``columns`` (signal -> scores of the output) flag."""
    scores = [
        column(values, ScoreSpec(signal=name, side=Side.OUTPUT, version="1"))
        for name, values in (columns or {"toxicity": [0.9] * len(calls)}).items()
    ]
    anchors = [anchor(offset) for offset in range(len(calls))]
    return (making or maker()).make(calls, [None] * len(calls), anchors, scores, float(NOON))


def asked(question: str, answer: str | None, **changes: object) -> LLMCall:
    outputs = () if answer is None else (Output(text=answer, finish_reason="stop"),)
    return call(last_user_text=question, outputs=outputs, **changes)
