"""The documents an answer may cite: as the call listed them, or told apart in its context by their marks.

Marks that begin a passage of a prompt: ``[1]``, ``[doc 2]``, ``Document 3:``, ``Source 4:``, ``Passage [5]:``, each at
the beginning of a line, and ``<document id="x">…</document>`` (or ``doc``, ``source``, …; ``index`` for ``id``).
A prompt's own marks come first, since a model cites what it was shown; a retrieved document keeps its names there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from signals.groundedness.reading import CONTEXT_CHARS_MAX
from signals.types import Document, Exchange

DOCUMENTS_MAX = 64

_KIND = r"(?:doc(?:ument)?|source|passage|context|chunk|excerpt|snippet|article|result|reference|ref)"
_TAG = re.compile(rf"<(?P<close>/?){_KIND}\b(?P<attributes>[^>]{{0,300}})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"(\w+)\s*=\s*[\"']([^\"']*)[\"']")
_MARK = re.compile(
    rf"^[ \t#*]*(?:\[(?:{_KIND}[ _#-]*)?(?P<bracketed>\d{{1,4}})\]"
    rf"|{_KIND}[ _#-]*\[?(?P<named>\d{{1,4}})\]?[ \t]*(?=[:.)\-\n(]))[ \t]*:?",
    re.IGNORECASE | re.MULTILINE,
)
_URL = re.compile(r"https?://[^\s<>\"'\])}]+")
_TITLE_CHARS = 200


class Source(NamedTuple):
    """A document that an answer may cite, and the number by which it may."""

    document: Document
    mark: str | None  # how the prompt marks it, else its place in the order of retrieval; None: neither


def sources_of(exchange: Exchange) -> tuple[Source, ...]:
    """At most DOCUMENTS_MAX documents; empty where the context is one text without marks."""
    found = exchange.documents[:DOCUMENTS_MAX]
    own = any(_MARK.search(document.text) for document in found)  # then the marks are a document's own
    passages = () if own else marked(exchange.context or "")[:DOCUMENTS_MAX]
    if passages:
        sources = list(_joined(passages, found))[:DOCUMENTS_MAX]
    else:
        sources = [Source(document, str(place)) for place, document in enumerate(found, 1)]
    room = CONTEXT_CHARS_MAX
    for at, (document, mark) in enumerate(sources):
        sources[at] = Source(document._replace(text=document.text[:room]), mark)
        room = max(0, room - len(document.text))
    return tuple(sources)


def ranked(sources: Sequence[Source]) -> list[Source]:
    """Best first: as they were retrieved, or where their scores are in no order, the greatest first."""
    scores = [source.document.score for source in sources]
    known = [score for score in scores if score is not None]
    if len(known) < len(scores) or known in (sorted(known), sorted(known, reverse=True)):
        return list(sources)
    return sorted(sources, key=lambda source: -(source.document.score or 0))


def _joined(passages: Sequence[Document], retrieved: Sequence[Document]) -> Iterator[Source]:
    """The marked passages of a prompt under the names of the documents in them, then the documents in none."""
    left = list(retrieved)
    for passage in passages:
        held = next((document for document in left if document.text and document.text in passage.text), None)
        if held is None:
            yield Source(passage, passage.id)
            continue
        left.remove(held)
        yield Source(held._replace(text=passage.text, title=held.title or passage.title), passage.id)
    yield from (Source(document, None) for document in left)


def marked(context: str) -> tuple[Document, ...]:
    """The passages of a context that carry marks; none where fewer than two begin with one."""
    context = context[:CONTEXT_CHARS_MAX]
    if tagged := tuple(_tagged(context)):
        return tagged
    marks = list(_MARK.finditer(context))
    ends = [mark.start() for mark in marks[1:]] + [len(context)]
    if len({_number(mark) for mark in marks}) < 2:
        return ()
    return tuple(
        _document(_number(mark), context[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)
    )


def _number(mark: re.Match[str]) -> str:
    return mark["bracketed"] or mark["named"] or ""


def _tagged(context: str) -> Iterator[Document]:
    """What stands between an opening tag and the next closing one."""
    opened: re.Match[str] | None = None
    for tag in _TAG.finditer(context):
        if not tag["close"]:
            opened = tag
        elif opened is not None:
            attributes = {name.lower(): value for name, value in _ATTRIBUTE.findall(opened["attributes"])}
            name = attributes.get("id") or attributes.get("index") or attributes.get("n")
            document = _document(name, context[opened.end() : tag.start()].strip())
            yield document._replace(
                title=attributes.get("title") or attributes.get("name") or document.title,
                url=attributes.get("url") or attributes.get("href") or attributes.get("source") or document.url,
            )
            opened = None


def _document(name: str | None, text: str) -> Document:
    """A passage whose first line may be its title, and whose beginning may hold its address."""
    first = text.partition("\n")[0].strip()[:_TITLE_CHARS]
    address = _URL.search(text[: 2 * _TITLE_CHARS])
    return Document(text=text, id=name, title=first or None, url=address[0] if address else None)
