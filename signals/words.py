"""Words of any script, for the signals that compare texts without a model."""

from __future__ import annotations

import re
import unicodedata

# Scripts written without spaces: there each character is a word, and pairs of them carry what words carry elsewhere.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_MARKS = "\u0300-\u036f\u0900-\u0dff"  # vowel signs and accents that are no word characters to the regex engine
_WORD = re.compile(rf"[{_UNSPACED}]|(?:[^\W_{_UNSPACED}]|[{_MARKS}])+")

_ASCII_WORD = re.compile("[0-9a-z]+")  # the same, several times faster


def words(text: str) -> list[str]:
    """Words folded in case and width, punctuation left out; a character where the script has no spaces."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
