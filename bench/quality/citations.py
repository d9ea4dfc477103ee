"""Citations and retrieval on mtRAG's faithful answers: their own passages against passages of other conversations.

Nobody labelled which passage an answer used, so the truth is made: an answer that people found faithful rests on its
own passages, and on none of another conversation's. ``documents_unused`` judges an answer with as many of the one as of
the other; ``citation_unsupported`` an answer that cites the one or the other behind every sentence, by its id. Answers
are those to questions that the passages answer; what only declines is left out by the signals themselves.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.measures import Scores, auroc, interval, read_set
from bench.quality.rows import Row
from signals.encoder import Encoder
from signals.suite import Suite, SuiteOptions, load_suite
from signals.types import Document, Exchange

FAMILY = "citations"
ON = "mtrag_human, faithful answers"
SIGNALS = ("documents_unused", "citation_unsupported")
SEED = 0


def measure(data: Path) -> Iterator[Row]:
    rows = [row for row in read_set("mtrag_human", data) if not row["label"] and row["context"]]
    rng = random.Random(SEED)
    foreign = [_foreign(row, rows, rng) for row in rows]
    suite = load_suite(SuiteOptions(enabled=("citations",)))
    own_scores = _scores(suite, rows, [row["context"] for row in rows])
    foreign_scores = _scores(suite, rows, foreign)
    for signal in SIGNALS:
        kept = ~np.isnan(own_scores[signal]) & ~np.isnan(foreign_scores[signal])
        own, other = own_scores[signal][kept], foreign_scores[signal][kept]
        yield from _separation(signal, own, other)
        for whose, scores in (("own", own), ("another's", other)):
            on = f"{ON}: {whose} passages"
            yield Row(family=FAMILY, who=signal, on=on, measure="mean", value=float(scores.mean()), n=len(scores))
        if signal == SIGNALS[0]:
            encoder = Encoder(device="cpu")
            chosen = [row for row, keep in zip(rows, kept, strict=True) if keep]
            passages = [each for each, keep in zip(foreign, kept, strict=True) if keep]
            near = _cosine(encoder, chosen, [row["context"] for row in chosen])
            yield from _separation("cosine", near, _cosine(encoder, chosen, passages), baseline=True)
            encoder.close()


def _foreign(row: dict[str, Any], rows: Sequence[dict[str, Any]], rng: random.Random) -> list[str]:
    """As many passages of other conversations as the row has of its own."""
    own = set(row["context"])
    conversation = row["id"].partition("<::>")[0]
    others = [
        passage
        for other in rows
        if other["id"].partition("<::>")[0] != conversation
        for passage in other["context"]
        if passage not in own
    ]
    return rng.sample(others, len(row["context"]))


def _scores(suite: Suite, rows: Sequence[dict[str, Any]], passages: Sequence[Sequence[str]]) -> dict[str, Scores]:
    exchanges = []
    for row, texts in zip(rows, passages, strict=True):
        documents = tuple(Document(text, id=f"kb-{at}") for at, text in enumerate(texts, 1))
        cited = "; ".join(document.id or "" for document in documents)
        output = "\n".join(f"{line} [{cited}]" if line.strip() else line for line in row["response"].split("\n"))
        exchanges += [
            Exchange(output=row["response"], context="\n".join(texts), documents=documents),
            Exchange(output=output, context="\n".join(texts), documents=documents),
        ]
    scores = suite.score(exchanges)
    assert not scores.failures, scores.failures
    columns = {found.spec.signal: found.values.astype(np.float64) for found in scores.columns}
    return {
        "documents_unused": columns["documents_unused"][::2],
        "citation_unsupported": columns["citation_unsupported"][1::2],
    }


def _separation(who: str, own: Scores, other: Scores, *, baseline: bool = False) -> Iterator[Row]:
    labels, scores = np.repeat([False, True], [len(own), len(other)]), np.concatenate([own, other])
    low, high = interval(labels, scores, rounds=500)
    yield Row(family=FAMILY, who=who, on=f"{ON}: another's passages against its own", measure="AUROC",
              value=auroc(labels, scores), low=low, high=high, n=len(labels), baseline=baseline)  # fmt: skip


def _cosine(encoder: Encoder, rows: Sequence[dict[str, Any]], passages: Sequence[Sequence[str]]) -> Scores:
    """``1 - cos`` of an answer and its passages, in the mean."""
    answers = encoder.encode([row["response"] for row in rows]).mean()
    return np.array(
        [
            1 - float((encoder.encode(list(texts)).mean() @ answer).mean())
            for answer, texts in zip(answers, passages, strict=True)
        ]
    )
