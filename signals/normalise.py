"""Evasive text made plain: what hides from a reader of characters is undone, counted, and can be traced back.

Signals that compare words or digits read the plain text; the encoder reads the text as it came, because that is what
the model read. What is undone:

============= ======================================================================================================
invisible     zero-width, soft-hyphen, direction and variation characters: removed
tag           characters of the Unicode tag block, which no one sees and models read: removed, and read as a payload
compatible    full-width, mathematical, circled, raised letters and digits: NFKC
stacked       combining marks on ASCII letters and digits: removed
homoglyph     Cyrillic, Greek, Armenian, Cherokee twins of Latin letters inside Latin words: the Latin letter
leetspeak     digits and signs for letters (only in :func:`spelled`)
spaced        letters set apart, "i g n o r e" (only in :func:`spelled`)
encoded       base64 and hexadecimal runs that hold readable text (only in :func:`payloads`)
============= ======================================================================================================

It does not undo rot13 and other ciphers, emoji alphabets, synonyms, misspellings, images of text or other languages.
The look-alikes are the single letters of Unicode's confusables table (UTS #39) that common Latin fonts draw alike.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

TEXT_CHARS_MAX = 262_144  # of a longer text both ends are read, half each
PAYLOADS_MAX = 16
PAYLOAD_CHARS_MAX = 65_536
LEET_CHARS_MAX = 20  # of a word that is read by its signs; longer ones are hashes and keys
PAYLOAD_CHARS_MIN = 24  # encoded; shorter runs are words and identifiers

_LOOKALIKES = dict(
    zip(
        "аАВсСԁеЕғɡҺһНіІїјЈкКӏмМոоОӨрРԛгѕЅтТυԝхХуУүҮαΑΒϲεΕΗιΙκΚΜνΝοΟρΡτΤυΥχΧΖγօսհցՏԼᎪᏴᏟᎬᎻᎫᏦᏞᎷᏢᏒᏚᎢᏙᎳᏃ",
        "aABcCdeEfghhHiIijJkKlmMnoOOpPqrsStTuwxXyYyYaABceEHiIkKMvNoOpPtTuYxXZyouhgSLABCEHJKLMPRSTVWZ",
        strict=True,
    )
)
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0100-\U000e01ef"
)
_TAGS = "\U000e0000-\U000e007f"
_COMPATIBLE = "\u2070-\u209c\u2100-\u214f\u2460-\u24ff\uff01-\uff5e\U0001d400-\U0001d7ff"
_ODD = re.compile(
    rf"(?P<invisible>[{_INVISIBLE}]+)|(?P<tag>[{_TAGS}]+)|(?P<compatible>[{_COMPATIBLE}])"
    rf"|(?P<stacked>(?<=[A-Za-z0-9])[\u0300-\u036f]+)|(?P<homoglyph>[{''.join(_LOOKALIKES)}])"
)
INVISIBLE = re.compile(f"[{_INVISIBLE}{_TAGS}]+")
"""What no one sees."""
_TAG_RUN = re.compile("[\U000e0020-\U000e007e]+")
_WORD = re.compile(rf"[\w{_INVISIBLE}]+")
_LATIN = re.compile("[A-Za-z]")

_LEET = str.maketrans("013457@$|", "oieastasl")
_LEET_WORD = re.compile(r"(?<![\w@$|])(?=[\w@$|]*[A-Za-z])(?=[\w@$|]*[013457@$|])[\w@$|]{3,40}(?![\w@$|])")
_LEET_INSIDE = re.compile(  # a sign between two letters, in a word that is no address, name or path
    r"(?<![\w@$|./:#-])[\w$|]*[A-Za-z][013457@$|]+[A-Za-z](?<!@[A-Za-z])[\w$|]*(?![\w@|/-]|\.\w)"
    r"|(?<![\w@$|./:#-])[A-Za-z]+@[A-Za-z]+(?![\w@|/-]|\.\w)"
)
_SPACED = re.compile(r"(?<!\w)(?:[A-Za-z][ ._*\-]){3,}[A-Za-z](?!\w)")
_BASE64 = re.compile(rf"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{{{PAYLOAD_CHARS_MIN},}}={{0,2}}")
_HEX = re.compile(rf"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{{2}}[ :]?){{{PAYLOAD_CHARS_MIN // 2},}}(?![0-9A-Za-z])")
_READABLE = re.compile(r"[^\W\d_]{2,}")


_NEEDS_ITS_WORD = "\x00?"
_ALONE_MAX = 32  # distinct characters that are replaced one after the other


@dataclass(frozen=True, slots=True)
class Plain:
    """Text without disguise, and where each of its characters came from."""

    text: str
    undone: Mapping[str, int] = field(default_factory=dict)  # kind -> characters undone
    _runs: tuple[tuple[int, int, bool], ...] = ((0, 0, True),)  # start here, start in the original, copied as it was

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where ``text[start:end]``, not empty, lies in the original."""
        return self._origin(start), self._origin(end - 1) + 1

    def _origin(self, position: int) -> int:
        start, origin, copied = self._runs[bisect_right(self._runs, position, key=lambda run: run[0]) - 1]
        return origin + (position - start if copied else 0)


def plain(text: str) -> Plain:
    """``text`` with its disguises undone, except those that :func:`spelled` and :func:`payloads` undo."""
    if text.isascii():
        return Plain(text)
    undone: Counter[str] = Counter()
    pieces: list[str] = []
    runs: list[tuple[int, int, bool]] = []
    length = done = 0
    for start, end, kind, new in _replacements(text):
        for piece, origin, copied in ((text[done:start], done, True), (new, start, False)):
            if piece:
                runs.append((length, origin, copied))
                pieces.append(piece)
                length += len(piece)
        undone[kind] += end - start
        done = end
    if not undone:
        return Plain(text)
    runs.append((length, done, True))
    return Plain("".join([*pieces, text[done:]]), undone, tuple(runs))


def plain_text(text: str) -> str:
    """The same as ``plain(text).text``, several times faster: no disguise reaches over a space."""
    if text.isascii():
        return text
    alone = {character: new for character in set(text) if (new := _alone(character)) is not None}
    if _NEEDS_ITS_WORD in alone.values() or len(alone) > _ALONE_MAX:
        return " ".join(piece if piece.isascii() else plain(piece).text for piece in text.split(" "))
    for character, new in alone.items():
        text = text.replace(character, new)
    return text


@cache
def _alone(character: str) -> str | None:
    """What a character becomes wherever it stands; None where it is as it should be."""
    found = None if character.isascii() else _ODD.match(character)
    if found is None:
        return _NEEDS_ITS_WORD if "\u0300" <= character <= "\u036f" else None
    if found.lastgroup == "compatible":
        new = unicodedata.normalize("NFKC", character)
        return None if new == character else new
    return _NEEDS_ITS_WORD if found.lastgroup == "homoglyph" else ""


def lower(text: str) -> str:
    """In lower case and as long as it was: the one capital that becomes two characters loses its dot first."""
    return text.replace("İ", "I").lower()


def bounded(text: str) -> str:
    """At most TEXT_CHARS_MAX characters: the beginning and the end of a longer text."""
    half = TEXT_CHARS_MAX // 2
    return text if len(text) <= TEXT_CHARS_MAX else f"{text[:half]}\n{text[-half:]}"


def spelled(text: str) -> str:
    """Plain ``text`` with leetspeak and spaced letters written as words; for looking up phrases, not for people."""
    text = _SPACED.sub(lambda found: re.sub(r"[^A-Za-z]", "", found[0]), text)
    return _LEET_WORD.sub(lambda found: found[0].translate(_LEET), text)


def spelled_oddly(text: str) -> bool:
    """Whether plain ``text`` has letters set apart, or a word with a sign between its letters, as if to hide it."""
    return _SPACED.search(text) is not None or any(
        len(found[0]) <= LEET_CHARS_MAX for found in _LEET_INSIDE.finditer(text)
    )


def unseen(text: str) -> list[str]:
    """Readable texts in the tag characters of ``text``: no one writes them by accident, and no one sees them."""
    return [said for run in _TAG_RUN.findall(text) if _says_something(said := _untagged(run))]


def payloads(text: str) -> list[str]:
    """Readable texts hidden in ``text``, as it came: tag characters, base64, hexadecimal; at most PAYLOADS_MAX."""
    return [*unseen(text), *(said for _, _, said in encoded(text))][:PAYLOADS_MAX]


def encoded(text: str) -> list[tuple[int, int, str]]:
    """Start, end and meaning of the base64 and hexadecimal runs that hold readable text; at most PAYLOADS_MAX."""
    found: list[tuple[int, int, str]] = []
    for pattern, decode in ((_BASE64, _base64), (_HEX, _hexadecimal)):
        for match in pattern.finditer(text):
            if len(found) >= PAYLOADS_MAX:
                break
            decoded = decode(match[0][:PAYLOAD_CHARS_MAX])
            if decoded is not None and _says_something(decoded):
                found.append((*match.span(), decoded))
    return found


def coded(text: str) -> list[tuple[int, int]]:
    """Where base64 and hexadecimal runs stand that decode to printable text, in order; they may overlap."""
    found = [
        match.span()
        for pattern, decode in ((_BASE64, _base64), (_HEX, _hexadecimal))
        for match in pattern.finditer(text)
        if (decoded := decode(match[0][:PAYLOAD_CHARS_MAX])) is not None and _printable(decoded)
    ]
    return sorted(found)


def _replacements(text: str) -> Iterator[tuple[int, int, str, str]]:
    disguised = _disguised(text)
    for found in _ODD.finditer(text):
        kind = found.lastgroup or ""
        start, end = found.span()
        if kind == "compatible":
            new = unicodedata.normalize("NFKC", found[0])
            if new != found[0]:
                yield start, end, kind, new
        elif kind == "homoglyph":
            if start in disguised:
                yield start, end, kind, _LOOKALIKES[found[0]]
        else:
            yield start, end, kind, ""


def _disguised(text: str) -> set[int]:
    """Where look-alikes stand in words that have Latin letters and no letter without a Latin twin."""
    if _LATIN.search(text) is None:
        return set()
    return {
        position
        for found in _WORD.finditer(text)
        if not found[0].isascii()
        and _LATIN.search(found[0])
        and all(letter in _LOOKALIKES or letter.isascii() or not letter.isalpha() for letter in found[0])
        for position in range(*found.span())
    }


def _untagged(run: str) -> str:
    return "".join(chr(ord(character) - 0xE0000) for character in run)


def _base64(run: str) -> str | None:
    run = run.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(run[: len(run) - (len(run) % 4 == 1)] + "=" * (-len(run) % 4)).decode()
    except (binascii.Error, ValueError):
        return None


def _hexadecimal(run: str) -> str | None:
    try:
        return bytes.fromhex(run.replace(":", " ")).decode()
    except ValueError:
        return None


def _says_something(text: str) -> bool:
    """Whether it reads as words of people: printable, and several of them."""
    return _printable(text) and len(_READABLE.findall(text)) >= 2


def _printable(text: str) -> bool:
    return sum(character.isprintable() or character.isspace() for character in text) >= 0.95 * len(text)
