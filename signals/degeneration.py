"""Degeneration: an answer that is broken as a text, whatever it says.

The score is the worst of three findings:

=========== =============================================================================================
empty       1.0 where the answer is known to be without text, calls no tool and did not fail
cut_off     0.6 where the model ran into its length limit, 0.7 where a content filter stopped it
repeating   0..1: the share of the answer that loops, see :func:`repetition`
=========== =============================================================================================

Sees: silence, a cut end that the finish reason tells, words and phrases in a loop, in any script. Cannot see: nonsense
that never repeats, a cut end without its finish reason, an answer that repeats the question or an earlier answer;
refrains, tables and code are left out up to a share of repeated phrases, so short loops in them are, too; rows of equal
numbers (a matrix of zeros) are a loop to it. A text beyond
TEXT_CHARS_MAX is judged by its end. Range 0 (whole) .. 1 (broken). Abstains where the text is unknown, and where there
rightly is none (a tool call, a failed request). Cost: a few comparisons of the answer's words with themselves; no
model. Source: own rules; tried on own and public answers (``bench/quality/others.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from signals.batch import Batch, Costly, each
from signals.types import Abstention, Bools, Embeddings, Exchange, ScoreColumn, ScoreSpec, Side
from signals.words import word_places, words

EMPTY = 1.0
CUT_OFF = 0.6
FILTERED = 0.7
_CUT_OFF_REASONS = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
_FILTERED_REASONS = frozenset({"content_filter", "content_filtered", "safety"})

TEXT_CHARS_MAX = 65_536  # the end of a longer answer is judged: loops do not stop by themselves
WORD_PERIODS = range(1, 65)
WORD_REPEATS_MIN = 4
WORD_LOOP_MIN = 12  # words; a refrain is no loop
CHARACTER_PERIODS = range(1, 5)
CHARACTER_REPEATS_MIN = 24
CHARACTER_LOOP_MIN = 48
DIVIDER_CHARS_MAX = 200
DIVIDERS_FREE = 4  # more than there are words, and by so many, divide nothing
PHRASE_WORDS = 8
PHRASE_TEXT_MIN = 64  # words
PHRASE_SHARE_FREE, PHRASE_SHARE_FULL = 0.3, 0.8  # tables and code repeat phrases up to the first; beyond the second: 1

_DIVIDER = re.compile(r"([-=_*~#.+|:/·•—–─━═╌┄█▓▒░▬])\1{7,}")


class Degeneration:
    """``degeneration`` of the output: 0 whole, 1 empty or nothing but a loop."""

    name = "degeneration"
    specs = (ScoreSpec(signal="degeneration", side=Side.OUTPUT, version="2"),)
    costly = Costly.NO

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        return (each(self.specs[0], batch.exchanges, _score),)

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors
        return ()


def findings(exchange: Exchange) -> dict[str, float] | None:
    """The named findings, each 0..1; None where there is nothing to judge."""
    if exchange.output is None:
        return None
    if not exchange.output or exchange.output.isspace():
        return None if exchange.tool_calls or exchange.failed else {"empty": EMPTY}
    reason = (exchange.finish_reason or "").casefold()
    cut_off = CUT_OFF if reason in _CUT_OFF_REASONS else FILTERED if reason in _FILTERED_REASONS else 0.0
    return {"empty": 0.0, "cut_off": cut_off, "repeating": repetition(exchange.output)}


def repetition(text: str) -> float:
    """The share of ``text`` that loops, 0..1, in any script.

    The greatest of: words inside a unit of up to 64 words said at least 4 times in a row; characters inside a unit of
    up to 4 said at least 24 times in a row, lines that divide a text left out; phrases of 8 words said before, from
    30% (0) to 80% (1) of all phrases, which sees whole paragraphs that come again.
    """
    text = text[-TEXT_CHARS_MAX:]
    known: dict[str, int] = {}
    said = np.array([known.setdefault(word, len(known)) for word in words(text)], dtype=np.int64)
    characters = np.frombuffer(
        "".join(_undivided(text, len(said)).split()).encode("utf-32-le", "surrogatepass"), dtype=np.uint32
    )
    again, most = _repeats(said)
    return max(
        _share(_in_loops(said, WORD_PERIODS, WORD_REPEATS_MIN, WORD_LOOP_MIN)) if most >= WORD_REPEATS_MIN else 0.0,
        _share(_in_loops(characters, CHARACTER_PERIODS, CHARACTER_REPEATS_MIN, CHARACTER_LOOP_MIN)),
        _said_before(said) if again > PHRASE_SHARE_FREE * (len(said) - PHRASE_WORDS + 1) else 0.0,
    )


def repeated_places(text: str) -> list[tuple[int, int]]:
    """Where ``text`` loops or says again what it said before, in order and apart; for marks."""
    skipped = max(0, len(text) - TEXT_CHARS_MAX)
    known: dict[str, int] = {}
    places = list(word_places(text[skipped:]))
    said = np.array([known.setdefault(word, len(known)) for word, _, _ in places], dtype=np.int64)
    again = _in_loops(said, WORD_PERIODS, WORD_REPEATS_MIN, WORD_LOOP_MIN) | _in_phrases_again(said)
    if not again.any():
        places = [(letter, at, at + 1) for at, letter in enumerate(text[skipped:]) if not letter.isspace()]
        letters = np.array([ord(letter) for letter, _, _ in places], dtype=np.uint32)
        again = _in_loops(letters, CHARACTER_PERIODS, CHARACTER_REPEATS_MIN, CHARACTER_LOOP_MIN)
    edges = np.flatnonzero(np.diff(again, prepend=False, append=False))
    return [
        (skipped + places[first][1], skipped + places[end - 1][2])
        for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]


def _undivided(text: str, words_count: int) -> str:
    """``text`` without the lines of signs that divide it, as long as there are words between them."""
    runs = [len(found[0]) for found in _DIVIDER.finditer(text)]
    if not runs or not words_count or len(runs) > words_count + DIVIDERS_FREE or max(runs) > DIVIDER_CHARS_MAX:
        return text
    return _DIVIDER.sub(" ", text)


def _repeats(said: npt.NDArray[np.int64]) -> tuple[int, int]:
    """How many runs of three words came before, and how often the most frequent one comes.

    A loop says one of them as often as its unit, and a phrase that comes again brings one at each of its places: where
    these are few there is nothing to search for, and in most answers they are.
    """
    if len(said) < WORD_LOOP_MIN:
        return 0, 0
    size = int(said.max()) + 1
    _, counts = np.unique((said[:-2] * size + said[1:-1]) * size + said[2:], return_counts=True)
    return len(said) - 2 - len(counts), int(counts.max())


def _in_loops(
    units: npt.NDArray[np.int64] | npt.NDArray[np.uint32], periods: Iterable[int], repeats: int, least: int
) -> Bools:
    """Which ``units`` are inside runs that equal themselves ``period`` earlier, often and long enough."""
    n = len(units)
    inside = np.zeros(n, dtype=np.bool_)
    for period in periods:
        span = max(period * repeats, least)
        if span > n:
            break  # and so is that of every longer period
        equal = units[period:] == units[:-period]
        if np.count_nonzero(equal) < span - period:
            continue
        edges = np.flatnonzero(np.diff(equal, prepend=False, append=False))
        starts, ends = edges[::2], edges[1::2] + period  # of the run with its first unit
        for start, end in zip(starts, ends, strict=True):
            if end - start >= span:
                inside[start:end] = True
    return inside


def _share(inside: Bools) -> float:
    return float(inside.mean()) if len(inside) else 0.0


def _in_phrases_again(said: npt.NDArray[np.int64]) -> Bools:
    """Which words are inside phrases that were said before, where these are more than tables and code have."""
    inside = np.zeros(len(said), dtype=np.bool_)
    if _said_before(said) > 0:
        seen: set[bytes] = set()
        for at, phrase in enumerate(np.lib.stride_tricks.sliding_window_view(said, PHRASE_WORDS)):
            inside[at : at + PHRASE_WORDS] |= phrase.tobytes() in seen
            seen.add(phrase.tobytes())
    return inside


def _said_before(said: npt.NDArray[np.int64]) -> float:
    if len(said) < PHRASE_TEXT_MIN:
        return 0.0
    phrases = np.lib.stride_tricks.sliding_window_view(said, PHRASE_WORDS)
    distinct = len({phrase.tobytes() for phrase in phrases})
    share = 1 - distinct / len(phrases)
    return float(np.clip((share - PHRASE_SHARE_FREE) / (PHRASE_SHARE_FULL - PHRASE_SHARE_FREE), 0.0, 1.0))


def _score(exchange: Exchange) -> float | Abstention:
    found = findings(exchange)
    return Abstention.NO_TEXT if found is None else max(found.values())
