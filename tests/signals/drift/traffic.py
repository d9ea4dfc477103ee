"""Traffic of made-up topics, as sketches give it back."""

from __future__ import annotations

import numpy as np

from signals.sketch import SOURCE_DIMENSIONS, sketch, unsketch
from signals.types import Floats

TOPICS = 8


def calls(seed: int, topics: np.ndarray, *, about: int = 0, spread: float = 1.0) -> Floats:
    """One vector a call, near the centre of its topic; another ``about`` is another set of centres."""
    centres = np.random.default_rng(about).normal(size=(TOPICS, SOURCE_DIMENSIONS))
    vectors = centres[topics] + spread * np.random.default_rng(seed).normal(size=(len(topics), SOURCE_DIMENSIONS))
    return unsketch(sketch(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)))


def mixed(seed: int, n: int, *, new_share: float = 0.0) -> Floats:
    """Calls of all topics alike, of which ``new_share`` are about something else."""
    rng = np.random.default_rng([seed, 1])
    vectors = calls(seed, rng.integers(0, TOPICS, n))
    new = rng.random(n) < new_share
    vectors[new] = calls(seed + 1, rng.integers(0, TOPICS, n), about=1)[new]
    return vectors
