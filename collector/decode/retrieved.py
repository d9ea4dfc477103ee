"""Documents in every shape in which retrievers report them: texts, objects with metadata, ids without a text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

import msgspec

from collector.decode import dialects
from collector.decode.messages import parse
from collector.decode.routes import route
from collector.decode.spans import Span
from collector.records import Document

DOCUMENTS_MAX: Final = 256
NAME_CHARS_MAX: Final = 2_048  # of an id, a title or an address; a longer one is none
_DEPTH_MAX: Final = 6
_NAMES: Final = {"id": dialects.DOCUMENT_IDS, "title": dialects.DOCUMENT_TITLES, "url": dialects.DOCUMENT_URLS}


def retrieved(span: Span) -> tuple[Document, ...]:
    """The documents of a retriever or reranker span, in its order; one whose text was not captured keeps its place."""
    found = _indexed(span)
    for key in dialects.DOCUMENTS:
        if found and all(document.id is not None for document in found):
            break
        listed = _listed(span.attributes.get(key))
        found = merged([found, listed])[: len(found)] if found else listed
    return found if any(document.text or document.id for document in found) else ()


def merged(groups: Iterable[Iterable[Document]]) -> tuple[Document, ...]:
    """The documents of several reports; what an earlier one told, a later one only names.

    Two documents are the same where one's text, or where a text is unknown its id, is the other's, and their ids do not
    differ. Inside a report every document counts: an answer may cite it by its place.
    """
    found: list[Document] = []
    places: dict[str, list[int]] = {}  # of each text and each id
    for group in groups:
        added = []
        for document in group:
            at = next((at for at in _places(places, document) if _same(found[at], document)), None)
            if at is None:
                added.append(document)
            else:
                found[at] = _filled(found[at], document)
        for document in added:
            for key in _keys(document):
                places.setdefault(key, []).append(len(found))
            found.append(document)
    return tuple(found[:DOCUMENTS_MAX])


def _places(places: dict[str, list[int]], document: Document) -> Iterator[int]:
    return chain.from_iterable(places.get(key, ()) for key in _keys(document))


def _keys(document: Document) -> list[str]:
    return [key for key in (document.text, document.id) if key]


def _same(left: Document, right: Document) -> bool:
    if left.id and right.id and left.id != right.id:
        return False
    return not left.text or not right.text or left.text == right.text


def _filled(document: Document, other: Document) -> Document:
    missing = {
        name: value
        for name in document.__struct_fields__
        if getattr(document, name) is None and (value := getattr(other, name)) is not None
    }
    return msgspec.structs.replace(document, **missing) if missing else document


def _indexed(span: Span) -> tuple[Document, ...]:
    """Documents whose parts stand one an attribute (OpenInference); a reranker's output before its input."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for key, value in span.attributes.items():
        place = route(key)
        if place is not None and place.family in ("documents", "reranked"):
            found.setdefault(place.family, {}).setdefault(place.position, {})[place.field] = value
    parts = found.get("reranked") or found.get("documents") or {}
    return tuple(_document(part, _DEPTH_MAX) for _, part in sorted(parts.items()))[:DOCUMENTS_MAX]


def _listed(value: Any) -> tuple[Document, ...]:
    if isinstance(value, str):
        parsed = parse(value).value
        value = None if isinstance(parsed, str) else parsed  # an answer in plain words is no list of documents
    return tuple(_documents(value, _DEPTH_MAX))[:DOCUMENTS_MAX]


def _documents(value: Any, depth: int, *, listed: bool = False) -> Iterator[Document]:
    """Documents of a list of strings, objects, nodes, or JSON strings of the same (LlamaIndex encodes twice).

    Only inside a list is an object without a text a document, too.
    """
    if depth <= 0:
        return
    if isinstance(value, list):
        for item in value[:DOCUMENTS_MAX]:
            if not isinstance(item, str):
                yield from _documents(item, depth - 1, listed=True)
            elif isinstance(parsed := parse(item).value, str):
                if text := _text(item):
                    yield Document(text=text)
            else:
                yield from _documents(parsed, depth - 1, listed=True)
    elif isinstance(value, dict):
        inner = next((value[key] for key in dialects.DOCUMENT_LISTS if isinstance(value.get(key), list)), None)
        if inner is not None:
            yield from _documents(inner, depth - 1)
        elif (document := _document(value, depth)).text or listed:
            yield document


def _document(value: dict[str, Any], depth: int) -> Document:
    """One object: its text may lie in an object inside, its names there or in its metadata."""
    layers = [value]
    text = None
    while text is None and len(layers) < depth:
        inner = next((found for key in dialects.DOCUMENT_TEXTS if (found := layers[-1].get(key))), None)
        if not isinstance(inner, dict):
            text = _text(inner)
            break
        layers.append(inner)
    layers += [metadata for layer in layers for metadata in _metadata(layer)]
    if text is None:  # vector stores without a place for the text keep it in the metadata
        text = next(filter(None, (_text(layer.get(key)) for layer in layers for key in dialects.DOCUMENT_TEXTS)), None)
    named = {field: _name(layers, keys) for field, keys in _NAMES.items()}
    return Document(text=text, score=_score(layers), **named)


def _metadata(layer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key in dialects.DOCUMENT_METADATA:
        value = layer.get(key)
        if isinstance(value, str) and value.startswith("{"):
            value = parse(value).value
        if isinstance(value, dict):
            yield value


def _name(layers: Iterable[dict[str, Any]], keys: Iterable[str]) -> str | None:
    """The first usable name, of the outermost layer that has one; numbers count."""
    for layer in layers:
        for key in keys:
            value = layer.get(key)
            if isinstance(value, int) and not isinstance(value, bool):
                value = str(value)
            if isinstance(value, str) and value != dialects.REDACTED and 0 < len(value.strip()) <= NAME_CHARS_MAX:
                return value.strip()
    return None


def _score(layers: Iterable[dict[str, Any]]) -> float | None:
    for layer in layers:
        for key in dialects.DOCUMENT_SCORES:
            value = layer.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                return float(value)
    return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value and value != dialects.REDACTED else None
