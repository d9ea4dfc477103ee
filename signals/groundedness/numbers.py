"""Numbers: those of the answer that neither the context nor the question holds, however they are written.

Compared by value: thousands marks and decimal commas of any locale (an ambiguous "1.234" may be either), digits of any
script, English number words ("twenty-one", "two million"), scales ("3 million", "2.5bn", "40k"), the numbers of dates
and of month names, the second year of "1990-95". Units and signs are not compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from signals.groundedness.reading import Reading

_NUMBER = re.compile(
    r"(?:\d{1,3}(?P<mark>[ ,.'])\d{3}(?:(?P=mark)\d{3})*(?!\d)(?:[.,]\d+)?|\d+(?:[.,]\d+)?)"
    r"(?:\s?(?P<scale>thousand|million|billion|trillion|bn|mn|mio|[kKmMbB](?![A-Za-z])|[万萬億亿]))?"
)
_SCALES = {
    "thousand": 1e3, "k": 1e3, "million": 1e6, "m": 1e6, "mn": 1e6, "mio": 1e6, "billion": 1e9, "bn": 1e9, "b": 1e9,
    "trillion": 1e12, "万": 1e4, "萬": 1e4, "億": 1e8, "亿": 1e8,
}  # fmt: skip


def _list(text: str) -> list[str]:
    return text.split()


_UNITS = _list(
    """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen"""
)
_TENS = _list("twenty thirty forty fifty sixty seventy eighty ninety")
_WORDS = {word: value for value, word in enumerate(_UNITS)} | {word: 20 + 10 * n for n, word in enumerate(_TENS)}
_ORDINALS = _list("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth")
_MULTIPLES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_NAMED = frozenset(_WORDS) | frozenset(_MULTIPLES)
_MONTHS = _list("january february march april may june july august september october november december")
_LENIENT = (
    {word: float(value) for value, word in enumerate(_ORDINALS, 1)}
    | {word: float(value) for value, word in enumerate(_MONTHS, 1)}
    | {word[:3]: float(value) for value, word in enumerate(_MONTHS, 1)}
    | {"dozen": 12.0, "half": 0.5, "once": 1.0, "twice": 2.0, "both": 2.0, "single": 1.0, "couple": 2.0}
)  # what a source may say for a number, and what an answer does not mean as one
_YEARS = re.compile(r"(\d{2})\d{2}[-/](\d{2})(?!\d)")
_HAN = {character: value for value, character in enumerate("〇一二三四五六七八九")} | {"零": 0, "两": 2, "兩": 2}
_HAN_MULTIPLES = {"十": 10, "百": 100, "千": 1_000}
_HAN_RUN = re.compile(f"[{''.join(_HAN)}{''.join(_HAN_MULTIPLES)}]+")
_HAN_CHARACTERS = frozenset(_HAN) | frozenset(_HAN_MULTIPLES)
_NO_CLAIM = re.compile(r"^[ \t#*>-]*(?:step[ \t]+)?\d{1,3}[.):](?=\s)", re.I | re.M)  # the markers of lists


def number_mismatch(answer: Reading, context: Reading, question: Reading) -> float | None:
    """The share of the answer's distinct numbers that are not given; None where it holds none."""
    said = {values for values in _claimed(answer) if values}
    if not said:
        return None
    given = _given(context) | _given(question)
    return sum(not values & given for values in said) / len(said)


def _claimed(reading: Reading) -> Iterator[frozenset[float]]:
    text = _NO_CLAIM.sub(" ", _decimal(reading.text))
    for found in _NUMBER.finditer(text):
        yield _values(found)
    for run in _runs(reading.words):
        if run not in (["one"], ["zero"]):  # "one" is a pronoun more often than a number
            yield frozenset({_spoken(run)})


def _given(reading: Reading) -> set[float]:
    text = _decimal(reading.text)
    given: set[float] = set()
    for found in _NUMBER.finditer(text):
        given |= _values(found)
        if found["mark"]:  # a list of numbers may look like one with marks
            given.update(float(part) for part in re.findall(r"\d+", found[0]))
    given.update(float(century + year) for century, year in _YEARS.findall(text))
    given.update(_spoken(run) for run in _runs(reading.words))
    given.update(_LENIENT[word] for word in _LENIENT.keys() & reading.known_words)
    if not _HAN_CHARACTERS.isdisjoint(text):
        given.update(_han(run) for run in _HAN_RUN.findall(text))
    return given


def _values(found: re.Match[str]) -> frozenset[float]:
    """What a written number may mean: "1.234" is a thousand or one and a bit, "3m" three million or three metres."""
    scale = found["scale"]
    digits = found[0][: found.start("scale") - found.start()].rstrip() if scale else found[0]
    values = {float(reading) for reading in _readings(digits, found["mark"])}
    if scale is None:
        return frozenset(values)
    scaled = {value * _SCALES[scale.lower()] for value in values}
    return frozenset(scaled | values if len(scale) == 1 and scale.isascii() else scaled)


def _readings(digits: str, mark: str | None) -> Iterator[str]:
    if mark:
        whole = digits.replace(mark, "")
        yield whole.replace(",", ".")
        if mark in ",." and digits.count(mark) == 1 and whole.isdigit():
            yield digits.replace(",", ".")
    else:
        yield digits.replace(",", ".")


def _decimal(text: str) -> str:
    """Digits of any script as ASCII ones."""
    if not any(character.isdigit() and not character.isascii() for character in set(text)):
        return text
    text = unicodedata.normalize("NFKC", text)
    return re.sub(r"[^\W\D]", lambda digit: str(unicodedata.decimal(digit[0])), text)


def _runs(words: Sequence[str]) -> Iterator[list[str]]:
    """Neighbouring number words, "and" inside left out."""
    places = [
        at
        for at, word in enumerate(words)
        if word in _NAMED and not (word in _MULTIPLES and at and words[at - 1][-1].isdigit())  # "3 million" is written
    ]
    run: list[str] = []
    last = -9
    for at in places:
        joined = at == last + 1 or (at == last + 2 and words[at - 1] == "and" and words[last] in _MULTIPLES)
        if run and not joined:
            yield run
            run = []
        run.append(words[at])
        last = at
    if run:
        yield run


def _spoken(run: Sequence[str]) -> float:
    total = current = 0
    for word in run:
        if word in _WORDS:
            current += _WORDS[word]
        elif word == "hundred":
            current = max(current, 1) * 100
        else:
            total += max(current, 1) * _MULTIPLES[word]
            current = 0
    return float(total + current)


def _han(run: str) -> float:
    """The value of a number in Chinese characters below 10,000; digit by digit where no multiple is written."""
    if not any(character in _HAN_MULTIPLES for character in run):
        return float("".join(str(_HAN[character]) for character in run))
    total, digit = 0, -1
    for character in run:
        if character in _HAN:
            digit = _HAN[character]
        else:
            total += (1 if digit < 0 else digit) * _HAN_MULTIPLES[character]
            digit = 0
    return float(total + max(digit, 0))
