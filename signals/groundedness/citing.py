"""Where an answer cites: citations in any style, told from other brackets by what the documents are called.

Of their own accord: ``[1]``, ``[1, 3]``, ``[1-3]``, ``[^1]``, a raised ``¹`` behind a word, ``[doc 2]``,
``【1†source】``, ``(source: X)``, Markdown links and addresses. Where the documents have names, ``[X]``, ``(X)``,
``【X】`` and ``[words](X)`` with an id, a title, an address or a file name of one of them; and, in square brackets,
what is shaped as their ids are: where documents are called ``kb-17`` and ``kb-20``, ``[kb-99]`` is a citation that
leads nowhere, and ``[sic]`` is none. ``a[1]`` is an index, and so is ``[0, 1]`` where the documents are not numbered
from 0.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from signals.types import Document

NAME_CHARS_MIN = 2  # of an id in brackets; numbers are read as numbers
_RANGE_MAX = 20

_CITATION = re.compile(
    r"(?P<code>```.*?(?:```|\Z)|`[^`\n]*`)"  # holds indices, and no citations
    r"|(?P<link>\[(?P<words>[^\]\n]{0,200})\]\((?P<target>[^)\s]{1,2000}+)(?:[ \t][^)\n]{0,300})?\))"
    r"|(?<!\b[A-Za-z])\[(?:\^|(?:doc(?:ument)?|source|ref(?:erence)?|passage|chunk|context|s)[ .#:_-]*)?"
    r"(?!\d{4}-\d\d-\d\d\])(?P<numbers>\d{1,4}(?:\s*[,;–-]\s*\d{1,4})*)\]"
    r"|(?:(?<=[.!?,;)\"”])|(?<=[^\W\d_]{4}))(?P<raised>[¹²³⁰⁴-⁹]{1,2})(?!\w)"
    r"|【(?P<dagger>\d{1,4})(?::\d+)?(?:†[^】]{0,200})?】"
    r"|[(\[](?:source|quelle|fuente|来源|出典)s?\s*[:：]\s*(?P<name>[^)\]\n]{1,200})[)\]]"
    r"|(?P<url>https?://[^\s<>\"')\]}]+)",
    re.IGNORECASE | re.DOTALL,
)
_BRACKETS = re.compile(r"(?P<square>[\[【](?P<inside>[^\[\]【】\n]{2,200})[\]】])|\((?P<round>[^()\[\]\n]{3,200})\)")
_PARTS = re.compile(r"\s*[;,|]\s*")
_KIND = re.compile(
    r"^(?:doc(?:ument)?|source|ref(?:erence)?|passage|chunk|context|id|see|cf|from)s?[ .#:_-]+", re.IGNORECASE
)
_HEX = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,56}")


class Citation(NamedTuple):
    key: str  # a number, a name or an address
    is_url: bool = False


class Mark(NamedTuple):
    """A stretch of a text that cites."""

    start: int
    end: int
    words: str  # what of it belongs to the sentence: the words of a link
    cites: tuple[Citation, ...]
    is_link: bool = False


class Names:
    """What the documents of one exchange are called."""

    def __init__(self, documents: Iterable[Document]) -> None:
        documents = tuple(documents)
        known = (name for document in documents for name in names_of(document))
        self._from_zero = any(document.id == "0" for document in documents)
        self.known = frozenset(name for name in known if len(name) >= NAME_CHARS_MIN)
        self._shapes = {shape for document in documents if (shape := _shape(folded(document.id or "")))}

    def numbers(self, numbers: str) -> list[str]:
        """The numbers in a pair of brackets; none where they begin at 0 and the documents do not: an index, a range."""
        found = list(map(str, _expanded(numbers)))
        return found if self._from_zero or "0" not in found else []

    def cited(self, inside: str, *, guess: bool) -> list[str]:
        """The names in a pair of brackets; with ``guess`` also what only looks like one."""
        whole = folded(inside)
        if whole in self.known:
            return [whole]
        parts = [folded(_KIND.sub("", part)) for part in _PARTS.split(inside)]
        return [part for part in parts if part in self.known or (guess and _shape(part) in self._shapes)]


NAMELESS = Names(())


def names_of(document: Document) -> Iterator[str]:
    """The document's id, title, address and file name, as ``folded`` gives them; numbers are no names."""
    for name in (document.id, document.title, document.url):
        if name and not name.isdigit():
            yield folded(name)
    if document.url and (file := folded(document.url.rstrip("/").rpartition("/")[2])) and "." in file:
        yield file


def folded(name: str) -> str:
    """A name as it is compared: without case, quotes and the scheme of an address."""
    name = " ".join(name.split()).strip("\"'“”«»*_#").removeprefix("./").casefold()
    return address(name) if "://" in name else name


def address(url: str) -> str:
    return re.sub(r"^https?://(?:www\.)?|#.*$", "", url.rstrip(".,;:!?")).rstrip("/").lower()


def marks(text: str, names: Names = NAMELESS) -> list[Mark]:
    """The citations of a text in order; what stands in code is none."""
    found, taken = [], []
    for match in _CITATION.finditer(text):
        taken.append(match.span())
        if not match["code"]:
            cites = tuple(_citations(match, names))
            found.append(Mark(match.start(), match.end(), match["words"] or " ", cites, bool(match["link"])))
    if names.known:
        found = sorted([*found, *_named(text, names, taken)])
    return found


def uncited(text: str, names: Names = NAMELESS) -> str:
    """``text`` without citations; of a link its words stay."""
    parts, place = [], 0
    for mark in marks(text, names):
        parts += [text[place : mark.start], mark.words]
        place = mark.end
    return "".join(parts) + text[place:]


def codeless(text: str) -> str:
    """``text`` without code."""
    return _CITATION.sub(lambda found: " " if found["code"] else found[0], text)


def _named(text: str, names: Names, taken: list[tuple[int, int]]) -> Iterator[Mark]:
    """Names of documents in brackets, outside the stretches that are read already."""
    ahead = iter(taken)
    start, end = next(ahead, (len(text), len(text)))
    for match in _BRACKETS.finditer(text):
        while end <= match.start() and start < len(text):
            start, end = next(ahead, (len(text), len(text)))
        if match.end() > start:
            continue
        keys = names.cited(match["inside"] or match["round"], guess=match["square"] is not None)
        if keys:
            yield Mark(match.start(), match.end(), " ", tuple(Citation(key) for key in keys))


def _citations(found: re.Match[str], names: Names) -> Iterator[Citation]:
    if target := found["target"] or found["url"]:
        if "://" in target:
            yield Citation(address(target), is_url=True)
        elif keys := names.cited(target, guess=False) or names.cited(found["words"], guess=False):
            yield from map(Citation, keys)
        elif found["link"] and found["words"].isdigit():
            yield Citation(found["words"])
    elif found["numbers"]:
        yield from map(Citation, names.numbers(found["numbers"]))
    elif found["raised"]:
        yield Citation(unicodedata.normalize("NFKC", found["raised"]))
    else:
        name = (found["dagger"] or found["name"]).strip()
        yield from map(Citation, names.cited(name, guess=True) or [name])


def _expanded(numbers: str) -> Iterator[int]:
    for part in re.split(r"[,;]", numbers):
        first, *rest = (int(end) for end in re.findall(r"\d+", part))
        last = rest[-1] if rest else first
        yield from range(first, last + 1) if 0 <= last - first <= _RANGE_MAX else (first, last)


def _shape(name: str) -> str | None:
    """What an id has in common with others of its kind; None for a name that is no id."""
    if " " in name or not any(character.isdigit() for character in name):
        return None
    if _HEX.fullmatch(name):
        return f"hexadecimal of {len(name)}"
    shape = re.sub(r"\d+", "0", name)
    return shape if shape != "0" else None
