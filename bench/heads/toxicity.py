"""How the light toxicity head is fitted: its data, its loss, its calibration and the thresholds of the cascade."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as nn

from bench.heads.hard_cases import hard_cases
from bench.heads.linear import Linear, Vectors, fit, joined
from bench.measures import read_set
from signals.encoder import Encoder

FITTED = ("davidson", "surge", "toxigen_seed", "openai_mod", "hatecheck")
RATED = "civil_toxicspans"  # fitted on the share of raters who found something toxic, which hardly any two agree on
RATED_WEIGHT = 0.3  # of the loss, against 1 for each labelled set on average
NEVER_FITTED = ("wikitalk", "stormfront")  # share-alike
CLEAN = "halueval_general"  # requests to an assistant and its answers, taken as harmless
CLEAN_WEIGHT = 0.3  # of the loss, against 1 for each labelled set on average
HARD = "hard_cases"
HARD_WEIGHT = 0.5  # of a set of its size
L2 = 7e-5
SEED = 0
RECALLS = (90, 95, 99)
SEEN = Path(__file__).with_name("toxicity-v3.seen.npy")

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Texts of one set as vectors, with labels and what kind of case each is."""

    texts: tuple[str, ...]
    vectors: Vectors
    labels: Bools
    kinds: tuple[str, ...]
    rated: Floats | None = None  # the share of raters who call it toxic, where the label is no more than that

    @property
    def targets(self) -> Floats:
        """What a fit aims at."""
        return self.labels.astype(np.float64) if self.rated is None else self.rated

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, keep: Bools) -> Rows:
        return Rows(
            tuple(text for text, kept in zip(self.texts, keep, strict=True) if kept),
            self.vectors.only(keep),
            self.labels[keep],
            tuple(kind for kind, kept in zip(self.kinds, keep, strict=True) if kept),
            None if self.rated is None else self.rated[keep],
        )

    def part(self, *numbers: int) -> Rows:
        return self.only(np.array([part_of(text) in numbers for text in self.texts], dtype=np.bool_))


def part_of(text: str) -> int:
    """0 fit, 1 calibrate, 2 validate; equal texts, up to case and spaces, always fall into one part."""
    byte = _digest(text)[0]
    return 0 if byte < 205 else 1 if byte < 230 else 2


def hash_of(text: str) -> int:
    return int.from_bytes(_digest(text)[1:5], "big")


def unseen(rows: Rows) -> Rows:
    """Those that the shipped weights were not fitted on, whatever folder they come from."""
    seen = set(np.load(SEEN).tolist())
    return rows.only(np.array([hash_of(text) not in seen for text in rows.texts], dtype=np.bool_))


def load(encoder: Encoder, name: str, data: Path) -> Rows:
    """One set, encoded; texts as they stand in it, repeats too."""
    if name == HARD:
        texts, labels = hard_cases()
        return rows_of(encoder, texts, labels)
    raw = read_set(name, data)
    if name == CLEAN:
        return rows_of(encoder, [row["question"] for row in raw] + [row["response"] for row in raw])
    rows = rows_of(
        encoder,
        [row["text"] for row in raw],
        [bool(row["label"]) for row in raw],
        [row.get("functionality", "") for row in raw],
    )
    if name == RATED:
        return replace(rows, rated=np.array([1 - row["n_not_toxic"] / row["n_raters"] for row in raw]))
    return rows


def rows_of(
    encoder: Encoder, texts: Sequence[str], labels: Sequence[bool] | None = None, kinds: Sequence[str] | None = None
) -> Rows:
    """``texts`` as vectors; harmless where nothing is said of them."""
    encoded = encoder.encode(texts)
    features = encoded.layers.reshape(len(encoded.layers), -1)
    none = np.zeros(len(texts), dtype=np.bool_)
    return Rows(
        tuple(texts),
        Vectors(features, encoded.owner),
        none if labels is None else np.array(labels, dtype=np.bool_),
        tuple(kinds or [""] * len(texts)),
    )


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a head is fitted on: the texts of several sets, and what each weighs in the loss."""

    vectors: Vectors
    targets: Floats
    shares: Floats  # add up to 1
    groups: npt.NDArray[np.int64]  # the set of each text: the labelled ones in order, then the others
    labelled: int  # how many of the groups are labelled sets


def lesson(sets: Sequence[Rows], clean: Rows, hard: Rows | None, rated: Rows | None) -> Lesson:
    """A labelled set weighs by the root of its size."""
    masses = [len(rows) ** 0.5 for rows in sets]
    mean = sum(masses) / len(masses)
    others = [(clean, CLEAN_WEIGHT * mean)]
    if hard is not None:
        others.append((hard, HARD_WEIGHT * len(hard) ** 0.5))
    if rated is not None:
        others.append((rated, RATED_WEIGHT * mean))
    every = [*sets, *(rows for rows, _ in others)]
    masses += [mass for _, mass in others]
    shares = np.concatenate([np.full(len(rows), mass / len(rows)) for rows, mass in zip(every, masses, strict=True)])
    return Lesson(
        joined([rows.vectors for rows in every]),
        np.concatenate([rows.targets for rows in every]),
        shares / shares.sum(),
        np.repeat(np.arange(len(every)), [len(rows) for rows in every]),
        len(sets),
    )


def fit_head(sets: Sequence[Rows], clean: Rows, hard: Rows, rated: Rows) -> Linear:
    """Logistic regression on the worst window of each text."""
    taught = lesson(sets, clean, hard, rated)
    return fit(taught.vectors, taught.targets, l2=L2, shares=taught.shares)


def calibrate(model: Linear, sets: Sequence[Rows]) -> Linear:
    """Platt's scaling on rows that the fit has not seen, folded into the weights."""
    factor, shift = platt(
        np.concatenate([model.logits(rows.vectors) for rows in sets]), np.concatenate([rows.labels for rows in sets])
    )
    return Linear(np.asarray(model.weight * factor, dtype=np.float32), model.bias * factor + shift)


def platt(scores: Floats, judged: Bools) -> tuple[float, float]:
    """Factor and shift of logits that make them calibrated."""
    logits, labels = torch.from_numpy(scores), torch.from_numpy(judged.astype(np.float64))
    scale, shift = torch.ones(1, dtype=torch.float64, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS([scale, shift], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = nn.binary_cross_entropy_with_logits(logits * scale + shift, labels)
        loss.backward()
        return loss

    optimiser.step(closure)
    return float(scale.detach()), float(shift.detach())


def probabilities(model: Linear, rows: Rows) -> Floats:
    """Shape (texts,)."""
    return np.asarray(1 / (1 + np.exp(-model.logits(rows.vectors))), dtype=np.float64)


def threshold_for(recall: float, toxic: Floats) -> float:
    """The highest probability at which at least ``recall`` of ``toxic`` lies at or above."""
    return float(np.quantile(toxic, 1 - recall, method="lower"))


def _digest(text: str) -> bytes:
    return hashlib.sha256(" ".join(text.lower().split()).encode("utf-8", "surrogatepass")).digest()
