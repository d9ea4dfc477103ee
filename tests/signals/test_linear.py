"""Linear layers in oneDNN's blocks: they answer as torch does in every step, or are not used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from signals.runtime.linear import Blocked, Torch, agree, linears

CPU = torch.device("cpu")


def weights(dtype: torch.dtype) -> dict[str, Tensor]:
    seed = torch.Generator().manual_seed(0)
    shapes = {"0.qkv.weight": (192, 64), "0.qkv.bias": (192,), "0.norm.weight": (64,), "words": (9, 64)}
    return {name: torch.randn(shape, generator=seed).mul(0.1).to(dtype) for name, shape in shapes.items()}


def test_blocks_and_torch_answer_alike_and_a_wrong_matrix_is_seen() -> None:
    weight, bias = weights(torch.bfloat16)["0.qkv.weight"], weights(torch.bfloat16)["0.qkv.bias"]

    assert agree(Blocked(weight, bias), Torch(weight, bias), 192, 64)
    assert not agree(Blocked(weight, bias), Torch(-weight, bias), 192, 64)


def test_the_step_that_follows_is_the_one_asked_for() -> None:
    weight, bias = weights(torch.bfloat16)["0.qkv.weight"], weights(torch.bfloat16)["0.qkv.bias"]
    rows, residual = torch.linspace(-1, 1, 640).bfloat16().view(10, 64), torch.ones(10, 192).bfloat16()

    exact = rows.float() @ weight.float().T + bias.float()

    for layer in (Blocked(weight, bias), Torch(weight, bias)):
        assert torch.allclose(layer.plain(rows).float(), exact, atol=2e-2)
        assert torch.allclose(layer.gelu(rows).float(), torch.nn.functional.gelu(exact), atol=2e-2)
        assert torch.allclose(layer.plus(rows, residual).float(), exact + 1, atol=2e-2)


def test_only_half_precision_on_a_cpu_is_arranged() -> None:
    assert [type(layer) for layer in linears(weights(torch.float32), CPU).values()] == [Torch]
    assert [type(layer) for layer in linears(weights(torch.bfloat16), torch.device("meta")).values()] == [Torch]
    assert list(linears(weights(torch.bfloat16), CPU)) == ["0.qkv"]


@pytest.fixture
def torch_without_it(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def absent(namespace: object, name: str) -> object:
        raise AttributeError(name)

    with monkeypatch.context() as patched:
        patched.delattr(torch.ops.mkldnn, "_reorder_linear_weight", raising=False)
        patched.setattr(type(torch.ops.mkldnn), "__getattr__", absent)
        yield


@pytest.mark.usefixtures("torch_without_it")
def test_a_torch_without_the_operation_multiplies_plainly() -> None:
    (layer,) = linears(weights(torch.bfloat16), CPU).values()

    assert type(layer) is Torch
    assert torch.isfinite(layer.gelu(torch.ones(2, 64).bfloat16())).all()
