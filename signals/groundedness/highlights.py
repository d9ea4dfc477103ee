"""Highlights: which words of an answer its context supports least; a hint for the eye of whoever reads the evidence.

The weight of a word is ``1 - max cos`` of its token states against those of the context (layer 6 of the shared encoder,
the mean over the word's tokens), plus NEW where no word of the context has its stem, plus NUMBER where that word has a
digit; at most 1. Without an encoder a new word weighs 1 and any other 0. Words of grammar are left out.

Sees: invented details, also where a synonym of the context would have done. Cannot see: negation, exchanged roles; it
ranks words and draws no borders of claims. Range 0 (supported) .. 1. Runs on demand and never for every call: it
encodes the whole context. After BERTScore's precision (Zhang et al. 2020); measured on WiCE's tokens
(``bench/quality/groundedness.py``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from signals.groundedness.reading import ANSWER_CHARS_MAX, CONTEXT_CHARS_MAX, STOP_WORDS, Reading, stems
from signals.types import Floats

if TYPE_CHECKING:  # torch stays out of a suite that needs no encoder
    from signals.encoder import Encoder

LAYER = 6
NEW = 0.2
NUMBER = 0.15
_WORD = re.compile(r"\w+")


class Highlight(NamedTuple):
    """A content word of the answer, ``answer[start:end]``."""

    start: int
    end: int
    weight: float


def highlights(answer: str, context: str, encoder: Encoder | None, least: float = 0.0) -> list[Highlight]:
    """The content words of ``answer`` that weigh at least ``least``, in their order; none without a context."""
    answer, context = answer[:ANSWER_CHARS_MAX], context[:CONTEXT_CHARS_MAX]
    if not context.strip():
        return []
    known = Reading(context).known
    words = [found for found in _WORD.finditer(answer) if found[0].lower() not in STOP_WORDS]
    new = [not known.issuperset(stems(Reading(word[0]).text)) for word in words]
    if encoder is None:
        weights = [float(flag) for flag in new]
    else:
        far = _distances([word.span() for word in words], answer, context, encoder)
        weights = [
            min(1.0, distance + flag * (NEW + NUMBER * any(map(str.isdigit, word[0]))))
            for word, flag, distance in zip(words, new, far.tolist(), strict=True)
        ]
    found = (Highlight(*word.span(), weight) for word, weight in zip(words, weights, strict=True))
    return [highlight for highlight in found if highlight.weight >= least]


def _distances(words: list[tuple[int, int]], answer: str, context: str, encoder: Encoder) -> Floats:
    """``1 - max cos`` of each word, the mean over its tokens; 1 for a word without a token."""
    from signals.runtime.states import token_states  # noqa: PLC0415 - torch

    said, read = token_states(encoder, answer, LAYER), token_states(encoder, context, LAYER)
    far = np.ones(len(words), dtype=np.float32)
    if not len(said.spans) or not len(read.spans):
        return far
    tokens = 1 - (said.vectors @ read.vectors.T).max(1)
    for at, (start, end) in enumerate(words):
        inside = (said.spans[:, 0] < end) & (said.spans[:, 1] > start)
        if inside.any():
            far[at] = tokens[inside].mean()
    return np.clip(far, 0, 1)
