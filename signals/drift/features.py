"""Features of a call: its vector as it is, which shows a shift of topics, and random Fourier features of the same
vector, whose mean also moves with the shape of the traffic (Rahimi and Recht 2007)."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from signals.sketch import DIMENSIONS, splitmix64
from signals.types import Floats

RANDOM = 256
"""Random Fourier features."""

FEATURES = DIMENSIONS + RANDOM

_SEED = 50_250
_WIDTH = 1.0  # of the Gaussian kernel: unit vectors of unrelated texts are sqrt(2) apart


def features(vectors: Floats) -> Floats:
    """Vectors, shape (n, DIMENSIONS), to features, shape (n, FEATURES) float32.

    First the vector z, then ``sqrt(2 / RANDOM) * cos(W z + b)``: inner products of the second part estimate
    ``exp(-|z - z'|**2 / (2 * width**2))``.
    """
    turns, phases = _waves()
    found = np.empty((len(vectors), FEATURES), dtype=np.float32)
    found[:, :DIMENSIONS] = vectors
    waves = np.cos(vectors @ turns + phases)
    np.multiply(waves, np.float32(np.sqrt(2 / RANDOM)), out=found[:, DIMENSIONS:])
    return found


@cache
def _waves() -> tuple[Floats, Floats]:
    """Normal directions, shape (DIMENSIONS, RANDOM), by Box and Muller's method, and phases, shape (RANDOM,)."""
    half = DIMENSIONS * RANDOM // 2
    noise = _uniform(_SEED, 2 * half + RANDOM)
    radii, angles = np.sqrt(-2 * np.log(noise[:half])), 2 * np.pi * noise[half : 2 * half]
    normal = np.concatenate([radii * np.cos(angles), radii * np.sin(angles)]).reshape(DIMENSIONS, RANDOM)
    return (normal / _WIDTH).astype(np.float32), (2 * np.pi * noise[2 * half :]).astype(np.float32)


def _uniform(seed: int, n: int) -> npt.NDArray[np.float64]:
    """In (0, 1]."""
    return ((splitmix64(seed, n) >> np.uint64(11)).astype(np.float64) + 1) / 2.0**53
