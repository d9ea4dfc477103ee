"""A text into one vector a token with the token's place in the text; for evidence on demand, not for every call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from signals.runtime.tokens import OVERLAP_TOKENS, WINDOW_TOKENS_MAX, Ids, Lengths, joined
from signals.runtime.vocabulary import load_tokenizer, readable
from signals.runtime.weights import encoder_directory
from signals.types import Floats

TOKENS_MAX = 16_384  # of a longer text the first are read


class TokenModel(Protocol):
    """What gives hidden states: a BERT, or the encoder around it."""

    def states(self, ids: Ids, lengths: Lengths, layer: int) -> Tensor: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """The tokens of a text: where each stands (characters, end exclusive), and its unit vector."""

    spans: npt.NDArray[np.int64]  # (tokens, 2)
    vectors: Floats  # (tokens, hidden)


def token_states(model: TokenModel, text: str, layer: int) -> States:
    """States of ``text`` after ``layer``; windows overlap, and a token's state is from where it stands less far out."""
    encoded = _tokenizer(encoder_directory() / "tokenizer.json").encode(readable(text), add_special_tokens=False)
    ids = np.array(encoded.ids[:TOKENS_MAX], dtype=np.int64)
    spans = np.array(encoded.offsets[:TOKENS_MAX], dtype=np.int64).reshape(-1, 2)
    if not len(ids):
        return States(spans=spans, vectors=np.zeros((0, 0), dtype=np.float32))
    first, last = _tokenizer(encoder_directory() / "tokenizer.json").encode("").ids
    content = WINDOW_TOKENS_MAX - 2
    starts = range(0, max(1, len(ids) - OVERLAP_TOKENS), content - OVERLAP_TOKENS)
    rows = []
    for start in starts:
        window = ids[start : start + content]
        states = model.states(*joined([np.array([first, *window, last], dtype=np.int64)]), layer)[1:-1]
        skipped = OVERLAP_TOKENS // 2 if start else 0
        kept = len(window) if start + content >= len(ids) else content - OVERLAP_TOKENS // 2
        rows.append(torch.nn.functional.normalize(states[skipped:kept], dim=1).cpu().numpy())
    return States(spans=spans, vectors=np.concatenate(rows))


@cache
def _tokenizer(file: Path) -> Tokenizer:
    return load_tokenizer(file)
