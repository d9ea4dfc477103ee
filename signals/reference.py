"""Reference: how far an answer is from a gold answer, where the call or the row carries one.

======================= ========================================================================================
reference_exact         0 the same after SQuAD's normalisation (case, punctuation, articles, spaces), else 1
reference_f1            1 - F1 of the words after that normalisation (Rajpurkar et al. 2016)
reference_rouge_l       1 - F of the longest common subsequence of words (Lin 2004)
reference_chrf          1 - chrF2 / 100 (Popović 2015), by sacrebleu
reference_bertscore     1 - F1 of greedily matched token states of the shared encoder's last layer (Zhang et al. 2020),
                        without idf or rescaling
======================= ========================================================================================

On ASCII texts F1, ROUGE-L and chrF are the values of the packages that Hugging Face's ``evaluate`` calls; on others
words are those of any script (rouge-score knows only a-z), a character where a script has no spaces. BERTScore is that
of the bert-score package on the same weights, a pair at a time (its padding lifts negative cosines to 0), up to 254
tokens; a longer text is read in TOKEN_WINDOWS_MAX windows, where the package cuts it at 512. Other metrics and whole
corpora are in ``signals.reference_metrics``.
Sees: the wording of one right answer. Cannot see: a right answer in other words (least of all by exact match), one
wrong word in a long answer. Texts are read up to CHARS_MAX.
Range 0 (the reference) .. 1 (nothing in common). Abstains without an answer, as not applicable without a reference or
with one that holds no word. Cost: nothing without a reference; with one about a chrF, and each of the two texts
through the encoder a second time.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from signals.batch import Batch, Costly, column, each
from signals.types import Abstention, Embeddings, Exchange, Floats, ScoreColumn, ScoreSpec, Side
from signals.words import words

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF

    from signals.encoder import Encoder

CHARS_MAX = 16_384
TOKEN_WINDOWS_MAX = 4
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Reference:
    """The four columns that need no model."""

    name = "reference"
    costly = Costly.NO

    def __init__(self) -> None:
        self._measures: dict[str, Callable[[str, str], float]] = {
            "reference_exact": exact,
            "reference_f1": token_f1,
            "reference_rouge_l": rouge_l,
            "reference_chrf": chrf,
        }
        self.specs = tuple(ScoreSpec(signal=name, side=Side.OUTPUT, version="1") for name in self._measures)

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        return tuple(each(spec, batch.exchanges, _distance(self._measures[spec.signal])) for spec in self.specs)

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors
        return ()


class ReferenceBertscore:
    """``reference_bertscore`` of the output."""

    name = "reference_bertscore"
    costly = Costly.FURTHER_TEXTS

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.specs = (ScoreSpec(signal=self.name, side=Side.OUTPUT, version=f"1-{encoder.version}"),)

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        codes = batch.abstentions(Side.OUTPUT)
        without = np.array([not _has_words(exchange.reference) for exchange in batch.exchanges], dtype=np.bool_)
        codes[(codes != Abstention.NO_TEXT) & without] = Abstention.NOT_APPLICABLE
        pairs = [
            (exchange.output or "", exchange.reference or "")
            for exchange, code in zip(batch.exchanges, codes, strict=True)
            if code == Abstention.NONE
        ]
        return (column(self.specs[0], codes, 1 - bertscores(pairs, self._encoder)[:, 2]),)

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors of its own
        return ()


def normalised(text: str) -> str:
    """SQuAD's form of an answer: lower case, without punctuation and English articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact(answer: str, reference: str) -> float:
    return float(normalised(answer) == normalised(reference))


def token_f1(answer: str, reference: str) -> float:
    said, wanted = words(normalised(answer)), words(normalised(reference))
    same = sum((Counter(said) & Counter(wanted)).values())
    return 2 * same / (len(said) + len(wanted)) if same else 0.0


def rouge_l(answer: str, reference: str) -> float:
    said, wanted = words(answer), words(reference)
    common = common_length(said, wanted)
    return 2 * common / (len(said) + len(wanted)) if common else 0.0


def chrf(answer: str, reference: str) -> float:
    return float(_chrf().sentence_score(answer, [reference]).score) / 100


def common_length(left: Sequence[str], right: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row of the table at a time as bits of one number (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(left)) - 1
    row = every
    for word in right:
        matches = row & places.get(word, 0)
        row = (row + matches | row - matches) & every
    return len(left) - row.bit_count()


def bertscores(pairs: Sequence[tuple[str, str]], encoder: Encoder) -> Floats:
    """Precision, recall and F1 of each (answer, reference), shape (n, 3)."""
    texts = {text for pair in pairs for text in pair}
    states = {text: encoder.token_states(text, TOKEN_WINDOWS_MAX) for text in texts}
    return np.array([_matched(states[left], states[right]) for left, right in pairs], dtype=np.float32).reshape(-1, 3)


def _matched(answer: tuple[Floats, Floats], reference: tuple[Floats, Floats]) -> tuple[float, float, float]:
    """Each token's nearest on the other side; special tokens may be found, but do not count."""
    (said, said_counts), (wanted, wanted_counts) = answer, reference
    if not said_counts.any() or not wanted_counts.any():
        return 0.0, 0.0, 0.0
    near = said @ wanted.T
    precision = float(np.average(near.max(axis=1), weights=said_counts))
    recall = float(np.average(near.max(axis=0), weights=wanted_counts))
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both > 0 else 0.0


def _distance(measure: Callable[[str, str], float]) -> Callable[[Exchange], float | Abstention]:
    def score(exchange: Exchange) -> float | Abstention:
        if not exchange.output or exchange.output.isspace():
            return Abstention.NO_TEXT
        if not _has_words(exchange.reference):
            return Abstention.NOT_APPLICABLE
        return 1 - measure(exchange.output[:CHARS_MAX], (exchange.reference or "")[:CHARS_MAX])

    return score


def _has_words(text: str | None) -> bool:
    return bool(text) and bool(words((text or "")[:CHARS_MAX]))


@cache
def _chrf() -> CHRF:
    from sacrebleu.metrics.chrf import CHRF  # noqa: PLC0415 - loaded with the first reference

    return CHRF()
