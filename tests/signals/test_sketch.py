"""Sketches: the same bytes everywhere, and inner products within a stated error."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.sketch import BYTES, DIMENSIONS, SOURCE_DIMENSIONS, _hadamard, sketch, splitmix64, unsketch

ERROR = 0.1  # root mean square error of the inner product of two unit vectors with cosine .5 or less


def unit(n: int, seed: int, spread: float = 1.0) -> np.ndarray:
    """Unit vectors about one direction; the greater ``spread``, the less they have in common."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=SOURCE_DIMENSIONS) + spread * rng.normal(size=(n, SOURCE_DIMENSIONS))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def codes(sketches: np.ndarray) -> np.ndarray:
    """An oracle of the format: coordinate i of a row is two bits of byte i // 4, the first the highest."""
    return np.array([[byte >> shift & 3 for byte in row for shift in (6, 4, 2, 0)] for row in sketches.tolist()])


def test_a_sketch_of_a_side_takes_64_bytes() -> None:
    assert BYTES == 64
    assert sketch(unit(3, seed=1)).shape == (3, BYTES)
    assert unsketch(sketch(unit(3, seed=1))).shape == (3, DIMENSIONS)


def test_the_matrix_is_orthogonal_and_of_signs() -> None:
    matrix = _hadamard()

    assert set(np.unique(matrix)) == {-1, 1}
    assert np.array_equal(matrix @ matrix.T, 384 * np.eye(384))


def test_random_integers_are_those_of_the_published_generator() -> None:
    assert splitmix64(1234567, 3).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_sketches_are_those_of_this_version() -> None:
    grid = np.sin(np.arange(8 * SOURCE_DIMENSIONS, dtype=np.float64) ** 1.5).reshape(8, -1)
    vectors = np.rint(grid * 512) / 8192  # exact, whatever sine is at hand

    assert hashlib.sha256(sketch(vectors).tobytes()).hexdigest()[:16] == "4c67a4718f327795"


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(0, 8))
def test_a_row_depends_on_its_vector_alone(seed: int, n: int, row: int) -> None:
    vectors = unit(n, seed)

    assert np.array_equal(sketch(vectors)[row % n], sketch(vectors[row % n : row % n + 1])[0])


@given(st.integers(0, 2**32))
def test_what_is_read_back_is_what_was_written(seed: int) -> None:
    sketches = np.random.default_rng(seed).integers(0, 256, (5, BYTES), dtype=np.uint8)

    levels = unsketch(sketches) * 2**8

    assert np.array_equal(levels, (codes(sketches) - 1.5) * 18)


@given(st.integers(0, 2**32), st.floats(1.0, 3.0))
def test_inner_products_survive_within_the_stated_error(seed: int, spread: float) -> None:
    left, right = np.split(unit(400, seed, spread), 2)

    errors = (unsketch(sketch(left)) * unsketch(sketch(right))).sum(axis=1) - (left * right).sum(axis=1)

    assert np.sqrt((errors**2).mean()) < ERROR


def test_a_mean_of_sketches_is_the_sketch_of_a_mean_up_to_rounding() -> None:
    near, far = unit(2_000, seed=1, spread=3), unit(2_000, seed=2, spread=3)

    distance = np.linalg.norm(unsketch(sketch(near)).mean(axis=0) - unsketch(sketch(far)).mean(axis=0))

    assert distance == pytest.approx(float(np.linalg.norm(near.mean(axis=0) - far.mean(axis=0))), rel=0.2)


@pytest.mark.parametrize("shape", [(384,), (2, 383), (1, 2, 384)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        sketch(np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("shape", [(BYTES,), (2, BYTES + 1)])
def test_sketches_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        unsketch(np.zeros(shape, dtype=np.uint8))


def test_no_vectors_give_no_sketches() -> None:
    assert len(unsketch(sketch(np.zeros((0, SOURCE_DIMENSIONS))))) == 0
