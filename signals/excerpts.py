"""Excerpts: a short piece of a text that people may see, without the personal data and secrets that were found in it.

The order is what makes it safe: the whole text is searched, every find is replaced by its kind in brackets, and only
then a piece is cut out, so that no cut leaves half a secret. The piece is searched again, since a cut can make a number
of a longer one. What may be a beginning that the text's own end cut off is taken out (``pii/begun.py``); of a text that
is known to be cut, all of its end. Marks are moved along through all of it.

Sees what ``pii`` sees, and no more: names, addresses and stories of people stay. Encoded texts (base64, hexadecimal)
are taken out whole. For the reader's eye invisible characters, direction marks, control characters and piles of
combining marks are left out; look-alike letters stay as they came.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

from signals.marks import Mark
from signals.normalise import INVISIBLE, coded, plain, unseen
from signals.pii import cover
from signals.pii.begun import begun, last_run

READ_CHARS_MAX = 65_536  # of a text; what lies beyond is never shown
TAIL_CHARS = 64  # as long as anything with spaces in it that the finders know
ENCODED, HIDDEN, CUT = "ENCODED", "INVISIBLE", "CUT"
_ROUNDS_MAX = 3
_SNAP_CHARS = 24  # a cut moves as far to lie between words
_COMBINING = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_UNTIDY = re.compile(
    rf"(?P<nothing>{INVISIBLE.pattern}|(?<=[{_COMBINING}]{{2}})[{_COMBINING}]+|(?<=\n\n)\n+)"
    r"|(?P<line>\r\n?|[\v\f\x85\u2028\u2029])"
    r"|(?P<unknown>[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff])"
)
_TIDIED = {"nothing": "", "line": "\n", "unknown": "\ufffd"}


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A piece of a text. ``marks`` and ``taken`` lie in it, in order, and no two of them overlap."""

    text: str
    marks: tuple[Mark, ...] = ()
    taken: tuple[Mark, ...] = ()  # where something was taken out; ``why`` is its kind, which stands there in brackets
    cut_before: bool = False
    cut_after: bool = False


class Redacted:
    """A text after redaction, from which excerpts are cut. ``whole``: nobody has cut the text before."""

    def __init__(self, text: str, *, whole: bool = True) -> None:
        read = text[:READ_CHARS_MAX]
        self._cut = not whole or len(read) < len(text)
        end = _end(read) if self._cut else len(read)
        self._edited = _Edited(read, [*_edits(read, _taken(read, end), end), _Edit(end, len(read), "", None)])

    def excerpt(self, marks: Sequence[Mark], chars_max: int, *, finds: bool = False) -> Excerpt | None:
        """The piece of at most ``chars_max`` characters that shows most of what is marked, else the beginning.

        ``finds``: what was taken out counts as marked. None where nothing of the text is left, or where its pieces go
        on to look like secrets. What only the second search takes out may make the piece a little longer.
        """
        edited = self._edited
        moved = [Mark(*edited.place(mark.start, mark.end), mark.why) for mark in marks]
        points = [mark for mark in moved if mark.end > mark.start] + edited.taken * finds
        start, end = _window(edited.text, points, chars_max)
        start, end = _snapped(edited, start, end)
        piece = _searched_again(
            Excerpt(
                text=edited.text[start:end],
                marks=tuple(_within(moved, start, end)),
                taken=tuple(_within(edited.taken, start, end)),
                cut_before=start > 0,
                cut_after=end < len(edited.text) or self._cut,
            )
        )
        return _apart(piece) if piece and piece.text.strip() else None


class _Edit(NamedTuple):
    """``text[start:end]`` becomes ``new``; ``taken`` names what was there, None for what nobody misses."""

    start: int
    end: int
    new: str
    taken: str | None


class _Edited:
    """A text after its edits, and where a place of it has gone."""

    def __init__(self, text: str, edits: Sequence[_Edit]) -> None:
        pieces, length, done = [], 0, 0
        self._edits, self._starts, self._places = edits, [edit.start for edit in edits], []
        for edit in edits:
            pieces += [text[done : edit.start], edit.new]
            self._places.append(length + edit.start - done)
            length, done = self._places[-1] + len(edit.new), edit.end
        self.text = "".join([*pieces, text[done:]])
        self.taken = [
            Mark(place, place + len(edit.new), edit.taken)
            for place, edit in zip(self._places, edits, strict=True)
            if edit.taken
        ]

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where ``text[start:end]`` is now, with all that replaces a part of it; empty where nothing does."""
        return (
            self._moved(start, bisect_right(self._starts, start) - 1, inside=False),
            self._moved(end, bisect_left(self._starts, end) - 1, inside=True),
        )

    def _moved(self, position: int, at: int, *, inside: bool) -> int:
        if at < 0:
            return position
        edit, place = self._edits[at], self._places[at]
        if position < edit.end and not inside:
            return place
        return place + len(edit.new) + max(0, position - edit.end)


def _end(text: str) -> int:
    """Where what may be shown of a text ends that was cut at its end."""
    return max(0, min(last_run(text), len(text) - TAIL_CHARS))


def _taken(text: str, end: int) -> list[_Edit]:
    """What is to be taken out before ``end``, in order and apart."""
    bare = plain(text)
    found = [
        *((*run.span(), HIDDEN) for run in INVISIBLE.finditer(text) if unseen(run[0])),
        *((span.start, span.end, span.kind.value) for span in cover(text)),
        *((*bare.span(*place), ENCODED) for place in coded(bare.text)),
    ]
    if (start := begun(text)) is not None:
        found.append((start, len(text), CUT))
    joined: list[_Edit] = []
    for start, stop, kind in sorted(found, key=lambda each: each[0]):  # of two that begin together the first names both
        if start >= end:
            break
        if joined and start < joined[-1].end:
            joined[-1] = joined[-1]._replace(end=min(end, max(stop, joined[-1].end)))
        else:
            joined.append(_Edit(start, min(end, stop), f"[{kind}]", kind))
    return joined


def _edits(text: str, taken: Sequence[_Edit], end: int) -> Iterator[_Edit]:
    """What is taken out, and between that what is tidied, up to ``end``."""
    done = 0
    for edit in taken:
        yield from _tidied(text, done, edit.start)
        yield edit
        done = edit.end
    yield from _tidied(text, done, end)


def _tidied(text: str, start: int, end: int) -> Iterator[_Edit]:
    for found in _UNTIDY.finditer(text, start, end):
        yield _Edit(*found.span(), _TIDIED[found.lastgroup or "nothing"], None)


def _window(text: str, points: Sequence[Mark], chars_max: int) -> tuple[int, int]:
    """The stretch of ``chars_max`` that holds most of the points, measured in characters; of two the first."""
    if len(text) <= chars_max:
        return 0, len(text)
    points = sorted(points)
    starts, ends = [point.start for point in points], sorted(point.end for point in points)
    held = [0, *accumulate(point.end - point.start for point in points)]
    best, begin = 0, 0
    for point in points:
        left = max(0, min(point.start - chars_max // 4, len(text) - chars_max))
        holds = held[bisect_right(ends, left + chars_max)] - held[bisect_left(starts, left)]
        if holds > best:
            best, begin = holds, left
    return begin, begin + chars_max


def _snapped(edited: _Edited, start: int, end: int) -> tuple[int, int]:
    """A little narrower, between words, and through nothing that stands for something taken out."""
    text = edited.text
    for taken in edited.taken:
        if taken.start < start < taken.end:
            start = taken.end
        if taken.start < end < taken.end:
            end = taken.start
    fixed = {at for taken in edited.taken for at in range(max(start, taken.start), min(end, taken.end))}

    def spaces(low: int, high: int) -> list[int]:
        return [at for at in range(max(low, start), min(high, end)) if text[at].isspace() and at not in fixed]

    if start:
        start = next((at + 1 for at in spaces(start, start + _SNAP_CHARS)), start)
    if end < len(text):
        end = next(reversed(spaces(end - _SNAP_CHARS, end)), end)
    return start, max(start, end)


def _within(marks: Iterable[Mark], start: int, end: int) -> Iterator[Mark]:
    """Those of the piece, by its own positions."""
    for mark in marks:
        left, right = max(mark.start, start), min(mark.end, end)
        if left < right:
            yield Mark(left - start, right - start, mark.why)


def _searched_again(piece: Excerpt) -> Excerpt | None:
    """The piece with what a second search finds taken out too; None where there is no end of it."""
    for _ in range(_ROUNDS_MAX):
        found = cover(piece.text)
        if not found:
            return piece
        edits = [_Edit(span.start, span.end, f"[{span.kind}]", span.kind.value) for span in found]
        edited = _Edited(piece.text, edits)
        kept = (Mark(*edited.place(mark.start, mark.end), mark.why) for mark in piece.taken)
        piece = replace(
            piece,
            text=edited.text,
            marks=tuple(Mark(*edited.place(mark.start, mark.end), mark.why) for mark in piece.marks),
            taken=tuple(sorted({*kept, *edited.taken})),
        )
    return None


def _apart(piece: Excerpt) -> Excerpt:
    """Marks yield to what was taken out, and to marks before them."""
    taken: list[Mark] = []
    for one in sorted(piece.taken):
        if not taken or one.start >= taken[-1].end:
            taken.append(one)
    marks: list[Mark] = []
    for mark in sorted(piece.marks):
        start = max(mark.start, marks[-1].end if marks else 0)
        for hole in taken:
            if start < hole.end and hole.start < mark.end:
                marks += [Mark(start, hole.start, mark.why)] if start < hole.start else []
                start = hole.end
        marks += [Mark(start, mark.end, mark.why)] if start < mark.end else []
    return replace(piece, marks=tuple(marks), taken=tuple(taken))
