"""Perplexity and low confidence: how sure the model was of its own words, where its log-probabilities were traced.

============== ========================================================================================================
perplexity     ``1 - exp(mean log p)``: one minus the geometric mean probability of a token, and one minus one over the
               perplexity: 0 is a perplexity of 1 (certain), 0.5 one of 2, 0.9 one of 10
low_confidence the share of tokens to which the model gave less than LOW: where it guessed
============== ========================================================================================================

Sees: uncertainty of the model about its wording. Cannot see: whether it is right; a confident falsehood scores 0.
Depends on the model, its tokens and its temperature: compare a model with itself only. Abstains where no answer came,
and as not applicable without log-probabilities; few instrumentations trace them (OpenInference and MLflow, inside the
raw response, when the request asked for them). Range 0 (certain) .. 1. Cost: two sums. Source: the definitions above.
"""

from __future__ import annotations

import math

import numpy as np

from signals.batch import Batch, Costly, each
from signals.types import Abstention, Embeddings, Exchange, ScoreColumn, ScoreSpec, Side

LOW = 0.5


class Perplexity:
    """``perplexity`` and ``low_confidence`` of the output."""

    name = "perplexity"
    specs = (
        ScoreSpec(signal="perplexity", side=Side.OUTPUT, version="1"),
        ScoreSpec(signal="low_confidence", side=Side.OUTPUT, version="1"),
    )
    costly = Costly.NO

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        return (
            each(self.specs[0], batch.exchanges, _improbability),
            each(self.specs[1], batch.exchanges, _low_share),
        )

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors
        return ()


def perplexity(logprobs: tuple[float, ...]) -> float:
    """``exp(-mean log p)`` of natural logarithms, 1 .. inf; of none of them, ValueError."""
    if not logprobs:
        raise ValueError("no token has no perplexity")
    return math.exp(min(-math.fsum(logprobs) / len(logprobs), 700.0))


def _known(exchange: Exchange) -> tuple[float, ...] | Abstention:
    if not exchange.output or exchange.output.isspace():
        return Abstention.NO_TEXT
    known = tuple(value for value in exchange.logprobs if value <= 0.0)  # also drops NaN
    return known or Abstention.NOT_APPLICABLE


def _improbability(exchange: Exchange) -> float | Abstention:
    known = _known(exchange)
    return known if isinstance(known, Abstention) else 1.0 - 1.0 / perplexity(known)


def _low_share(exchange: Exchange) -> float | Abstention:
    known = _known(exchange)
    return known if isinstance(known, Abstention) else float(np.mean(np.array(known) < math.log(LOW)))
