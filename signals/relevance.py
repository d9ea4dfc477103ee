"""Relevance: whether the answer speaks of what the question asked.

``1 / (1 + exp(SLOPE * (cos - HALF)))`` of the cosine between the mean vectors of question and answer. The two
constants are a logistic regression of own against exchanged answers (HaluEval requests and mtRAG), shifted to one
exchanged answer in five.

Sees: an answer about something else. Cannot see: whether it is right, complete or in the asked form; an answer that
repeats the question is the most relevant of all; of two answers on the topic it does not know the better one (chance
on LLMBar's adversarial sets). Small talk, puzzles and terse answers have little in common with their questions, and
short answers are left out. Languages other than English are read poorly by the encoder.
Range 0 (about the same) .. 1 (about something else). Abstains without an answer; as not applicable without a question
or with an answer of fewer than WORDS_MIN words. Cost: one dot product of vectors that are there anyway.
Source: own; ``bench/quality/others.py`` measures it.
"""

from __future__ import annotations

import numpy as np

from signals.batch import Batch, Costly, column
from signals.types import Abstention, Embeddings, Floats, ScoreColumn, ScoreSpec, Side
from signals.words import words

SLOPE, HALF = 15.0, 0.17
WORDS_MIN = 4
_GLANCE_CHARS = 400  # in which WORDS_MIN words must stand


class Relevance:
    """``relevance`` of the output: 0 on the topic of the question, 1 far from it."""

    name = "relevance"
    costly = Costly.SHARED_PASS

    def __init__(self, encoder_version: str) -> None:
        self.specs = (ScoreSpec(signal="relevance", side=Side.OUTPUT, version=f"1-{encoder_version}"),)

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        asked, codes = batch.abstentions(Side.INPUT), batch.abstentions(Side.OUTPUT).copy()
        answered = np.flatnonzero(codes != Abstention.NO_TEXT)
        for row in answered:
            output = batch.exchanges[int(row)].output or ""
            if asked[row] == Abstention.NO_TEXT or len(words(output[:_GLANCE_CHARS])) < WORDS_MIN:
                codes[row] = Abstention.NOT_APPLICABLE
        rows = np.flatnonzero(codes == Abstention.NONE)
        pairs = _rows(batch, Side.INPUT)[rows] * _rows(batch, Side.OUTPUT)[rows]
        return (column(self.specs[0], codes, 1 / (1 + np.exp(SLOPE * (pairs.sum(1) - HALF)))),)

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors of its own
        return ()


def _rows(batch: Batch, side: Side) -> Floats:
    """The mean vector of each exchange's text, shape (n, d); zeros where it has none."""
    means = batch.encoded(side).mean()
    rows = np.zeros((len(batch), means.shape[1]), dtype=np.float32)
    rows[batch.abstentions(side) == Abstention.NONE] = means
    return rows
