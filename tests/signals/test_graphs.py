"""Frames that a GPU would record: packs laid into them and padded, kept only where they are exact and faster.

The recorder here records nothing and the attention is a plain one that reads where windows start, as the GPU's fused
one does; so the padding, the choice of a frame and what is refused are tested without a GPU, and the recording is not.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from signals.runtime.bert import PackedBert, means_of_segments
from signals.runtime.graphs import FASTER_MIN, TOKENS_PER_WINDOW, Graphs, Work
from signals.runtime.layout import Layout
from signals.runtime.tokens import Ids

CPU = torch.device("cpu")
LENGTH_MAX = 64


def attend_by_starts(qkv: Tensor, layout: Layout) -> Tensor:
    """Attention inside each window, by starts alone; rows of no window hold no number, as a kernel would leave them."""
    out = torch.full_like(qkv[:, 0], float("nan"))
    starts = layout.starts.tolist()
    for start, end in pairwise(starts):
        if end > start:
            q, k, v = qkv[start:end].permute(1, 2, 0, 3)
            out[start:end] = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(0, 1)
    return out


class ByStarts(PackedBert):
    """A small BERT whose kernels look at nothing of a pack but tensors."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        shape = transformers.BertConfig(
            vocab_size=50,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=LENGTH_MAX,
        )
        super().__init__(transformers.BertModel(shape).state_dict(), heads=2, taps=(0, 2), dtype=torch.float32)
        self.to(CPU)
        self._attend, self._means = attend_by_starts, means_of_segments


def replaying(work: Work) -> Work:
    """A recorder whose recording is the work itself."""
    return work


def clock_of(*turns: float) -> Callable[[], float]:
    """A clock by which the recorded and the plain way take these seconds in turn."""
    hand, ticks = [0.0], iter(range(10_000))

    def now() -> float:
        tick = next(ticks)
        hand[0] += turns[tick // 2 % 2] if tick % 2 else 0.0
        return hand[0]

    return now


def graphs(model: PackedBert, clock: Callable[[], float], recorder: Callable[[Work], Work] = replaying) -> Graphs:
    return Graphs(model, length_max=LENGTH_MAX, recorder=recorder, clock=clock, tokens=(64, 256))


def pack(lengths: list[int]) -> tuple[Ids, np.ndarray]:
    return np.random.default_rng(len(lengths)).integers(0, 50, sum(lengths)), np.array(lengths)


@pytest.fixture(scope="module")
def model() -> ByStarts:
    return ByStarts()


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, LENGTH_MAX), min_size=1, max_size=12))
def test_a_pack_in_a_frame_has_the_rows_that_it_has_alone(model: ByStarts, lengths: list[int]) -> None:
    framed = graphs(model, clock_of(1, 2))

    framed.encode(*pack([LENGTH_MAX] * 4))  # another pack before it leaves nothing behind
    rows = framed.encode(*pack(lengths))

    if sum(lengths) > 256:
        assert rows is None
    else:
        expected = model.plain(*pack(lengths))
        assert rows is not None
        assert rows.shape == expected.shape
        assert torch.allclose(rows, expected, atol=1e-5)


def test_rows_stay_what_they_are_when_the_frame_is_used_again(model: ByStarts) -> None:
    framed = graphs(model, clock_of(1, 2))

    first = framed.encode(*pack([9, 5]))
    framed.encode(*pack([7, 7]))

    assert torch.equal(first, framed.encode(*pack([9, 5])))


@pytest.mark.parametrize(
    ("lengths", "tokens"), [([5], 64), ([60, 4], 64), ([60, 5], 256), ([1] * (64 // TOKENS_PER_WINDOW + 1), 256)]
)
def test_a_pack_goes_into_the_smallest_frame_that_holds_its_tokens_and_windows(
    model: ByStarts, lengths: list[int], tokens: int
) -> None:
    framed = graphs(model, clock_of(1, 2))

    assert next(frame.tokens for frame in framed.frames if frame.fits(np.array(lengths))) == tokens


@pytest.mark.parametrize("lengths", [[300], [LENGTH_MAX + 1], [1] * 33])
def test_a_pack_that_fits_no_frame_goes_the_plain_way(model: ByStarts, lengths: list[int]) -> None:
    assert graphs(model, clock_of(1, 2)).encode(np.zeros(sum(lengths), dtype=np.int64), np.array(lengths)) is None


@pytest.mark.parametrize(("plain", "kept"), [(FASTER_MIN - 0.01, 0), (FASTER_MIN + 0.01, 2)])
def test_a_frame_is_kept_only_where_it_is_faster(model: ByStarts, plain: float, kept: int) -> None:
    assert len(graphs(model, clock_of(1, plain)).frames) == kept


def test_a_frame_that_is_not_exact_is_refused() -> None:
    by_runs = ByStarts()
    by_runs.to(CPU)  # its kernels follow the lengths of the pack that was recorded

    assert graphs(by_runs, clock_of(1, 2)).frames == []


def test_what_cannot_be_recorded_is_refused(model: ByStarts) -> None:
    def broken(work: Work) -> Work:
        raise RuntimeError("operation not permitted when stream is capturing")

    assert graphs(model, clock_of(1, 2), broken).frames == []


def test_an_encoder_on_a_cpu_has_no_frames() -> None:
    model = ByStarts()

    model.to(CPU)

    assert model.graphs is None
