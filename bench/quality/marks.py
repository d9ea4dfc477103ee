"""Marks of evidence: whether the part of a text that toxicity marks is the toxic one.

No public set here says where in a text it is toxic, so texts are mixed: one toxic sentence of a labelled set, of rows
that the weights were not fitted on, among sentences of assistants' answers that are taken as harmless; and the same
between two of them in one sentence, where no full stop shows the way. A mark is right where it touches the toxic
sentence. The word list marks the first word that it holds. Most of these mixes as a whole are no warning (a short
insult in a long calm window is diluted): what is measured is the pointing alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.heads.toxicity import CLEAN, FITTED, NEVER_FITTED, SEEN, hash_of
from bench.measures import Scores, interval, read_set
from bench.quality.rows import Row
from bench.quality.toxicity import HEAD
from signals.encoder import Encoder
from signals.toxicity import ToxicityHead
from signals.types import Floats, Judge
from signals.worst import Span, worst_parts

SEED = 0
SENTENCES = (4, 20)  # of a mix, one of them toxic
EACH_MAX = 100  # sentences of one set
WORDS = range(5, 31)  # of a sentence
OTHER_CLEAN = "mtrag_human"
_END = re.compile(r"(?<=[.!?])\s+|\n+")
_row = partial(Row, family="marks")


class Mix(NamedTuple):
    """``text[start:end]`` is toxic, the rest is not."""

    text: str
    start: int
    end: int


def measure(data: Path) -> Iterator[Row]:
    """Rows of the quality table; the folder holds the sets by their names."""
    encoder = Encoder(device="cpu")
    try:
        yield from _measured(ToxicityHead(encoder).judges["toxicity"], data)
    finally:
        encoder.close()


def _measured(judge: Judge, data: Path) -> Iterator[Row]:
    rng, seen = random.Random(SEED), set(np.load(SEEN).tolist())
    calm = [row["response"] for row in read_set(CLEAN, data)] + [row["response"] for row in read_set(OTHER_CLEAN, data)]
    clean = list(dict.fromkeys(said for text in calm if hash_of(text) not in seen for said in _sentences(text)))
    toxic: dict[str, list[str]] = {}
    for name in (*FITTED, *NEVER_FITTED):
        texts = [row["text"] for row in read_set(name, data) if row["label"] and hash_of(row["text"]) not in seen]
        alone = [said for text in texts if not _END.search(text.strip()) for said in _sentences(text)]
        toxic[name] = rng.sample(alone, min(EACH_MAX, len(alone)))
    pooled = [said for some in toxic.values() for said in some]
    for n in SENTENCES:
        yield from _judged(f"one toxic of {n} sentences", [_mixed(said, clean, n, rng) for said in pooled], judge)
    yield from _judged("one toxic of three parts of a sentence", [_inside(said, clean, rng) for said in pooled], judge)
    for name, some in toxic.items():
        mixes = [_mixed(said, clean, SENTENCES[-1], rng) for said in some]
        yield from _judged(f"{name}, one toxic of {SENTENCES[-1]} sentences", mixes, judge, brief=True)


def _judged(on: str, mixes: Sequence[Mix], judge: Judge, *, brief: bool = False) -> Iterator[Row]:
    read = _Read(judge)
    texts = [mix.text for mix in mixes]
    parts = worst_parts(read, texts)
    row = partial(_row, on=on, n=len(mixes))
    yield _share(row, HEAD, _touching(parts, mixes))
    yield _share(row, "better-profanity", _touching(list(map(_listed, texts)), mixes), baseline=True)
    if not brief:
        lengths = [len(text[slice(*part)].split()) for text, part in zip(texts, parts, strict=True) if part]
        yield row(who=HEAD, measure="words marked, median", value=float(np.median(lengths)))
        yield row(who=HEAD, measure="characters read for one", value=read.characters / sum(map(len, texts)))


def _share(row: Callable[..., Row], who: str, right: Scores, *, baseline: bool = False) -> Row:
    low, high = interval(right > 0, right, lambda _, scores: float(scores.mean()))
    return row(who=who, measure="marks the toxic one", value=float(right.mean()), low=low, high=high, baseline=baseline)


def _touching(parts: Sequence[Span | None], mixes: Sequence[Mix]) -> Scores:
    """1 where a part lies in the toxic sentence by more than half, else 0."""
    inside = [
        0 if part is None else (min(part[1], mix.end) - max(part[0], mix.start)) / (part[1] - part[0])
        for part, mix in zip(parts, mixes, strict=True)
    ]
    return np.array([float(share > 0.5) for share in inside])


def _mixed(said: str, clean: Sequence[str], n: int, rng: random.Random) -> Mix:
    others = rng.sample(clean, n - 1)
    at = rng.randrange(n)
    said = said if said[-1] in ".!?" else f"{said}."
    before = "".join(f"{other} " for other in others[:at])
    return Mix(" ".join([*others[:at], said, *others[at:]]), len(before), len(before) + len(said))


def _inside(said: str, clean: Sequence[str], rng: random.Random) -> Mix:
    before, bare, after = (each.rstrip(".!?") for each in (rng.choice(clean), said, rng.choice(clean)))
    return Mix(f"{before}, {bare}, {after}", len(before) + 2, len(before) + 2 + len(bare))


def _sentences(text: str) -> list[str]:
    """Those of a usual length."""
    said = (" ".join(part.split()) for part in _END.split(text.strip()))
    return [part for part in said if len(part.split()) in WORDS]


class _Read:
    """Counts what a judge is asked."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self.characters = 0

    def __call__(self, texts: Sequence[str]) -> Floats:
        self.characters += sum(map(len, texts))
        return self._judge(texts)


def _listed(text: str) -> Span | None:
    """The first word that better-profanity's list holds."""
    found = (word.span() for word in re.finditer(r"[^\s.,!?;:\"'()]+", text) if word[0].lower() in _words_listed())
    return next(found, None)


@cache
def _words_listed() -> frozenset[str]:
    from better_profanity import profanity  # noqa: PLC0415 - the extra `bench`

    profanity.load_censor_words()
    return frozenset(str(word) for word in profanity.CENSOR_WORDSET)
