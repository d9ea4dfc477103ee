"""An answer as the groundedness signals read it: what it may cite, and what it says besides."""

from __future__ import annotations

from signals.batch import Batch
from signals.groundedness.citing import NAMELESS, Names, uncited
from signals.groundedness.documents import Source, sources_of
from signals.groundedness.reading import ANSWER_CHARS_MAX, Reading
from signals.types import Document, Exchange

_BRACKETS = "[(【"


def read_answer(batch: Batch, exchange: Exchange) -> Reading:
    """The reading of an answer without its citations, which are no part of what it says."""
    text, names = (exchange.output or "")[:ANSWER_CHARS_MAX], names_in(batch, exchange)
    return batch.once(("answer", text, names.known), lambda: Reading(uncited(text, names)))


def names_in(batch: Batch, exchange: Exchange) -> Names:
    """What the documents of an exchange are called; nothing where the answer has no bracket to hold a name."""
    if not any(bracket in (exchange.output or "") for bracket in _BRACKETS):
        return NAMELESS
    return batch.once(
        ("names", exchange.context, exchange.documents),
        lambda: Names(
            named
            for source in sources_in(batch, exchange)
            for named in (source.document, Document(text="", id=source.mark))
        ),
    )


def sources_in(batch: Batch, exchange: Exchange) -> tuple[Source, ...]:
    """The documents that an answer may cite, told apart once a batch."""
    return batch.once(("sources", exchange.context, exchange.documents), lambda: sources_of(exchange))
