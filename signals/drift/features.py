"""Features of a call: its vector as it is, which shows a shift of topics, and random Fourier features of the same
vector, whose mean also moves with the shape of the traffic (Rahimi and Recht 2007).

Directions, phases and cosines are rounded to few binary digits, so that for vectors of signals.sketch every sum is
exact in float32: the same features on any machine, in any portions.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from signals.sketch import splitmix64
from signals.types import Floats

RANDOM = 256
"""Random Fourier features."""

_SEED = 50_250
_WIDTH = 1.2  # of the Gaussian kernel: unit vectors of unrelated texts are about sqrt(2) apart
_DIRECTION = 2.0**8  # directions are multiples of 1/this …
_TURN = 1 << 16  # … and vectors of 2**-8, so angles are multiples of a turn over this


def features(vectors: Floats) -> Floats:
    """Vectors, shape (n, d), to features, shape (n, d + RANDOM) float32.

    First the vector z, then ``sqrt(2 / RANDOM) * cos(2 pi (W z + b))``: inner products of the second part estimate
    ``exp(-|z - z'|**2 / (2 * width**2))``.
    """
    n, d = vectors.shape
    turns, phases = _waves(d)
    found = np.empty((n, d + RANDOM), dtype=np.float32)
    found[:, :d] = vectors
    angles = np.rint((vectors @ turns) * np.float32(_TURN)).astype(np.int64) + phases
    found[:, d:] = _cosines()[angles & (_TURN - 1)]
    return found


@cache
def _waves(d: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Normal directions in turns, shape (d, RANDOM), by Box and Muller's method, and phases, shape (RANDOM,)."""
    half = (d * RANDOM + 1) // 2
    noise = splitmix64(_SEED, 2 * half + RANDOM)
    uniform = ((noise[: 2 * half] >> np.uint64(11)).astype(np.float64) + 1) / 2.0**53
    radii, angles = np.sqrt(-2 * np.log(uniform[:half])), 2 * np.pi * uniform[half:]
    normal = np.concatenate([radii * np.cos(angles), radii * np.sin(angles)])[: d * RANDOM].reshape(d, RANDOM)
    directions = np.rint(normal / (2 * np.pi * _WIDTH) * _DIRECTION) / _DIRECTION
    return directions.astype(np.float32), (noise[2 * half :] % np.uint64(_TURN)).astype(np.int64)


@cache
def _cosines() -> Floats:
    """Of a turn in _TURN steps, as multiples of 2**-11: products with a witness in multiples of 2**-12 are exact."""
    waves = np.sqrt(2 / RANDOM) * np.cos(2 * np.pi * np.arange(_TURN) / _TURN)
    return np.asarray(np.rint(waves * 2.0**11) / 2.0**11, dtype=np.float32)
