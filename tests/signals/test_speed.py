"""What the benchmarks of speed count, and what they say where they cannot run."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from bench import gpu
from bench.speed import exchanges, operations, texts_of


def test_the_operations_of_an_encoder_are_those_that_torch_counts() -> None:
    shape = transformers.BertConfig(vocab_size=9, hidden_size=48, num_hidden_layers=2, num_attention_heads=4,
                                    intermediate_size=192, attn_implementation="eager")  # fmt: skip
    model = transformers.BertModel(shape, add_pooling_layer=False).eval()

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(input_ids=torch.ones(1, 17, dtype=torch.long))
        model(input_ids=torch.ones(1, 5, dtype=torch.long))

    assert counter.get_total_flops() == operations([17, 5], hidden=48, layers=2)


def test_no_text_of_the_benchmark_comes_twice() -> None:
    texts = texts_of(exchanges(64))

    assert len(set(texts)) == len(texts)


def test_without_a_gpu_the_benchmark_says_so_and_exits_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu"])

    with pytest.raises(SystemExit) as stop:
        gpu.main()

    assert stop.value.code == 2
    assert "no GPU" in capsys.readouterr().err
