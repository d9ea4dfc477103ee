"""Logistic regression on the worst window of a text, for every head that stands on the shared encoder's vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as nn

from signals.encoder import Encoder


@dataclass(frozen=True, slots=True)
class Vectors:
    """Texts as their windows' vectors, tone and meaning side by side."""

    features: npt.NDArray[np.float32]  # (windows, d)
    owner: npt.NDArray[np.int64]  # (windows,) index of the text, ascending

    @property
    def n(self) -> int:
        return int(self.owner[-1]) + 1 if len(self.owner) else 0

    def only(self, keep: npt.NDArray[np.bool_]) -> Vectors:
        rows = keep[self.owner]
        return Vectors(self.features[rows], (np.cumsum(keep) - 1)[self.owner[rows]])

    def means(self) -> npt.NDArray[np.float32]:
        """One unit vector a text, of the meaning half; only of features that are tone and meaning."""
        total = np.zeros((self.n, self.features.shape[1] // 2), dtype=np.float32)
        np.add.at(total, self.owner, self.features[:, total.shape[1] :])
        return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Linear:
    weight: npt.NDArray[np.float32]  # (d,)
    bias: float

    def logits(self, vectors: Vectors) -> npt.NDArray[np.float64]:
        """The worst window of each text, shape (n,)."""
        worst = np.full(vectors.n, -np.inf)
        np.maximum.at(worst, vectors.owner, vectors.features @ self.weight + self.bias)
        return worst


def vectors_of(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    encoded = encoder.encode(texts)
    return Vectors(np.concatenate((encoded.tones, encoded.windows), axis=1), encoded.owner)


def joined(parts: Sequence[Vectors]) -> Vectors:
    starts = np.cumsum([0, *(part.n for part in parts)])[:-1]
    return Vectors(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.owner + start for part, start in zip(parts, starts, strict=True)]),
    )


def fit(
    vectors: Vectors, labels: npt.NDArray[Any], *, l2: float, shares: npt.NDArray[np.float64] | None = None
) -> Linear:
    """``labels`` are truth values, or shares of those who say yes. Each text weighs by its share of 1, by default the
    same; ``l2`` times the squared weights joins the loss."""
    features, owner = torch.from_numpy(vectors.features), torch.from_numpy(vectors.owner)
    targets = torch.from_numpy(labels.astype(np.float32))
    weights = torch.full((len(labels),), 1 / len(labels)) if shares is None else torch.from_numpy(shares).float()
    weight, bias = torch.zeros(features.shape[1], requires_grad=True), torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        logits = torch.full((len(targets),), -1e9).scatter_reduce(0, owner, features @ weight + bias, "amax")
        loss = nn.binary_cross_entropy_with_logits(logits, targets, weights, reduction="sum")
        loss = loss + l2 * weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return Linear(weight.detach().numpy(), float(bias.detach()))
