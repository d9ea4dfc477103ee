"""Every backend of the shared encoder keeps one contract: torch in packs, OpenVINO in groups, in each number format."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from signals.encoder import TAPS
from signals.runtime.bert import PackedBert, means_in_runs, means_of_segments
from signals.runtime.layout import Layout, positions, rounded
from signals.runtime.openvino import LIKE_MIN, OpenvinoBert, groups
from signals.runtime.runner import Runner
from signals.runtime.tokens import Ids, Windower, joined
from signals.runtime.weights import encoder_directory
from signals.types import Floats
from tests.signals.texts import LANGUAGES

CPU = torch.device("cpu")
PARITY_MIN = 0.9999  # cosine to float32, of text of a sentence or more
COMPANY_MAX = 2e-2  # between unit vectors of one window, alone and in a pack
SENTENCES = (
    "The invoice of the eleventh of March lists two kettles, although only one of them was ever delivered to us.",
    "Our server room is cooled by two independent units, and each of them can carry the whole load in summer.",
    "She asked whether the warranty covers damage by water, and nobody in the shop was able to give an answer.",
    "Water boils at a lower temperature on a high mountain, so pasta needs a few more minutes than at the coast.",
    "Please summarise the attached report in three bullet points and name the risks that the auditors found.",
)
needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="the extra `openvino` is not installed")
KINDS = {
    "torch-fp32": (PackedBert, torch.float32),
    "torch-bf16": (PackedBert, torch.bfloat16),
    "openvino-fp32": (OpenvinoBert, torch.float32),
    "openvino-bf16": (OpenvinoBert, torch.bfloat16),
}
EVERY = [pytest.param(kind, marks=needs_openvino if "openvino" in kind else ()) for kind in KINDS]
Trunk = PackedBert | OpenvinoBert


@cache
def minilm(kind: str) -> Trunk:
    make, dtype = KINDS[kind]
    model = make(load_file(encoder_directory() / "model.safetensors"), heads=12, taps=TAPS, dtype=dtype)
    model.to(CPU)
    return model


@pytest.fixture(params=EVERY)
def backend(request: pytest.FixtureRequest) -> Trunk:
    return minilm(request.param)


def windows_of(*texts: str) -> list[Ids]:
    return [ids for cut in Windower(encoder_directory() / "tokenizer.json")(texts) for ids in cut.ids]


def unit(rows: torch.Tensor) -> Floats:
    return (rows.float() / rows.float().norm(dim=-1, keepdim=True)).numpy()


def test_its_rows_are_those_of_float32_on_real_text(backend: Trunk) -> None:
    pack = joined(windows_of(*SENTENCES, " ".join(SENTENCES), " ".join(SENTENCES * 3)))

    found, exact = unit(backend.encode(*pack)), unit(minilm("torch-fp32").encode(*pack))

    assert found.shape == (len(pack[1]), len(TAPS), 384)
    assert (found * exact).sum(-1).min() >= PARITY_MIN


@settings(max_examples=8, deadline=None)
@given(lengths=st.lists(st.integers(1, 256), min_size=1, max_size=12), seed=st.integers(0, 9))
@pytest.mark.parametrize("kind", EVERY)
def test_a_window_has_the_same_row_in_any_company_and_order(kind: str, lengths: list[int], seed: int) -> None:
    windows = [np.random.default_rng(seed + length).integers(1_000, 30_000, length) for length in lengths]

    alone = np.concatenate([unit(minilm(kind).encode(*joined([window]))) for window in windows])
    together = unit(minilm(kind).encode(*joined(windows)))

    assert np.abs(alone - together).max() <= COMPANY_MAX
    assert (alone * together).sum(-1).min() >= PARITY_MIN


def test_threads_get_what_one_alone_gets(backend: Trunk) -> None:
    packs = [joined(windows_of(*SENTENCES[at:], *LANGUAGES)) for at in range(4)]
    alone = [backend.encode(*pack).numpy() for pack in packs]

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda pack: backend.encode(*pack).numpy(), packs * 3))

    assert all(np.array_equal(one, other) for one, other in zip(alone * 3, together, strict=True))


def test_states_and_first_tokens_are_what_the_means_are_of(backend: Trunk) -> None:
    ids, lengths = joined(windows_of(*SENTENCES[:2], "No."))

    states = backend.states(ids, lengths, 6).numpy()
    first = backend.first_tokens(ids, lengths).float().numpy()
    means = backend.encode(ids, lengths)[:, -1].numpy()

    starts = np.cumsum(lengths) - lengths
    assert np.allclose(states[starts], first, atol=5e-2)
    assert np.allclose(np.add.reduceat(states, starts) / lengths[:, None], means, atol=5e-2)


def test_a_runner_gives_its_rows_in_the_order_of_the_windows(backend: Trunk) -> None:
    ids, lengths = joined(windows_of(*LANGUAGES, *SENTENCES))
    runner = Runner(backend, device=CPU, workers=2, pack_tokens_max=64)

    rows = runner.encode(ids, lengths)

    assert np.allclose(unit(torch.from_numpy(rows)), unit(backend.encode(ids, lengths)), atol=COMPANY_MAX)
    runner.close()


@needs_openvino
def test_openvino_stays_on_the_cpu() -> None:
    with pytest.raises(ValueError, match="on the CPU"):
        minilm("openvino-fp32").to(torch.device("cuda"))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 512), min_size=1, max_size=30))
def test_groups_hold_every_window_once_and_little_padding(lengths: list[int]) -> None:
    found = [lengths[group] for group in groups(np.array(lengths))]

    assert [length for group in found for length in group] == lengths
    assert all(rounded(np.array(group)).min() >= LIKE_MIN * rounded(np.array(group)).max() for group in found)


@pytest.mark.parametrize("pad", [None, 1])
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_positions_are_counted_in_each_window_as_transformers_counts_them(pad: int | None, lengths: list[int]) -> None:
    windows = [np.random.default_rng(length).integers(0, 4, length) for length in lengths]

    found = positions(*joined(windows), pad)

    assert np.array_equal(found, np.concatenate([_counted(window, pad) for window in windows]))


def _counted(window: Ids, pad: int | None) -> Ids:
    if pad is None:
        return np.arange(len(window))
    from transformers.models.roberta.modeling_roberta import RobertaEmbeddings

    found = RobertaEmbeddings.create_position_ids_from_input_ids(torch.from_numpy(window)[None], pad)
    return found[0].numpy()


def test_the_mean_of_a_window_is_the_same_by_runs_and_by_segments() -> None:
    lengths = np.array([40, 40, 17, 3])
    hidden = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))

    by_runs, by_segments = (means(hidden, Layout.of(lengths, CPU)) for means in (means_in_runs, means_of_segments))

    assert torch.allclose(by_runs, by_segments, atol=1e-6)
