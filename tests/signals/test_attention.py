"""Attention in runs of equal lengths says of each window what is said of it alone, whatever lies beside."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from signals.runtime.attention import attend_in_runs
from signals.runtime.layout import LENGTH_STEP, ROWS_STEPS, Layout, framed, rounded
from signals.runtime.runner import CPU_PACK_TOKENS_MAX

CPU = torch.device("cpu")
LENGTH_MAX = 512
SIZES_MAX = 64
PADDING_MAX = 1 / 16
HEADS, WIDTH = 2, 8
CLOSE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
lengths_of_windows = st.lists(st.integers(1, LENGTH_MAX), min_size=1, max_size=8)


def rows_of(layout: Layout, dtype: torch.dtype) -> Tensor:
    seed = torch.Generator().manual_seed(layout.rows)
    return torch.randn((layout.rows, 3, HEADS, WIDTH), generator=seed).to(dtype)


def alone(qkv: Tensor) -> Tensor:
    """Attention over the rows of one window, by its definition."""
    query, key, value = qkv.double().permute(1, 2, 0, 3)
    weights = (query @ key.transpose(1, 2) / WIDTH**0.5).softmax(-1)
    return (weights @ value).transpose(0, 1)


@settings(max_examples=60, deadline=None)
@given(lengths=lengths_of_windows, dtype=st.sampled_from(list(CLOSE)))
@example(lengths=[1], dtype=torch.bfloat16)
@example(lengths=[LENGTH_MAX, LENGTH_MAX, 1, 1, 1], dtype=torch.bfloat16)
@example(lengths=[17, 17, 17, 16, 16, 15], dtype=torch.float32)
def test_every_window_gets_what_it_gets_alone_and_no_window_gets_nothing(
    lengths: list[int], dtype: torch.dtype
) -> None:
    layout = Layout.roomy(np.array(lengths), CPU)
    qkv, tokens = rows_of(layout, dtype), sum(lengths)

    mixed = attend_in_runs(qkv, layout)

    expected = torch.cat([alone(window) for window in qkv[:tokens].split(lengths)])
    assert mixed.shape == (layout.rows, HEADS, WIDTH)
    assert torch.allclose(mixed[:tokens].double(), expected, atol=CLOSE[dtype])
    assert not mixed[tokens:].any()


@settings(max_examples=30, deadline=None)
@given(lengths=lengths_of_windows, dtype=st.sampled_from(list(CLOSE)))
def test_what_lies_beside_a_window_changes_no_bit_of_it(lengths: list[int], dtype: torch.dtype) -> None:
    layout, first = Layout.roomy(np.array(lengths), CPU), slice(lengths[0])
    qkv = rows_of(layout, dtype)
    other = qkv * 100
    other[first] = qkv[first]

    assert torch.equal(attend_in_runs(qkv, layout)[first], attend_in_runs(other, layout)[first])


@given(lengths=lengths_of_windows)
def test_there_is_room_for_every_window_up_to_the_next_multiple(lengths: list[int]) -> None:
    layout = Layout.roomy(np.array(lengths), CPU)

    assert all(
        start + rounded(length) <= layout.rows
        for start, length in zip(layout.starts.tolist(), lengths, strict=False)  # the last start is the end
    )
    assert layout.rows < sum(lengths) + LENGTH_STEP + max(step for _, step in ROWS_STEPS)


def test_packs_of_a_cpu_have_few_sizes_with_little_padding() -> None:
    sizes = {rows: framed(rows) for rows in range(1, CPU_PACK_TOKENS_MAX + 1)}

    assert len(set(sizes.values())) <= SIZES_MAX
    assert all(rows <= size < rows + max(LENGTH_STEP, rows * PADDING_MAX) for rows, size in sizes.items())


@pytest.mark.parametrize("length", [1, LENGTH_STEP - 1, LENGTH_STEP, LENGTH_STEP + 1])
def test_a_length_is_rounded_up_alone_and_in_company(length: int) -> None:
    assert rounded(length) == rounded(np.array([length])).item() == (LENGTH_STEP if length <= LENGTH_STEP else 32)
