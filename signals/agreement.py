"""Self-agreement: how much the answers that one request brought (``n`` above 1) differ from each other.

The mean distance of all pairs: ``1 - cos`` of their vectors; of short answers (up to SHORT_WORDS words), which the
encoder tells apart poorly, 0 where their words are the same and at least DIFFERENT where they are not ("42" and "17").
After SelfCheckGPT (Manakul et al. 2023): what a model knows it says alike, what it makes up differs.

Sees: answers that drift apart in topic or, if short, in words. Cannot see: a mistake that all answers share; a changed
number or "not" in long answers; different wishes ("write a poem") differ rightly. Range 0 (all alike) .. 1. Abstains
without an answer, and as not applicable where there is only one.

Repeated questions: a column of a call may not depend on which other calls share its batch, so the suite compares the
answers of one call only. Over a file, :func:`repeats` compares the answers to equal questions.
Cost: each further answer is encoded once; requests with n above 1 are rare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from signals.batch import Batch, Costly, column
from signals.encoder import Encoder
from signals.types import Abstention, Embeddings, Exchange, Floats, ScoreColumn, ScoreSpec, Side
from signals.words import words

OUTPUTS_MAX = 16  # of a call; more are not compared
SHORT_WORDS = 12
DIFFERENT = 0.5


class Agreement:
    """``disagreement`` of the output: 0 the answers of a call say the same, 1 they have nothing in common."""

    name = "disagreement"
    costly = Costly.FURTHER_TEXTS

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.specs = (ScoreSpec(signal="disagreement", side=Side.OUTPUT, version=f"1-{encoder.version}"),)

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        answers = [_answers(exchange) for exchange in batch.exchanges]
        codes = batch.abstentions(Side.OUTPUT).copy()
        few = np.array([len(said) < 2 for said in answers], dtype=np.bool_)
        codes[(codes != Abstention.NO_TEXT) & few] = Abstention.NOT_APPLICABLE
        chosen = [answers[row] for row in np.flatnonzero(codes == Abstention.NONE)]
        return (column(self.specs[0], codes, disagreements(chosen, self._encoder)),)

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors of its own
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A question that was asked more than once."""

    rows: tuple[int, ...]  # which exchanges asked it
    disagreement: float


def disagreements(groups: Sequence[Sequence[str]], encoder: Encoder) -> Floats:
    """The mean distance of the pairs in each group of at least two answers, shape (groups,)."""
    texts = list(dict.fromkeys(text for group in groups for text in group))
    if not texts:
        return np.zeros(0, dtype=np.float32)
    vectors = dict(zip(texts, encoder.encode(texts).mean(), strict=True))
    return np.array(
        [np.mean([_distance(a, b, vectors) for a, b in combinations(group, 2)]) for group in groups], dtype=np.float32
    )


def repeats(exchanges: Sequence[Exchange], encoder: Encoder) -> list[Repeat]:
    """Questions asked more than once (equal but for case and spaces), and how much their answers differ; for files."""
    rows: dict[str, list[int]] = {}
    for row, exchange in enumerate(exchanges):
        if exchange.input and exchange.output and not exchange.output.isspace():
            rows.setdefault(" ".join(exchange.input.casefold().split()), []).append(row)
    asked = [found for found in rows.values() if len(found) > 1]
    found = disagreements([[exchanges[row].output or "" for row in group[:OUTPUTS_MAX]] for group in asked], encoder)
    return [
        Repeat(rows=tuple(group), disagreement=float(value)) for group, value in zip(asked, found.tolist(), strict=True)
    ]


def _answers(exchange: Exchange) -> tuple[str, ...]:
    return tuple(text for text in exchange.outputs[:OUTPUTS_MAX] if text and not text.isspace())


def _distance(left: str, right: str, vectors: dict[str, Floats]) -> float:
    apart = float(np.clip(1 - (vectors[left] * vectors[right]).sum(), 0, 1))
    said = words(left), words(right)
    if max(map(len, said)) > SHORT_WORDS:
        return apart
    return 0.0 if said[0] == said[1] else max(apart, DIFFERENT)
