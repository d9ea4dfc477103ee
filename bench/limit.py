"""What share of the machine's limit the models reach on one core: python -m bench.limit

The limit is the best rate of a product of bfloat16 (or, on a CPU without it, float32) matrices of the models' own
shapes, in oneDNN's blocked order, measured in the same process before and after the models. Work is counted from the
shapes: two operations a weight and token in the linear layers, and four a pair of tokens and hidden unit in attention.
CPU time of one thread. BERT base, the architecture of Detoxify's models, has random weights, which cost the same.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

from signals.runtime.bert import PackedBert
from signals.runtime.device import choose_dtype
from signals.runtime.weights import encoder_directory

SHAPES = ((384, 1152), (384, 1536), (1536, 384), (768, 2304), (768, 768), (768, 3072), (3072, 768))
ROWS = 1_024  # tokens of a pack on a CPU
CPU = torch.device("cpu")


def cpu_seconds_min(work: Callable[[], object], rounds: int) -> float:
    """The least CPU time of this thread for ``work``, after one round that is not timed."""
    work()
    spent = []
    for _ in range(rounds):
        start = time.thread_time()
        work()
        spent.append(time.thread_time() - start)
    return min(spent)


@torch.inference_mode()
def limit(dtype: torch.dtype, rounds: int) -> float:
    """Operations a second of the best shape."""
    rates = []
    for inner, outer in SHAPES:
        rows, weight, bias = (torch.randn(shape).to(dtype) for shape in ((ROWS, inner), (outer, inner), (outer,)))
        work: Callable[[], object] = lambda r=rows, w=weight, b=bias: torch.nn.functional.linear(r, w, b)  # noqa: E731
        if dtype is torch.bfloat16:
            blocked = torch.ops.mkldnn._reorder_linear_weight(weight)
            work = lambda r=rows, w=blocked, b=bias: torch.ops.mkldnn._linear_pointwise(r, w, b, "none", [], "")  # noqa: E731
        rates.append(2 * ROWS * inner * outer / cpu_seconds_min(work, rounds))
    return max(rates)


def packs(longest: int) -> list[list[int]]:
    """Lengths of windows as traffic has them (log-normal), longest first, in packs of ROWS tokens."""
    drawn = np.clip(np.random.default_rng(0).lognormal(4.3, 0.8, 120), 4, longest).astype(int)
    found: list[list[int]] = [[]]
    for length in sorted(drawn.tolist(), reverse=True):
        if sum(found[-1]) + length > ROWS:
            found.append([])
        found[-1].append(length)
    return found


def rate(
    model: PackedBert, config: transformers.BertConfig, lengths: list[list[int]], rounds: int
) -> tuple[float, float]:
    """(tokens, operations) a second."""
    rng = np.random.default_rng(1)
    windows = [[rng.integers(1_000, 30_000, length) for length in pack] for pack in lengths]
    hidden, layers = config.hidden_size, config.num_hidden_layers
    weights = layers * (4 * hidden**2 + 2 * hidden * config.intermediate_size)
    every = [length for pack in lengths for length in pack]
    operations = sum(2 * length * weights + 4 * length**2 * hidden * layers for length in every)
    spent = cpu_seconds_min(lambda: [model(pack) for pack in windows], rounds)
    return sum(every) / spent, operations / spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    dtype = choose_dtype(CPU, "auto")
    directory = encoder_directory()
    minilm = transformers.BertConfig.from_json_file(str(directory / "config.json"))
    base = transformers.BertConfig()
    models = {
        "MiniLM-L6": (minilm, load_file(directory / "model.safetensors"), packs(256)),
        "BERT base": (base, transformers.BertModel(base).state_dict(), packs(512)),
    }
    before = limit(dtype, args.rounds)
    found = {}
    for name, (config, weights, lengths) in models.items():
        heads, layers = config.num_attention_heads, config.num_hidden_layers
        model = PackedBert(weights, heads=heads, taps=(layers,), dtype=dtype)
        model.to(CPU)
        found[name] = rate(model, config, lengths, args.rounds)
    after = limit(dtype, args.rounds)
    top = max(before, after)
    print(f"{dtype}, one core: limit {before / 1e9:.0f} GFLOP/s before, {after / 1e9:.0f} after")
    for name, (tokens, operations) in found.items():
        print(
            f"{name}: {tokens:,.0f} tokens/core-s, {operations / 1e9:.0f} GFLOP/s, {operations / top:.0%} of the limit"
        )


if __name__ == "__main__":
    main()
