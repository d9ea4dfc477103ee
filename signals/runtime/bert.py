"""A BERT-shaped encoder over packed windows: every token row is real, no row is padding.

The windows of a pack lie end to end in one matrix of token rows, so that every linear layer is one product. Only
attention looks at windows: those of equal length, which the packer lays side by side, share one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

import numpy as np
import torch
import torch.nn.functional as nn
from torch import Tensor

from signals.runtime.tokens import Ids

Attention = Callable[[Tensor, Tensor, Tensor, "Layout"], Tensor]


@dataclass(frozen=True, slots=True)
class Layout:
    """Windows of a pack in order, as runs of (count, length), and where each starts among the token rows."""

    runs: tuple[tuple[int, int], ...]
    starts: Tensor  # int32, shape (windows + 1,), on the model's device
    length_max: int

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> Layout:
        runs = tuple((len(list(run)), length) for length, run in groupby(lengths))
        starts = torch.zeros(len(lengths) + 1, dtype=torch.int32)
        starts[1:] = torch.cumsum(torch.tensor(lengths, dtype=torch.int32), 0)
        return cls(runs, _staged(starts, device), max(lengths))


def attend_in_runs(query: Tensor, key: Tensor, value: Tensor, layout: Layout) -> Tensor:
    """Attention inside each window, (rows, heads, width) each; one call per run of equal lengths, on any device."""
    mixed, row = [], 0
    for count, length in layout.runs:
        rows = slice(row, row + count * length)
        q, k, v = (part[rows].view(count, length, *part.shape[1:]).transpose(1, 2) for part in (query, key, value))
        mixed.append(nn.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(0, 1))
        row = rows.stop
    return mixed[0] if len(mixed) == 1 else torch.cat(mixed)


def attend_varlen(query: Tensor, key: Tensor, value: Tensor, layout: Layout) -> Tensor:
    """The same in one fused kernel; CUDA with half precision only."""
    from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 - torch 2.10 and later

    out = varlen_attn(
        query.contiguous(),
        key.contiguous(),
        value.contiguous(),
        layout.starts,
        layout.starts,
        layout.length_max,
        layout.length_max,
    )
    assert isinstance(out, Tensor)  # noqa: S101 - a pair only where the softmax sums are asked for
    return out


class PackedBert:
    """BERT weights on one device; called with windows it gives their mean-pooled hidden states at chosen layers.

    ``taps`` counts layers from 1 (0 is the embedding layer); the answer has shape (windows, taps, hidden), float32.
    With ``pad``, RoBERTa's way of counting: positions start after the padding token's id, which itself is not counted.
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
        self._master = {name: tensor.to(dtype) for name, tensor in _folded(weights).items()}
        self._weights = self._master
        self._layers = sum(name.endswith(".qkv.weight") for name in self._master)
        self._blocked: dict[str, Tensor] = {}
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Work on ``device`` from now on; the CPU keeps a copy, so this also recovers from a lost GPU."""
        self._weights = {name: tensor.to(device) for name, tensor in self._master.items()}
        self.device = device
        self._blocked = _blocked(self._weights) if device.type == "cpu" and self.dtype is torch.bfloat16 else {}
        self._attend = attend_in_runs
        if device.type == "cuda" and self._varlen_agrees():
            self._attend = attend_varlen

    def __call__(self, windows: Sequence[Ids]) -> Tensor:
        with torch.inference_mode():
            return self._forward(windows)

    def _forward(self, windows: Sequence[Ids]) -> Tensor:
        layout = Layout.of([len(window) for window in windows], self.device)
        return torch.stack(
            [_means(rows, layout) for layer, rows in enumerate(self._rows(windows, layout)) if layer in self.taps],
            dim=1,
        )

    def states(self, windows: Sequence[Ids], layer: int) -> Tensor:
        """The hidden states of every token of the windows, end to end, after ``layer``: (tokens, hidden), float32."""
        with torch.inference_mode():
            layout = Layout.of([len(window) for window in windows], self.device)
            return next(islice(self._rows(windows, layout), layer, None)).float()

    def first_tokens(self, windows: Sequence[Ids]) -> Tensor:
        """The last layer's hidden state of each window's first token: (windows, hidden), in the model's format."""
        with torch.inference_mode():
            layout = Layout.of([len(window) for window in windows], self.device)
            *_, last = self._rows(windows, layout)
            return last[layout.starts[:-1].long()]

    def _rows(self, windows: Sequence[Ids], layout: Layout) -> Iterator[Tensor]:
        """Token rows after the embeddings and after each layer."""
        ids = torch.cat([torch.from_numpy(window) for window in windows])
        positions = torch.cat([self._positions(window) for window in windows])
        weights = self._weights
        hidden = weights["words"][_staged(ids, self.device)] + weights["positions"][_staged(positions, self.device)]
        hidden = self._norm(hidden, "embeddings")
        yield hidden
        for layer in range(self._layers):
            hidden = self._layer(hidden, f"{layer}", layout)
            yield hidden

    def _positions(self, window: Ids) -> Tensor:
        if self._pad is None:
            return torch.arange(len(window))
        counted = window != self._pad
        return torch.from_numpy(np.cumsum(counted) * counted + self._pad)

    def _layer(self, hidden: Tensor, name: str, layout: Layout) -> Tensor:
        rows, width = hidden.shape
        qkv = self._linear(hidden, f"{name}.qkv").view(rows, 3, self._heads, width // self._heads)
        mixed = self._attend(qkv[:, 0], qkv[:, 1], qkv[:, 2], layout).reshape(rows, width)
        hidden = self._norm(hidden + self._linear(mixed, f"{name}.out"), f"{name}.attention")
        grown = torch.ops.aten.gelu_(self._linear(hidden, f"{name}.up"))
        return self._norm(hidden + self._linear(grown, f"{name}.down"), f"{name}.output")

    def _linear(self, rows: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        blocked = self._blocked.get(name)
        return nn.linear(rows, weight, bias) if blocked is None else _multiply(rows, blocked, bias)

    def _norm(self, rows: Tensor, name: str) -> Tensor:
        weight = self._weights[f"{name}.norm.weight"]
        return nn.layer_norm(rows, weight.shape, weight, self._weights[f"{name}.norm.bias"], self._epsilon)

    def _varlen_agrees(self) -> bool:
        """Whether the fused kernel exists here and says what plain attention says, on a small pack."""
        if self.dtype == torch.float32:
            return False
        layout = Layout.of([5, 5, 37, 256], self.device)
        width = int(self._master["words"].shape[1]) // self._heads
        shape = (3, int(layout.starts[-1]), self._heads, width)
        rows = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self.device, self.dtype)
        try:
            fused = attend_varlen(rows[0], rows[1], rows[2], layout)
        except (ImportError, NotImplementedError, RuntimeError):
            return False
        return torch.allclose(fused, attend_in_runs(rows[0], rows[1], rows[2], layout), atol=3e-2)


def _blocked(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The matrices of the linear layers in the blocks that oneDNN multiplies, so that no call arranges them again.

    Empty where this torch has no such operation, or where it disagrees with the plain product.
    """
    linear = (".qkv.weight", ".out.weight", ".up.weight", ".down.weight")
    found = {}
    for name in (name.removesuffix(".weight") for name in weights if name.endswith(linear)):
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        rows = torch.linspace(-1, 1, 3 * weight.shape[1], dtype=weight.dtype).view(3, -1)
        try:
            found[name] = torch.ops.mkldnn._reorder_linear_weight(weight)
            answer = _multiply(rows, found[name], bias)
        except (AttributeError, NotImplementedError, RuntimeError):
            return {}
        if not torch.allclose(answer, nn.linear(rows, weight, bias), rtol=2e-2, atol=2e-2):
            return {}
    return found


def _multiply(rows: Tensor, blocked: Tensor, bias: Tensor) -> Tensor:
    out = torch.ops.mkldnn._linear_pointwise(rows, blocked, bias, "none", [], "")
    assert isinstance(out, Tensor)  # noqa: S101 - operations of torch.ops have no types
    return out


def _staged(tensor: Tensor, device: torch.device) -> Tensor:
    """On ``device``; to a GPU from page-locked memory, so that the copy of a pack runs beside the one before it."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def _means(hidden: Tensor, layout: Layout) -> Tensor:
    means, row = [], 0
    for count, length in layout.runs:
        rows = slice(row, row + count * length)
        means.append(hidden[rows].float().view(count, length, -1).mean(1))
        row = rows.stop
    return torch.cat(means)


def _folded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
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
