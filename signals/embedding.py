"""Embedding: where a batch lies in meaning; no score of a call, the distance of two centroids is the signal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from signals.batch import Batch, Costly
from signals.types import Abstention, Embeddings, ScoreColumn, ScoreSpec, Side


class Embedding:
    """Unit vectors of both sides of every exchange; sums of them are additive, so any window can be compared."""

    name = "embedding"
    specs: tuple[ScoreSpec, ...] = ()
    costly = Costly.SHARED_PASS

    def __init__(self, version: str) -> None:
        self._version = version

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:  # noqa: ARG002 - it has vectors only
        return ()

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:
        return tuple(self._side(batch, side) for side in Side)

    def _side(self, batch: Batch, side: Side) -> Embeddings:
        present = batch.abstentions(side) == Abstention.NONE
        means = batch.encoded(side).mean()
        vectors = np.zeros((len(batch), means.shape[1]), dtype=np.float32)
        vectors[present] = means
        return Embeddings(side=side, version=self._version, vectors=vectors, present=present)


def centroid_distance(
    baseline_sum: npt.ArrayLike, baseline_n: int, current_sum: npt.ArrayLike, current_n: int
) -> float:
    """Cosine distance ``1 - cos`` between two centroids of unit vectors, given as additive sums: 0 the same direction.

    1 means unrelated; anything beyond (opposite, which sentence embeddings do not reach) is 1 as well, so the value
    stays in 0..1. NaN where a side is empty or its vectors cancel out. The sums may carry any common scale each
    (fixed-point integers do): only their directions count.
    """
    baseline, current = np.asarray(baseline_sum, dtype=np.float64), np.asarray(current_sum, dtype=np.float64)
    norms = float(np.linalg.norm(baseline) * np.linalg.norm(current))
    if baseline_n <= 0 or current_n <= 0 or norms == 0.0:
        return float("nan")
    return float(np.clip(1.0 - float(baseline @ current) / norms, 0.0, 1.0))
