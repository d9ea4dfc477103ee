"""Sets of your own: every folder by another name than the public sets', judged by the fields of its rows.

========================== ===================================================================================
``text``, ``label``         toxicity: the light head as it is shipped, beside alt-profanity-check and a word list
``context``, ``response``,  groundedness: context novelty, beside cosine, ROUGE-L and length; ``context`` is a list
``label``                   of passages, and a label is true where the answer is not supported
========================== ===================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.heads.linear import Linear
from bench.heads.toxicity import rows_of
from bench.measures import SetError, read_set, set_path
from bench.quality import groundedness, toxicity
from bench.quality.rows import Row
from signals.encoder import Encoder
from signals.suite import SuiteOptions, load_suite
from signals.toxicity import ToxicityHead

PUBLIC = frozenset(
    {
        *("mtrag_human", "summedits", "begin", "halueval_qa", "halueval_general", "wice_claim", "wice_tokens"),
        *("davidson", "surge", "toxigen_seed", "openai_mod", "hatecheck", "wikitalk", "stormfront"),
        *("civil_toxicspans", "pandalm_pref", "llmbar_pref", "jailbreak_itw", "bipia"),
    }
)
_TEXTS = ("text", "label")
_ANSWERS = ("context", "response", "label")


def measure(data: Path) -> Iterator[Row]:
    names = sorted(path.name for path in data.iterdir() if path.is_dir() and path.name not in PUBLIC)
    problems = []
    for name in names:
        try:
            yield from _judged(name, data)
        except SetError as problem:
            problems.append(str(problem))  # the other sets can be judged
    if problems:
        raise SetError("\n  ".join(problems))


def _judged(name: str, data: Path) -> Iterator[Row]:
    first = read_set(name, data)[:1]
    if not first:
        raise SetError(f"{set_path(name, data)} is empty")
    if first[0].keys() >= set(_TEXTS):
        yield from _toxicity(name, _labelled(name, data, _TEXTS))
    elif first[0].keys() >= set(_ANSWERS):
        yield from _groundedness(name, _labelled(name, data, _ANSWERS))
    else:
        raise SetError(
            f"{set_path(name, data)}: rows need the fields {', '.join(_TEXTS)} (toxicity) or {', '.join(_ANSWERS)} "
            f"(groundedness), and have {', '.join(first[0])}"
        )


def _labelled(name: str, data: Path, fields: Iterable[str]) -> list[dict[str, Any]]:
    rows = read_set(name, data, fields)
    if len({bool(row["label"]) for row in rows}) < 2:
        raise SetError(f"{set_path(name, data)}: every label is the same: nothing to tell apart")
    for number, row in enumerate(rows, 1):
        for field in fields:
            if field not in ("label", "context") and not isinstance(row[field], str):
                raise SetError(f"{set_path(name, data)}: line {number}: {field} must be text")
        if not isinstance(row.get("context", []), list):
            raise SetError(f"{set_path(name, data)}: line {number}: context must be a list of passages")
    return rows


def _toxicity(name: str, raw: list[dict[str, Any]]) -> Iterator[Row]:
    encoder = Encoder(device="cpu")
    weights, bias = ToxicityHead(encoder).weights()
    rows = rows_of(encoder, [row["text"] for row in raw], [bool(row["label"]) for row in raw])
    encoder.close()
    yield from toxicity.judged(
        toxicity.HEAD, name, [rows], partial(toxicity.by_head, Linear(weights.reshape(-1), bias))
    )
    for who, scorer in toxicity.BASELINES.items():
        yield from toxicity.judged(who, name, [rows], partial(toxicity.by_text, scorer), baseline=True)


def _groundedness(name: str, rows: list[dict[str, Any]]) -> Iterator[Row]:
    suite = load_suite(SuiteOptions(enabled=("context_novelty", "claims", "citations"), workers=1))
    encoder = Encoder(device="cpu")
    columns = groundedness.columns_of(rows, suite, passages=True)
    judged = ~np.isnan(columns["context_novelty"])
    if len({bool(row["label"]) for row, kept in zip(rows, judged, strict=True) if kept}) < 2:
        raise SetError(f"{name}: of the answers that can be judged, every label is the same")
    yield from groundedness.verdicts(name, rows, columns, encoder)
    encoder.close()
