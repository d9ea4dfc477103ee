"""Packs onto a device: single-threaded workers on the CPU, one stream on a GPU, with a way back from a lost one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from signals.runtime.tokens import Ids
from signals.types import Floats

CPU_PACK_TOKENS_MAX = 1_024  # larger packs gain nothing on a core and cost latency
GPU_PACK_TOKENS_MAX = 32_768


class Model(Protocol):
    """Windows in, one float row (or more axes) a window out; pure, and safe to call from several threads."""

    device: torch.device

    def __call__(self, windows: Sequence[Ids]) -> Tensor: ...
    def to(self, device: torch.device) -> None: ...


Forward = Callable[[Sequence[Ids]], Tensor]


@dataclass(slots=True)
class RunnerCounts:
    """What happened since the start; only ever grows."""

    windows: int = 0
    tokens: int = 0
    packs_halved: int = 0  # the device ran out of memory
    device_losses: int = 0  # the GPU failed, and the CPU went on


class Runner:
    """Runs a model over windows in packs of bounded size.

    Packs hold windows of similar length, so neither order nor company of a window changes what it is compared with.
    Out of memory halves the pack; any other failure of a GPU moves the model to the CPU for good, with the same number
    format, and is counted. A failure on the CPU is the caller's.
    """

    def __init__(self, model: Model, *, device: torch.device, workers: int, pack_tokens_max: int = 0) -> None:
        self.counts = RunnerCounts()
        self._model = model
        self._cpu_workers = workers
        self._limit = pack_tokens_max
        self._lock = threading.Lock()
        self._pool = _pool(workers)
        model.to(device)

    @property
    def device(self) -> torch.device:
        return self._model.device

    def run(self, windows: Sequence[Ids]) -> Floats:
        """One row a window, in the order given; shape (0,) for none."""
        if not windows:
            return np.zeros(0, dtype=np.float32)
        order = sorted(range(len(windows)), key=lambda index: len(windows[index]), reverse=True)
        lengths = [len(windows[index]) for index in order]
        packs = [[windows[index] for index in order[pack]] for pack in _packs(lengths, self._pack_tokens(sum(lengths)))]
        rows = np.concatenate(list(self._pool.map(self.guarded, packs)))
        out = np.empty_like(rows)
        out[order] = rows
        with self._lock:
            self.counts.windows += len(windows)
            self.counts.tokens += sum(lengths)
        return out

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _pack_tokens(self, total: int) -> int:
        if self._model.device.type != "cpu":
            return self._limit or GPU_PACK_TOKENS_MAX
        return min(self._limit or CPU_PACK_TOKENS_MAX, -(-total // self._cpu_workers))  # a small batch feeds every core

    def guarded(self, windows: Sequence[Ids], forward: Forward | None = None) -> Floats:
        """What ``forward`` gives for one pack, end to end over its windows, with the same ways back as ``run``.

        ``forward`` is another output of the same model, by default the model itself: in the calling thread, uncounted.
        """
        device = self._model.device
        forward = forward or self._model
        try:
            return self._halving(windows, forward)
        except (RuntimeError, torch.AcceleratorError):
            if device.type == "cpu":
                raise
            with self._lock:
                if self._model.device == device:
                    self._model.to(torch.device("cpu"))
                    self.counts.device_losses += 1
            return self._halving(windows, forward)

    def _halving(self, pack: Sequence[Ids], forward: Forward) -> Floats:
        try:
            return forward(pack).float().cpu().numpy()
        except torch.OutOfMemoryError:
            if len(pack) == 1:
                raise
        with self._lock:
            self.counts.packs_halved += 1
        half = len(pack) // 2
        return np.concatenate([self._halving(pack[:half], forward), self._halving(pack[half:], forward)])


def _pool(workers: int) -> ThreadPoolExecutor:
    # torch lets go of the interpreter inside an operation, so threads scale; each of them computes on its own core
    return ThreadPoolExecutor(workers, thread_name_prefix="encoder", initializer=torch.set_num_threads, initargs=(1,))


def _packs(lengths: Sequence[int], tokens_max: int) -> Iterator[slice]:
    """Runs of neighbours whose lengths add up to at most ``tokens_max``; one that is longer goes alone."""
    start = tokens = 0
    for index, length in enumerate(lengths):
        if tokens and tokens + length > tokens_max:
            yield slice(start, index)
            start, tokens = index, 0
        tokens += length
    yield slice(start, len(lengths))
