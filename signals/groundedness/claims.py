"""Cues in the claims of an answer: numbers, negations and names that do not agree with the context.

``number_mismatch`` and ``entity_mismatch`` are shares of what the answer names and neither context nor question holds;
``negation_flip`` grows with the words that one of the two negates and the other does not.

Sees: exchanged figures and dates, invented names, an inserted or removed "not". Cannot see: numbers that were counted
or computed from the context (they count as missing, and so does "30 days" for "a month"), a given number in the wrong
place, exchanged roles, negation by another word ("encourages", "discourages"), the same said without "not"; negation
in other languages than English; names in scripts without capitals, and which noun is a name in German, where each new
one counts. They are cues for a look and not an alert alone, and none of them detects contradictions: the quality table
has them by kind of edit. ``negation_flip`` finds negations edited into SummEdits' summaries (AUROC .850 on its
development part); on mtRAG's answers, which are long and often say what is not possible, a flip above 0.5 is hardly
better than a guess (85 of 375 answers, precision .459 where .424 are unfaithful). Range 0 .. 1. Abstain without an
answer or a context; as not applicable where the answer holds no number, no name, or no English word that the context
holds. Source: own rules; the reach of a negator was chosen on SummEdits. Cost: ``python -m bench.groundedness``.
"""

from __future__ import annotations

from collections.abc import Callable

from signals.batch import Batch, Costly, answers
from signals.groundedness.answer import read_answer
from signals.groundedness.names import entity_mismatch
from signals.groundedness.negation import negation_flip
from signals.groundedness.numbers import number_mismatch
from signals.groundedness.reading import Reading, contextless, read
from signals.types import Abstention, Embeddings, Exchange, ScoreColumn, ScoreSpec, Side

Cue = Callable[[Reading, Reading, Reading], float | None]
_CUES: dict[str, Cue] = {
    "number_mismatch": number_mismatch,
    "negation_flip": lambda answer, context, _: negation_flip(answer, context),
    "entity_mismatch": entity_mismatch,
}


class Claims:
    """``number_mismatch``, ``negation_flip`` and ``entity_mismatch`` of the output."""

    name = "claims"
    specs = tuple(ScoreSpec(signal=name, side=Side.OUTPUT, version="3") for name in _CUES)
    costly = Costly.NO

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        rows = [_score(exchange, batch) for exchange in batch.exchanges]
        return tuple(answers(spec, [row[at] for row in rows]) for at, spec in enumerate(self.specs))

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors
        return ()


def cues(exchange: Exchange, batch: Batch) -> list[float | None]:
    """The three cues of an exchange that has an answer and a context."""
    answer, context = read_answer(batch, exchange), read(batch, exchange.context or "")
    question = read(batch, exchange.input or "")
    return [cue(answer, context, question) for cue in _CUES.values()]


def _score(exchange: Exchange, batch: Batch) -> list[float | Abstention]:
    if reason := contextless(exchange):
        return [reason] * len(_CUES)
    return [Abstention.NOT_APPLICABLE if cue is None else cue for cue in cues(exchange, batch)]
