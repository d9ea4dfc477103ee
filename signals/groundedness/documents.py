"""The documents an answer may cite: as the call listed them, or told apart in its context by their marks.

Marks that begin a passage of a prompt: ``[1]``, ``[doc 2]``, ``Document 3:``, ``Source 4:``, ``Passage [5]:``, each at
the beginning of a line, and ``<document id="x">…</document>`` (or ``doc``, ``source``, …; ``index`` for ``id``).
A prompt's own marks come first, since a model cites what it was shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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


def documents_of(exchange: Exchange) -> tuple[Document, ...]:
    """At most DOCUMENTS_MAX documents; empty where the context is one text without marks."""
    found = exchange.documents
    if not any(_MARK.search(document.text) for document in found):  # else the marks are a document's own
        found = marked(exchange.context or "") or found
    documents, room = [], CONTEXT_CHARS_MAX
    for document in found[:DOCUMENTS_MAX]:
        documents.append(document._replace(text=document.text[:room]))
        room = max(0, room - len(document.text))
    return tuple(documents)


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
