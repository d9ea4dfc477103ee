"""How the light toxicity head is fitted: its data, its loss, its calibration and the thresholds of the cascade."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
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
EVALUATED = ("wikitalk", "stormfront", "civil_toxicspans")  # share-alike, or all pre-filtered as toxic: never fitted
CLEAN = "halueval_general"  # requests to an assistant and its answers, taken as harmless
CLEAN_WEIGHT = 0.3  # of the loss, against 1 for each labelled set on average
HARD = "hard_cases"
HARD_WEIGHT = 0.5  # of a set of its size
L2 = 5e-5
SEED = 0
RECALLS = (90, 95, 99)
SEEN = Path(__file__).with_name("toxicity-v2.seen.npy")

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Texts of one set as vectors, with labels and what kind of case each is."""

    texts: tuple[str, ...]
    vectors: Vectors
    labels: Bools
    kinds: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, keep: Bools) -> Rows:
        return Rows(
            tuple(text for text, kept in zip(self.texts, keep, strict=True) if kept),
            self.vectors.only(keep),
            self.labels[keep],
            tuple(kind for kind, kept in zip(self.kinds, keep, strict=True) if kept),
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
    return rows_of(
        encoder,
        [row["text"] for row in raw],
        [bool(row["label"]) for row in raw],
        [row.get("functionality", "") for row in raw],
    )


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


def fit_head(sets: Sequence[Rows], clean: Rows, hard: Rows) -> Linear:
    """Logistic regression on the worst window of each text; a set weighs by the root of its size."""
    masses = [len(rows) ** 0.5 for rows in sets]
    masses += [CLEAN_WEIGHT * sum(masses) / len(masses), HARD_WEIGHT * len(hard) ** 0.5]
    every = [*sets, clean, hard]
    shares = np.concatenate([np.full(len(rows), mass / len(rows)) for rows, mass in zip(every, masses, strict=True)])
    return fit(
        joined([rows.vectors for rows in every]),
        np.concatenate([rows.labels for rows in every]),
        l2=L2,
        shares=shares / shares.sum(),
    )


def calibrate(model: Linear, sets: Sequence[Rows]) -> Linear:
    """Platt's scaling on rows that the fit has not seen, folded into the weights."""
    logits = torch.from_numpy(np.concatenate([model.logits(rows.vectors) for rows in sets]))
    labels = torch.from_numpy(np.concatenate([rows.labels for rows in sets]).astype(np.float64))
    scale, shift = torch.ones(1, dtype=torch.float64, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS([scale, shift], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = nn.binary_cross_entropy_with_logits(logits * scale + shift, labels)
        loss.backward()
        return loss

    optimiser.step(closure)
    factor = float(scale.detach())
    return Linear(np.asarray(model.weight * factor, dtype=np.float32), model.bias * factor + float(shift.detach()))


def probabilities(model: Linear, rows: Rows) -> Floats:
    """Shape (texts,)."""
    return np.asarray(1 / (1 + np.exp(-model.logits(rows.vectors))), dtype=np.float64)


def threshold_for(recall: float, toxic: Floats) -> float:
    """The highest probability at which at least ``recall`` of ``toxic`` lies at or above."""
    return float(np.quantile(toxic, 1 - recall, method="lower"))


def _digest(text: str) -> bytes:
    return hashlib.sha256(" ".join(text.lower().split()).encode("utf-8", "surrogatepass")).digest()
