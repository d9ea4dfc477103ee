"""Fit the two injection heads, measure them, and write weights and card: python -m bench.heads.train_injection

The direct head is measured by five folds over groups of similar texts (no text is judged by a head that saw one like
it), the head for orders in documents on kinds of attack and on documents that it has not seen. The weights that ship
are fitted on all rows afterwards.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import save_file
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bench.heads.injection_card import write_card
from bench.heads.linear import Linear, Vectors, fit, joined, vectors_of
from bench.measures import DATA, auroc, interval, read_set
from signals.encoder import TONE_LAYER, Encoder
from signals.injection import HEAD, SENTENCES_MAX, orders, phrase_score
from signals.runtime.weights import file_sha256
from signals.words import sentences

ATTACKS = "jailbreak_itw"
HARMLESS = ("halueval_general", "openai_mod", "pandalm_pref", "llmbar_pref", "mtrag_human")
QUESTIONS_MAX = 1_500  # of a set; halueval_general has many, and all alike
DOCUMENTS = ("mtrag_human", "begin", "summedits", "bipia")
UNFITTED = "wice_claim"  # share-alike documents: judged, never fitted
DOCUMENTS_MAX = {"begin": 400}
DOCUMENT_CHARS_MAX = 20_000
L2_DIRECT, L2_CONTEXT = 1e-4, 3e-6
ALIKE = 0.85  # cosine of two texts that must not be parted by a fold
FOLDS = 5
SEED = 0
CLEAN_FLAGGED = 0.05  # of clean documents score above .5: that fixes the context head's bias
LENGTHS = (200, 400, 800, 1_200, 1_600, 2_400, 4_000)  # characters; edges of the bins of equal length
HEADS = Path(__file__).resolve().parents[2] / "signals" / "heads"

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def questions(name: str, data: Path) -> list[str]:
    """The distinct texts that people sent to an assistant, in one set."""
    read: dict[str, Callable[[dict[str, Any]], str]] = {
        "halueval_general": lambda row: str(row["question"]),
        "mtrag_human": lambda row: str(row["question"]),
        "pandalm_pref": lambda row: f"{row['instruction']}\n{row['input']}",
        "llmbar_pref": lambda row: str(row["input"]),
    }
    of = read.get(name, lambda row: str(row["text"]))
    return list(dict.fromkeys(of(row) for row in read_set(name, data)))[:QUESTIONS_MAX]


def documents(name: str, data: Path) -> list[str]:
    rows = read_set(name, data)
    if name == "bipia":
        found = {row["text"] for row in rows if not row["label"]}
    elif name == "begin":
        found = {passage for row in rows for passage in row["context"]}
    else:
        found = {"\n".join(row["context"]) for row in rows}
    chosen = sorted(found, key=_hash)[: DOCUMENTS_MAX.get(name, 160)]
    return [document[:DOCUMENT_CHARS_MAX] for document in chosen]


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def parted(text: str) -> bool:
    """Which half a document belongs to."""
    return _hash(text)[-1] < 128  # not the first byte: documents are chosen by it


def spoken(document: str) -> list[str]:
    return [document[start:end].strip() for start, end in sentences(document) if len(document[start:end].strip()) >= 8]


def folds(vectors: Vectors) -> npt.NDArray[np.int64]:
    """A fold for each text; texts that are alike, or alike to one alike, share it."""
    means = vectors.means()
    left, right = np.nonzero(means @ means.T > ALIKE)
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(vectors.n, vectors.n))
    group = connected_components(graph)[1]
    fold = np.random.default_rng(SEED).permutation(group.max() + 1) % FOLDS
    return np.asarray(fold[group], dtype=np.int64)


def of_equal_length(labels: Bools, scores: Floats, lengths: npt.NDArray[np.int64]) -> float:
    """AUROC inside bins of length, in the mean over the positives: what length itself tells is taken out."""
    bins = np.digitize(lengths, LENGTHS)
    parts = [(auroc(labels[bins == b], scores[bins == b]), int(labels[bins == b].sum())) for b in np.unique(bins)]
    known = [(value, n) for value, n in parts if not np.isnan(value)]
    return sum(value * n for value, n in known) / sum(n for _, n in known)


def summary(labels: Bools, scores: Floats) -> dict[str, Any]:
    low, high = interval(labels, scores, seed=SEED)
    edge = np.quantile(scores[~labels], 0.99)
    return {
        "n": len(labels),
        "attacks": int(labels.sum()),
        "auroc": round(auroc(labels, scores), 4),
        "interval": [round(low, 4), round(high, 4)],
        "recall_at_1%_fp": round(float((scores[labels] > edge).mean()), 4),
        "recall_at_0.5": round(float((scores[labels] > 0.5).mean()), 4),
        "flagged_harmless_at_0.5": round(float((scores[~labels] > 0.5).mean()), 4),
    }


def probability(logits: npt.NDArray[np.float64]) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float64)


def direct(encoder: Encoder, data: Path) -> tuple[Linear, dict[str, Any]]:
    sets = {name: questions(name, data) for name in (ATTACKS, *HARMLESS)}
    texts = [text for found in sets.values() for text in found]
    names = np.array([name for name, found in sets.items() for _ in found])
    labels = names == ATTACKS
    vectors = vectors_of(encoder, texts)
    fold = folds(vectors)
    scores = np.zeros(len(texts))
    for held in range(FOLDS):
        inside = fold == held
        scores[inside] = probability(
            fit(vectors.only(~inside), labels[~inside], l2=L2_DIRECT).logits(vectors.only(inside))
        )
    said = np.array([phrase_score(text) for text in texts])
    lengths = np.array([len(text) for text in texts])
    both = np.maximum(scores, said)
    measured = {
        "head and phrases": summary(labels, both),
        "head alone": summary(labels, scores),
        "phrases alone": summary(labels, said),
        "length alone": summary(labels, probability(np.log(lengths) - 20)),
    }
    for name in HARMLESS:
        seen = (names != name) & (fold != 0)
        judged = (names == name) | (labels & (fold == 0))
        left_out = probability(fit(vectors.only(seen), labels[seen], l2=L2_DIRECT).logits(vectors.only(judged)))
        measured[f"left out whole, {name}"] = summary(labels[judged], np.maximum(left_out, said[judged]))
    facts = {
        "rows": {name: len(found) for name, found in sets.items()},
        "measured": measured,
        "of_equal_length": {
            "head and phrases": round(of_equal_length(labels, both, lengths), 4),
            "head alone": round(of_equal_length(labels, scores, lengths), 4),
        },
    }
    return fit(vectors, labels, l2=L2_DIRECT), facts


def context(encoder: Encoder, data: Path) -> tuple[Linear, dict[str, Any]]:
    attacks = [row for row in read_set("bipia", data) if row["label"]]
    seen_kind = np.array([row["part"] == "train" for row in attacks])
    spoken_attacks = [list(dict.fromkeys([row["text"], *spoken(row["text"])])) for row in attacks]
    papers = {name: documents(name, data) for name in (*DOCUMENTS, UNFITTED)}
    seen_document = {name: [parted(paper) for paper in found] for name, found in papers.items()}
    clean = {
        name: [vectors_of(encoder, spoken(paper)) for paper in found]
        for name, found in papers.items()
        if name != UNFITTED
    }
    attack = [vectors_of(encoder, said) for said in spoken_attacks]

    def learn(every: bool) -> Linear:
        negatives = joined(
            [
                each_sentence(vectors)
                for name, found in clean.items()
                for vectors, known in zip(found, seen_document[name], strict=True)
                if every or known
            ]
        )
        positives = joined(
            [each_sentence(found) for found, known in zip(attack, seen_kind, strict=True) if every or known]
        )
        labels = np.arange(negatives.n + positives.n) >= negatives.n
        return fit(joined([negatives, positives]), labels, l2=L2_CONTEXT)

    tested = learn(every=False)
    read = _reader(encoder, tested)
    aside = [paper for name in DOCUMENTS for paper in _of(papers, seen_document, name, True)]
    shift = float(np.quantile([read(paper) for paper in aside], 1 - CLEAN_FLAGGED))
    tested = Linear(tested.weight, tested.bias - shift)
    read = _reader(encoder, tested)
    measured = {}
    rng = np.random.default_rng(SEED)
    for name in (*DOCUMENTS, UNFITTED):
        held = papers[name] if name == UNFITTED else _of(papers, seen_document, name, False)
        for kind in ("text", "code"):
            new = [row["text"] for row, seen in zip(attacks, seen_kind, strict=True) if not seen]
            new = [text for text in new if ("```" in text) == (kind == "code")]
            spoiled = [inserted(paper, str(rng.choice(new)), rng) for paper in held for _ in range(3)]
            scores = np.array(
                [max(probability(np.array(read(paper))), phrase_score(paper)) for paper in [*held, *spoiled]]
            )
            measured[f"{name}, {kind} attacks"] = summary(np.arange(len(scores)) >= len(held), scores)
    shipped = learn(every=True)
    read = _reader(encoder, shipped)
    every = [paper for name in DOCUMENTS for paper in papers[name]]
    shift = float(np.quantile([read(paper) for paper in every], 1 - CLEAN_FLAGGED))
    facts = {"documents": {name: len(found) for name, found in papers.items()}, "measured": measured}
    facts["attacks"] = {"seen kinds": int(seen_kind.sum()), "new kinds": int((~seen_kind).sum())}
    return Linear(shipped.weight, shipped.bias - shift), facts


def each_sentence(vectors: Vectors) -> Vectors:
    """Every window as a text of its own."""
    return Vectors(vectors.features, np.arange(len(vectors.owner)))


def _of(papers: dict[str, list[str]], seen: dict[str, list[bool]], name: str, wanted: bool) -> list[str]:
    return [paper for paper, known in zip(papers[name], seen[name], strict=True) if known == wanted]


def _reader(encoder: Encoder, head: Linear) -> Callable[[str], float]:
    """The logit of a document as the signal reads it: of the sentences that it would give to the head."""

    def read(paper: str) -> float:
        said = orders(paper)
        return float(head.logits(vectors_of(encoder, said)).max()) if said else -20.0

    return read


def inserted(paper: str, attack: str, rng: np.random.Generator) -> str:
    """``attack`` as a paragraph between two sentences of ``paper``, at its beginning or at its end."""
    places: Sequence[int] = [0, len(paper), *(end for _, end in sentences(paper))]
    at = int(rng.choice(places))
    return f"{paper[:at]}\n{attack}\n{paper[at:]}".strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the labelled sets")
    parser.add_argument("--output", type=Path, default=HEADS)
    args = parser.parse_args()
    torch.manual_seed(SEED)
    encoder = Encoder(device="cpu")
    question_head, question_facts = direct(encoder, args.data)
    context_head, context_facts = context(encoder, args.data)
    encoder.close()
    output = args.output / f"{HEAD}.safetensors"
    save_file(
        {
            "direct": question_head.weight,
            "direct_bias": np.array([question_head.bias], dtype=np.float32),
            "context": context_head.weight,
            "context_bias": np.array([context_head.bias], dtype=np.float32),
        },
        output,
    )
    output.chmod(0o644)  # safetensors writes for the owner alone; the wheel is for everyone
    facts = {
        "name": "injection",
        "version": "1",
        "sha256": file_sha256(output),
        "encoder": encoder.version,
        "encoder_sha256": encoder.weights,
        "tone_layer": TONE_LAYER,
        "sentences": SENTENCES_MAX,
        "seed": SEED,
        "l2": [L2_DIRECT, L2_CONTEXT],
        "direct": question_facts,
        "context": context_facts,
    }
    (args.output / f"{HEAD}.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    write_card(facts, args.output / f"{HEAD}.md")
    print((args.output / f"{HEAD}.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
