"""Core-seconds a call of the shipped suite against what a user would write: python -m bench.suite

The other side is Detoxify's architecture (BERT base; its weights are random here, which costs the same) and
sentence-transformers, each called text by text as their first pages show, on the same texts in the same run. CPU time
of the process, one thread each, so a busy machine slows both alike; the sides take turns for the same reason. No text
comes twice, so the suite's memory of known texts gains nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from bench.measures import DATA, read_set
from signals.runtime.weights import encoder_directory
from signals.suite import SuiteOptions, load_suite
from signals.types import Exchange

RATIO_MIN = 5.0
ROUNDS = 4


class Bert:
    """Detoxify's `original` with random weights, called as its README shows."""

    def __init__(self) -> None:
        shape = transformers.BertConfig(num_labels=6)
        self._model = transformers.BertForSequenceClassification(shape).eval()
        file = Tokenizer.from_file(str(encoder_directory() / "tokenizer.json"))  # the vocabulary of bert-base-uncased
        file.no_padding()
        file.no_truncation()
        self._tokenizer = transformers.BertTokenizer(tokenizer_object=file, model_max_length=512)

    @torch.no_grad()
    def predict(self, text: str) -> list[float]:
        inputs = self._tokenizer(text, return_tensors="pt", truncation=True, padding=True)
        scores: list[float] = torch.sigmoid(self._model(**inputs)[0]).squeeze().tolist()
        return scores


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=64)
    args = parser.parse_args()
    torch.set_num_threads(1)
    suite = load_suite(SuiteOptions(device="cpu", workers=1))
    bert, minilm = Bert(), SentenceTransformer(str(encoder_directory()), device="cpu")
    warm, calls = exchanges(args.calls + 4)[:4], exchanges(args.calls + 4)[4:]

    def by_hand(batch: list[Exchange]) -> None:
        for exchange in batch:
            for text in (exchange.input, exchange.output):
                bert.predict(text or "")
                minilm.encode(text or "")

    by_hand(warm)
    suite.score(warm)
    ours = theirs = 0.0
    seconds: dict[str, float] = {}
    tokens = 0
    size = -(-len(calls) // ROUNDS)
    for start in range(0, len(calls), size):
        batch = calls[start : start + size]
        theirs += cpu_seconds(lambda batch=batch: by_hand(batch))
        begin = time.process_time()
        scores = suite.score(batch)
        ours += time.process_time() - begin
        tokens += scores.counts["encoder_tokens"]
        for name, spent in scores.seconds.items():
            seconds[name] = seconds.get(name, 0.0) + spent
    assert not scores.failures
    n = len(calls)
    assert suite.encoder is not None
    print(f"{n} calls, {tokens / n:.0f} tokens a call in question and answer, encoder {suite.encoder.version}")
    print(f"by hand (Detoxify's architecture, sentence-transformers) {theirs / n * 1e3:9.1f} core-ms a call")
    print(f"the suite: {', '.join(sorted(seconds))} {ours / n * 1e3:9.1f} core-ms a call")
    print("  of it (wall ms a call): " + ", ".join(f"{name} {spent / n * 1e3:.2f}" for name, spent in seconds.items()))
    print(f"ratio {theirs / ours:.1f}x fewer core-seconds a call (at least {RATIO_MIN:.0f}x is promised)")
    raise SystemExit(0 if theirs / ours >= RATIO_MIN else 1)


if __name__ == "__main__":
    main()
