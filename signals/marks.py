"""Marks: where in its texts a judged exchange shows what a signal judged; for evidence, of single calls, on demand.

==================================== ==================================================================================
toxicity and the labels of a model   the worst part of the text, which its model finds (``worst.py``)
the signals of groundedness          words that no context holds; of these names, or numbers
injection, context_injection         phrases of attacks, orders to the model
refusal                              the phrase that declines
degeneration                         what is said over and over
pii                                  nothing: whoever keeps a text for evidence has taken it out (``excerpts.py``)
==================================== ==================================================================================

Any other signal judges its text as a whole (relevance, language, format, perplexity): its passages are there, and
nothing in them is marked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple

from signals.degeneration import repeated_places
from signals.groundedness.highlights import highlights
from signals.refusal import refusal_places
from signals.types import Exchange, Side

MARKS_MAX = 500  # of one text
_TOGETHER = re.compile(r"[\s,.;:'’-]{1,2}")  # between two marked words that become one mark


class Of(StrEnum):
    """Which text of an exchange a passage is."""

    QUESTION = "question"
    ANSWER = "answer"
    CONTEXT = "context"


class Mark(NamedTuple):
    """``text[start:end]`` is what a signal points at; ``why`` is said to people."""

    start: int
    end: int
    why: str


class Passage(NamedTuple):
    """A text of an exchange with the marks of one signal, in order and apart.

    ``finds``: what the signal judged is what a redaction takes out.
    """

    of: Of
    text: str
    marks: tuple[Mark, ...] = ()
    finds: bool = False


NOT_HELD = "not in the context"
PHRASE = "phrase of an attack"
ORDER = "order to the model"
WORST = "judged worst"
DECLINES = "declines"
REPEATED = "said over and over"


def judged(exchange: Exchange, side: Side) -> tuple[Of, str | None]:
    """The text of a side."""
    return (Of.QUESTION, exchange.input) if side is Side.INPUT else (Of.ANSWER, exchange.output)


def passages(signal: str, exchange: Exchange, worst: tuple[Of, Mark] | None = None) -> list[Passage]:
    """Question and answer as far as they are known, and the context where it is what was judged.

    ``worst`` is the mark of a signal whose model has to be asked for it.
    """
    mark = _MARKERS.get(signal)
    marked = mark(exchange) if mark else {}
    if worst is not None:
        marked.setdefault(worst[0], []).append(worst[1])
    texts = {Of.QUESTION: exchange.input, Of.ANSWER: exchange.output}
    if Of.CONTEXT in marked:
        from signals.injection import supplied  # noqa: PLC0415 - torch

        texts[Of.CONTEXT] = supplied(exchange)
    return [
        Passage(of, text, tuple(sorted(marked.get(of, ()))[:MARKS_MAX]), finds=signal in _FINDS)
        for of, text in texts.items()
        if text and not text.isspace()
    ]


_FINDS = frozenset({"pii"})
_Marked = dict[Of, list[Mark]]


def _new_words(counts: Callable[[str], bool]) -> Callable[[Exchange], _Marked]:
    """Words of the answer that ``counts``, where the context holds none of their stem."""

    def mark(exchange: Exchange) -> _Marked:
        answer = exchange.output or ""
        found = highlights(answer, exchange.context or "", None, least=1.0)
        words = [(start, end) for start, end, _ in found if counts(answer[start:end])]
        return {Of.ANSWER: [Mark(*place, NOT_HELD) for place in _joined(words, answer)]}

    return mark


def _phrases(exchange: Exchange) -> _Marked:
    from signals.injection import phrase_places  # noqa: PLC0415 - torch

    return {Of.QUESTION: [Mark(*place, PHRASE) for place in phrase_places(exchange.input or "")]}


def _orders(exchange: Exchange) -> _Marked:
    from signals.injection import order_places, phrase_places, supplied  # noqa: PLC0415 - torch

    context = supplied(exchange) or ""
    phrases = phrase_places(context)
    if phrases:
        return {Of.CONTEXT: [Mark(*place, PHRASE) for place in phrases]}
    return {Of.CONTEXT: [Mark(*place, ORDER) for place in order_places(context)]}


def _in_answer(find: Callable[[str], list[tuple[int, int]]], why: str) -> Callable[[Exchange], _Marked]:
    return lambda exchange: {Of.ANSWER: [Mark(*place, why) for place in find(exchange.output or "")]}


def _joined(places: Iterable[tuple[int, int]], text: str) -> list[tuple[int, int]]:
    """Neighbours with next to nothing between them as one: a run of words reads better than words."""
    joined: list[tuple[int, int]] = []
    for start, end in places:
        if joined and _TOGETHER.fullmatch(text, joined[-1][1], start):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


_MARKERS: dict[str, Callable[[Exchange], _Marked]] = {
    **dict.fromkeys(
        ("context_novelty", "citation_unsupported", "unsupported_claims", "unsupported", "contradiction"),
        _new_words(lambda _: True),
    ),
    "number_mismatch": _new_words(lambda word: any(map(str.isdigit, word))),
    "entity_mismatch": _new_words(lambda word: word[:1].isupper()),
    "refusal": _in_answer(refusal_places, DECLINES),
    "degeneration": _in_answer(repeated_places, REPEATED),
    "injection": _phrases,
    "context_injection": _orders,
}
