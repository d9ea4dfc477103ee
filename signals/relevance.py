"""Relevance: whether the answer speaks of what the question asked.

``1 / (1 + exp(SLOPE * (cos - HALF)))`` of the cosine between the mean vectors of question and answer. The two
constants are a logistic regression of own against exchanged answers (HaluEval requests and mtRAG), shifted to one
exchanged answer in five.

Sees: an answer about something else. Cannot see: whether it is right, complete or in the asked form; an answer that
repeats the question is the most relevant of all; of two answers on the topic it does not know the better one (chance
on LLMBar's adversarial sets). Small talk, puzzles and terse answers have little in common with their questions, and
short answers are left out. Languages other than English are read poorly by the encoder.
Range 0 (about the same) .. 1 (about something else). Abstains without an answer; as not applicable without a question,
with one that names no topic ("Tell me more about it", "Thanks!", "What is in this image?"), since its topic lies in
earlier turns, and with an answer of fewer than WORDS_MIN words. Cost: one dot product of vectors that are there anyway.
Source: own; ``bench/quality/others.py`` measures it.
"""

from __future__ import annotations

import numpy as np

from signals.batch import Batch, Costly, column
from signals.groundedness.reading import STOP_WORDS
from signals.types import Abstention, Embeddings, Floats, ScoreColumn, ScoreSpec, Side
from signals.words import words

SLOPE, HALF = 15.0, 0.17
WORDS_MIN = 4
_GLANCE_CHARS = 400  # in which WORDS_MIN words, and a word of the question's topic, must stand
_POINTING = frozenset(
    """
    tell say go on continue more further elaborate expand explain repeat again rewrite rephrase shorten shorter longer
    summarize summarise summary translate thanks thank ok okay sure great good nice perfect cool hello hi hey bye please
    example examples detail details next previous above below following attached attachment image picture photo
    screenshot file document text message answer question thing things
    """.split()  # noqa: SIM905 - a list of words reads as text
)
"""Words of small talk, and words for what lies elsewhere."""


class Relevance:
    """``relevance`` of the output: 0 on the topic of the question, 1 far from it."""

    name = "relevance"
    costly = Costly.SHARED_PASS

    def __init__(self, encoder_version: str) -> None:
        self.specs = (ScoreSpec(signal="relevance", side=Side.OUTPUT, version=f"2-{encoder_version}"),)

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        codes = batch.abstentions(Side.OUTPUT).copy()
        for row in np.flatnonzero(codes != Abstention.NO_TEXT).tolist():
            output = batch.exchanges[row].output or ""
            question = batch.exchanges[row].input or ""
            if not _names_a_topic(question) or len(words(output[:_GLANCE_CHARS])) < WORDS_MIN:
                codes[row] = Abstention.NOT_APPLICABLE
        rows = np.flatnonzero(codes == Abstention.NONE)
        pairs = _rows(batch, Side.INPUT)[rows] * _rows(batch, Side.OUTPUT)[rows]
        return (column(self.specs[0], codes, 1 / (1 + np.exp(SLOPE * (pairs.sum(1) - HALF)))),)

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors of its own
        return ()


def _names_a_topic(question: str) -> bool:
    """Whether one of its words is neither grammar nor small talk."""
    said = words(question[:_GLANCE_CHARS])
    return any(word not in STOP_WORDS and word not in _POINTING for word in said) or len(question) > _GLANCE_CHARS


def _rows(batch: Batch, side: Side) -> Floats:
    """The mean vector of each exchange's text, shape (n, d); zeros where it has none."""
    means = batch.encoded(side).mean()
    rows = np.zeros((len(batch), means.shape[1]), dtype=np.float32)
    rows[batch.abstentions(side) == Abstention.NONE] = means
    return rows
