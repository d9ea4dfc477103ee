"""Attention inside the windows of a pack: one call per run of equal lengths, or on a GPU one for the whole pack."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as nn
from torch import Tensor

from signals.runtime.layout import Layout, rounded

Attention = Callable[[Tensor, Layout], Tensor]
MASKS_MAX = 4_096  # one a length, format and device; a model has some hundreds of lengths


def attend_in_runs(qkv: Tensor, layout: Layout) -> Tensor:
    """Mixed values of each token row, (rows, heads, width), from (rows, 3, heads, width) of a roomy layout.

    The softmax of a CPU takes a length that is no multiple of LENGTH_STEP twice as long. So a window looks at keys up
    to the next multiple, which are the rows of the window after it, in place, and a mask hides them. Rows of no window
    are zero.
    """
    mixed, row = torch.empty_like(qkv[:, 0], memory_format=torch.contiguous_format), 0
    for count, length in layout.runs:
        keys, own = rounded(length), slice(row, row + count * length)
        seen = qkv[row : own.stop - length + keys].unfold(0, keys, length).permute(1, 0, 2, 4, 3)
        mask = None if keys == length else _real(length, qkv.dtype, qkv.device)
        found = nn.scaled_dot_product_attention(seen[0, :, :, :length], seen[1], seen[2], attn_mask=mask)
        mixed[own].view(count, length, *mixed.shape[1:]).copy_(found.transpose(1, 2))
        row = own.stop
    mixed[row:] = 0
    return mixed


def attend_varlen(qkv: Tensor, layout: Layout) -> Tensor:
    """The same in one fused kernel, of any layout; CUDA with half precision only."""
    from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 - torch 2.10 and later

    query, key, value = (part.contiguous() for part in qkv.unbind(1))
    longest = layout.length_max
    out = varlen_attn(query, key, value, layout.starts, layout.starts, longest, longest)
    assert isinstance(out, Tensor)  # noqa: S101 - a pair only where the softmax sums are asked for
    return out


@lru_cache(MASKS_MAX)
def _real(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """What is added to the scores of ``length`` keys, and of those up to the next multiple, which count for nothing."""
    mask = torch.zeros(rounded(length), dtype=dtype, device=device)
    mask[length:] = float("-inf")
    return mask.view(1, 1, 1, -1)
