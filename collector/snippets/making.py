"""Makes the snippets of a scored batch: chooses the calls, takes out what must not be kept, and only then cuts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from collector.config import Config
from collector.evidence import Said
from collector.records import Anchor, LLMCall, SnippetDrop
from collector.scoring import exchange
from collector.snippets.choosing import Chooser, Chosen
from collector.snippets.record import Key, Snippet
from collector.telemetry import Telemetry
from signals.excerpts import Redacted
from signals.marks import Of, passages
from signals.types import Exchange, ScoreColumn

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A snippet whose call is not durable yet: kept if its range becomes so in this process, else dropped."""

    anchor: Anchor
    key: Key
    snippet: Snippet


class Maker:
    """What the scoring stage does besides; never raises for what a text holds."""

    def __init__(self, chooser: Chooser, telemetry: Telemetry) -> None:
        self._chooser = chooser
        self._chars_max = chooser.config.chars_max
        self._telemetry = telemetry
        self._failed = False

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
        made = []
        for chosen in self._chooser.choose(calls, columns, now):
            seen = exchange(calls[chosen.row], contexts[chosen.row])
            snippet = self._snippet(chosen, seen, redacted)
            if snippet is not None:
                made.append(Pending(anchor=anchors[chosen.row], key=chosen.key, snippet=snippet))
        for reason, count in self._chooser.dropped.items():
            self._telemetry.add("assay_snippets_dropped_total", count, reason=reason)
        self._chooser.dropped.clear()
        return tuple(made)

    def _snippet(self, chosen: Chosen, seen: Exchange, redacted: dict[str, Redacted]) -> Snippet | None:
        try:
            said = self._said(chosen.signal, seen, redacted)
        except Exception as error:  # whatever a text does to it, calls are counted
            if not self._failed:  # the first; its words could be the text's
                log.warning("a snippet could not be made: %s", type(error).__name__)
            self._failed = True
            self._telemetry.add("assay_snippets_dropped_total", reason=SnippetDrop.FAILED)
            return None
        if not said:
            self._telemetry.add("assay_snippets_dropped_total", reason=SnippetDrop.NO_TEXT)
            return None
        return Snippet(said=said)

    def _said(self, signal: str, seen: Exchange, redacted: dict[str, Redacted]) -> tuple[Said, ...]:
        said = []
        for passage in passages(signal, seen):
            if not seen.whole and (passage.of is Of.CONTEXT or (passage.of is Of.ANSWER and len(seen.outputs) > 1)):
                continue  # several texts in one: who knows which of them was cut, and where
            if passage.text not in redacted:
                redacted[passage.text] = Redacted(passage.text, whole=seen.whole)
            excerpt = redacted[passage.text].excerpt(passage.marks, self._chars_max, finds=passage.finds)
            if excerpt is not None:
                said.append(Said(of=passage.of, excerpt=excerpt))
        return tuple(said)


def open_maker(config: Config, telemetry: Telemetry) -> Maker | None:
    """None where no snippets are kept. Raises ConfigError where a signal is named that does not exist."""
    if not config.evidence.snippets.enabled:
        return None
    return Maker(Chooser(config.evidence.snippets, config.signals.warn_at), telemetry)
