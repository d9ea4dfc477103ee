"""A GPU's kernels for small packs, recorded once a frame and replayed: one launch in place of a hundred.

A frame holds up to so many tokens and windows; a pack is laid into the smallest that it fits, padded with tokens of no
window and windows of no token. What is recorded is used only where it says what the plain way says and is FASTER_MIN
times as fast on a pack that fills half of its frame; a pack that fits no such frame goes the plain way.

The recording itself has never run on the machines that test this: they have no GPU. What is tested is all around it,
with a recorder that records nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from signals.runtime.layout import Layout
from signals.runtime.tokens import Ids, Lengths

FRAME_TOKENS = (256, 512, 1_024, 2_048, 4_096)  # beyond, kernels are long enough to hide their launches
TOKENS_PER_WINDOW = 8  # a frame has room for one window in so many tokens
FASTER_MIN = 1.1
PARITY_MIN = 0.9999  # cosine of every row to the plain way's
TURNS = 5

Work = Callable[[], Tensor]
Recorder = Callable[[Work], Work]


class Framed(Protocol):
    """A model whose ``pooled`` looks at nothing of a pack but the tensors: no kernel may depend on its lengths."""

    device: torch.device
    words: int  # in its vocabulary

    def inputs(self, ids: Ids, lengths: Lengths) -> tuple[Tensor, Tensor]: ...
    def pooled(self, ids: Tensor, places: Tensor, layout: Layout) -> Tensor: ...
    def plain(self, ids: Ids, lengths: Lengths) -> Tensor: ...


def record_cuda(work: Work) -> Work:
    """Record ``work`` as a CUDA graph; the answer lies in one place, which every replay writes again."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # libraries set themselves up in the first calls, which must not be recorded
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = work()

    def replay() -> Tensor:
        graph.replay()
        return out

    return replay


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Inputs that stay where they are, and what was recorded over them."""

    tokens: int
    windows: int
    ids: Tensor
    places: Tensor
    layout: Layout
    run: Work

    @classmethod
    def of(cls, model: Framed, tokens: int, length_max: int, recorder: Recorder) -> Frame:
        windows = tokens // TOKENS_PER_WINDOW
        lengths = np.array([min(length_max, tokens)])
        ids, places = model.inputs(np.zeros(tokens, dtype=np.int64), np.array([tokens]))
        places.zero_()
        layout = Layout.padded(lengths, model.device, rows=tokens, windows=windows, length_max=length_max)
        run = recorder(lambda: model.pooled(ids, places, layout))
        return cls(tokens=tokens, windows=windows, ids=ids, places=places, layout=layout, run=run)

    def fits(self, lengths: Lengths) -> bool:
        return (
            len(lengths) <= self.windows
            and int(lengths.sum()) <= self.tokens
            and int(lengths.max()) <= self.layout.length_max
        )

    def encode(self, model: Framed, ids: Ids, lengths: Lengths) -> Tensor:
        """What the recorded kernels say of a pack that fits."""
        told, placed = model.inputs(ids, lengths)
        layout = Layout.padded(
            lengths, model.device, rows=self.tokens, windows=self.windows, length_max=self.layout.length_max
        )
        self.ids.zero_()[: len(ids)] = told
        self.places.zero_()[: len(ids)] = placed
        self.layout.starts.copy_(layout.starts)
        self.layout.parts.copy_(layout.parts)
        return self.run()[: len(lengths)].clone()  # the next pack writes there again


class Graphs:
    """The frames of a model on a GPU that are worth their memory; one pack at a time is replayed."""

    def __init__(
        self,
        model: Framed,
        *,
        length_max: int,
        recorder: Recorder = record_cuda,
        clock: Callable[[], float] = time.perf_counter,
        tokens: Iterable[int] = FRAME_TOKENS,
    ) -> None:
        self._model = model
        self._lock = threading.Lock()
        self.frames: list[Frame] = []
        with torch.inference_mode():
            for size in tokens:
                frame = self._tried(size, length_max, recorder, clock)
                if frame is not None:
                    self.frames.append(frame)

    def encode(self, ids: Ids, lengths: Lengths) -> Tensor | None:
        """Rows of a pack; None where no frame fits."""
        frame = next((frame for frame in self.frames if frame.fits(lengths)), None)
        if frame is None:
            return None
        with torch.inference_mode(), self._lock:
            return frame.encode(self._model, ids, lengths)

    def _tried(self, size: int, length_max: int, recorder: Recorder, clock: Callable[[], float]) -> Frame | None:
        lengths = np.full(max(1, size // 64), 32)
        ids = np.random.default_rng(0).integers(0, self._model.words, int(lengths.sum()))
        try:
            frame = Frame.of(self._model, size, length_max, recorder)
            replayed, plain = frame.encode(self._model, ids, lengths), self._model.plain(ids, lengths)
        except RuntimeError:  # what cannot be recorded, out of memory included
            return None
        unit, expected = (torch.nn.functional.normalize(rows, dim=-1) for rows in (replayed, plain))
        exact = bool((unit * expected).sum(-1).min() >= PARITY_MIN)  # false for what is no number
        if not exact:
            return None
        ways: tuple[Work, Work] = (
            lambda: frame.encode(self._model, ids, lengths),
            lambda: self._model.plain(ids, lengths),
        )
        seconds = [float("inf"), float("inf")]
        for _ in range(TURNS):
            for at, way in enumerate(ways):
                start = clock()
                way().cpu()
                seconds[at] = min(seconds[at], clock() - start)
        return frame if seconds[1] >= FASTER_MIN * seconds[0] else None
