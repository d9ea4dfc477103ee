"""A model of entailment, or of unsupported spans, on the answers that the cheap signals flag.

`signals.nli` names a folder with ``config.json``, ``tokenizer.json``, ``model.safetensors`` and ``SHA256SUMS`` (made by
``sha256sum config.json tokenizer.json model.safetensors > SHA256SUMS``); nothing in it can execute code, and nothing is
fetched from anywhere. The architecture is one of transformers' ``…ForSequenceClassification`` (a pair of passage and
sentence) or ``…ForTokenClassification`` (the same, judged by the sentence's tokens), and the names of its labels say
which output is meant. The column is ``contradiction`` where a label speaks of contradiction, else ``unsupported``.

An answer is read where ``context_novelty`` is at least NOVELTY_AT or a cue in its claims at least CUE_AT. Each sentence
meets the passage of the context that shares most words with it, and the worst sentence is the score.

Sees and cannot see: what the model does; how well any model judges is unproven here, since the tests use a small one of
random weights. Sentences beyond SENTENCES_MAX, and support that is spread over several passages, are not seen. Range
0 .. 1. Abstains as not applicable where nothing was flagged: a mean over the column speaks of flagged answers only.
Cost: one forward pass of passage and sentence for each sentence of a flagged answer. Source: the model in the folder;
taking the worst sentence is after SummaC (Laban et al. 2022).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from signals.batch import Batch, Costly, column
from signals.groundedness.answer import read_answer
from signals.groundedness.claims import cues
from signals.groundedness.context_novelty import novelty_of
from signals.groundedness.reading import Reading, Sentence, contextless, read
from signals.runtime.device import choose_device, choose_dtype, cores
from signals.runtime.runner import Runner
from signals.runtime.tokens import Ids, Lengths, joined, runs
from signals.runtime.vocabulary import readable
from signals.runtime.weights import WeightsError, file_sha256
from signals.types import Abstention, Embeddings, Exchange, Floats, ScoreColumn, ScoreSpec, Side

FILES = ("config.json", "tokenizer.json", "model.safetensors")
NOVELTY_AT = 0.3
CUE_AT = 0.5
SENTENCES_MAX = 16
PASSAGE_CHARS = 1_200
TOKENS_MAX = 512

_BAD = re.compile("contradict|hallucinat|unsupported|inconsisten|refut|(?:not|non)[-_ ]?(?:entail|support|fact)")
_GOOD = re.compile("entail|support|consisten|factual|grounded")
_KINDS = ("ForSequenceClassification", "ForTokenClassification")


class Nli:
    """``contradiction`` or ``unsupported`` of the output, by the model of a folder."""

    name = "nli"
    costly = Costly.OWN_MODEL

    def __init__(
        self, directory: Path, *, device: str = "auto", precision: str = "auto", workers: int = 0,
        pack_tokens_max: int = 0,
    ) -> None:  # fmt: skip
        """Raises WeightsError where the folder is not what the module's docstring says."""
        weights = _verified(directory)
        place = choose_device(device)
        dtype = choose_dtype(place, precision)
        model = _Judge(directory, dtype)
        self._runner = Runner(model, device=place, workers=workers or cores(), pack_tokens_max=pack_tokens_max)
        self._tokenizer = _tokenizer(directory, model.tokens_max)
        signal = "contradiction" if model.contradicts else "unsupported"
        version = f"2-{model.architecture}-{'bf16' if dtype is torch.bfloat16 else 'fp32'}"
        self.specs = (ScoreSpec(signal=signal, side=Side.OUTPUT, version=version, weights=weights[:8]),)

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        codes = batch.abstentions(Side.OUTPUT).copy()
        pairs: list[tuple[str, str]] = []
        owners: list[int] = []
        for row, exchange in enumerate(batch.exchanges):
            if codes[row] == Abstention.NONE:
                codes[row] = contextless(exchange)
            if codes[row] == Abstention.NONE:
                found = list(_pairs(exchange, batch)) if flagged(exchange, batch) else []
                codes[row] = Abstention.NONE if found else Abstention.NOT_APPLICABLE
                pairs += found
                owners += [row] * len(found)
        worst = np.zeros(len(batch), dtype=np.float32)
        np.maximum.at(worst, owners, self.judge(pairs))
        return (column(self.specs[0], codes, worst[codes == Abstention.NONE]),)

    def judge(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        """How bad the second text of each pair is, given the first: shape (pairs,), 0..1."""
        return self._runner.encode(*joined([self._encoded(*pair) for pair in pairs])).reshape(-1)

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors
        return ()

    def close(self) -> None:
        """Stop the workers; safe twice."""
        self._runner.close()

    def _encoded(self, passage: str, sentence: str) -> Ids:
        """Tokens as rows of (id, type, whether it is of the sentence)."""
        found = self._tokenizer.encode(readable(passage), readable(sentence))
        said = [int(part == 1) for part in found.sequence_ids]
        return np.array([found.ids, found.type_ids, said], dtype=np.int64).T


def flagged(exchange: Exchange, batch: Batch) -> bool:
    """Whether the cheap signals give a reason to look at an answer."""
    novelty = novelty_of(read_answer(batch, exchange), read(batch, exchange.context or ""))
    if novelty is not None and novelty >= NOVELTY_AT:
        return True
    return any(cue is not None and cue >= CUE_AT for cue in cues(exchange, batch))


def _pairs(exchange: Exchange, batch: Batch) -> Iterator[tuple[str, str]]:
    """Each sentence that says something, after the passage that shares most words with it."""
    context = read(batch, exchange.context or "")
    passages = batch.once(("passages", context.text), lambda: [Reading(text) for text in _passages(context.sentences)])
    said = [
        sentence for sentence in read_answer(batch, exchange).sentences if any(word.content for word in sentence.words)
    ]
    for sentence in said[:SENTENCES_MAX] if passages else ():
        words = {word.stem for word in sentence.words if word.content}
        best = max(passages, key=lambda passage: len(words & passage.known))
        yield best.text, sentence.text


def _passages(sentences: Sequence[Sentence]) -> Iterator[str]:
    """Neighbouring sentences, up to PASSAGE_CHARS together; a longer sentence is cut."""
    passage = ""
    for sentence in sentences:
        if passage and len(passage) + len(sentence.text) > PASSAGE_CHARS:
            yield passage
            passage = ""
        passage = f"{passage} {sentence.text[:PASSAGE_CHARS]}".lstrip()
    if passage:
        yield passage


class _Judge:
    """A transformers classifier as the runner wants it; pairs of one length share a call, so nothing is padded."""

    def __init__(self, directory: Path, dtype: torch.dtype) -> None:
        self._master, self.architecture = _loaded(directory)
        self._master = self._master.eval().to(dtype)  # stays on the CPU: the way back from a lost GPU
        self._model = self._master
        self.device = torch.device("cpu")
        shape = self._master.config
        shift = shape.pad_token_id + 1 if "roberta" in shape.model_type else 0  # it counts positions after padding
        self.tokens_max = min(TOKENS_MAX, int(getattr(shape, "max_position_embeddings", TOKENS_MAX)) - shift)
        self._typed = getattr(shape, "type_vocab_size", 0) > 1
        labels = {int(at): str(label).lower() for at, label in shape.id2label.items()}
        self._bad = [at for at, label in labels.items() if _BAD.search(label)]
        self._good = [at for at, label in labels.items() if _GOOD.search(label) and at not in self._bad]
        self.contradicts = any("contradict" in labels[at] for at in self._bad)
        if self.contradicts:  # neither "neutral" nor "not entailed" is a contradiction
            self._bad = [at for at in self._bad if "contradict" in labels[at]]
        if not self._bad and not self._good:
            raise WeightsError(
                f"{directory}/config.json names the labels {', '.join(labels.values())}: one must say entailment,"
                " contradiction, supported, unsupported or hallucinated (id2label)"
            )

    def to(self, device: torch.device) -> None:
        self._model = self._master if device.type == "cpu" else deepcopy(self._master).to(device)
        self.device = device

    def encode(self, ids: Ids, lengths: Lengths) -> Tensor:
        with torch.inference_mode():
            return torch.cat([self._judged(torch.from_numpy(run).to(self.device)) for run in runs(ids, lengths)])

    def _judged(self, run: Tensor) -> Tensor:
        """Rows of tokens, (pairs, tokens, 3), to one probability a pair, (pairs, 1)."""
        types = {"token_type_ids": run[..., 1]} if self._typed else {}
        chances: Tensor = self._model(input_ids=run[..., 0], **types).logits.float().softmax(-1)
        bad = chances[..., self._bad].sum(-1) if self._bad else 1 - chances[..., self._good].sum(-1)
        if bad.ndim == 2:
            bad = (bad * run[..., 2]).amax(1)
        return bad[:, None]


def _loaded(directory: Path) -> tuple[Any, str]:
    try:
        name = json.loads((directory / FILES[0]).read_text(encoding="utf-8"))["architectures"][0]
        kind = getattr(transformers, name) if name.endswith(_KINDS) else None
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        kind = None
    if kind is None:
        raise WeightsError(
            f"{directory}/config.json names no architecture of transformers that ends in {' or '.join(_KINDS)}"
        )
    model = kind(kind.config_class.from_json_file(str(directory / FILES[0])))
    try:
        missing, _ = model.load_state_dict(load_file(directory / FILES[2]), strict=False)
    except (RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{directory} does not hold the weights its config asks for: {error}") from None
    if missing:
        raise WeightsError(
            f"{directory}/{FILES[2]} lacks {len(missing)} weights that its config asks for, {missing[0]} first"
        )
    return model, name.lower().replace("forsequenceclassification", "").replace("fortokenclassification", "-tokens")


def _tokenizer(directory: Path, tokens_max: int) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(directory / FILES[1]))
    except Exception as error:  # the library raises plain Exception
        raise WeightsError(f"{directory}/{FILES[1]} cannot be read: {error}") from None
    tokenizer.no_padding()
    tokenizer.enable_truncation(tokens_max, strategy="longest_first")
    return tokenizer


def _verified(directory: Path) -> str:
    """The sha256 of the weights, after every file was found to be the one that SHA256SUMS names."""
    advice = f"make it in the folder with `sha256sum {' '.join(FILES)} > SHA256SUMS`"
    try:
        lines = (directory / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise WeightsError(f"{directory} holds no readable SHA256SUMS: {advice}") from None
    sums = {name.lstrip("*"): digest for digest, _, name in (line.strip().partition("  ") for line in lines)}
    for name in FILES:
        try:
            found = file_sha256(directory / name)
        except OSError as error:
            raise WeightsError(f"{directory}/{name}: {error.strerror}") from None
        if sums.get(name) != found:
            raise WeightsError(
                f"{directory}/{name} is not the file that SHA256SUMS speaks of; if it should be, {advice}"
            )
    return sums[FILES[2]]
