"""Reads JSON that was cut off: the value as far as it arrived, without recursion."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

DEPTH_MAX: Final = 64
_TOKEN = re.compile(r'\s*(?:([\[{\]},:])|"((?:[^"\\]+|\\.)*+)("?)|([^\s\[\]{},:"]+))', re.DOTALL)
_HALF_PAIR_CHARS = 12  # the longest escape is a surrogate pair
_MISSING: Final = object()


def parse_prefix(text: str) -> tuple[Any, bool] | None:
    """The value that ``text`` begins, and whether it was cut; None where ``text`` is no beginning of any JSON.

    A cut string keeps what arrived of it, a cut number or key is dropped, and what nests deeper than DEPTH_MAX counts
    as cut there.
    """
    return _Parser(text).run()


class _Parser:
    """A stack of open lists and objects; ``keys`` holds the pending key of each, None in a list."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.root: Any = _MISSING
        self.open: list[Any] = []
        self.keys: list[Any] = []
        self.comma = True  # a value may follow
        self.cut = False

    def run(self) -> tuple[Any, bool] | None:
        position = 0
        while (token := _TOKEN.match(self.text, position)) is not None:
            position = token.end()
            if self.root is not _MISSING and not self.open:
                return None  # something follows the value
            at_end = position == len(self.text)
            if not self._take(token, at_end):
                return None
            if len(self.open) > DEPTH_MAX:
                return self.root, True
        rest = self.text[position:].strip()
        if self.root is _MISSING or rest not in ("", "\\"):  # a lone backslash is the first half of an escape
            return None
        return self.root, bool(self.open) or self.cut

    def _take(self, token: re.Match[str], at_end: bool) -> bool:
        mark, string, closed, word = token.groups()
        if mark is not None:
            return self._mark(mark)
        if string is not None:
            self.cut = not closed
            return self._string(string, bool(closed))
        if at_end and self.open:
            return True  # a number or literal at the very end may go on
        value = _word(word)
        return value is not _MISSING and self._put(value)

    def _mark(self, mark: str) -> bool:
        if mark in "[{":
            value: Any = [] if mark == "[" else {}
            if not self._put(value):
                return False
            self.open.append(value)
            self.keys.append(_MISSING if mark == "{" else None)
            self.comma = True
            return True
        if not self.open:
            return False
        if mark == ",":
            if self.comma or (isinstance(self.open[-1], dict) and self.keys[-1] is not _MISSING):
                return False
            self.comma = True
            return True
        if mark == ":":
            return isinstance(self.open[-1], dict) and self.keys[-1] is not _MISSING
        if isinstance(self.open[-1], list) != (mark == "]"):
            return False
        self.open.pop()
        self.keys.pop()
        self.comma = False
        return True

    def _string(self, string: str, closed: bool) -> bool:
        if self.open and isinstance(self.open[-1], dict) and self.keys[-1] is _MISSING:
            if not self.comma:
                return False
            if closed:
                self.keys[-1] = _unescape(string)
            return True
        return self._put(_unescape(string))

    def _put(self, value: Any) -> bool:
        if not self.open:
            self.root = value
            return True
        top = self.open[-1]
        if not self.comma:
            return False
        if isinstance(top, list):
            top.append(value)
        else:
            if self.keys[-1] is _MISSING:
                return False
            top[self.keys[-1]] = value
            self.keys[-1] = _MISSING
        self.comma = False
        return True


def _unescape(string: str) -> str:
    if "\\" not in string:
        return string
    for kept in range(len(string), max(len(string) - _HALF_PAIR_CHARS, 0) - 1, -1):  # its last escape may be cut
        try:
            return str(msgspec.json.decode(f'"{string[:kept]}"'))
        except (msgspec.DecodeError, UnicodeError):
            continue
    return string


def _word(word: str) -> Any:
    try:
        return msgspec.json.decode(word)
    except (msgspec.DecodeError, UnicodeError):
        return _MISSING
