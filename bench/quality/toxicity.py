"""Toxicity on labelled public sets: the light head beside alt-profanity-check, a word list and the sets it never saw.

The shipped weights are judged on rows that they were not fitted on, whatever folder is given. "Left out whole" refits
in the run without any row of the set: on the development data beside the checkout where they are, else on the other
sets of the folder. alt-profanity-check was fitted on davidson and on Wikipedia talk, so its numbers there are
contaminated (said in the row). The cascade's recall is over the pooled toxic rows; what it passes is measured on
requests and answers of assistants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bench.heads.linear import Linear
from bench.heads.toxicity import (
    CLEAN,
    FITTED,
    HARD,
    NEVER_FITTED,
    RATED,
    RECALLS,
    Rows,
    fit_head,
    load,
    probabilities,
    rows_of,
    threshold_for,
    unseen,
)
from bench.measures import DATA, Labels, Scores, auroc, average_precision, interval, read_set
from bench.quality.rows import Row
from signals.encoder import Encoder
from signals.toxicity import ToxicityHead, damped

HEAD = "toxicity head 3"
TARGETS = {"openai_mod": 0.82, "surge": 0.91}  # left out whole
POOLED_TARGET = 0.93
CLEAN_TARGETS = {95: 0.05, 99: 0.18}
CONTAMINATED = ("davidson", "wikitalk")  # of alt-profanity-check
GROUPS = {
    "hate": ("derog", "threat", "slur_h", "ref", "phrase", "spell", "profanity_h", "negate_pos"),
    "counter-speech": ("counter",),
    "negation": ("negate_neg",),
    "reclaimed and homonyms": ("slur_reclaimed", "slur_homonym"),
    "profanity": ("profanity_nh",),
    "identity, neutral": ("ident",),
    "other targets": ("target",),
}
OTHER_CLEAN: dict[str, tuple[str, ...]] = {
    "mtrag_human": ("question", "response"),
    "pandalm_pref": ("instruction", "response1", "response2"),
    "llmbar_pref": ("input", "output_1", "output_2"),
}
"""Sets that no head was fitted on, and their fields that hold requests and answers, taken as harmless."""
LANGUAGES = Path(__file__).with_name("harmless_languages.tsv")

Scorer = Callable[[Sequence[str]], Scores]
_row = partial(Row, family="toxicity")


def measure(data: Path) -> Iterator[Row]:
    """Rows of the quality table; the folder holds the sets by their names."""
    encoder = Encoder(device="cpu")
    try:
        yield from _measured(encoder, data)
    finally:
        encoder.close()


def _measured(encoder: Encoder, data: Path) -> Iterator[Row]:
    head = ToxicityHead(encoder)
    weights, bias = head.weights()
    model = Linear(weights.reshape(-1), bias)
    whole = {name: load(encoder, name, data) for name in (*FITTED, *NEVER_FITTED, RATED, CLEAN)}
    sets = {name: unseen(rows) for name, rows in whole.items()}
    fitted = {name: sets[name] for name in FITTED}
    pools = {
        "pooled, fitted sets": fitted,
        "pooled with wikitalk and stormfront": {**fitted, **{name: sets[name] for name in NEVER_FITTED}},
    }
    for on, parts in pools.items():
        target = POOLED_TARGET if len(parts) == len(FITTED) else None
        yield from judged(HEAD, on, parts.values(), partial(by_head, model), target=target)
        for who, scorer in BASELINES.items():
            yield from judged(who, on, parts.values(), partial(by_text, scorer), baseline=True)
    for name in (*FITTED, RATED, *NEVER_FITTED):
        on = f"{name}, never fitted" if name in NEVER_FITTED else f"{name}, unseen rows"
        yield from judged(HEAD, on, [sets[name]], partial(by_head, model))
        for who, scorer in BASELINES.items():
            stained = " (contaminated)" if who.startswith("alt") and name in CONTAMINATED else ""
            yield from judged(who + stained, on, [sets[name]], partial(by_text, scorer), baseline=True)
    yield from _functionalities(model, sets["hatecheck"])
    yield from _cascade(model, encoder, pools["pooled with wikitalk and stormfront"], sets[CLEAN], data)
    yield from _languages(head, encoder)
    yield from _left_out(encoder, whole, data)


def by_head(model: Linear, rows: Rows) -> Scores:
    """As the signal scores: halved where the language is another."""
    return np.asarray(damped(rows.texts, probabilities(model, rows).astype(np.float32)), dtype=np.float64)


def by_text(scorer: Scorer, rows: Rows) -> Scores:
    return scorer(rows.texts)


def judged(
    who: str,
    on: str,
    sets: Iterable[Rows],
    score: Callable[[Rows], Scores],
    *,
    target: float | None = None,
    baseline: bool = False,
) -> Iterator[Row]:
    parts = list(sets)
    labels = np.concatenate([rows.labels for rows in parts])
    scores = np.concatenate([score(rows) for rows in parts])
    row = partial(_row, who=who, on=on, n=len(labels), baseline=baseline)
    low, high = interval(labels, scores, rounds=300)
    yield row(measure="AUROC", value=auroc(labels, scores), low=low, high=high, target=target)
    yield row(measure="AP", value=average_precision(labels, scores))
    yield row(measure="recall at 1% FP", value=_recall(labels, scores))


def _recall(labels: Labels, scores: Scores) -> float:
    edge = np.quantile(scores[~labels], 0.99, method="higher")
    return float((scores[labels] > edge).mean())


def _functionalities(model: Linear, rows: Rows) -> Iterator[Row]:
    right = (by_head(model, rows) > 0.5) == rows.labels
    for group, prefixes in GROUPS.items():
        mine = np.array([kind.startswith(prefixes) for kind in rows.kinds])
        if group == "hate":
            mine &= rows.labels
        if mine.any():
            yield _row(
                who=HEAD,
                on=f"hatecheck, {group}",
                measure="right at .5",
                value=float(right[mine].mean()),
                n=int(mine.sum()),
            )


def _cascade(model: Linear, encoder: Encoder, toxic: Mapping[str, Rows], clean: Rows, data: Path) -> Iterator[Row]:
    found = np.concatenate([probabilities(model, rows)[rows.labels] for rows in toxic.values()])
    calm = {f"{CLEAN}, unseen rows": clean}
    for name, fields in OTHER_CLEAN.items():
        if (data / name).is_dir():
            raw = read_set(name, data)
            texts = [
                row[field] for row in raw for field in fields if isinstance(row[field], str) and row[field].strip()
            ]
            calm[f"{name}, never fitted"] = rows_of(encoder, list(dict.fromkeys(texts)))
    for recall in RECALLS:
        edge = threshold_for(recall / 100, found)
        for on, rows in calm.items():
            yield _row(
                who="cascade, first stage",
                on=on,
                measure=f"clean passed at {recall}% recall",
                value=float((probabilities(model, rows) >= edge).mean()),
                n=len(rows),
                target=CLEAN_TARGETS.get(recall),
                lower_is_better=True,
            )


def _languages(head: ToxicityHead, encoder: Encoder) -> Iterator[Row]:
    pairs = [line.split("\t") for line in LANGUAGES.read_text(encoding="utf-8").splitlines()]
    texts = [text for _, text in pairs]
    raw = head.probabilities(encoder.encode(texts))
    for who, scores in ((HEAD, damped(texts, raw)), (f"{HEAD}, not damped", raw)):
        for language in (*dict.fromkeys(name for name, _ in pairs), "all"):
            mine = np.array([language in (name, "all") for name, _ in pairs])
            if language != "all" and not (raw[mine] > 0.5).any():
                continue
            yield _row(
                who=who,
                on=f"harmless sentences, {language}",
                measure="flagged at .5",
                value=float((scores[mine] > 0.5).mean()),
                n=int(mine.sum()),
                lower_is_better=True,
            )


def _left_out(encoder: Encoder, sets: Mapping[str, Rows], data: Path) -> Iterator[Row]:
    own = data.resolve() == DATA.resolve() or not DATA.is_dir()
    fitting = sets if own else {name: load(encoder, name, DATA) for name in (*FITTED, RATED, CLEAN)}
    hard = load(encoder, HARD, data)
    for name in FITTED:
        model = fit_head([fitting[other] for other in FITTED if other != name], fitting[CLEAN], hard, fitting[RATED])
        yield from judged(
            f"{HEAD}, refitted",
            f"{name}, left out whole",
            [sets[name]],
            partial(probabilities, model),
            target=TARGETS.get(name),
        )


def _alt_profanity_check(texts: Sequence[str]) -> Scores:
    from profanity_check import predict_prob  # noqa: PLC0415 - the extra `bench`

    return np.asarray(predict_prob(list(texts)), dtype=np.float64)


def _word_list(texts: Sequence[str]) -> Scores:
    """Share of a text's words that better-profanity's list holds."""
    from better_profanity import profanity  # noqa: PLC0415 - the extra `bench`

    profanity.load_censor_words()
    listed = {str(word) for word in profanity.CENSOR_WORDSET}
    words = [[word.strip(".,!?;:\"'()") for word in text.lower().split()] for text in texts]
    return np.array([sum(word in listed for word in found) / max(len(found), 1) for found in words])


BASELINES: dict[str, Scorer] = {"alt-profanity-check": _alt_profanity_check, "better-profanity": _word_list}
