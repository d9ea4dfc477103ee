"""Sketches: an embedding in 64 bytes, small enough to keep for every call, near enough to derive drift and topics from.

A vector is turned by a random sign flip and a Hadamard matrix of order 384, DIMENSIONS of its coordinates are kept
(an orthonormal projection), and each is rounded to one of 16 levels: two coordinates a byte. A projection of this
kind keeps inner products up to a random error (Johnson and Lindenstrauss 1984; the randomised Hadamard transform:
Ailon and Chazelle 2009, Tropp 2011).

Every step is exact: the matrix holds ±1, the vector is rounded to multiples of 2**-19, and so each sum is an integer
below 2**24 whatever the order of addition. Equal vectors give equal bytes on any machine and with any BLAS.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from signals.types import Floats

Bytes = npt.NDArray[np.uint8]

SOURCE_DIMENSIONS = 384
DIMENSIONS = 128
BYTES = DIMENSIONS // 2
VERSION = "hadamard128x4-1"
"""Sketches of two versions, or of two encoder versions, are never compared."""

_SEED = 20_261_127
_FIXED = 2.0**19  # |sum| <= sqrt(384) * 2**19 < 2**24: exact in float32
_STEP = 0.3352  # of 16 levels for a standard normal coordinate: least mean square error (Max 1960)
_MASK = (1 << 64) - 1


def sketch(vectors: npt.ArrayLike) -> Bytes:
    """Unit vectors, shape (n, 384), to their sketches, shape (n, BYTES) uint8. A row depends on its vector alone."""
    rows = np.asarray(vectors, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != SOURCE_DIMENSIONS:
        raise ValueError(f"vectors must have shape (n, {SOURCE_DIMENSIONS}), not {rows.shape}")
    turned = np.rint(rows * np.float32(_FIXED)) @ _projection()
    # a coordinate of a unit vector has standard deviation 1/sqrt(384); _projection() leaves the factor out
    codes = np.clip(np.floor(turned / np.float32(_FIXED * _STEP)) + 8, 0, 15).astype(np.uint8)
    return np.asarray(codes[:, 0::2] << 4 | codes[:, 1::2], dtype=np.uint8)


def unsketch(sketches: Bytes) -> Floats:
    """Sketches, shape (n, BYTES), to vectors, shape (n, DIMENSIONS) float32.

    Inner products of two such vectors estimate those of the originals: the error of a pair of unit vectors has a
    standard deviation of about .08 and no bias beyond .01.
    """
    rows = np.asarray(sketches, dtype=np.uint8)
    if rows.ndim != 2 or rows.shape[1] != BYTES:
        raise ValueError(f"sketches must have shape (n, {BYTES}), not {rows.shape}")
    codes = np.empty((len(rows), DIMENSIONS), dtype=np.uint8)
    codes[:, 0::2], codes[:, 1::2] = rows >> 4, rows & 15
    return (codes.astype(np.float32) - np.float32(7.5)) * np.float32(_STEP / np.sqrt(DIMENSIONS))


def splitmix64(seed: int, n: int) -> npt.NDArray[np.uint64]:
    """``n`` pseudo-random 64-bit integers, the same on every machine and for ever (Steele, Lea and Flood 2014)."""
    found = np.empty(n, dtype=np.uint64)
    state = seed & _MASK
    for at in range(n):
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        found[at] = mixed ^ (mixed >> 31)
    return found


@cache
def _projection() -> Floats:
    """±1, shape (384, DIMENSIONS): columns are orthogonal."""
    noise = splitmix64(_SEED, 2 * SOURCE_DIMENSIONS)
    signs = np.where(noise[:SOURCE_DIMENSIONS] >> np.uint64(63), 1, -1)
    kept = np.sort(np.argsort(noise[SOURCE_DIMENSIONS:], kind="stable")[:DIMENSIONS])
    return np.ascontiguousarray((_hadamard()[kept] * signs).T, dtype=np.float32)


def _hadamard() -> npt.NDArray[np.int64]:
    """A Hadamard matrix of order 384: Paley's of order 12 times Sylvester's of order 32."""
    squares = {x * x % 11 for x in range(1, 11)}
    legendre = [0] + [1 if x in squares else -1 for x in range(1, 11)]
    skew = np.array([[legendre[(row - column) % 11] for column in range(11)] for row in range(11)])
    paley = np.ones((12, 12), dtype=np.int64)
    paley[1:, 0], paley[1:, 1:] = -1, skew + np.eye(11, dtype=np.int64)
    paley[1:, 0] = -1
    sylvester = np.array([[1]])
    for _ in range(5):
        sylvester = np.block([[sylvester, sylvester], [sylvester, -sylvester]])
    found: npt.NDArray[np.int64] = np.kron(paley, sylvester)
    return found
