"""Makes the snippets of a scored batch: chooses the calls, takes out what must not be kept, and only then cuts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from collector.config import Config
from collector.evidence import DRIFT, Said
from collector.records import Anchor, LLMCall, SnippetDrop
from collector.scoring import exchange
from collector.snippets.choosing import Chooser, Chosen
from collector.snippets.record import Key, Snippet
from collector.telemetry import Telemetry
from signals.excerpts import Redacted
from signals.marks import WORST, Mark, Of, Passage, judged, passages
from signals.types import Exchange, Judge, ScoreColumn
from signals.worst import worst_parts

log = logging.getLogger(__name__)

_Worst = dict[tuple[str, str], Mark]  # by signal and text
JUDGED_MAX = 16  # texts of a batch whose worst part a model is asked for; those of further calls stay unmarked


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A snippet whose call is not durable yet: kept if its range becomes so in this process, else dropped."""

    anchor: Anchor
    key: Key
    snippet: Snippet


class Maker:
    """What the scoring stage does besides. Never raises: whatever becomes of excerpts, calls are counted."""

    def __init__(self, chooser: Chooser, telemetry: Telemetry, judges: Mapping[str, Judge]) -> None:
        """``judges`` are the suite's, asked in the thread that makes."""
        self._chooser = chooser
        self._chars_max = chooser.config.chars_max
        self._telemetry = telemetry
        self._judges = judges
        self._told: set[str] = set()

    def make(
        self,
        calls: Sequence[LLMCall],
        contexts: Sequence[str | None],
        anchors: Sequence[Anchor],
        columns: Sequence[ScoreColumn],
        now: float,
    ) -> tuple[Pending, ...]:
        """Snippets of the chosen calls; ``now`` is the clock's time in seconds."""
        redacted: dict[str, Redacted] = {}  # a text is searched once, however many signals flag it
        every = [
            (chosen, exchange(calls[chosen.row], contexts[chosen.row])) for chosen in self._chosen(calls, columns, now)
        ]
        worst = self._worst(every)
        made = []
        for chosen, seen in every:
            snippet = self._snippet(chosen, seen, worst, redacted)
            if snippet is not None:
                made.append(Pending(anchor=anchors[chosen.row], key=chosen.key, snippet=snippet))
        for reason, count in self._chooser.dropped.items():
            self._telemetry.add("assay_snippets_dropped_total", count, reason=reason)
        self._chooser.dropped.clear()
        return tuple(made)

    def _chosen(self, calls: Sequence[LLMCall], columns: Sequence[ScoreColumn], now: float) -> Sequence[Chosen]:
        try:
            return self._chooser.choose(calls, columns, now)
        except Exception as error:  # excerpts are beside the counting, which goes on without them
            self._tell("calls to keep could not be chosen", error)
            self._telemetry.add("assay_snippets_dropped_total", reason=SnippetDrop.FAILED)
            return ()

    def _worst(self, every: Iterable[tuple[Chosen, Exchange]]) -> _Worst:
        """Marks of the first JUDGED_MAX texts whose signal has a model to ask; a signal's worst calls are first."""
        wanted: dict[str, dict[str, None]] = {}
        for chosen, seen in every:
            if chosen.spec is None or chosen.spec.signal not in self._judges:
                continue
            _, text = judged(seen, chosen.spec.side)
            if text and sum(map(len, wanted.values())) < JUDGED_MAX:
                wanted.setdefault(chosen.spec.signal, {})[text] = None
        found: _Worst = {}
        for signal, texts in wanted.items():
            try:
                parts = worst_parts(self._judges[signal], list(texts))
            except Exception as error:  # an excerpt without a mark is still one
                self._tell("the worst part of a text could not be found", error)
                continue
            found |= {
                (signal, text): Mark(*part, WORST) for text, part in zip(texts, parts, strict=True) if part is not None
            }
        return found

    def _snippet(self, chosen: Chosen, seen: Exchange, worst: _Worst, redacted: dict[str, Redacted]) -> Snippet | None:
        try:
            said = self._said(chosen, seen, worst, redacted)
        except Exception as error:  # whatever a text does to it, calls are counted
            self._tell("a snippet could not be made", error)
            self._telemetry.add("assay_snippets_dropped_total", reason=SnippetDrop.FAILED)
            return None
        if not said:
            self._telemetry.add("assay_snippets_dropped_total", reason=SnippetDrop.NO_TEXT)
            return None
        return Snippet(said=said)

    def _said(self, chosen: Chosen, seen: Exchange, worst: _Worst, redacted: dict[str, Redacted]) -> tuple[Said, ...]:
        said = []
        for passage in _passages(chosen, seen, worst):
            if not seen.whole and (passage.of is Of.CONTEXT or (passage.of is Of.ANSWER and len(seen.outputs) > 1)):
                continue  # several texts in one: who knows which of them was cut, and where
            if passage.text not in redacted:
                redacted[passage.text] = Redacted(passage.text, whole=seen.whole)
            excerpt = redacted[passage.text].excerpt(passage.marks, self._chars_max, finds=passage.finds)
            if excerpt is not None:
                said.append(Said(of=passage.of, excerpt=excerpt))
        return tuple(said)

    def _tell(self, what: str, error: Exception) -> None:
        """The first time; the error's own words could be the text's."""
        if what not in self._told:
            log.warning("%s: %s", what, type(error).__name__)
        self._told.add(what)


def _passages(chosen: Chosen, seen: Exchange, worst: _Worst) -> list[Passage]:
    if chosen.spec is None:
        return passages(DRIFT, seen)
    of, text = judged(seen, chosen.spec.side)
    mark = worst.get((chosen.spec.signal, text or ""))
    return passages(chosen.spec.signal, seen, (of, mark) if mark else None)


def open_maker(config: Config, telemetry: Telemetry, judges: Mapping[str, Judge]) -> Maker | None:
    """None where no snippets are kept. Raises ConfigError where a signal is named that does not exist."""
    if not config.evidence.snippets.enabled:
        return None
    return Maker(Chooser(config.evidence.snippets, config.signals.warn_at), telemetry, judges)
