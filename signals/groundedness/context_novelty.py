"""Context novelty: how much of an answer is new against its context.

For each sentence of the answer, the share of its content words that the context does not hold (a word that it holds,
but not in the passage of PASSAGE_WORDS words which covers the sentence best, counts half; a word with a digit counts
NUMBER_WEIGHT times), plus half the share of word pairs, over 1.5.

Sees: what an answer adds to its context, in any script; made-up details most of all numbers; words that were gathered
from far apart. Cannot see: contradictions ("not", exchanged roles or names that both occur: SummEdits is at chance,
see the quality table), whether the context itself is true (a poisoned one supports everything), whether the answer
fits the question. A good paraphrase, a translation and a sum scores higher than a copy: it is support by words, and
neither truth nor entailment. Measured on English only; other scripts are tested for copies and foreign texts.
Range 0 (all in the context) .. 1 (all new). Abstains without an answer or a context; as not applicable where the
answer holds no content word, or only says that it does not know. Source: own; chosen on the development parts of mtRAG,
BEGIN and WiCE (``bench/quality/groundedness.py``). Cost: ``python -m bench.groundedness``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from signals.batch import Batch, Costly, each
from signals.groundedness.answer import read_answer
from signals.groundedness.citing import uncited
from signals.groundedness.reading import (
    ANSWER_CHARS_MAX,
    CONTEXT_CHARS_MAX,
    Reading,
    Sentence,
    contextless,
    read,
)
from signals.refusal import NOT_KNOWN, refusal
from signals.types import Abstention, Embeddings, Exchange, ScoreColumn, ScoreSpec, Side

PAIR_WEIGHT = 0.5
NUMBER_WEIGHT = 3
PASSAGE_WORDS = 120
DECLINE_CHARS = 240  # a longer answer that declines says something else as well
_TURNS = re.compile(r"\b(?:but|however|although|though|while|except|only)\b", re.IGNORECASE)


class ContextNovelty:
    """``context_novelty`` of the output: 0 everything is in the context, 1 nothing is."""

    name = "context_novelty"
    specs = (ScoreSpec(signal="context_novelty", side=Side.OUTPUT, version="4"),)
    costly = Costly.NO

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        def one(exchange: Exchange) -> float | Abstention:
            if reason := contextless(exchange):
                return reason
            answer = read_answer(batch, exchange)
            if only_declines(answer.text):
                return Abstention.NOT_APPLICABLE
            score = novelty_of(answer, read(batch, exchange.context or ""))
            return Abstention.NOT_APPLICABLE if score is None else score

        return (each(self.specs[0], batch.exchanges, one),)

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors
        return ()


def novelty(answer: str, context: str) -> float | None:
    """Novelty of ``answer`` against ``context`` in 0..1, or None where the answer holds no content word."""
    return novelty_of(Reading(uncited(answer[:ANSWER_CHARS_MAX])), Reading(context[:CONTEXT_CHARS_MAX]))


def novelty_of(answer: Reading, context: Reading) -> float | None:
    """The same of texts that are read already."""
    said = [word.stem for sentence in answer.sentences for word in sentence.words]
    vocabulary = set(said)
    shared = [(at, stem) for at, stem in enumerate(context.stems) if stem in vocabulary]  # few of the context's words
    new = _new_words(answer.sentences, shared, len(context.stems))
    if new is None or len(said) < 2:
        return new
    known = {(left, right) for (at, left), (after, right) in pairwise(shared) if after == at + 1}
    new_pairs = sum(pair not in known for pair in pairwise(said)) / (len(said) - 1)
    return (new + PAIR_WEIGHT * new_pairs) / (1 + PAIR_WEIGHT)


def sentence_novelty(said: Reading, document: Reading) -> float:
    """The same of a sentence against one document, without passages; 0 where it holds no content word."""
    words = [word for sentence in said.sentences for word in sentence.words]
    weights = {word.stem: NUMBER_WEIGHT if _is_number(word.stem) else 1 for word in words if word.content}
    if not weights:
        return 0.0
    new = sum(weight for stem, weight in weights.items() if stem not in document.known) / sum(weights.values())
    pairs = list(pairwise(word.stem for word in words))
    if not pairs:
        return new
    return (new + PAIR_WEIGHT * sum(pair not in document.pairs for pair in pairs) / len(pairs)) / (1 + PAIR_WEIGHT)


def only_declines(answer: str) -> bool:
    """Whether each sentence of the answer says that it does not know or will not answer; then it claims nothing."""
    if len(answer) > DECLINE_CHARS or refusal(answer) < NOT_KNOWN:
        return False
    said = [sentence.text for sentence in Reading(answer).sentences]
    return all(refusal(sentence) >= NOT_KNOWN and not _TURNS.search(sentence) for sentence in said)


def _new_words(sentences: Sequence[Sentence], shared: Sequence[tuple[int, str]], length: int) -> float | None:
    """The weighted share of content words that the context does not hold, or holds elsewhere.

    ``shared`` are the context's words that the answer has, with their places among its ``length`` words.
    """
    bits: dict[str, int] = {}
    for sentence in sentences:
        for word in sentence.words:
            if word.content and word.stem not in bits:
                bits[word.stem] = 1 << len(bits)
    if not bits:
        return None
    numbers = sum(bit for stem, bit in bits.items() if _is_number(stem))
    passages = _passages(shared, length, bits)
    anywhere = 0
    for passage in passages:
        anywhere |= passage
    total = new = 0.0
    for sentence in sentences:
        said = 0
        for word in sentence.words:
            if word.content:
                said |= bits[word.stem]
        weight = _weight(said, numbers)
        best = max((_weight(said & passage, numbers) for passage in passages), default=0)
        total += weight
        new += weight - (_weight(said & anywhere, numbers) + best) / 2
    return new / total


def _passages(shared: Sequence[tuple[int, str]], length: int, bits: dict[str, int]) -> set[int]:
    """The answer's words that each passage holds; passages overlap by half."""
    half = PASSAGE_WORDS // 2
    blocks = [0] * -(-length // half)
    for at, stem in shared:
        blocks[at // half] |= bits.get(stem, 0)
    return {left | right for left, right in pairwise(blocks)} or set(blocks)


def _weight(words: int, numbers: int) -> int:
    return words.bit_count() + (NUMBER_WEIGHT - 1) * (words & numbers).bit_count()


def _is_number(stem: str) -> bool:
    return any(character.isdigit() for character in stem)
