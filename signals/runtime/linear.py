"""Products of token rows with a layer's matrix, and what follows them in the same step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
import torch.nn.functional as nn
from torch import Tensor

LAYERS = ("qkv", "out", "up", "down")
TOLERANCE = 2e-2  # of bfloat16 products of numbers near 1


class Linear(Protocol):
    """``rows @ weight.T + bias``, alone or followed by one more step."""

    def plain(self, rows: Tensor) -> Tensor: ...
    def gelu(self, rows: Tensor) -> Tensor: ...
    def plus(self, rows: Tensor, residual: Tensor) -> Tensor: ...


class Torch:
    """As torch does it, on any device."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self._weight, self._bias = weight, bias

    def plain(self, rows: Tensor) -> Tensor:
        return nn.linear(rows, self._weight, self._bias)

    def gelu(self, rows: Tensor) -> Tensor:
        out = torch.ops.aten.gelu_(self.plain(rows))
        assert isinstance(out, Tensor)  # noqa: S101 - operations of torch.ops have no types
        return out

    def plus(self, rows: Tensor, residual: Tensor) -> Tensor:
        return self.plain(rows) + residual


class Blocked:
    """The matrix in the blocks that oneDNN multiplies, so that no call arranges it again; the step that follows works
    on sums that are not yet rounded."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self._weight, self._bias = torch.ops.mkldnn._reorder_linear_weight(weight), bias

    def plain(self, rows: Tensor) -> Tensor:
        return self._multiply(rows, "none", "")

    def gelu(self, rows: Tensor) -> Tensor:
        return self._multiply(rows, "gelu", "none")

    def plus(self, rows: Tensor, residual: Tensor) -> Tensor:
        out = torch.ops.mkldnn._linear_pointwise.binary(rows, residual, self._weight, self._bias, "add")
        assert isinstance(out, Tensor)  # noqa: S101 - as above
        return out

    def _multiply(self, rows: Tensor, step: str, kind: str) -> Tensor:
        out = torch.ops.mkldnn._linear_pointwise(rows, self._weight, self._bias, step, [], kind)
        assert isinstance(out, Tensor)  # noqa: S101 - as above
        return out


def linears(weights: Mapping[str, Tensor], device: torch.device) -> dict[str, Linear]:
    """The linear layers of folded ``weights`` on ``device``, by name without ``.weight``; blocked where that works."""
    names = [name.removesuffix(".weight") for name in weights if name.endswith(tuple(f".{at}.weight" for at in LAYERS))]
    pairs = {name: (weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in names}
    plain: dict[str, Linear] = {name: Torch(*pair) for name, pair in pairs.items()}
    if device.type != "cpu" or any(weight.dtype is not torch.bfloat16 for weight, _ in pairs.values()):
        return plain
    blocked: dict[str, Linear] = {}
    for name, (weight, bias) in pairs.items():
        try:
            blocked[name] = Blocked(weight, bias)
            if not agree(blocked[name], plain[name], *weight.shape):
                return plain
        except (AttributeError, NotImplementedError, RuntimeError, TypeError):  # this torch has no such operation
            return plain
    return blocked


def agree(one: Linear, other: Linear, outputs: int, inputs: int) -> bool:
    """Whether two ways of the same layer answer alike, in every step."""
    rows = torch.linspace(-1, 1, 3 * inputs, dtype=torch.bfloat16).view(3, -1)
    residual = torch.linspace(1, -1, 3 * outputs, dtype=torch.bfloat16).view(3, -1)
    steps = ((layer.plain(rows), layer.gelu(rows), layer.plus(rows, residual)) for layer in (one, other))
    return all(torch.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE) for a, b in zip(*steps, strict=True))
