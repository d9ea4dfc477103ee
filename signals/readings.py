"""Readings of a text in disguise, for the models that judge tone: as it came, made plain, and what it holds encoded.

What the language model was given is the text as it came; what it may have understood is any of its readings, so the
worst of them counts. A text without disguise has no further reading, and costs nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from signals.normalise import payloads, plain, spelled, spelled_oddly
from signals.types import Floats, Judge

PAYLOADS_READ_MAX = 4  # of a text
VERSION = "read2"  # part of the identity of every column that is judged so


class Reader(Protocol):
    """A model of texts: probabilities, shape (len(texts), labels)."""

    def predict(self, texts: Sequence[str]) -> Floats: ...


def readings(text: str) -> list[str]:
    """What a text in disguise says besides itself; nothing for one without."""
    bare = plain(text)
    plainly = [spelled(bare.text)] if bare.undone or spelled_oddly(bare.text) else []
    return plainly + payloads(text)[:PAYLOADS_READ_MAX]


def worst_readings(model: Reader, texts: Sequence[str]) -> dict[str, Floats]:
    """Of each text the greatest probability of each label over its readings."""
    further = {text: readings(text) for text in texts}
    every = list(dict.fromkeys([*texts, *(said for found in further.values() for said in found)]))
    rows = dict(zip(every, model.predict(every), strict=True))
    return {text: np.maximum.reduce([rows[said] for said in (text, *found)]) for text, found in further.items()}


def judges(model: Reader, labels: Sequence[str]) -> Mapping[str, Judge]:
    """By label: what gives the probability of any texts by their worst readings."""
    return {label: partial(_label, model, at) for at, label in enumerate(labels)}


def _label(model: Reader, at: int, texts: Sequence[str]) -> Floats:
    rows = worst_readings(model, texts)
    return np.array([rows[text][at] for text in texts], dtype=np.float32)
