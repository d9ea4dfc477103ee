"""Words and sentences of any script, for the signals that compare or cut texts without a model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

SENTENCE_CHARS_MAX = 1_000

# Scripts written without spaces: there each character is a word, and pairs of them carry what words carry elsewhere.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_MARKS = "\u0300-\u036f\u0900-\u0dff"  # vowel signs and accents that are no word characters to the regex engine
_WORD = re.compile(rf"[{_UNSPACED}]|(?:[^\W_{_UNSPACED}]|[{_MARKS}])+")

_ASCII_WORD = re.compile("[0-9a-z]+")  # the same, several times faster
_BREAK = re.compile(r"[.!?:;]\s+|[。！？\n]\s*")


def words(text: str) -> list[str]:
    """Words folded in case and width, punctuation left out; a character where the script has no spaces."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def word_places(text: str) -> Iterator[tuple[str, int, int]]:
    """Words as :func:`words` folds them, each with where it stands in ``text``."""
    for found in _WORD.finditer(text):
        yield unicodedata.normalize("NFKC", found[0]).casefold(), *found.span()


def sentences(text: str) -> list[tuple[int, int]]:
    """Where the sentences and lines of ``text`` lie, without gaps; none is longer than SENTENCE_CHARS_MAX."""
    ends = [*(found.end() for found in _BREAK.finditer(text)), len(text)]
    starts = [0, *ends[:-1]]
    return [
        (left, min(left + SENTENCE_CHARS_MAX, end))
        for start, end in zip(starts, ends, strict=True)
        for left in range(start, end, SENTENCE_CHARS_MAX)
    ]
