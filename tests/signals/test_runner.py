"""The runner: packs of bounded size in any order, halved when they do not fit, and a way back from a lost device."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from signals.runtime.runner import Runner
from signals.runtime.tokens import Ids, Lengths, joined

CPU = torch.device("cpu")


class Summing:
    """A model whose answer is the sum of a window's ids; it can run out of memory, or lose its device."""

    def __init__(self, *, tokens_max: int = 10_000, broken_on: str = "") -> None:
        self.device = CPU
        self._tokens_max = tokens_max
        self._broken_on = broken_on

    def to(self, device: torch.device) -> None:
        self.device = device

    def encode(self, ids: Ids, lengths: Lengths) -> Tensor:
        if self.device.type == self._broken_on:
            raise RuntimeError("device lost")
        if len(ids) > self._tokens_max:
            raise torch.OutOfMemoryError
        return torch.tensor([[float(window.sum())] for window in np.split(ids, np.cumsum(lengths)[:-1])])


def _windows(count: int) -> list[Ids]:
    return [np.full(1 + number % 7, number, dtype=np.int64) for number in range(count)]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 40), st.integers(1, 3), st.integers(1, 50))
def test_rows_come_back_in_order_whatever_the_packs(count: int, workers: int, pack_tokens_max: int) -> None:
    runner = Runner(Summing(), device=CPU, workers=workers, pack_tokens_max=pack_tokens_max)

    rows = runner.encode(*joined(_windows(count)))

    assert rows.reshape(-1).tolist() == [float(window.sum()) for window in _windows(count)]
    assert runner.counts.windows == count
    runner.close()


def test_out_of_memory_halves_the_pack_until_it_fits() -> None:
    runner = Runner(Summing(tokens_max=20), device=CPU, workers=1)

    rows = runner.encode(*joined(_windows(40)))

    assert rows[:, 0].tolist() == [float(window.sum()) for window in _windows(40)]
    assert runner.counts.packs_halved > 0
    runner.close()


def test_one_window_that_does_not_fit_is_the_caller_s_failure() -> None:
    runner = Runner(Summing(tokens_max=3), device=CPU, workers=1)

    with pytest.raises(torch.OutOfMemoryError):
        runner.encode(*joined(_windows(40)))
    runner.close()


def test_another_output_of_the_model_has_the_same_ways_back() -> None:
    model = Summing(tokens_max=20)
    runner = Runner(model, device=CPU, workers=1)

    def tokens(ids: Ids, lengths: Lengths) -> Tensor:
        return torch.from_numpy(ids) * model.encode(ids, lengths).isfinite().all()

    assert runner.guarded(*joined(_windows(40)), tokens).tolist() == np.concatenate(_windows(40)).tolist()
    assert runner.counts.packs_halved > 0
    runner.close()


def test_another_output_goes_on_where_the_model_went_from_a_lost_device() -> None:
    model = Summing(broken_on="meta")
    runner = Runner(model, device=torch.device("meta"), workers=1)

    rows = runner.guarded(*joined(_windows(5)), lambda ids, lengths: 2 * model.encode(ids, lengths))

    assert rows[:, 0].tolist() == [2 * float(window.sum()) for window in _windows(5)]
    assert (runner.counts.device_losses, runner.device) == (1, CPU)
    runner.close()


def test_a_lost_device_is_left_for_the_cpu_once_and_counted() -> None:
    runner = Runner(Summing(broken_on="meta"), device=torch.device("meta"), workers=2, pack_tokens_max=4)

    rows = runner.encode(*joined(_windows(40)))

    assert rows[:, 0].tolist() == [float(window.sum()) for window in _windows(40)]
    assert runner.counts.device_losses == 1
    assert runner.device == CPU
    runner.close()


class Meeting(Summing):
    """A model on a device of its own where a pack waits until the next one has come, too."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._inside, self._lock, self._door = 0, threading.Lock(), threading.Barrier(2)

    def encode(self, ids: Ids, lengths: Lengths) -> Tensor:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        self._door.wait(timeout=30)
        with self._lock:
            self._inside -= 1
        return super().encode(ids, lengths)


def test_on_a_device_one_pack_is_staged_while_another_computes_and_no_more() -> None:
    model = Meeting()
    runner = Runner(model, device=torch.device("meta"), workers=8, pack_tokens_max=4)
    windows = [np.full(4, number, dtype=np.int64) for number in range(16)]

    rows = runner.encode(*joined(windows))

    assert rows[:, 0].tolist() == [4.0 * number for number in range(16)]
    assert model.most == 2
    runner.close()


def test_a_failure_on_the_cpu_is_the_caller_s() -> None:
    runner = Runner(Summing(broken_on="cpu"), device=CPU, workers=1)

    with pytest.raises(RuntimeError, match="device lost"):
        runner.encode(*joined(_windows(3)))
    runner.close()
