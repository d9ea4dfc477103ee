"""Retrievals: which spans are one, and which of them fed a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from collector.decode import dialects
from collector.decode.retrieved import merged, retrieved
from collector.decode.spans import Span
from collector.records import Document

_ANCESTORS_MAX: Final = 64


class Retrieval(msgspec.Struct, frozen=True, gc=False):
    """One retriever or reranker span with the documents that it returned."""

    span_id: str
    parent_id: str
    started_at: int
    ended_at: int
    reranked: bool
    documents: tuple[Document, ...]

    @property
    def has_text(self) -> bool:
        return any(document.text for document in self.documents)


def retrieval_of(span: Span) -> Retrieval | None:
    """The retrieval that a span reports, if it is one and told what it found."""
    attributes = span.attributes
    if not attributes:
        return None
    if not (span.shape.retrieval_rules or span.name.endswith(dialects.RETRIEVAL_NAMES)) or not _is_retrieval(span):
        return None
    reranked = any(_word(attributes.get(key)) == value for key, value in dialects.RERANKERS.items())
    documents = retrieved(span)
    if not documents:
        return None
    return Retrieval(span.span_id, span.parent_id, span.started_at, span.ended_at, reranked, documents)


def _is_retrieval(span: Span) -> bool:
    if any(_word(span.attributes.get(rule.key)) in rule.calls for rule in span.shape.retrieval_rules):
        return True
    return span.name.endswith(dialects.RETRIEVAL_NAMES)


def _word(value: Any) -> str | None:
    return value.strip('"') if isinstance(value, str) else None


def documents_for(
    span: Span, retrievals: Iterable[Retrieval], parent: Callable[[str], str], calls_ended: Iterable[int]
) -> tuple[Document, ...]:
    """What was retrieved for a call.

    Of the retrievals that ended before it began (of those with texts, if any has one), those whose nearest common
    ancestor with it lies deepest; of these the ones since the previous call ended, else the latest. A reranker's choice
    replaces what it chose from.
    ``parent`` gives the parent of a span of the trace, ``calls_ended`` are the ends of the trace's calls.
    """
    before = [item for item in retrievals if item.ended_at <= span.started_at]
    if not before:
        return ()
    before = [item for item in before if item.has_text] or before
    above = {ancestor: height for height, ancestor in enumerate(ancestors(span.parent_id, parent))}
    far = len(above) + 1

    def height(item: Retrieval) -> int:
        return min(
            (above[ancestor] for ancestor in ancestors(item.parent_id, parent) if ancestor in above), default=far
        )

    heights = [height(item) for item in before]
    near = sorted(
        (item for item, high in zip(before, heights, strict=True) if high == min(heights)),
        key=lambda item: (item.ended_at, item.started_at, item.span_id),
    )
    previous = max((ended for ended in calls_ended if ended <= span.started_at), default=0)
    chosen = [item for item in near if item.started_at >= previous] or near[-1:]
    chosen = [item for item in chosen if item.reranked][-1:] or chosen
    return merged(item.documents for item in chosen)


def ancestors(span_id: str, parent: Callable[[str], str]) -> Sequence[str]:
    """The span and those above it, as far as they are known."""
    chain: list[str] = []
    while span_id and len(chain) < _ANCESTORS_MAX and span_id not in chain:
        chain.append(span_id)
        span_id = parent(span_id)
    return chain
