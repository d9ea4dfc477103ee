"""Injection: jailbreaks against what people ask, and orders inside documents.

The shipped heads were fitted on the development rows, so there their numbers are optimistic and say so; beside them
stands the same head by five folds, which has seen no text like the one it judges. On another folder (``--data``) the
shipped heads have seen nothing. Length separates these sets by itself, so AUROC is told within bins of length, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bench.heads.linear import Vectors, fit, vectors_of
from bench.heads.train_injection import (
    ATTACKS,
    FOLDS,
    HARMLESS,
    L2_DIRECT,
    SEED,
    documents,
    folds,
    inserted,
    of_equal_length,
    probability,
    questions,
)
from bench.measures import DATA, Labels, Scores, read_set
from bench.quality.judge import separation
from bench.quality.rows import Row
from signals.injection import phrase_score
from signals.suite import Suite, SuiteOptions, load_suite
from signals.types import Exchange

FAMILY = "injection"
QUESTIONS_MAX = 500  # of a harmless set
CONTEXTS = ("mtrag_human", "wice_claim")
CONTEXTS_MAX = 150
CHARS_MAX = 3_000  # an encoder's minute is worth more than the tail of a long prompt

# What READMEs of guard scripts list
_KEYWORDS = (
    *("ignore", "disregard", "override", "bypass", "jailbreak", "dan", "developer mode", "system prompt", "pretend"),
    *("roleplay", "unfiltered", "no restrictions", "do anything now", "act as"),
)
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"ignore (all )?(previous|prior|above) (instructions|prompts)",
        r"disregard (all )?(previous|prior|above)",
        r"forget (everything|all previous|your instructions)",
        r"you are now (in )?\w+ ?mode",
        r"(reveal|show|print) (me )?(your|the) (system )?prompt",
        r"do anything now|\bDAN\b",
        r"act as (if|an?) ",
        r"pretend (to be|you are)",
        r"without (any )?(restrictions|limitations|filters)",
    )
)
BASELINES: dict[str, Callable[[str], float]] = {
    "length": lambda text: float(len(text)),
    "keyword list": lambda text: float(sum(word in text.lower() for word in _KEYWORDS)),
    "pattern list": lambda text: float(sum(pattern.search(text) is not None for pattern in _PATTERNS)),
}


def measure(data: Path) -> Iterator[Row]:
    suite = load_suite(SuiteOptions(enabled=("injection",), device="cpu"))
    try:
        yield from _direct(suite, data)
        yield from _context(suite, data)
    finally:
        suite.close()


def seen(data: Path, what: str) -> str:
    return f"fitted on these {what}" if data.resolve() == DATA.resolve() else f"{what} never seen"


def _direct(suite: Suite, data: Path) -> Iterator[Row]:
    sets = {name: questions(name, data)[: QUESTIONS_MAX if name in HARMLESS else None] for name in (ATTACKS, *HARMLESS)}
    texts = [text[:CHARS_MAX] for found in sets.values() for text in found]
    labels = np.array([name == ATTACKS for name, found in sets.items() for _ in found])
    lengths = np.array([len(text) for found in sets.values() for text in found])
    on = "jailbreaks / requests"
    shipped = suite.score([Exchange(input=text) for text in texts]).columns[0].values
    assert suite.encoder is not None
    folded = np.maximum(
        _folded(vectors_of(suite.encoder, texts), labels), np.array([phrase_score(text) for text in texts])
    )
    yield from _told(f"injection, {seen(data, 'rows')}", on, labels, shipped.astype(np.float64), lengths)
    yield from _told("injection, five folds", on, labels, folded, lengths)
    for name, score in BASELINES.items():
        scores = lengths.astype(np.float64) if name == "length" else np.array([score(text) for text in texts])
        yield from _told(name, on, labels, scores, lengths, baseline=True)


def _folded(vectors: Vectors, labels: Labels) -> Scores:
    fold = folds(vectors)
    scores = np.zeros(len(labels))
    for held in range(FOLDS):
        inside = fold == held
        head = fit(vectors.only(~inside), labels[~inside], l2=L2_DIRECT)
        scores[inside] = probability(head.logits(vectors.only(inside)))
    return scores


def _context(suite: Suite, data: Path) -> Iterator[Row]:
    rng = np.random.default_rng(SEED)
    attacks = [row["text"] for row in read_set("bipia", data) if row["label"]]
    for name in CONTEXTS:
        papers = [paper for paper in documents(name, data) if paper and not paper.isspace()][:CONTEXTS_MAX]
        for kind in ("text", "code"):
            chosen = [text for text in attacks if ("```" in text) == (kind == "code")]
            spoiled = [inserted(paper, str(rng.choice(chosen)), rng) for paper in papers]
            texts = [*papers, *spoiled]
            labels = np.arange(len(texts)) >= len(papers)
            on = f"{name} / with BIPIA {kind}"
            scores = suite.score([Exchange(input="?", context=text) for text in texts]).columns[1].values
            who = f"context_injection, {seen(data, 'attacks')}"
            yield from separation(FAMILY, who, on, labels, scores.astype(np.float64))
            for who, score in BASELINES.items():
                judged = np.array([score(text) for text in texts])
                yield from separation(FAMILY, who, on, labels, judged, baseline=True, recall=False)


def _told(
    who: str, on: str, labels: Labels, scores: Scores, lengths: np.ndarray, *, baseline: bool = False
) -> Iterator[Row]:
    yield from separation(FAMILY, who, on, labels, scores, baseline=baseline)
    if who != "length":
        yield Row(
            family=FAMILY,
            who=who,
            on=on,
            measure="AUROC at equal length",
            value=of_equal_length(labels, scores, lengths),
            n=len(labels),
            baseline=baseline,
        )
