"""The worst part of a text: the piece that a model of whole texts judges highest; for evidence, of single texts.

A text is narrowed down, round by round, with nothing but the model's own verdicts: to a sentence (first to a run of
them, where they are many), then to half of its words, and to half of those; halves overlap, so that one of them holds
whatever a cut would part. It ends where no sentence is judged SENTENCE_HOLDS, or no half WORDS_HOLD times as high as
what it was cut from, or where a half would have fewer than WORDS_MIN words: what is left is what the verdict rests on,
the whole text where it takes all of it. A model of texts says little of a lone word: it may judge a name worse than the
insult beside it.

Cannot see: what no piece shows alone, such as irony; a second bad sentence beside the worst. A script without spaces is
narrowed down to sentences. Cost: two to three times that of the text's own verdict, five for a text of one sentence.
Own method; measured in ``bench/quality/marks.py``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from signals.types import Judge
from signals.words import sentences

CHARS_MAX = 8_192  # of a text; beyond it nothing is looked for
PIECES_MAX = 32  # of one text in one round
ROUNDS_MAX = 16  # more than CHARS_MAX characters need
SENTENCE_HOLDS = 0.5  # it is the worst all the same, and says what it says alone
WORDS_HOLD = 0.9
WORDS_MIN = 3
_WORD = re.compile(r"\S+")

Span = tuple[int, int]


def worst_parts(judge: Judge, texts: Sequence[str]) -> list[Span | None]:
    """Where the worst part of each text lies; all of it where no piece is as bad, None where it lies beyond CHARS_MAX.

    A round is one call of ``judge``, and raises what that raises.
    """
    parts = [_bare(text, (0, len(text))) for text in texts]
    going = list(range(len(texts)))
    for _ in range(ROUNDS_MAX):
        cut = {at: pieces for at in going if (pieces := _pieces(texts[at], parts[at])).spans}
        if not cut:
            break
        asked = [texts[at][slice(*span)] for at, (spans, _) in cut.items() for span in (parts[at], *spans)]
        verdicts = iter(judge(asked).tolist())
        going = []
        for at, (spans, holds) in cut.items():
            whole, *found = [next(verdicts) for _ in range(1 + len(spans))]
            if max(found) >= holds * whole:
                parts[at] = spans[found.index(max(found))]
                going.append(at)
    return [part if part[1] - part[0] <= CHARS_MAX else None for part in parts]


class _Pieces(NamedTuple):
    """What a part is cut into, in order, and how much of its verdict one of them must hold to go on with."""

    spans: list[Span]
    holds: float


def _pieces(text: str, part: Span) -> _Pieces:
    """Of a part that is short enough there are none."""
    start, end = part
    if end - start > CHARS_MAX:
        return _Pieces([_bare(text, (start, start + CHARS_MAX))], WORDS_HOLD)
    said = [_bare(text, (start + left, start + right)) for left, right in sentences(text[start:end])]
    said = [(left, right) for left, right in said if left < right]
    if len(said) > 1:
        run = -(-len(said) // PIECES_MAX)
        runs = [(said[at][0], said[at : at + run][-1][1]) for at in range(0, len(said), run)]
        return _Pieces(runs, SENTENCE_HOLDS)
    words = [found.span() for found in _WORD.finditer(text, start, end)]
    half = -(-len(words) // 2)
    if half < WORDS_MIN:
        return _Pieces([], WORDS_HOLD)
    begins = sorted({0, (len(words) - half) // 2, len(words) - half})
    return _Pieces([(words[at][0], words[at + half - 1][1]) for at in begins], WORDS_HOLD)


def _bare(text: str, span: Span) -> Span:
    """Without the spaces around it."""
    piece = text[slice(*span)]
    left = span[0] + len(piece) - len(piece.lstrip())
    return left, max(left, span[0] + len(piece.rstrip()))
