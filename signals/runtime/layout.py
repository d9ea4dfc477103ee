"""Where the windows of a pack lie among its token rows, and which position each token has; plain numbers, no model."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from signals.runtime.tokens import Ids, Lengths

LENGTH_STEP = 16  # a CPU's vectors hold so many float32; what is cut to them has no rest
ROWS_STEPS = ((512, 16), (1_024, 32), (sys.maxsize, 64))
"""Packs of up to so many rows are padded to a multiple of so many."""

N = TypeVar("N", int, Lengths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Windows end to end, as runs of (count, length) and by where each starts.

    Rows beyond the last window belong to none, and windows beyond the runs are empty: a pack may be padded to a size.
    """

    runs: tuple[tuple[int, int], ...]
    starts: Tensor  # int32, shape (windows + 1,), on the model's device
    parts: Tensor  # int64, shape (windows + 1,): length of each window, and the number of rows beyond
    length_max: int
    rows: int

    @classmethod
    def of(cls, lengths: Lengths, device: torch.device) -> Layout:
        return cls.padded(lengths, device, rows=int(lengths.sum()), windows=len(lengths), length_max=int(lengths.max()))

    @classmethod
    def roomy(cls, lengths: Lengths, device: torch.device) -> Layout:
        """The same in one of few sizes, with rows beyond the last window up to the next multiple of its length."""
        reach = int((np.cumsum(lengths) - lengths + rounded(lengths)).max())
        return cls.padded(lengths, device, rows=framed(reach), windows=len(lengths), length_max=int(lengths.max()))

    @classmethod
    def padded(cls, lengths: Lengths, device: torch.device, *, rows: int, windows: int, length_max: int) -> Layout:
        """The same in a frame of ``rows`` token rows and ``windows`` windows, neither less than what there is."""
        parts = np.zeros(windows + 1, dtype=np.int64)
        parts[: len(lengths)] = lengths
        starts = np.zeros(windows + 1, dtype=np.int32)
        starts[1:] = np.cumsum(parts[:-1])
        parts[-1] = rows - starts[-1]
        return cls(
            runs=tuple((len(list(run)), length) for length, run in groupby(lengths.tolist())),
            starts=staged(starts, device),
            parts=staged(parts, device),
            length_max=length_max,
            rows=rows,
        )


def rounded(lengths: N) -> N:
    """Up to multiples of LENGTH_STEP."""
    return -(-lengths // LENGTH_STEP) * LENGTH_STEP


def framed(rows: int) -> int:
    """Up to a size that many packs share: oneDNN compiles each product anew for a new number of rows, and with AMX that
    takes as long as the product a few times over."""
    step = next(step for most, step in ROWS_STEPS if rows <= most)
    return -(-rows // step) * step


def positions(ids: Ids, lengths: Lengths, pad: int | None) -> Ids:
    """The row of the position table for each token: from 0 in each window.

    With ``pad`` as RoBERTa counts: from after the padding token's id, which itself does not count.
    """
    if pad is None:
        return np.arange(len(ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    counted = (ids != pad).astype(np.int64)
    total = np.concatenate(([0], np.cumsum(counted)))
    before = np.repeat(total[np.cumsum(lengths) - lengths], lengths)
    return np.asarray((total[1:] - before) * counted + pad, dtype=np.int64)


def staged(array: npt.NDArray[np.integer], device: torch.device) -> Tensor:
    """On ``device``; to a GPU from page-locked memory, so that the copy of a pack runs beside the one before it."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
