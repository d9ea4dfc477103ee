"""What the drift table compares with: each baseline finds a complete shift, and says when."""

from __future__ import annotations

import numpy as np
import pytest

from tests.signals.drift.traffic import mixed

pytest.importorskip("river", reason="the extra `bench` is not installed")

from bench.quality.drift_baselines import BASELINES, WINDOW, Vectors


def unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.mark.parametrize("name", BASELINES)
def test_a_complete_shift_is_found_after_it_began(name: str) -> None:
    stream = np.concatenate([mixed(2, WINDOW), mixed(3, 5 * WINDOW, new_share=1.0)])

    found = BASELINES[name](unit(mixed(1, 1_000)), unit(stream))

    assert WINDOW < found <= len(stream)
