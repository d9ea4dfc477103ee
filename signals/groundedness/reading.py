"""A text as the groundedness signals read it: plain, cut into sentences and words, once for all of them.

A word is compared by its beginning (STEM_CHARS), so that endings of grammar do not count as news; Arabic words first
lose the article and the conjunctions written onto them. Scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer,
Burmese), and Korean, whose particles are written onto the word, are read as pairs of characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, cached_property
from itertools import pairwise
from typing import NamedTuple

from signals.batch import Batch
from signals.normalise import plain_text
from signals.types import Abstention, Exchange

CONTEXT_CHARS_MAX = 400_000  # about 100,000 tokens, more than most models read
ANSWER_CHARS_MAX = 65_536
STEM_CHARS = 6

# Words that carry grammar and not content; an answer may use them freely. Closed classes only.
_STOP_WORDS = """
    a about after all also although am an and any are as at be because been before being both but by can could did do
    does doing done each either else ever every few for from further had has have having he her here hers herself him
    himself his how however i if in into is it its itself just many may me might more most much must my myself neither
    no nor not now of off on once one only or other our ours ourselves out over own per same shall she should since so
    some such than that the their theirs them themselves then there therefore these they this those though through thus
    to too under until up upon us very was we were what when where whether which while who whom whose why will with
    within without would yes yet you your yours yourself yourselves
    s t d m re ve ll ain aren couldn didn doesn don hadn hasn haven isn shouldn wasn weren won wouldn
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

_PAIRED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_MARKS = "\u0300-\u036f\u0591-\u05c7\u0640\u064b-\u065f\u0670\u0900-\u0dff"  # vowel signs: no word characters to re
_WORD = re.compile(rf"[{_PAIRED}]+|(?:[^\W_{_PAIRED}]|[{_MARKS}])+")
_ASCII_WORD = re.compile("[0-9a-z]+")  # the same, several times faster
_LATIN_WORD = re.compile("[0-9a-zß-öø-ɏ]+")
_LAST_LATIN = "ɏ"
_FIRST_ARABIC = "\u0620"
_FIRST_PAIRED = "\u0e00"
_PAIRED_RUN = re.compile(f"[{_PAIRED}]+")
_HIRAGANA = re.compile("[\u3040-\u309f]+")  # carries the grammar of Japanese
_ARABIC = re.compile("[\u0620-\u064a]")
_ARABIC_SIGNS = re.compile("[\u0640\u064b-\u065f\u0670]")
_ARABIC_PREFIX = re.compile("^(?:[وفبكل]?ال|لل|و)(?=.{3})")
_ARABIC_LETTERS = str.maketrans("أإآىة", "ااايه")
_THOUSANDS = re.compile(r",(?<=\d,)(?=\d{3}(?!\d))")
_TYPOGRAPHY = (("\u2019", "'"), ("\u2018", "'"), ("\u201c", '"'), ("\u201d", '"'), ("\u2013", "-"), ("\u2014", " - "),
               ("\u2026", "..."), ("\u00a0", " "), ("\u202f", " "), ("\u2022", "-"))  # fmt: skip
_CIRCLED = re.compile("[\u2460-\u2473]")  # what numbers the items of a list
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+|(?<=[。！？؟।])")


class Word(NamedTuple):
    """A word of an answer, by its stem."""

    stem: str
    content: bool  # not a word of grammar


class Sentence(NamedTuple):
    text: str
    words: tuple[Word, ...]


class Reading:
    """One text, read; what is asked for first is computed then, and kept."""

    def __init__(self, text: str) -> None:
        if not text.isascii():
            for odd, usual in _TYPOGRAPHY:
                text = text.replace(odd, usual)
            if "\u2460" in text:
                text = _CIRCLED.sub(lambda found: f" ({unicodedata.numeric(found[0]):.0f}) ", text)
            text = plain_text(text)
        self.text = text

    @cached_property
    def words(self) -> list[str]:
        """Every word of the text in order, those of grammar too; pairs of characters in scripts without spaces."""
        return _split(self.text)

    @cached_property
    def stems(self) -> list[str]:
        """The same by their stems."""
        return [word[:STEM_CHARS] if word[0] < _FIRST_ARABIC else _stem(word) for word in self.words]

    @cached_property
    def known_words(self) -> frozenset[str]:
        return frozenset(self.words)

    @cached_property
    def known(self) -> frozenset[str]:
        return frozenset(self.stems)

    @cached_property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """Neighbouring stems."""
        return frozenset(pairwise(self.stems))

    @cached_property
    def sentences(self) -> tuple[Sentence, ...]:
        """The sentences that hold a word; a line break ends one, too."""
        parts = [part.strip() for part in _SENTENCE_END.split(self.text)]
        return tuple(Sentence(part, said) for part in parts if (said := _words(part)))


def stems(text: str) -> list[str]:
    """The words of a piece of a plain text, by their stems."""
    return [_stem(word) for word in _split(text)]


def contextless(exchange: Exchange) -> Abstention:
    """Why an exchange has nothing to compare, NONE where it has."""
    if not exchange.output or exchange.output.isspace():
        return Abstention.NO_TEXT
    if not exchange.context or exchange.context.isspace():
        return Abstention.NO_CONTEXT
    return Abstention.NONE


def read(batch: Batch, text: str) -> Reading:
    """The reading of a text, made once a batch however many calls and signals share it."""
    text = text[:CONTEXT_CHARS_MAX]
    return batch.once(("reading", text), lambda: Reading(text))


def _words(text: str) -> tuple[Word, ...]:
    if text.isascii():
        return tuple(Word(word[:STEM_CHARS], word not in STOP_WORDS) for word in _split(text))
    return tuple(
        Word(_stem(word), word not in STOP_WORDS and _HIRAGANA.fullmatch(word) is None) for word in _split(text)
    )


def _split(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORD.findall(_joined(text).lower())
    found: list[str] = []
    for line in _joined(unicodedata.normalize("NFKC", text).casefold()).split("\n"):
        if line.isascii():
            found += _ASCII_WORD.findall(line)
        elif not any(map(_is_other_letter, set(line))):
            found += _LATIN_WORD.findall(line)
        else:
            found += _any_script(line)
    return found


def _any_script(line: str) -> Iterator[str]:
    for word in _WORD.findall(line):
        if len(word) > 2 and word[0] >= _FIRST_PAIRED and _PAIRED_RUN.match(word):
            yield from map("".join, pairwise(word))
        else:
            yield word


@cache
def _is_other_letter(character: str) -> bool:
    """Whether it makes words, and is no Latin letter."""
    return character > _LAST_LATIN and _WORD.match(character) is not None


def _joined(text: str) -> str:
    return _THOUSANDS.sub("", text) if "," in text else text


def _stem(word: str) -> str:
    if _ARABIC.match(word):
        word = _ARABIC_PREFIX.sub("", _ARABIC_SIGNS.sub("", word).translate(_ARABIC_LETTERS))
    return word[:STEM_CHARS]
