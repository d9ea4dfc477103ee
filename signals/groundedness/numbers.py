"""Numbers: those of the answer that neither the context nor the question holds, however they are written.

Compared by value: thousands marks and decimal commas of any locale (an ambiguous "1.234" may be either), digits of any
script, English number words ("twenty-one", "two dozen", "two thirds"), scales ("3 million", "2.5bn", "40k", "3 Mio."),
dates in any order ("27.11.2026", "2026-11-27", "27 November 2026"), the clock ("2:30 pm", "14:30"), fractions ("1½",
"3/4", "75%"), telephone numbers however they are grouped, the second year of "1990-95". The source may also count in
words of nine other languages, or in Roman numbers. The markers of lists and how many items the answer itself lists are
no claims. Units, signs and exchanged places are not compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from signals.groundedness.number_words import DOZEN, MEANT, MULTIPLES, ORDINALS, PARTS, SCALES, WORDS
from signals.groundedness.reading import Reading

Value = float | str  # a string is the end of a telephone number
Claim = frozenset[tuple[Value, ...]]
"""What a written number may mean: it is given where every value of one of its readings is."""

_WORD_SCALES = "|".join(sorted((name for name in SCALES if len(name) > 1), key=len, reverse=True))
_NUMBER = re.compile(
    r"(?P<date>\d{4}([-./])\d{1,2}\2\d{1,2}|\d{1,2}([-./])\d{1,2}\3(?:\d{4}|\d\d))(?![-./]?\d)"
    r"|(?P<clock>\d{1,2})(?:[:h.](?P<minutes>[0-5]\d)(?!\d))?\s?(?P<half>[ap]\.?m\b|uhr\b)"
    r"|(?P<hour>[01]?\d|2[0-4])[:h](?P<past>[0-5]\d)(?![\d:])"
    r"|(?P<run>\d{2,6}\)?(?:[ /-]\(?\d{2,6}\)?|[ ]\(0\)[ ]?\d{2,6}){1,6}(?:[ /-]\d)?)(?![\w]|[.,]\d)"
    r"|(?:(?P<whole>\d{1,3})[ ])?(?P<over>\d{1,2})\s?[/\u2044]\s?(?P<under>\d{1,2})(?![\d/])"
    r"|(?:(?P<indian>\d{1,2}(?:,\d\d)+,\d{3})|\d{1,3}(?P<mark>[ ,.'_])\d{3}(?:(?P=mark)\d{3})*(?!\d)(?:[.,]\d+)?"
    r"|\d+(?:[.,]\d+)?(?:[eE][+-]?\d{1,2}\b)?)"
    rf"(?:\s?(?P<scale>[万萬億亿만억]|[kmb](?![a-z])|(?:{_WORD_SCALES})\b))?"
    r"(?:\s?(?P<percent>%|per\s?cent\b|prozent\b|pour cent\b|por ciento\b))?",
    re.IGNORECASE,
)
_DIGITS = re.compile("[0-9]+")
_PHONE_DIGITS = range(7, 16)
_PHONE_END = 6  # digits that stay the same with a country code, an area code or none
_YEARS = re.compile(r"(\d{2})\d{2}[-/](\d{2})(?!\d)")
_DECADE = re.compile(r"\d\d(\d0)s\b")
_MAY = re.compile(r"\d(?:st|nd|rd|th)?\.? (?:of )?may\b|\bmay \d", re.IGNORECASE)
_ROMAN = re.compile(r"\b(?:[IVXLC]{2,7}|[VX])\b")
_ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215e]")
_HAN = {character: value for value, character in enumerate("〇一二三四五六七八九")} | {"零": 0, "两": 2, "兩": 2}
_HAN_MULTIPLES = {"十": 10, "百": 100, "千": 1_000}
_HAN_RUN = re.compile(f"[{''.join(_HAN)}{''.join(_HAN_MULTIPLES)}]+")
_HAN_CHARACTERS = frozenset(_HAN) | frozenset(_HAN_MULTIPLES)

_STEPS = r"(?:step|schritt|[ée]tape|paso|passo|stap|krok|шаг|adım|步骤|步驟|ステップ|단계)s?"
_NO_CLAIM = re.compile(  # the markers of lists, and idioms
    rf"^[ \t#*>|(-]*(?:\d{{1,3}}[.):](?=\s)|\d{{1,3}}\s*(?=\|))|\b{_STEPS}[ \t]*\d{{1,3}}\b|第\d{{1,2}}步"
    r"|\d\ufe0f?\u20e3|\b24/7\b|\b(?:doc(?:ument)?|source|passage|chunk|excerpt|quelle|dokument)[ #]{0,2}\d{1,3}\b",
    re.IGNORECASE | re.MULTILINE,
)
_INLINE = re.compile(r"(?<![\w.,])\(?(\d{1,2})[.)](?=\s)")
_ITEM = re.compile(r"^(?P<indent>[ \t]*)(?:[-*+]|\d{1,3}[.)])[ \t]", re.MULTILINE)


def number_mismatch(answer: Reading, context: Reading, question: Reading) -> float | None:
    """The share of the answer's distinct numbers that are not given; None where it holds none."""
    said = set(_claimed(answer))
    if not said:
        return None
    given = _given(context) | _given(question) | _listed(answer.text)
    return sum(not any(map(given.issuperset, claim)) for claim in said) / len(said)


def _claimed(reading: Reading) -> Iterator[Claim]:
    for found in _written(_without_markers(_decimal(reading.text))):
        yield from _claims(found)
    words = reading.words
    for start, end in _runs(words):
        if part := PARTS.get(words[end]) if end < len(words) else None:
            if words[start:end] != ["one"]:
                yield _fraction(_spoken(words[start:end]), part)
        elif words[start:end] not in (["one"], ["zero"]):  # "one" is a pronoun more often than a number
            yield frozenset({(_spoken(words[start:end]) + _and_a_half(words, end),)})


def _given(reading: Reading) -> set[Value]:
    text, words = _decimal(reading.text), reading.words
    given: set[Value] = set()
    for found in _written(text):
        given.update(value for claim in _claims(found) for readings in claim for value in readings)
        if found["mark"]:  # a list of numbers may look like one with marks
            given.update(float(part) for part in re.findall(r"\d+", found[0]))
    for century, year in _YEARS.findall(text):
        given.add(float(century + year))
    if "0s" in text:
        given.update(map(float, _DECADE.findall(text)))
    for start, end in _runs(words):
        value = _spoken(words[start:end])
        given |= {value, value + _and_a_half(words, end)}
    given.update(*(MEANT[word] for word in MEANT.keys() & reading.known_words))
    if "may" in reading.known_words and _MAY.search(text):
        given.add(5.0)
    if not PARTS.keys().isdisjoint(reading.known_words):
        given |= _parts(words)
    given.update(_roman(found[0]) for found in _ROMAN.finditer(text))
    if not _HAN_CHARACTERS.isdisjoint(text):
        given.update(_han(run) for run in _HAN_RUN.findall(text))
    return given


def _written(text: str) -> Iterator[re.Match[str]]:
    """The numbers in digits; several times faster than to try them at every character."""
    end = 0
    for digits in _DIGITS.finditer(text):
        if digits.start() >= end and (found := _NUMBER.match(text, digits.start())):
            end = found.end()
            yield found


def _claims(found: re.Match[str]) -> Iterator[Claim]:
    if found["date"]:
        yield from (_year(part) for part in re.findall(r"\d+", found["date"]))
    elif found["clock"] or found["hour"]:
        yield _hour(float(found["clock"] or found["hour"]), (found["half"] or "")[:1].lower())
        minutes = found["minutes"] or found["past"]
        if minutes and int(minutes):
            yield frozenset({(float(minutes),)})
    elif found["run"]:
        yield from _run(found["run"])
    elif found["under"]:
        yield _ratio(float(found["whole"] or 0), float(found["over"]), float(found["under"]))
    else:
        yield _values(found)


def _hour(hour: float, half: str) -> Claim:
    """An hour of either half of the day (``a`` or ``p``), or of the whole one."""
    return frozenset({(hour,), (hour % 12 + 12 * (half == "p"),)} if half in ("a", "p") and hour <= 12 else {(hour,)})


def _values(found: re.Match[str]) -> Claim:
    """What a written number may mean: "1.234" is a thousand or one and a bit, "3m" three million or three metres."""
    scale = found["scale"]
    ends = [found.start(name) for name in ("scale", "percent") if found[name]]
    digits = found[0][: min(ends) - found.start()].rstrip() if ends else found[0]
    values = {float(reading) for reading in _readings(digits, "," if found["indian"] else found["mark"])}
    if scale is not None:
        scaled = {value * SCALES[scale.lower()] for value in values}
        values = scaled | values if len(scale) == 1 and scale.isascii() else scaled
    if found["percent"]:
        values |= {round(value / 100, 6) for value in values}
    return frozenset((value,) for value in values)


def _readings(digits: str, mark: str | None) -> Iterator[str]:
    if mark:
        whole = digits.replace(mark, "")
        yield whole.replace(",", ".")
        if mark in ",." and digits.count(mark) == 1 and whole.isdigit():
            yield digits.replace(",", ".")
    else:
        yield digits.replace(",", ".")


def _year(part: str) -> Claim:
    """A part of a date; two digits may be a year of this century or the last."""
    value = float(part)
    return frozenset({(value,), (2000 + value,), (1900 + value,)} if len(part) == 2 and value > 12 else {(value,)})


def _run(run: str) -> Iterator[Claim]:
    """Groups of digits with spaces or strokes between them: a telephone number, one with marks, or several numbers."""
    parts = re.findall(r"\d+", run.replace("(0)", ""))
    joined = "".join(parts)
    if len(joined) in _PHONE_DIGITS and (len(parts) > 2 or joined.startswith("0") or ")" in run):
        yield frozenset({(joined[-_PHONE_END:],), (float(joined),), tuple(map(float, parts))})
        return
    if " " in run and all(len(part) == 3 for part in parts[1:]) and len(parts[0]) <= 3:
        yield frozenset({(float(joined),), tuple(map(float, parts))})
        return
    yield from (frozenset({(float(part),)}) for part in parts)


def _ratio(whole: float, over: float, under: float) -> Claim:
    """``3/4`` is a fraction, or the two numbers."""
    parts = (whole, over, under) if whole else (over, under)
    return frozenset({parts, (round(whole + over / under, 6),)} if under and over < under else {parts})


def _fraction(over: float, under: float) -> Claim:
    return frozenset({(value,) for value in _rounded(over / under)} | {(over, under)})


def _rounded(share: float) -> set[float]:
    """A share as it is written: exactly, with two decimals, and in percent, each cut or rounded."""
    hundredths = {float(int(share * 100)), float(round(share * 100))}
    return {round(share, 6), *hundredths, *(round(each / 100, 6) for each in hundredths)}


def _parts(words: Sequence[str]) -> set[float]:
    """The fractions that a source names: "half", "a quarter", "two thirds"."""
    found: set[float] = set()
    for at, word in enumerate(words):
        if word in PARTS:
            found |= _rounded(WORDS.get(words[at - 1], 1) / PARTS[word] if at else 1 / PARTS[word])
    return found


def _without_markers(text: str) -> str:
    """``text`` without the numbers that only tell the items of a list apart."""
    marks = [int(mark) for mark in _INLINE.findall(text)]
    if len(marks) > 1 and marks == list(range(1, len(marks) + 1)):
        text = _INLINE.sub(" ", text)
    return _NO_CLAIM.sub(" ", text)


def _listed(text: str) -> set[Value]:
    """How many items the answer lists, all in all and on the first level: it may say so."""
    items = [found["indent"] for found in _ITEM.finditer(text)]
    return {float(len(items)), float(items.count(""))} if items else set()


def _decimal(text: str) -> str:
    """Digits of any script as ASCII ones, and signs for fractions as fractions."""
    if text.isascii() or not any(character.isnumeric() and not character.isascii() for character in set(text)):
        return text
    text = _VULGAR.sub(lambda found: " " + unicodedata.normalize("NFKC", found[0]), text)
    return re.sub(r"[^\W\D]", lambda digit: str(unicodedata.decimal(digit[0])), unicodedata.normalize("NFKC", text))


def _runs(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where number words stand that make one number, "and" inside left out: start and end."""
    start, last = -1, -9
    for at, word in enumerate(words):
        if word not in WORDS and word not in MULTIPLES and word != "dozen":
            if last == at - 1 and words[last] in WORDS and WORDS[words[last]] >= 20 and ORDINALS.get(word, 99) < 10:
                last = at  # twenty-first
            continue
        if word in MULTIPLES and at and words[at - 1][-1].isdigit():  # "3 million" is written
            continue
        if start >= 0 and not _goes_on(words, last, at):
            yield start, last + 1
            start = -1
        if start < 0:
            if word == "dozen":
                continue
            start = at
        last = at
    if start >= 0:
        yield start, last + 1


def _goes_on(words: Sequence[str], last: int, at: int) -> bool:
    """Whether the number word at ``at`` belongs to the number that the one at ``last`` ends so far."""
    before, word = words[last], words[at]
    if at == last + 1:
        return word not in WORDS or before in MULTIPLES or (WORDS.get(before, 0) >= 20 and WORDS[word] < 10)
    return at == last + 2 and words[at - 1] == "and" and before in MULTIPLES


def _and_a_half(words: Sequence[str], end: int) -> float:
    return 0.5 if words[end : end + 3] == ["and", "a", "half"] else 0.0


def _spoken(run: Sequence[str]) -> float:
    total = current = 0
    for word in run:
        if word in WORDS or word in ORDINALS:
            current += WORDS.get(word, 0) or ORDINALS.get(word, 0)
        elif word == "hundred":
            current = max(current, 1) * 100
        elif word == "dozen":
            current = max(current, 1) * DOZEN
        elif word in MULTIPLES:
            total += max(current, 1) * MULTIPLES[word]
            current = 0
    return float(total + current)


def _roman(run: str) -> float:
    digits = [_ROMAN_DIGITS[character] for character in run]
    after = [*digits[1:], 0]
    return float(sum(-digit if digit < larger else digit for digit, larger in zip(digits, after, strict=True)))


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
