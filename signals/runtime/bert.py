"""A BERT-shaped encoder over packed windows: no window is padded.

The windows of a pack lie end to end in one matrix of token rows, so that every linear layer is one product. Only
attention looks at windows: those of equal length, which the packer lays side by side, share one call. On a CPU a few
rows of no window follow the last, so that packs have few sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as nn
from torch import Tensor

from signals.runtime.attention import Attention, attend_in_runs, attend_varlen
from signals.runtime.graphs import Graphs
from signals.runtime.layout import Layout, positions, staged
from signals.runtime.linear import linears
from signals.runtime.tokens import Ids, Lengths


def means_in_runs(hidden: Tensor, layout: Layout) -> Tensor:
    """The mean row of each window, (windows, hidden) float32; one call per run of equal lengths."""
    means, row = [], 0
    for count, length in layout.runs:
        rows = slice(row, row + count * length)
        means.append(hidden[rows].float().view(count, length, -1).mean(1))
        row = rows.stop
    return torch.cat(means)


def means_of_segments(hidden: Tensor, layout: Layout) -> Tensor:
    """The same in one kernel, whatever the lengths; an empty window has no number (NaN)."""
    return torch.segment_reduce(hidden.float(), "mean", lengths=layout.parts, unsafe=True)[:-1]


class PackedBert:
    """BERT weights on one device; ``encode`` gives the mean-pooled hidden states of windows at chosen layers.

    ``taps`` counts layers from 1 (0 is the embedding layer); the answer has shape (windows, taps, hidden), float32.
    With ``pad``, RoBERTa's way of counting positions.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        *,
        heads: int,
        taps: Sequence[int],
        dtype: torch.dtype,
        epsilon: float = 1e-12,
        pad: int | None = None,
    ) -> None:
        self.dtype = dtype
        self.taps = tuple(taps)
        self._heads = heads
        self._epsilon = epsilon
        self._pad = pad
        self._attend: Attention = attend_in_runs
        self._means, self._layout = means_in_runs, Layout.roomy
        self._master = {name: tensor.to(dtype) for name, tensor in folded(weights).items()}
        self._weights = self._master
        self.words, self._places = len(self._master["words"]), len(self._master["positions"])
        self.graphs: Graphs | None = None  # what is recorded for small packs, on a GPU
        self._layers = sum(name.endswith(".qkv.weight") for name in self._master)
        self.device = torch.device("cpu")
        self._linear = linears({}, self.device)

    def to(self, device: torch.device) -> None:
        """Work on ``device`` from now on; the CPU keeps a copy, so this also recovers from a lost GPU."""
        weights = {name: tensor.to(device) for name, tensor in self._master.items()}
        if device.type == "cpu":  # the same numbers; where the format of the rows differs, a CPU's norm is faster
            weights |= {name: tensor.float() for name, tensor in weights.items() if ".norm." in name}
        self.graphs, self._attend, self._means, self._layout = None, attend_in_runs, means_in_runs, Layout.roomy
        self._weights, self._linear = weights, linears(weights, device)
        self.device = device  # last: who sees the new device finds everything on it
        if device.type == "cuda":
            self._means = means_of_segments
            if self._varlen_agrees():
                self._attend, self._layout = attend_varlen, Layout.of
                self.graphs = Graphs(self, length_max=self._places)

    def encode(self, ids: Ids, lengths: Lengths) -> Tensor:
        graphs = self.graphs
        replayed = graphs.encode(ids, lengths) if graphs is not None else None
        return self.plain(ids, lengths) if replayed is None else replayed

    def plain(self, ids: Ids, lengths: Lengths) -> Tensor:
        """What ``encode`` gives, kernel by kernel."""
        with torch.inference_mode():
            return self.pooled(*self._laid(ids, lengths))

    def states(self, ids: Ids, lengths: Lengths, layer: int) -> Tensor:
        """The hidden states of every token of the windows, end to end, after ``layer``: (tokens, hidden), float32."""
        with torch.inference_mode():
            return next(islice(self._rows(*self._laid(ids, lengths)), layer, None))[: len(ids)].float()

    def first_tokens(self, ids: Ids, lengths: Lengths) -> Tensor:
        """The last layer's hidden state of each window's first token: (windows, hidden), in the model's format."""
        with torch.inference_mode():
            told, places, layout = self._laid(ids, lengths)
            *_, last = self._rows(told, places, layout)
            return last[layout.starts[:-1].long()]

    def inputs(self, ids: Ids, lengths: Lengths, spare: int = 0) -> tuple[Tensor, Tensor]:
        """Token ids and their positions on the device, and after them so many of no window."""
        rows = np.zeros((2, len(ids) + spare), dtype=np.int64)
        rows[:, : len(ids)] = ids, positions(ids, lengths, self._pad)
        told, placed = staged(rows, self.device)
        return told, placed

    def _laid(self, ids: Ids, lengths: Lengths) -> tuple[Tensor, Tensor, Layout]:
        layout = self._layout(lengths, self.device)
        return *self.inputs(ids, lengths, layout.rows - len(ids)), layout

    def pooled(self, ids: Tensor, places: Tensor, layout: Layout) -> Tensor:
        """What ``encode`` gives, from what lies on the device; the same kernels for every pack of one frame."""
        rows = enumerate(self._rows(ids, places, layout))
        return torch.stack([self._means(hidden, layout) for layer, hidden in rows if layer in self.taps], dim=1)

    def _rows(self, ids: Tensor, places: Tensor, layout: Layout) -> Iterator[Tensor]:
        """Token rows after the embeddings and after each layer."""
        hidden = self._norm(
            nn.embedding(ids, self._weights["words"]) + nn.embedding(places, self._weights["positions"]), "embeddings"
        )
        yield hidden
        for layer in range(self._layers):
            hidden = self._layer(hidden, f"{layer}", layout)
            yield hidden

    def _layer(self, hidden: Tensor, name: str, layout: Layout) -> Tensor:
        rows, width = hidden.shape
        linear = self._linear
        qkv = linear[f"{name}.qkv"].plain(hidden).view(rows, 3, self._heads, width // self._heads)
        mixed = self._attend(qkv, layout).reshape(rows, width)
        hidden = self._norm(linear[f"{name}.out"].plus(mixed, hidden), f"{name}.attention")
        grown = linear[f"{name}.up"].gelu(hidden)
        return self._norm(linear[f"{name}.down"].plus(grown, hidden), f"{name}.output")

    def _norm(self, rows: Tensor, name: str) -> Tensor:
        weight = self._weights[f"{name}.norm.weight"]
        return nn.layer_norm(rows, weight.shape, weight, self._weights[f"{name}.norm.bias"], self._epsilon)

    def _varlen_agrees(self) -> bool:
        """Whether the fused kernel exists here and says what plain attention says, on a small pack."""
        if self.dtype == torch.float32:
            return False
        layout = Layout.roomy(np.array([5, 5, 37, 256]), self.device)
        width = int(self._master["words"].shape[1]) // self._heads
        shape = (layout.rows, 3, self._heads, width)
        qkv = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self.device, self.dtype)
        tokens = int(layout.starts[-1])
        try:
            fused = attend_varlen(qkv, layout)
        except (ImportError, NotImplementedError, RuntimeError):
            return False
        return torch.allclose(fused[:tokens], attend_in_runs(qkv, layout)[:tokens], atol=3e-2)


def folded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Short names, query, key and value as one matrix, the constant token type added to the positions."""
    kind = weights["embeddings.token_type_embeddings.weight"][0]
    folded = {
        "words": weights["embeddings.word_embeddings.weight"],
        "positions": weights["embeddings.position_embeddings.weight"] + kind,
        "embeddings.norm.weight": weights["embeddings.LayerNorm.weight"],
        "embeddings.norm.bias": weights["embeddings.LayerNorm.bias"],
    }
    layer = 0
    while f"encoder.layer.{layer}.attention.self.query.weight" in weights:
        at = f"encoder.layer.{layer}"
        for part in ("weight", "bias"):
            folded[f"{layer}.qkv.{part}"] = torch.cat(
                [weights[f"{at}.attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            )
            folded[f"{layer}.out.{part}"] = weights[f"{at}.attention.output.dense.{part}"]
            folded[f"{layer}.up.{part}"] = weights[f"{at}.intermediate.dense.{part}"]
            folded[f"{layer}.down.{part}"] = weights[f"{at}.output.dense.{part}"]
            folded[f"{layer}.attention.norm.{part}"] = weights[f"{at}.attention.output.LayerNorm.{part}"]
            folded[f"{layer}.output.norm.{part}"] = weights[f"{at}.output.LayerNorm.{part}"]
        layer += 1
    return folded
