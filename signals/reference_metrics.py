"""Reference metrics of a corpus, under the names and with the values of Hugging Face's ``evaluate``; for analysts.

``evaluate`` loads its metrics from the hub and so cannot run offline; what it calls is called here directly:

============== ================================ =======================================================================
evaluate       keys                             computed by
============== ================================ =======================================================================
sacrebleu      score (0..100)                   sacrebleu, as corpus_bleu
bleu           bleu (0..1)                      the same counts without smoothing, and the shortest reference's length
chrf           score (0..100)                   sacrebleu
rouge          rouge1, rouge2, rougeL,          rouge-score, without stemming, in the mean of the rows
               rougeLsum (0..1)
meteor         meteor (0..1)                    nltk's meteor_score on nltk's Treebank words, in the mean of the rows
bertscore      precision, recall, f1 (lists)    the shared encoder (signals.reference); with an encoder only
exact_match    exact_match (0..1)               plain equality
squad          exact_match, f1 (0..100)         signals.reference, in the mean of the rows
============== ================================ =======================================================================

METEOR is nltk's with an empty WordNet: it matches words and Porter stems, never synonyms, because WordNet's data are no
package. It equals evaluate's where no two words that are left over are synonyms, and is lower elsewhere. A text is one
sentence to the word splitter, so a full stop inside a text stays at its word (evaluate's also needs data to split).
Each prediction may have several references; the best one counts, as there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from signals.reference import bertscores, normalised, token_f1

if TYPE_CHECKING:
    from signals.encoder import Encoder

References = Sequence[str | Sequence[str]]
ROUGES = ("rouge1", "rouge2", "rougeL", "rougeLsum")


def corpus_metrics(
    predictions: Sequence[str], references: References, encoder: Encoder | None = None
) -> dict[str, dict[str, Any]]:
    """Every metric of the table by evaluate's name; ValueError where the two do not pair up, or nothing is given."""
    golds = [[gold] if isinstance(gold, str) else list(gold) for gold in references]
    if not predictions or len(predictions) != len(golds) or not all(golds):
        raise ValueError("each prediction needs its reference, and there must be one at least")
    rows = list(zip(predictions, golds, strict=True))
    found: dict[str, dict[str, Any]] = {
        **_sacrebleu(predictions, golds),
        "rouge": _rouge(rows),
        "meteor": {"meteor": float(np.mean([meteor(said, gold) for said, gold in rows]))},
        "exact_match": {"exact_match": float(np.mean([said in gold for said, gold in rows]))},
        "squad": {
            "exact_match": 100 * _best(rows, lambda said, gold: float(normalised(said) == normalised(gold))),
            "f1": 100 * _best(rows, token_f1),
        },
    }
    return found | ({"bertscore": _bertscore(rows, encoder)} if encoder is not None else {})


def reference_metrics(
    prediction: str, references: str | Sequence[str], encoder: Encoder | None = None
) -> dict[str, float]:
    """The same of one prediction, flat (``rougeL``, ``chrf``, ``bertscore_f1``); BLEU is sacrebleu's sentence_bleu."""
    from sacrebleu import sentence_bleu  # noqa: PLC0415 - only for who asks

    golds = [references] if isinstance(references, str) else list(references)
    whole = corpus_metrics([prediction], [golds], encoder)
    found = {
        "sacrebleu": float(sentence_bleu(prediction, golds).score),
        "chrf": whole["chrf"]["score"],
        **whole["rouge"],
        **whole["meteor"],
        "exact_match": whole["exact_match"]["exact_match"],
        "f1": whole["squad"]["f1"],
    }
    return found | {f"bertscore_{name}": values[0] for name, values in whole.get("bertscore", {}).items()}


def meteor(prediction: str, references: Sequence[str]) -> float:
    """nltk's METEOR without synonyms; the best of the references."""
    from nltk.tokenize import word_tokenize  # noqa: PLC0415 - seconds of imports
    from nltk.translate.meteor_score import meteor_score  # noqa: PLC0415

    golds = [word_tokenize(gold, preserve_line=True) for gold in references]
    return float(meteor_score(golds, word_tokenize(prediction, preserve_line=True), wordnet=_NoSynonyms()))


class _NoSynonyms:
    """A WordNet that knows no word."""

    def synsets(self, word: str) -> list[Any]:  # noqa: ARG002 - nltk's interface
        return []


def _best(rows: Sequence[tuple[str, list[str]]], measure: Callable[[str, str], float]) -> float:
    return float(np.mean([max(measure(said, gold) for gold in golds) for said, golds in rows]))


def _sacrebleu(predictions: Sequence[str], golds: Sequence[list[str]]) -> dict[str, dict[str, Any]]:
    from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415 - only for who asks
    from sacrebleu.metrics.chrf import CHRF  # noqa: PLC0415

    width = max(map(len, golds))
    streams: list[Any] = [[gold[at] if at < len(gold) else None for gold in golds] for at in range(width)]
    bleu = BLEU().corpus_score(list(predictions), streams)
    bare = BLEU(smooth_method="none").corpus_score(list(predictions), streams)
    shortest = sum(min(_length(text) for text in gold) for gold in golds)
    return {
        "sacrebleu": {"score": float(bleu.score)},
        "bleu": {"bleu": _bleu(bare.counts, bare.totals, bare.sys_len, shortest)},
        "chrf": {"score": float(CHRF().corpus_score(list(predictions), streams).score)},
    }


def _bleu(counts: Sequence[int], totals: Sequence[int], length: int, wanted: int) -> float:
    if not length or not all(counts):
        return 0.0
    mean = math.exp(sum(math.log(n / total) for n, total in zip(counts, totals, strict=True)) / len(counts))
    return mean * min(1.0, math.exp(1 - wanted / length))


def _length(text: str) -> int:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a  # noqa: PLC0415 - only for who asks

    cut: Callable[[str], str] = Tokenizer13a()  # type: ignore[no-untyped-call]
    return len(cut(text).split())


def _rouge(rows: Sequence[tuple[str, list[str]]]) -> dict[str, float]:
    found = [_scorer().score_multi(golds, said) for said, golds in rows]
    return {name: float(np.mean([scores[name].fmeasure for scores in found])) for name in ROUGES}


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # noqa: PLC0415 - seconds of imports

    return RougeScorer(ROUGES)


def _bertscore(rows: Sequence[tuple[str, list[str]]], encoder: Encoder) -> dict[str, list[float]]:
    pairs = [(said, gold) for said, golds in rows for gold in golds]
    scores = bertscores(pairs, encoder)
    starts = np.cumsum([0, *(len(golds) for _, golds in rows)])[:-1]
    best = np.maximum.reduceat(scores, starts, axis=0)
    return {name: best[:, at].tolist() for at, name in enumerate(("precision", "recall", "f1"))}
