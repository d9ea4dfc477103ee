"""Retrieved documents: what a retriever span brought back, and which retrievals fed a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from collector.decode import dialects
from collector.decode.messages import parse
from collector.decode.routes import route
from collector.decode.spans import Span

DOCUMENTS_MAX: Final = 256
_DEPTH_MAX: Final = 6
_ANCESTORS_MAX: Final = 64


class Retrieval(msgspec.Struct, frozen=True, gc=False):
    """One retriever or reranker span with the texts that it returned."""

    span_id: str
    parent_id: str
    started_at: int
    ended_at: int
    reranked: bool
    texts: tuple[str, ...]


def retrieval_of(span: Span) -> Retrieval | None:
    """The retrieval that a span reports, if it is one and its texts were captured."""
    attributes = span.attributes
    if not attributes:
        return None
    if not (span.shape.retrieval_rules or span.name.endswith(dialects.RETRIEVAL_NAMES)) or not _is_retrieval(span):
        return None
    reranked = any(_word(attributes.get(key)) == value for key, value in dialects.RERANKERS.items())
    texts = _indexed(span) or next(
        (texts for key in dialects.DOCUMENTS if (texts := _texts_of(attributes.get(key)))), ()
    )
    if not texts:
        return None
    return Retrieval(span.span_id, span.parent_id, span.started_at, span.ended_at, reranked, texts)


def _is_retrieval(span: Span) -> bool:
    if any(_word(span.attributes.get(rule.key)) in rule.calls for rule in span.shape.retrieval_rules):
        return True
    return span.name.endswith(dialects.RETRIEVAL_NAMES)


def _word(value: Any) -> str | None:
    return value.strip('"') if isinstance(value, str) else None


def _indexed(span: Span) -> tuple[str, ...]:
    found: dict[str, dict[int, str]] = {}
    for key, value in span.attributes.items():
        place = route(key)
        if place is not None and place.field == "content" and isinstance(value, str) and value:
            found.setdefault(place.family, {})[place.position] = value
    documents = found.get("reranked") or found.get("documents") or {}
    return _distinct(text for _, text in sorted(documents.items()))


def _texts_of(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        parsed = parse(value).value
        value = None if isinstance(parsed, str) else parsed  # an answer in plain words is no list of documents
    return _distinct(_texts(value, _DEPTH_MAX))


def _texts(value: Any, depth: int) -> Iterable[str]:
    """Texts inside lists of strings, documents, nodes, or JSON strings of the same (LlamaIndex encodes twice)."""
    if depth <= 0:
        return
    if isinstance(value, list):
        for item in value[:DOCUMENTS_MAX]:
            if isinstance(item, str):
                parsed = parse(item).value
                yield from [item] if isinstance(parsed, str) else _texts(parsed, depth - 1)
            else:
                yield from _texts(item, depth - 1)
    elif isinstance(value, dict):
        for key in dialects.DOCUMENT_LISTS:
            if isinstance(value.get(key), list):
                yield from _texts(value[key], depth - 1)
                return
        for key in dialects.DOCUMENT_TEXTS:
            inner = value.get(key)
            if isinstance(inner, str) and inner:
                yield inner
                return
            if isinstance(inner, dict):
                yield from _texts(inner, depth - 1)
                return


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    found = dict.fromkeys(text for text in texts if text and text != dialects.REDACTED)
    return tuple(found)[:DOCUMENTS_MAX]


def documents_for(
    span: Span, retrievals: Iterable[Retrieval], parent: Callable[[str], str], calls_ended: Iterable[int]
) -> tuple[str, ...]:
    """The texts that were retrieved for a call.

    Of the retrievals that ended before it began, those whose nearest common ancestor with it lies deepest; of these the
    ones since the previous call ended, else the latest. A reranker's choice replaces what it chose from.
    ``parent`` gives the parent of a span of the trace, ``calls_ended`` are the ends of the trace's calls.
    """
    before = [item for item in retrievals if item.ended_at <= span.started_at]
    if not before:
        return ()
    above = {ancestor: height for height, ancestor in enumerate(_ancestors(span.parent_id, parent))}
    far = len(above) + 1

    def height(item: Retrieval) -> int:
        return min(
            (above[ancestor] for ancestor in _ancestors(item.parent_id, parent) if ancestor in above), default=far
        )

    heights = [height(item) for item in before]
    near = sorted(
        (item for item, high in zip(before, heights, strict=True) if high == min(heights)),
        key=lambda item: (item.ended_at, item.started_at, item.span_id),
    )
    previous = max((ended for ended in calls_ended if ended <= span.started_at), default=0)
    chosen = [item for item in near if item.started_at >= previous] or near[-1:]
    chosen = [item for item in chosen if item.reranked][-1:] or chosen
    return _distinct(text for item in chosen for text in item.texts)


def _ancestors(span_id: str, parent: Callable[[str], str]) -> Sequence[str]:
    chain: list[str] = []
    while span_id and len(chain) < _ANCESTORS_MAX and span_id not in chain:
        chain.append(span_id)
        span_id = parent(span_id)
    return chain
