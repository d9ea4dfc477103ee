"""Groundedness: how much of an answer is new against its context.

``context_novelty`` is the share of content words that the context does not hold, plus half the share of word pairs,
over 1.5. It is the best of the cheap measures on every human-labelled set we tried, but it is support and not truth:
it does not see contradictions, it trusts a poisoned context, and a good paraphrase scores higher than a copy.
"""

from __future__ import annotations

from itertools import pairwise

from signals.batch import Batch, each
from signals.types import Abstention, Embeddings, Exchange, ScoreColumn, ScoreSpec, Side
from signals.words import words

CONTEXT_CHARS_MAX = 400_000  # about 100,000 tokens, more than a model reads
ANSWER_CHARS_MAX = 65_536
BIGRAM_WEIGHT = 0.5
STEM_CHARS = 6  # words are compared by their beginning, so that endings of grammar do not count as news

# Words that carry grammar and not content; an answer may use them freely. Closed classes only.
_STOP_WORDS = """
    a about after all also although am an and any are as at be because been before being both but by can could did do
    does doing done each either else ever every few for from further had has have having he her here hers herself him
    himself his how however i if in into is it its itself just many may me might more most much must my myself neither
    no nor not now of off on once one only or other our ours ourselves out over own per same shall she should since so
    some such than that the their theirs them themselves then there therefore these they this those though through thus
    to too under until up upon us very was we were what when where whether which while who whom whose why will with
    within without would yes yet you your yours yourself yourselves
    s t d m re ve ll ain aren couldn didn doesn don hadn hasn haven isn shouldn wasn weren won wouldn
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


class ContextNovelty:
    """``context_novelty`` of the output: 0 everything is in the context, 1 nothing is. Abstains without a context."""

    name = "context_novelty"
    specs = (ScoreSpec(signal="context_novelty", side=Side.OUTPUT, version="1"),)
    costly = False

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        return (each(self.specs[0], batch.exchanges, _score),)

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors
        return ()


def novelty(answer: str, context: str) -> float | None:
    """Novelty of ``answer`` against ``context`` in 0..1, or None where the answer holds no content word."""
    spoken = words(answer[:ANSWER_CHARS_MAX])
    content = [word[:STEM_CHARS] for word in spoken if word not in STOP_WORDS]
    if not content:
        return None
    said = [word[:STEM_CHARS] for word in spoken]
    read = [word[:STEM_CHARS] for word in words(context[:CONTEXT_CHARS_MAX])]
    known = set(read)
    new_words = sum(word not in known for word in content) / len(content)
    pairs = list(pairwise(said))
    if not pairs:
        return new_words
    firsts = set(said)  # pairs that begin with any other word cannot be in the answer, and most do
    known_pairs = {pair for pair in pairwise(read) if pair[0] in firsts}
    new_pairs = sum(pair not in known_pairs for pair in pairs) / len(pairs)
    return (new_words + BIGRAM_WEIGHT * new_pairs) / (1 + BIGRAM_WEIGHT)


def _score(exchange: Exchange) -> float | Abstention:
    if not exchange.output or exchange.output.isspace():
        return Abstention.NO_TEXT
    if not exchange.context or exchange.context.isspace():
        return Abstention.NO_CONTEXT
    score = novelty(exchange.output, exchange.context)
    return Abstention.NOT_APPLICABLE if score is None else score
