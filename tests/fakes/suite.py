"""A small, real suite without a model: scores are a hash of the text, so equal texts always score alike."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from signals.types import (
    Abstention,
    Bools,
    Depths,
    Embeddings,
    Exchange,
    Floats,
    Judge,
    ScoreColumn,
    ScoreSpec,
    Side,
    SuiteScores,
)

DIMENSIONS = 8


class HashSuite:
    """Two columns and one embedding; abstains without text, sheds what it is told to shed."""

    specs: tuple[ScoreSpec, ...] = (
        ScoreSpec(signal="toxicity", side=Side.INPUT, version="hash-1"),
        ScoreSpec(signal="toxicity", side=Side.OUTPUT, version="hash-1"),
    )

    shed_order: tuple[tuple[str, ...], ...] = (("toxicity",),)

    @property
    def judges(self) -> Mapping[str, Judge]:
        return {"toxicity": _judge}

    def score(self, exchanges: Sequence[Exchange], shed: Bools | Depths | None = None) -> SuiteScores:
        texts = {
            Side.INPUT: [exchange.input for exchange in exchanges],
            Side.OUTPUT: [exchange.output for exchange in exchanges],
        }
        columns = tuple(_column(spec, texts[spec.side], shed) for spec in self.specs)
        answers = texts[Side.OUTPUT]
        vectors = np.array([_vector(text) for text in answers], dtype=np.float32).reshape(len(answers), DIMENSIONS)
        present = np.array([bool(text) for text in answers], dtype=np.bool_)
        embeddings = Embeddings(side=Side.OUTPUT, version="hash-1", vectors=vectors, present=present)
        return SuiteScores(columns=columns, embeddings=(embeddings,))


def _column(spec: ScoreSpec, texts: Sequence[str | None], shed: Bools | Depths | None) -> ScoreColumn:
    values = np.full(len(texts), np.nan, dtype=np.float32)
    reasons = np.full(len(texts), Abstention.NO_TEXT, dtype=np.uint8)
    for index, text in enumerate(texts):
        if shed is not None and shed[index]:
            reasons[index] = Abstention.SHED
        elif text:
            values[index] = _judge([text])[0]
            reasons[index] = Abstention.NONE
    return ScoreColumn(spec=spec, values=values, abstentions=reasons)


def _judge(texts: Sequence[str]) -> Floats:
    return np.array([_digest(text)[0] / 255 for text in texts], dtype=np.float32)


def _vector(text: str | None) -> np.ndarray:
    if not text:
        return np.zeros(DIMENSIONS)
    raw = np.frombuffer(_digest(text), dtype=np.uint8)[:DIMENSIONS] - 127.5
    return np.asarray(raw / np.linalg.norm(raw))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
