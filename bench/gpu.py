"""Tokens a second on a GPU against the same models as their packages run them: python -m bench.gpu

Both models of bench.speed, MiniLM and one of Detoxify's architecture in BERT base's size with random weights, over the
same texts on the same device: by Assay in packs, and by sentence-transformers and transformers on lists sorted by
length, in the best of several batch sizes. Wall time, the best of several turns, from strings to numbers in memory.
The share of the limit counts the matrix products that real tokens need, against the best rate of one large product.
Prints a Markdown table. Without a GPU it says so and exits 2; ``--device cpu --calls 8`` runs the same code anywhere.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from bench.speed import exchanges, full_size_model, operations, texts_of
from signals.detoxify import DetoxifyModel
from signals.encoder import Encoder
from signals.runtime.bert import PackedBert
from signals.runtime.device import cores
from signals.runtime.tokens import Windower
from signals.runtime.weights import WeightsError, encoder_directory

BATCH_SIZES = (32, 256)
TURNS = 3


def best(work: Callable[[], object]) -> float:
    """Wall seconds of the fastest turn, after one to warm up."""
    work()
    return min(_wall(work) for _ in range(TURNS))


def _wall(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def gemm_rate(device: torch.device, size: int) -> float:
    """Operations a second of one large bfloat16 product."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))

    def multiply() -> None:
        for _ in range(8):
            left @ right
        if device.type == "cuda":
            torch.cuda.synchronize()

    return 8 * 2 * size**3 / best(multiply)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--encoder", type=Path, help="MiniLM's folder, where its wheel is not installed")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.exit(2, "bench.gpu: torch sees no GPU here; --device cpu --calls 8 runs the same code without one\n")
    try:
        folder = args.encoder or encoder_directory()
    except WeightsError as error:
        parser.exit(2, f"bench.gpu: {error}, or name its folder with --encoder\n")
    workers = 1 if args.device == "cpu" else cores()
    torch.set_num_threads(1 if args.device == "cpu" else torch.get_num_threads())
    with tempfile.TemporaryDirectory() as home:
        imported, by_hand = full_size_model(Path(home), folder, args.device)
        encoder = Encoder(device=args.device, precision="bf16", workers=workers, cache_bytes_max=0, directory=folder)
        model = DetoxifyModel(imported, device=args.device, precision="bf16", workers=workers, cache_bytes_max=0)
    texts = texts_of(exchanges(args.calls))
    ordered = sorted(texts, key=len)
    device = torch.device(args.device)
    limit = gemm_rate(device, 8_192 if args.device == "cuda" else 1_024)
    name = torch.cuda.get_device_name() if args.device == "cuda" else "CPU, one thread"
    command = f"python -m bench.gpu --device {args.device} --calls {args.calls}"
    print(f"`{command}`: {name}, one product {limit / 1e12:.2f} TFLOP/s in bfloat16, {len(texts)} texts\n")
    print("| model | tokens/s | as its package, best batch | ratio | share of the limit | share of tokenising |")
    print("|---|---|---|---|---|---|")

    def predict(size: int) -> None:
        for at in range(0, len(ordered), size):
            by_hand.predict(ordered[at : at + size])

    words = Windower(folder / "tokenizer.json").vocabulary  # the same for all of them

    def anew(work: Callable[[], object]) -> Callable[[], object]:
        """``work`` on texts that no turn before it has cut."""
        return lambda: (words.forget(), work())

    rows: list[tuple[str, int, int, int, Callable[[], object], Callable[[int], None]]] = [
        ("MiniLM", 256, 384, 6, anew(lambda: encoder.encode(texts)), lambda size: by_hand.encode(ordered, size)),
        ("BERT base", 512, 768, 12, anew(lambda: model.predict(texts)), predict),
    ]
    for label, window, hidden, layers, ours, theirs in rows:
        cut = Windower(folder / "tokenizer.json", window_tokens=window)
        lengths = [len(ids) for windows in cut(texts) for ids in windows.ids]
        tokens, seconds = sum(lengths), best(ours)
        shipped = min(best(lambda size=size, theirs=theirs: theirs(size)) for size in BATCH_SIZES)
        share = operations(lengths, hidden=hidden, layers=layers) / seconds / limit
        tokenising = best(anew(lambda cut=cut: cut(texts))) / seconds
        print(
            f"| {label} | {tokens / seconds:,.0f} | {tokens / shipped:,.0f} | {shipped / seconds:.1f} "
            f"| {share:.0%} | {tokenising:.0%} |"
        )
    halved = encoder.runner.counts.packs_halved + model.runner.counts.packs_halved
    lost = encoder.runner.counts.device_losses + model.runner.counts.device_losses
    graphs = encoder.model.graphs if isinstance(encoder.model, PackedBert) else None
    frames = [frame.tokens for frame in graphs.frames] if graphs is not None else []
    print(f"\npacks halved {halved}, devices lost {lost}, MiniLM's recorded frames (tokens) {frames}")


if __name__ == "__main__":
    main()
