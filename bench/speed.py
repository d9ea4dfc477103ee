"""Core-seconds a call of the shipped suite against what a user would write: python -m bench.speed

Five sides take turns over the same calls: the default suite; the full suite, with a model of Detoxify's architecture
in full size (BERT base, imported by `assay import-detoxify`; its weights are random, which costs the same); the
cascade; the same model by transformers and MiniLM by sentence-transformers, text by text as their first pages show;
and both on lists sorted by length, in the batch size that turns out best. CPU time of the process, one thread each, so
a busy machine slows all alike. The one that follows the large float32 model pays more for the same work, so the sides
change places from turn to turn, and each has every place as often. No text comes twice, so no memory of known texts
gains anything.

The cascade is as it ships, for a recall of 95 %: the head alone decides what reaches the model, so random weights send
it no more texts than real ones. What the machine multiplies at best is measured between
the turns, and both encoders are told as shares of it. Exits 1 where one of the two ratios misses its goal; the shares
are told only, since how far a CPU's product outruns its attention is the CPU's.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from bench.limit import limit
from bench.measures import DATA, read_set
from signals.cascade import CascadeOptions
from signals.detoxify import DetoxifyModel, import_checkpoint
from signals.runtime.runner import Runner
from signals.runtime.tokens import Windower, joined
from signals.runtime.weights import encoder_directory
from signals.suite import Suite, SuiteOptions, load_suite
from signals.types import Exchange

DEFAULT_MIN, CASCADE_MIN, LIMIT_SHARE_MIN = 13.0, 10.0, 0.75
ROUNDS = 5  # as many as there are sides
BATCH_SIZES = (4, 16)
SENT = ("cascade_sent", "cascade_sampled")  # what the head could not clear, and what was drawn of the rest
LABELS = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]


def exchanges(count: int) -> list[Exchange]:
    """Questions and answers of real assistants with their context, or made-up ones of the same lengths."""
    rng = random.Random(0)
    if DATA.is_dir():
        rows = read_set("halueval_general") + read_set("mtrag_human")[:200]
        distinct = {row["response"]: row for row in rows}
        chosen = rng.sample(list(distinct.values()), count)
        return [
            Exchange(input=f"{row['question']}", output=row["response"], context="\n".join(row["context"]) or None)
            for row in chosen
        ]
    words = [
        word for word in Tokenizer.from_file(str(encoder_directory() / "tokenizer.json")).get_vocab() if word.isalpha()
    ]
    words.sort()

    def text(length: int) -> str:
        return " ".join(rng.choices(words, k=length))

    return [Exchange(input=text(25), output=text(rng.randint(20, 200)), context=text(300)) for _ in range(count)]


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


class ByHand:
    """Detoxify's `original` with random weights and sentence-transformers, called as their first pages show."""

    def __init__(self, bert: Any, tokenizer: Any, encoder: Path, device: str) -> None:
        self._bert, self._tokenizer, self._device = bert.to(device), tokenizer, device
        self._minilm = SentenceTransformer(str(encoder), device=device)

    @torch.no_grad()
    def predict(self, texts: Sequence[str]) -> None:
        inputs = self._tokenizer(list(texts), return_tensors="pt", truncation=True, padding=True).to(self._device)
        torch.sigmoid(self._bert(**inputs)[0]).tolist()

    def encode(self, texts: Sequence[str], batch_size: int) -> None:
        self._minilm.encode(list(texts), batch_size=batch_size)

    def one_by_one(self, texts: Sequence[str]) -> None:
        for text in texts:
            self.predict([text])
            self._minilm.encode(text)

    def in_lists(self, texts: Sequence[str]) -> float:
        """Seconds of the best batch size for each of the two, neighbours of like length together."""
        ordered = sorted(texts, key=len)
        cut = {size: [ordered[at : at + size] for at in range(0, len(ordered), size)] for size in BATCH_SIZES}
        toxic = min(cpu_seconds(lambda lists=lists: [self.predict(part) for part in lists]) for lists in cut.values())
        return toxic + min(cpu_seconds(lambda size=size: self.encode(ordered, size)) for size in BATCH_SIZES)


def full_size_model(home: Path, encoder: Path, device: str = "cpu") -> tuple[Path, ByHand]:
    """A BERT base of random weights as Detoxify would publish it, imported, and the same one by hand."""
    torch.manual_seed(0)
    base = home / "base"
    base.mkdir()
    shape = transformers.BertConfig(num_labels=len(LABELS))
    shape.save_pretrained(base)
    file = Tokenizer.from_file(str(encoder / "tokenizer.json"))  # the vocabulary of bert-base-uncased
    file.no_padding()
    file.no_truncation()
    tokenizer = transformers.BertTokenizer(tokenizer_object=file, model_max_length=512)
    tokenizer.save_pretrained(base)
    bert = transformers.BertForSequenceClassification(shape).eval()
    arguments = {
        "model_type": "bert-base-uncased",
        "model_name": "BertForSequenceClassification",
        "tokenizer_name": "BertTokenizer",
        "num_classes": len(LABELS),
    }
    config = {"arch": {"args": arguments}, "dataset": {"args": {"classes": LABELS}}}
    torch.save({"config": config, "state_dict": bert.state_dict()}, home / "toxic.ckpt")
    import_checkpoint(home / "toxic.ckpt", base, home / "imported")
    (home / "toxic.ckpt").unlink()
    return home / "imported", ByHand(bert, tokenizer, encoder, device)


def operations(lengths: Sequence[int], *, hidden: int, layers: int) -> float:
    """Of the matrix products that real tokens need in an encoder of BERT's shape; two for a multiplication and sum."""
    return float(sum(24 * n * layers * hidden**2 + 4 * n * n * layers * hidden for n in lengths))


def forward_rate(runner: Runner, windows: Sequence[Any], *, hidden: int, layers: int) -> float:
    """Operations a second over the windows."""
    needed = operations([len(ids) for ids in windows], hidden=hidden, layers=layers)
    return needed / cpu_seconds(lambda: runner.encode(*joined(windows)))


class Rates:
    """MiniLM, BERT base and the bare product, each at its best over the turns."""

    def __init__(self, suite: Suite, model: DetoxifyModel) -> None:
        assert suite.encoder is not None
        self._minilm, self._bert = suite.encoder, model
        self._cuts = [Windower(encoder_directory() / "tokenizer.json", window_tokens=tokens) for tokens in (256, 512)]
        self.gemm = self.minilm = self.bert = 0.0

    def measure(self, texts: Sequence[str]) -> None:
        short, long = ([ids for windows in cut(texts) for ids in windows.ids] for cut in self._cuts)
        self.gemm = max(self.gemm, limit(self._minilm.model.dtype, 8))
        self.minilm = max(self.minilm, forward_rate(self._minilm.runner, short, hidden=384, layers=6))
        self.bert = max(self.bert, forward_rate(self._bert.runner, long, hidden=768, layers=12))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=64)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home:
        folder, by_hand = full_size_model(Path(home), encoder_directory())
        suite = load_suite(SuiteOptions(device="cpu", workers=1))
        suite._clock = time.process_time
        full = load_suite(SuiteOptions(device="cpu", workers=1, detoxify=folder))
        cascade = load_suite(SuiteOptions(device="cpu", workers=1, detoxify=folder, cascade=CascadeOptions()))
        second = DetoxifyModel(folder, device="cpu", workers=1, cache_bytes_max=0)
    words = Windower(encoder_directory() / "tokenizer.json").vocabulary
    warm, *turns = _cut(exchanges(args.calls + 4), args.calls)
    rates = Rates(suite, second)
    for side in (suite, full, cascade):
        side.score(warm)
    by_hand.one_by_one(texts_of(warm))
    second.predict(texts_of(warm))
    spent: dict[str, float] = {}
    parts: dict[str, float] = {}
    counts: dict[str, int] = {}

    def score(side: Suite, batch: list[Exchange]) -> float:
        words.forget()  # the suites share it, and each is to cut its texts
        start = time.process_time()
        scores = side.score(batch)
        seconds = time.process_time() - start
        assert not scores.failures
        for name, count in scores.counts.items() if side is cascade else ():
            counts[name] = counts.get(name, 0) + count
        for name, part in scores.seconds.items() if side is suite else ():
            parts[name] = parts.get(name, 0.0) + part
        return seconds

    sides: list[tuple[str, Callable[[list[Exchange]], float]]] = [
        ("one by one", lambda batch: cpu_seconds(lambda: by_hand.one_by_one(texts_of(batch)))),
        ("lists", lambda batch: by_hand.in_lists(texts_of(batch))),
        ("default", lambda batch: score(suite, batch)),
        ("full", lambda batch: score(full, batch)),
        ("cascade", lambda batch: score(cascade, batch)),
    ]
    for turn, batch in enumerate(turns):
        for name, run in sides[turn:] + sides[:turn]:
            spent[name] = spent.get(name, 0.0) + run(batch)
        rates.measure(texts_of(batch))
    assert not counts["cascade_falls"]
    tokens, sent = counts["encoder_tokens"], sum(counts[name] for name in SENT)
    raise SystemExit(0 if _report(suite, args.calls, tokens, sent, spent, parts, rates) else 1)


def _report(
    suite: Suite, n: int, tokens: int, sent: int, spent: dict[str, float], parts: dict[str, float], rates: Rates
) -> bool:
    assert suite.encoder is not None
    print(f"{n} calls, {tokens / n:.0f} tokens a call in question and answer, encoder {suite.encoder.version}")
    sides = {
        "one by one (Detoxify's architecture, sentence-transformers)": spent["one by one"],
        f"lists sorted by length (best of {', '.join(map(str, BATCH_SIZES))} a batch)": spent["lists"],
        "the full suite (the model on every text)": spent["full"],
        f"the cascade ({sent} of {2 * n} texts to the model)": spent["cascade"],
        "the default suite": spent["default"],
    }
    for name, seconds in sides.items():
        print(
            f"{name:64} {seconds / n * 1e3:8.1f} core-ms a call, "
            f"{spent['one by one'] / seconds:5.1f}x, {spent['lists'] / seconds:5.1f}x fewer than lists"
        )
    print("of the default suite (core-ms a call): " + _costs(parts, n))
    goals = [
        ("the default suite", spent["one by one"] / spent["default"], DEFAULT_MIN, "x"),
        ("the cascade", spent["one by one"] / spent["cascade"], CASCADE_MIN, "x"),
        ("MiniLM of the product's limit", rates.minilm / rates.gemm, LIMIT_SHARE_MIN, ""),
        ("BERT base of the product's limit", rates.bert / rates.gemm, LIMIT_SHARE_MIN, ""),
    ]
    print(f"one core multiplies {rates.gemm / 1e9:.0f} GFLOP/s in {suite.encoder.model.dtype}")
    for name, value, least, unit in goals:
        print(f"{name:40} {value:6.2f}{unit}, goal {least}{unit}: {'met' if value >= least else 'missed'}")
    return all(value >= least for _, value, least, unit in goals if unit)


def _costs(parts: dict[str, float], n: int) -> str:
    ordered = sorted(parts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {seconds / n * 1e3:.2f}" for name, seconds in ordered)


def texts_of(batch: Sequence[Exchange]) -> list[str]:
    """Questions, then answers."""
    return [exchange.input or "" for exchange in batch] + [exchange.output or "" for exchange in batch]


def _cut(calls: list[Exchange], n: int) -> Iterator[list[Exchange]]:
    """Four to warm up with, then ROUNDS parts."""
    yield calls[n:]
    size = -(-n // ROUNDS)
    yield from (calls[start : min(n, start + size)] for start in range(0, n, size))


if __name__ == "__main__":
    main()
