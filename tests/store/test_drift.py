"""Drift compares the newest windows with those before them, by log time."""

from __future__ import annotations

import numpy as np
import pytest

from collector.delta import EMBEDDING_SCALE, Delta, Footer, embedding_table, empty_calls
from collector.store.database import rows_of
from collector.store.drift import refresh_drift
from tests.store.build import STREAMS, view

WINDOW = 1_790_000_400  # begins a 10-minute window


def put(chain, start, windows, *, log_time):
    """One delta of embedding sums: window -> (vectors, direction)."""
    sums = {
        (at * 10**6, "shop", "gpt-4o", "output", "m1"): (n, np.array(direction, np.int64) * n * EMBEDDING_SCALE)
        for at, (n, direction) in windows.items()
    }
    place = STREAMS[0]._asdict()
    footer = Footer(**place, start=start, next=start + 1, resume_at=float(log_time))
    chain.append(Delta(footer=footer, calls=empty_calls(), embeddings=embedding_table(sums)))


def drift(materialiser):
    materialiser.step()
    store = materialiser.store
    with store.database.transaction() as connection:
        refresh_drift(connection, store.config.baseline)
        return rows_of(connection, "SELECT distance, n_current, n_baseline, epoch_us(as_of) // 1000000 FROM drift")


def test_a_turn_by_a_right_angle_is_a_distance_of_one(tmp_path):
    chain, materialiser = view(tmp_path)
    put(chain, 0, {WINDOW - 7_200: (100, [1, 0]), WINDOW: (60, [0, 1])}, log_time=WINDOW + 30)

    assert drift(materialiser) == [(pytest.approx(1.0), 60, 100, WINDOW + 600)]
    materialiser.store.close()


def test_the_same_direction_is_no_distance_and_few_calls_have_none(tmp_path):
    chain, materialiser = view(tmp_path)
    put(chain, 0, {WINDOW - 7_200: (100, [1, 0]), WINDOW: (49, [3, 0])}, log_time=WINDOW + 30)
    assert drift(materialiser)[0][:3] == (None, 49, 100)

    put(chain, 1, {WINDOW: (1, [3, 0])}, log_time=WINDOW + 40)
    assert drift(materialiser)[0][:3] == (pytest.approx(0.0), 50, 100)
    materialiser.store.close()


def test_a_client_from_the_future_does_not_move_the_window(tmp_path):
    chain, materialiser = view(tmp_path)
    put(chain, 0, {WINDOW - 7_200: (100, [1, 0]), WINDOW: (60, [0, 1])}, log_time=WINDOW + 30)
    put(chain, 1, {WINDOW + 10**8: (500, [1, 0])}, log_time=WINDOW + 40)

    assert drift(materialiser) == [(pytest.approx(1.0), 60, 100, WINDOW + 600)]
    materialiser.store.close()


def test_sums_beyond_32_bits_stay_exact(tmp_path):
    chain, materialiser = view(tmp_path)
    for start in range(4):
        put(chain, start, {WINDOW: (100_000, [1, -1])}, log_time=WINDOW + start)
        materialiser.step()

    with materialiser.store.database.read() as connection:
        ((n, raw),) = rows_of(connection, "SELECT n, sum FROM data.embeddings")
    assert n == 400_000
    assert np.frombuffer(raw, "<i8").tolist() == [400_000 * EMBEDDING_SCALE, -400_000 * EMBEDDING_SCALE]
    materialiser.store.close()
