"""Groundedness on people's verdicts: context novelty and its family, beside cosine, ROUGE-L and length.

Rows on which ``context_novelty`` abstains (no context, no content word, only "I do not know") are left out for it and
its baselines alike; a cue that abstains says nothing, and counts as 0. mtRAG's few conversations are resampled whole.
SummEdits' edits change one fact in a copied summary: novelty does not detect them, and the row says so. HaluEval-QA is
no evidence, because the length of the answer alone separates it; nothing was chosen on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.measures import Labels, Scores, auroc, average_precision, interval, read_set
from bench.quality.rows import Row
from signals.encoder import Encoder
from signals.groundedness.highlights import highlights
from signals.groundedness.reading import STOP_WORDS
from signals.suite import Suite, SuiteOptions, load_suite
from signals.types import Document, Exchange
from signals.words import words

FAMILY = "groundedness"
TARGETS = {"mtrag_human": 0.83, "begin": 0.93, "wice_claim": 0.70}
MARGIN = 0.10  # over cosine, in the mean of these
NAMES = {"halueval_qa": "halueval_qa (artefact)", "summedits": "summedits (not detected)"}
FALSE_ALARMS = 0.01
EDITS = {"negation_flip": "negation_insertion_removal", "number_mismatch": "entity_modification",
         "entity_mismatch": "entity_modification"}  # fmt: skip
NEGATION_TARGET = 0.75
HIGHLIGHT_TARGET = 0.77

Rows = list[dict[str, Any]]
Columns = dict[str, Scores]


def measure(data: Path) -> Iterator[Row]:
    suite = load_suite(SuiteOptions(enabled=("context_novelty", "claims", "citations"), workers=1))
    encoder = Encoder(device="cpu", workers=1)
    means: dict[str, list[float]] = {"context_novelty": [], "cosine": []}
    for name in (*TARGETS, "summedits", "halueval_qa"):
        rows = read_set(name, data)
        columns = columns_of(rows, suite, passages=name == "mtrag_human")
        for row in verdicts(name, rows, columns, encoder):
            if name in TARGETS and row.measure == "AUROC" and row.who in means:
                means[row.who].append(row.value)
            yield row
        yield from _cues(name, rows, columns)
    ours, cosine = (float(np.mean(values)) for values in means.values())
    on = "mean of " + ", ".join(TARGETS)
    yield Row(family=FAMILY, who="context_novelty", on=on, measure="AUROC", value=ours)
    yield Row(family=FAMILY, who="cosine", on=on, measure="AUROC", value=cosine, baseline=True)
    yield Row(family=FAMILY, who="context_novelty", on=on, measure="AUROC over cosine", value=ours - cosine,
              target=MARGIN)  # fmt: skip
    yield from _tokens(read_set("wice_tokens", data), encoder)
    encoder.close()


def columns_of(rows: Rows, suite: Suite, *, passages: bool) -> Columns:
    """Every column of the family over a set, NaN where it abstains; ``passages``: its contexts are documents."""
    exchanges = [
        Exchange(
            input=row.get("question") or None,
            output=row["response"],
            context="\n".join(row["context"]),
            documents=tuple(map(Document, row["context"])) if passages else (),
        )
        for row in rows
    ]
    scores = suite.score(exchanges)
    assert not scores.failures, scores.failures
    return {found.spec.signal: found.values.astype(np.float64) for found in scores.columns}


def verdicts(name: str, rows: Rows, columns: Columns, encoder: Encoder) -> Iterator[Row]:
    kept = np.flatnonzero(~np.isnan(columns["context_novelty"]))
    rows = [rows[at] for at in kept]
    labels = _labels(rows)
    groups = _conversations(rows) if name == "mtrag_human" else None
    on = NAMES.get(name, name)
    ours = columns["context_novelty"][kept]
    yield _row("context_novelty", on, labels, ours, groups, target=TARGETS.get(name))
    for measured, value in (
        ("AP", average_precision(labels, ours)),
        ("share of positives", float(labels.mean())),
        (f"recall at {FALSE_ALARMS:.0%} FP", _recall(labels, ours)),
    ):
        baseline = measured == "share of positives"
        who = "any guess" if baseline else "context_novelty"
        yield Row(family=FAMILY, who=who, on=on, measure=measured, value=value, n=len(labels), baseline=baseline)
    yield _row("cosine", on, labels, _cosine(rows, encoder), groups, baseline=True)
    yield _row("ROUGE-L precision", on, labels, np.array([_rouge(row) for row in rows]), groups, baseline=True)
    length = np.array([len(row["response"]) for row in rows], dtype=np.float64)
    yield _row("length", on, labels, length, groups, baseline=True)


def _cues(name: str, rows: Rows, columns: Columns) -> Iterator[Row]:
    """The cues where they say something; on SummEdits by the kind of edit, against the unedited summaries."""
    labels = _labels(rows)
    if name == "halueval_qa":
        return
    if name == "summedits":
        for who, kind in EDITS.items():
            edited = np.array([kind in row["edit_types"] for row in rows])
            rest = edited | ~labels
            target = NEGATION_TARGET if who == "negation_flip" else None
            scores = np.nan_to_num(columns[who][rest])
            yield _row(who, f"summedits: {kind}", edited[rest], scores, None, target=target)
    for who in ("number_mismatch", "entity_mismatch", "negation_flip", "unsupported_claims"):
        raised = columns[who] >= 0.5  # False where it abstains
        precision = float(labels[raised].mean()) if raised.any() else float("nan")
        yield Row(family=FAMILY, who=who, on=name, measure="precision at 0.5", value=precision, n=int(raised.sum()))
    yield Row(family=FAMILY, who="any guess", on=name, measure="precision", value=float(labels.mean()),
              n=len(labels), baseline=True)  # fmt: skip


def _tokens(rows: Rows, encoder: Encoder) -> Iterator[Row]:
    """Content words of WiCE's claims that people marked as unsupported."""
    marked: list[bool] = []
    states: list[float] = []
    new: list[float] = []
    for row in rows:
        answer, context = row["response"], "\n".join(row["context"])
        by_states = highlights(answer, context, encoder)
        by_words = highlights(answer, context, None)
        place = 0
        for token, flag in zip(row["tokens"], row["non_supported"], strict=True):
            start = answer.find(token, place)
            if start < 0:
                continue
            place = start + len(token)
            inside = [at for at, found in enumerate(by_states) if found.start < place and found.end > start]
            if inside and token.lower() not in STOP_WORDS:
                marked.append(bool(flag))
                states.append(max(by_states[at].weight for at in inside))
                new.append(max(by_words[at].weight for at in inside))
    labels, on = np.array(marked), "wice_tokens, content words"
    yield _row("highlights", on, labels, np.array(states), None, target=HIGHLIGHT_TARGET)
    yield _row("words not in the context", on, labels, np.array(new), None, baseline=True)


def _row(
    who: str, on: str, labels: Labels, scores: Scores, groups: npt.NDArray[np.int64] | None, *,
    target: float | None = None, baseline: bool = False,
) -> Row:  # fmt: skip
    low, high = interval(labels, scores, rounds=500, groups=groups)
    return Row(
        family=FAMILY, who=who, on=on, measure="AUROC", value=auroc(labels, scores), low=low, high=high,
        n=len(labels), target=target, baseline=baseline,
    )  # fmt: skip


def _labels(rows: Rows) -> Labels:
    return np.array([bool(row["label"]) for row in rows])


def _conversations(rows: Rows) -> npt.NDArray[np.int64]:
    names = [row["id"].partition("<::>")[0] for row in rows]
    return np.unique(names, return_inverse=True)[1]


def _recall(labels: Labels, scores: Scores) -> float:
    threshold = np.quantile(scores[~labels], 1 - FALSE_ALARMS, method="higher")
    return float((scores[labels] > threshold).mean())


def _cosine(rows: Rows, encoder: Encoder) -> Scores:
    """``1 - cos`` of the mean vectors of answer and context: what many tools call groundedness."""
    answers = encoder.encode([row["response"] for row in rows]).mean()
    contexts = encoder.encode(["\n".join(row["context"]) for row in rows]).mean()
    return (1 - (answers * contexts).sum(1)).astype(np.float64)


def _rouge(row: dict[str, Any]) -> float:
    said = words(row["response"])
    return 1 - _common(said, words("\n".join(row["context"]))) / max(1, len(said))


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row of the table in one integer (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for at, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << at
    everything = (1 << len(left)) - 1
    row = everything
    for word in right:
        hit = row & places.get(word, 0)
        row = ((row + hit) | (row - hit)) & everything
    return len(left) - row.bit_count()
