"""Excerpts on a page: what is kept of the worst calls, as pieces that a template can show, and how it is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from collector.config import SnippetsConfig
from collector.evidence import DRIFT, DriftReport, Excerpts, Named, Report, Said
from signals.excerpts import Excerpt

log = logging.getLogger(__name__)

_TAKEN = {
    "PRIVATE_KEY": "a private key",
    "TOKEN": "an access token",
    "PASSWORD": "a password",
    "CARD": "a card number",
    "BANK_ACCOUNT": "a bank account",
    "NATIONAL_ID": "a personal number",
    "WALLET": "a wallet",
    "PHONE": "a phone number",
    "EMAIL": "a mail address",
    "IP_ADDRESS": "an IP address",
    "ENCODED": "an encoded text",
    "INVISIBLE": "text in invisible characters",
    "CUT": "what may be the beginning of a secret",
}
"""What stands for it in brackets, in words."""


class Piece(NamedTuple):
    """A run of characters of an excerpt that is shown alike."""

    text: str
    why: str = ""  # "": nothing is said of it
    taken: bool = False  # it stands for something that was taken out


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a page shows of the texts of its calls."""

    config: SnippetsConfig
    away: bool = False  # the store did not answer
    said: Mapping[tuple[str, str], tuple[Said, ...]] = field(default_factory=dict)  # by trace and span id


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The pages' door to the excerpts; ``of`` gives None until there is a store."""

    of: Callable[[], Excerpts | None]
    config: SnippetsConfig

    def of_worst(self, report: Report) -> Shown:
        """Of the report's worst calls; never raises, a page without excerpts is still a page."""
        calls = [Named(call.time, call.trace_id, call.span_id) for call in report.worst]
        return self._shown({f"{report.question.signal}_{report.question.side}": calls})

    def of_topics(self, report: DriftReport) -> Shown:
        """Of the topics' example calls: as they came, or else for the first signal that flagged them; never raises."""
        wanted: dict[str, list[Named]] = {DRIFT: []}
        for topic in report.topics:
            for call in (*topic.examples_before, *topic.examples_after):
                for column in (DRIFT, *call.flagged):
                    if call.time is not None:
                        wanted.setdefault(column, []).append(Named(call.time, call.trace_id, call.span_id))
        return self._shown(wanted)

    def _shown(self, wanted: Mapping[str, Sequence[Named]]) -> Shown:
        """Of calls by column; what an earlier column has of a call goes before."""
        excerpts = self.of()
        said: dict[tuple[str, str], tuple[Said, ...]] = {}
        if excerpts is None:
            return Shown(config=self.config, away=True)
        try:
            for column, calls in wanted.items():
                said = {**excerpts.said(calls, column), **said}
        except Exception as error:  # the store may be away: the reader is told
            log.warning("excerpts: %s: %s", type(error).__name__, error)
            return Shown(config=self.config, away=True)
        return Shown(config=self.config, said=said)


def pieces(excerpt: Excerpt) -> list[Piece]:
    """All of the excerpt's text, in order."""
    found, done = [], 0
    taken = frozenset(excerpt.taken)
    for mark in sorted([*excerpt.marks, *excerpt.taken]):
        why = f"taken out: {_TAKEN.get(mark.why, mark.why)}" if mark in taken else mark.why
        found += [
            Piece(excerpt.text[done : mark.start]),
            Piece(excerpt.text[mark.start : mark.end], why, mark in taken),
        ]
        done = mark.end
    return [piece for piece in (*found, Piece(excerpt.text[done:])) if piece.text]
