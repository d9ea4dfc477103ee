"""Text into windows of token ids: overlapping, bounded, for any string that Python can hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from signals.runtime.vocabulary import load_tokenizer, vocabulary

Ids = npt.NDArray[np.int64]
Lengths = npt.NDArray[np.int64]

WINDOW_TOKENS_MAX = 256  # MiniLM was trained with this length
OVERLAP_TOKENS = 32
WINDOWS_MAX = 64  # of one text, about 14,000 tokens; a longer text is probed by as many, spread over its whole length


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The windows of one text, special tokens included; a text without any token still has one window."""

    ids: tuple[Ids, ...]
    skipped: int  # windows between the probes that nobody looks at; 0 unless the text has more than WINDOWS_MAX


class Windower:
    """Cuts texts into windows with a tokeniser file; ``prefix`` and ``suffix`` are its special tokens."""

    def __init__(
        self, tokenizer: Path, *, window_tokens: int = WINDOW_TOKENS_MAX, overlap_tokens: int = OVERLAP_TOKENS
    ) -> None:
        loaded = load_tokenizer(tokenizer)
        self.vocabulary = vocabulary(loaded)
        around = loaded.encode("").ids  # what the file's own post-processor adds: [CLS] [SEP], <s> </s>
        half = (len(around) + 1) // 2
        self._prefix = np.array(around[:half], dtype=np.int64)
        self._suffix = np.array(around[half:], dtype=np.int64)
        self._content = window_tokens - len(around)
        self._stride = self._content - overlap_tokens

    def __call__(self, texts: Sequence[str]) -> list[Windows]:
        return [self._cut(self.vocabulary.ids(text)) for text in texts]

    def _cut(self, ids: Ids) -> Windows:
        count = max(1, -(-(len(ids) - self._content) // self._stride) + 1)
        chosen = np.unique(np.linspace(0, count - 1, min(count, WINDOWS_MAX)).round().astype(np.int64))
        windows = tuple(
            np.concatenate((self._prefix, ids[start : start + self._content], self._suffix))
            for start in (chosen * self._stride).tolist()
        )
        return Windows(ids=windows, skipped=count - len(chosen))


def joined(windows: Sequence[Ids]) -> tuple[Ids, Lengths]:
    """Windows end to end and the length of each: what a backend reads."""
    ids = np.concatenate(windows) if windows else np.zeros(0, dtype=np.int64)
    return ids, np.array([len(window) for window in windows], dtype=np.int64)


def runs(ids: Ids, lengths: Lengths) -> Iterator[Ids]:
    """Neighbours of equal length as one array each, shape (windows, length), or more axes where ids are rows."""
    at = 0
    for length, run in groupby(lengths.tolist()):
        count = len(list(run))
        yield ids[at : at + count * length].reshape(count, length, *ids.shape[1:])
        at += count * length
