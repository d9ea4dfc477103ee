"""Names: those of the answer that neither the context nor the question holds.

A name is a run of capitalised words inside a sentence, an acronym anywhere, or quoted words; the word that begins a
sentence or a cell of a table counts only as an acronym, since every sentence begins so. Headings and labels, which are
written in capitals by fashion, and code hold no names. The words are compared by their stems, without accents, and
with endings of inflection; an acronym is held by its words in full, and the words by their acronym, a weekday and a
month by their short forms, a currency by its sign. Scripts without capitals have no names here, and in German every
noun is one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice

from signals.groundedness.citing import codeless
from signals.groundedness.number_words import MEANT
from signals.groundedness.reading import STEM_CHARS, STOP_WORDS, Reading, stems

NAMES_MAX = 500
OTHER_FORMS_MAX = 32  # names that are looked for a second time, each over the whole context
QUOTE_WORDS_MAX = 12
INFLECTED_MIN = 3  # letters before the ending

_CAPITALS = "A-Z" + "".join(chr(code) for code in range(0x80, 0x2000) if chr(code).isupper())
_CAPITALISED = rf"[{_CAPITALS}][\w'&.-]*\w"
_RUN = re.compile(rf"(?<![\w'])(?:{_CAPITALISED})(?:(?: |-)(?:(?:of|de|van|von|the|and|for|&) )?(?:{_CAPITALISED}))*")
_QUOTED = re.compile(r"\"([^\"\n]{2,120})\"|«([^»\n]{2,120})»|„([^“\n]{2,120})“|「([^」\n]{2,120})」")
_ACRONYM = re.compile(r"(?:[A-Z]\.?){2,8}s?")  # "WHO" is one and no pronoun
_WORD = re.compile(r"[\w&]+")
_TITLE = re.compile(  # headings, lines in bold, and what labels an item or a paragraph
    r"^[ \t]*#{1,6} .*$|^[ \t]*(?:[-*+]|\d{1,3}[.)])?[ \t]*\*\*[^*\n]{1,80}(?:\*\*[ \t]*:?[ \t]*$|:\*\*|\*\*[ \t]*[:-])"
    r"|^[ \t]*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)?(?:\w+[ /&-]{1,3}){0,4}\w+:(?=\s|$)",
    re.MULTILINE,
)
_BEGINS = re.compile(r"(?:^|[|])[^\w|]*\Z")  # what stands before the first word of a sentence or of a cell
_COMMON = frozenset(
    "OK AM PM ID IDs TV PC FAQ FAQs PDF PDFs URL URLs USB PS AI FYI ASAP NB DIY Dr Mr Mrs Ms Prof".split()  # noqa: SIM905
)
"""Acronyms that are words by now, and titles."""
_SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "CNY": "¥", "INR": "₹", "CHF": "fr", "KRW": "₩"}
_DAYS = {day[:3]: day[:STEM_CHARS] for day in "monday tuesday wednesday thursday friday saturday sunday".split()}  # noqa: SIM905
_ENDINGS = frozenset(  # of names in the languages that inflect them
    ["", *"s en em e n a ę ą y u i o om ie owi ów ze ach ami а у ы е и о ой ом ем ам ах ами ов ев ей я ю ь".split()]  # noqa: SIM905
)


def entity_mismatch(answer: Reading, context: Reading, question: Reading) -> float | None:
    """The share of words in the answer's distinct names that are not given; None where it holds no name."""
    text = _TITLE.sub(" ", codeless(answer.text))
    read = answer if text == answer.text else Reading(text)
    every = (name for sentence in read.sentences for name in _names(sentence.text))
    given = _Given(context, question)
    weighed = held = 0
    for name, parts in dict(islice(every, NAMES_MAX)).items():
        missing = [part for part in parts if not given.holds(part)]
        if missing and given.in_other_form(name):
            missing = []
        weighed += len(parts)
        held += len(parts) - len(missing)
    return 1 - held / weighed if weighed else None


class _Given:
    """The words of context and question, as names are looked for in them."""

    def __init__(self, context: Reading, question: Reading) -> None:
        self._context = context
        self._stems = (context.known, question.known)
        self._bare: frozenset[str] | None = None
        self._beginnings: dict[str, set[str]] = {}
        self._forms_left = OTHER_FORMS_MAX

    def holds(self, word: str) -> bool:
        """Whether a word of a name is given, in any of its forms."""
        acronym = _ACRONYM.fullmatch(word) is not None
        wanted = [word.replace(".", "").lower()] if acronym else stems(word)
        if all(any(stem in known for known in self._stems) for stem in wanted):
            return True
        if not self._forms_left:
            return False
        self._forms_left -= 1
        if acronym:
            return self._spelled_out(word)
        return self._month(word.lower()) or all(self._weekday(stem) or self._inflected(_bare(stem)) for stem in wanted)

    def in_other_form(self, name: str) -> bool:
        """Whether the context has the acronym of these words."""
        initials = "".join(word[0] for word in _WORD.findall(name) if word[0].isupper()).lower()
        if len(initials) < 2 or not self._forms_left:
            return False
        self._forms_left -= 1
        dotted = r"\.".join(initials)
        return initials in self._context.known or re.search(rf"\b{dotted}\b", self._context.text, re.I) is not None

    def _spelled_out(self, acronym: str) -> bool:
        letters = acronym.replace(".", "").removesuffix("s")
        if letters in _SIGNS and _SIGNS[letters] in self._context.text:
            return True
        between = r"(?:\w*[ -](?:(?:of|the|and|for|in|de) )?|\.)"
        return re.search(r"\b" + between.join(letters) + r"(?:\w|\b)", self._context.text, re.IGNORECASE) is not None

    def _weekday(self, stem: str) -> bool:
        """Whether a weekday is given, short or in full."""
        short = stem[:3]
        return stem in (short, _DAYS.get(short)) and not {short, _DAYS.get(short)}.isdisjoint(self._context.known)

    def _month(self, word: str) -> bool:
        """Whether a month is given by its number."""
        numbers = {f"{value:.0f}" for value in MEANT.get(word, ()) if value <= 12}
        return any({number, number.zfill(2)} & self._context.known for number in numbers)

    def _inflected(self, stem: str) -> bool:
        """Whether a word is given that differs in accents, or in an ending."""
        if self._bare is None:
            self._bare = frozenset(_bare(known) for every in self._stems for known in every)
            for known in self._bare:
                self._beginnings.setdefault(known[:INFLECTED_MIN], set()).add(known)
        if stem in self._bare:
            return True
        return any(_same_but_for_its_ending(stem, known) for known in self._beginnings.get(stem[:INFLECTED_MIN], ()))


def _names(sentence: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each name, and the words of it that count."""
    for found in _QUOTED.finditer(sentence):
        quoted = next(group for group in found.groups() if group)
        if len(quoted.split()) <= QUOTE_WORDS_MAX:
            yield from _named(quoted.strip(), begins=False)
    for found in _RUN.finditer(sentence):
        yield from _named(found[0], begins=_BEGINS.search(sentence[: found.start()]) is not None)


def _named(name: str, *, begins: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    words = [re.sub(r"'s?\Z", "", word) for word in name.split()]
    if begins and _ACRONYM.fullmatch(words[0]) is None:
        words[0] = "" if len(words) == 1 or words[0].lower() in STOP_WORDS else words[0]
    counted = tuple(word for word in words[begins and _ACRONYM.fullmatch(words[0]) is None :] if _counts(word))
    if counted:
        yield " ".join(filter(None, words)), counted


def _counts(word: str) -> bool:
    if word in _COMMON or not word:
        return False
    return word.partition("'")[0].lower() not in STOP_WORDS or _ACRONYM.fullmatch(word) is not None


def _bare(stem: str) -> str:
    """Without accents."""
    return stem if stem.isascii() else re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFD", stem))


def _same_but_for_its_ending(left: str, right: str) -> bool:
    shared = next((at for at, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), None)
    shared = min(len(left), len(right)) if shared is None else shared
    return shared >= INFLECTED_MIN and left[shared:] in _ENDINGS and right[shared:] in _ENDINGS
