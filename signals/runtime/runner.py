"""Packs onto a device: single-threaded workers on the CPU, one stream on a GPU, with a way back from a lost one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from signals.runtime.tokens import Ids, Lengths
from signals.types import Floats

CPU_PACK_TOKENS_MAX = 2_048  # with AMX a tenth faster than half of it; without, no faster; larger ones gain nothing
GPU_PACK_TOKENS_MAX = 32_768
GPU_PACKS_AHEAD = 2  # one computes while the next is staged and its kernels wait behind it


class Backend(Protocol):
    """Token ids of windows, end to end, and the length of each, to one float row (or more axes) a window.

    Pure, and safe to call from several threads. What comes back may still be on its way on a GPU.
    """

    device: torch.device

    def encode(self, ids: Ids, lengths: Lengths) -> Tensor: ...
    def to(self, device: torch.device) -> None: ...


Forward = Callable[[Ids, Lengths], Tensor]


@dataclass(slots=True)
class RunnerCounts:
    """What happened since the start; only ever grows."""

    windows: int = 0
    tokens: int = 0
    packs_halved: int = 0  # the device ran out of memory
    device_losses: int = 0  # the GPU failed, and the CPU went on


class Runner:
    """Runs a backend over windows in packs of bounded size.

    Packs hold windows of similar length, so neither order nor company of a window changes what it is compared with.
    Out of memory halves the pack; any other failure of a GPU moves the backend to the CPU for good, with the same
    number format, and is counted. A failure on the CPU is the caller's.
    """

    def __init__(self, backend: Backend, *, device: torch.device, workers: int, pack_tokens_max: int = 0) -> None:
        self.counts = RunnerCounts()
        self._backend = backend
        self._cpu_workers = workers
        self._limit = pack_tokens_max
        self._lock = threading.Lock()
        self._pool, self._gpu_pool = _pool(workers), _pool(GPU_PACKS_AHEAD)  # neither starts a thread before it is used
        backend.to(device)

    @property
    def device(self) -> torch.device:
        return self._backend.device

    def encode(self, ids: Ids, lengths: Lengths) -> Floats:
        """One row a window, in the order given; shape (0,) for none. ``ids`` may have rows of numbers for ids."""
        if not len(lengths):
            return np.zeros(0, dtype=np.float32)
        order = np.argsort(-lengths, kind="stable")
        starts = np.cumsum(lengths) - lengths

        def pack(place: slice) -> tuple[Ids, Lengths]:
            chosen = order[place]
            return np.concatenate([ids[starts[at] : starts[at] + lengths[at]] for at in chosen]), lengths[chosen]

        on_cpu, total = self._backend.device.type == "cpu", int(lengths.sum())
        packs = map(pack, _packs(lengths[order].tolist(), self._pack_tokens(on_cpu, total)))
        rows = np.concatenate(
            list((self._pool if on_cpu else self._gpu_pool).map(lambda each: self.guarded(*each), packs))
        )
        out = np.empty_like(rows)
        out[order] = rows
        with self._lock:
            self.counts.windows += len(lengths)
            self.counts.tokens += total
        return out

    def close(self) -> None:
        for pool in (self._pool, self._gpu_pool):
            pool.shutdown(wait=True, cancel_futures=True)

    def _pack_tokens(self, on_cpu: bool, total: int) -> int:
        if not on_cpu:
            return self._limit or GPU_PACK_TOKENS_MAX
        return min(self._limit or CPU_PACK_TOKENS_MAX, -(-total // self._cpu_workers))  # a small batch feeds every core

    def guarded(self, ids: Ids, lengths: Lengths, forward: Forward | None = None) -> Floats:
        """What ``forward`` gives for one pack, end to end over its windows, with the same ways back as ``encode``.

        ``forward`` is another output of the same backend, by default its rows: in the calling thread, uncounted.
        """
        device = self._backend.device
        forward = forward or self._backend.encode
        try:
            return self._halving(ids, lengths, forward)
        except (RuntimeError, torch.AcceleratorError):
            if device.type == "cpu":
                raise
            with self._lock:
                if self._backend.device == device:
                    self._backend.to(torch.device("cpu"))
                    self.counts.device_losses += 1
            return self._halving(ids, lengths, forward)

    def _halving(self, ids: Ids, lengths: Lengths, forward: Forward) -> Floats:
        try:
            return forward(ids, lengths).float().cpu().numpy()
        except torch.OutOfMemoryError:
            if len(lengths) == 1:
                raise
        with self._lock:
            self.counts.packs_halved += 1
        half = len(lengths) // 2
        middle = int(lengths[:half].sum())
        parts = (ids[:middle], lengths[:half]), (ids[middle:], lengths[half:])
        return np.concatenate([self._halving(*part, forward) for part in parts])


def _pool(workers: int) -> ThreadPoolExecutor:
    # torch lets go of the interpreter inside an operation, so threads scale; each of them computes on its own core
    return ThreadPoolExecutor(workers, thread_name_prefix="encoder", initializer=torch.set_num_threads, initargs=(1,))


def _packs(lengths: list[int], tokens_max: int) -> Iterator[slice]:
    """Runs of neighbours whose lengths add up to at most ``tokens_max``; one that is longer goes alone."""
    start = tokens = 0
    for index, length in enumerate(lengths):
        if tokens and tokens + length > tokens_max:
            yield slice(start, index)
            start, tokens = index, 0
        tokens += length
    yield slice(start, len(lengths))
