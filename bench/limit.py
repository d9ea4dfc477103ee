"""What share of the machine's limit the models reach on one core: python -m bench.limit

The limit is the best rate of a product of bfloat16 (or, on a CPU without it, float32) matrices of the models' own
shapes and the tokens of a full pack, in oneDNN's blocked order, measured in the same process before each model and
after the last. Work is counted from the shapes: two operations a weight and token in the linear layers, and four a pair
of tokens and hidden unit in attention. CPU time of one thread. BERT base, the architecture of Detoxify's models, has
random weights, which cost the same. Every backend that is installed takes its turn on the same packs, round by round,
after a first in which what it compiles for a size of pack is made.

With ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 in the environment both libraries do without AMX: a core then multiplies some
ten times slower, and the share tells what everything but the product costs on such a machine.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor

from signals.runtime.choice import Choice, Trunk, build
from signals.runtime.device import DTYPES, choose_dtype
from signals.runtime.openvino import available
from signals.runtime.runner import CPU_PACK_TOKENS_MAX
from signals.runtime.tokens import joined
from signals.runtime.weights import encoder_directory

SHAPES = ((384, 1152), (384, 1536), (1536, 384), (768, 2304), (768, 768), (768, 3072), (3072, 768))
ROWS = CPU_PACK_TOKENS_MAX
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


def operations(lengths: list[list[int]], config: transformers.BertConfig) -> int:
    """Of one pass over the packs."""
    hidden, layers = config.hidden_size, config.num_hidden_layers
    weights = layers * (4 * hidden**2 + 2 * hidden * config.intermediate_size)
    return sum(2 * length * weights + 4 * length**2 * hidden * layers for pack in lengths for length in pack)


def seconds(models: Mapping[str, Trunk], lengths: list[list[int]], rounds: int) -> dict[str, float]:
    """The least CPU time of one pass for each model; they take turns."""
    rng = np.random.default_rng(1)
    packs = [joined([rng.integers(1_000, 30_000, length) for length in pack]) for pack in lengths]
    spent = dict.fromkeys(models, float("inf"))
    for _ in range(rounds):
        for name, model in models.items():
            spent[name] = min(spent[name], cpu_seconds_min(lambda m=model: [m.encode(*pack) for pack in packs], 1))
    return spent


def models(weights: Mapping[str, Tensor], config: transformers.BertConfig, precision: str) -> dict[str, Trunk]:
    """The same weights in every backend."""
    made = {}
    for backend in ("torch", "openvino") if available() else ("torch",):
        choice = Choice(backend=backend, precision=precision)
        shape = {"heads": config.num_attention_heads, "taps": (config.num_hidden_layers,)}
        made[choice.name] = build(choice, weights, **shape)
        made[choice.name].to(CPU)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    dtype = choose_dtype(CPU, "auto")
    precision = next(name for name, known in DTYPES.items() if known is dtype)
    directory = encoder_directory()
    minilm = transformers.BertConfig.from_json_file(str(directory / "config.json"))
    base = transformers.BertConfig()
    sides: dict[str, tuple[transformers.BertConfig, Callable[[], Mapping[str, Tensor]], list[list[int]]]] = {
        "MiniLM-L6": (minilm, lambda: load_file(directory / "model.safetensors"), packs(256)),
        "BERT base": (base, lambda: transformers.BertModel(base).state_dict(), packs(512)),
    }
    found = []
    tops = []

    def look() -> None:
        tops.append(limit(dtype, args.rounds))
        print(f"{dtype}, one core: limit {tops[-1] / 1e9:.0f} GFLOP/s", flush=True)

    for name, (config, weights, lengths) in sides.items():
        look()
        spent = seconds(models(weights(), config, precision), lengths, args.rounds)
        tokens, needed = sum(map(sum, lengths)), operations(lengths, config)
        for backend, least in spent.items():
            found.append((f"{name}, {backend}", needed / least))
            print(
                f"{name}, {backend}: {tokens / least:,.0f} tokens/core-s, {needed / least / 1e9:.0f} GFLOP/s",
                flush=True,
            )
    look()
    for name, rate in found:
        print(f"{name}: {rate / max(tops):.0%} of the limit")


if __name__ == "__main__":
    main()
