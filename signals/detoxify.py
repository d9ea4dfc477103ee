"""Detoxify models without its package: a checkpoint becomes a folder once, and only that folder is read at run time.

The folder holds ``model.safetensors``, ``config.json``, ``tokenizer.json`` and ``manifest.json`` with the labels and
the sha256 of each file. Nothing in it can execute code, and nothing is fetched from anywhere.

That the folder answers as the package does is tested on random weights of the same architectures: the arithmetic, the
tokenisers and the order of the labels. How well the published weights judge, and what bfloat16 costs them, is not.
"""

from __future__ import annotations

import json
import pickle
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from signals.runtime.choice import choose
from signals.runtime.classifier import PackedClassifier, packs
from signals.runtime.device import DTYPES, cores
from signals.runtime.lru import Lru
from signals.runtime.runner import Runner
from signals.runtime.tokens import Ids, Lengths, Windower, joined, runs
from signals.runtime.weights import WeightsError, file_sha256
from signals.types import Floats

FORMAT = 1
FILES = ("model.safetensors", "config.json", "tokenizer.json")
WINDOW_TOKENS_MAX = 512
OVERLAP_RATIO = 8  # a window shares an eighth of its tokens with the next
CACHE_BYTES_MAX = 16 << 20
TOXICITY = "toxicity"
LABELS = (TOXICITY, "severe_toxicity", "obscene", "threat", "insult", "identity_attack", "sexual_explicit")

_ARCHITECTURES = (
    "AlbertForSequenceClassification",
    "BertForSequenceClassification",
    "RobertaForSequenceClassification",
    "XLMRobertaForSequenceClassification",
)
_NAMES = {"bert-base-uncased": "original", "roberta-base": "unbiased", "xlm-roberta-base": "multilingual"}
_LABELS = {"toxic": TOXICITY, "identity_hate": "identity_attack", "severe_toxic": "severe_toxicity"}


def import_checkpoint(checkpoint: Path, base: Path, output: Path) -> dict[str, Any]:
    """Convert a Detoxify ``.ckpt`` with the config and tokeniser of its base model; returns the manifest.

    ``base`` is a local folder of bert-base-uncased, roberta-base or xlm-roberta-base (``config.json`` and tokeniser
    files). The checkpoint is read with torch's restricted unpickler. Raises WeightsError with a sentence.
    """
    if output.exists() and any(output.iterdir()):
        raise WeightsError(f"{output} is not empty: choose another output folder")
    arguments, labels, state = _read_checkpoint(checkpoint)
    model = _build(arguments["model_name"], base / "config.json", arguments["num_classes"])
    try:
        missing, ignored = model.load_state_dict(state, strict=False)
    except RuntimeError:
        raise WeightsError(
            f"the weights of {checkpoint} have other shapes than {base} asks for: another base?"
        ) from None
    if missing:
        raise WeightsError(f"{checkpoint} lacks {len(missing)} weights of {base}, {missing[0]} first: another base?")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch:
        folder = Path(scratch) / "model"
        folder.mkdir()
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / FILES[0])
        (folder / FILES[1]).write_text(model.config.to_json_string(use_diff=False), encoding="utf-8")
        _tokenizer(arguments["tokenizer_name"], base).save(str(folder / FILES[2]))
        manifest = {
            "format": FORMAT,
            "name": _NAMES.get(arguments["model_type"], "custom"),
            "base": Path(arguments["model_type"]).name,
            "architecture": arguments["model_name"],
            "labels": labels,
            "window_tokens": _window_tokens(model.config),
            "checkpoint_sha256": file_sha256(checkpoint),
            "ignored_weights": sorted(ignored),
            "sha256": {name: file_sha256(folder / name) for name in FILES},
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        if output.exists():
            output.rmdir()
        shutil.move(folder, output)
    return manifest


class DetoxifyModel:
    """An imported model. ``predict`` gives the probability of each label, the worst over windows of 512 tokens."""

    def __init__(
        self,
        directory: Path,
        *,
        device: str = "auto",
        precision: str = "auto",
        backend: str = "torch",
        workers: int = 0,
        pack_tokens_max: int = 0,
        cache_bytes_max: int = CACHE_BYTES_MAX,
    ) -> None:
        """Raises WeightsError where the folder is not what `assay import-detoxify` wrote."""
        manifest = _read_manifest(directory)
        choice = choose(device=device, backend=backend, precision=precision).choice
        self.labels: tuple[str, ...] = tuple(manifest["labels"])
        self.toxicity = self.labels.index(TOXICITY)
        self.weights: str = manifest["sha256"][FILES[0]][:8]
        model = _build(manifest["architecture"], directory / FILES[1])
        try:
            model.load_state_dict(load_file(directory / FILES[0]))
        except (RuntimeError, SafetensorError) as error:
            raise WeightsError(f"{directory} does not hold the weights its config asks for: {error}") from None
        window = manifest["window_tokens"]
        self._windower = Windower(directory / FILES[2], window_tokens=window, overlap_tokens=window // OVERLAP_RATIO)
        workers = workers or cores()
        self.version, classifier = f"detoxify-{manifest['name']}-{choice.precision}", None
        if packs(model.config):  # other sums than the plain model's in the last digits: another version
            self.version = f"detoxify-{manifest['name']}-packed-{choice.name}"
            classifier = PackedClassifier(choice, model.state_dict(), model.config, streams=workers)
        self.runner = Runner(
            classifier or _Classifier(model, DTYPES[choice.precision]),
            device=torch.device(choice.device),
            workers=workers,
            pack_tokens_max=pack_tokens_max,
        )
        self._cache = Lru(f"{self.version}-{self.weights}", cache_bytes_max)

    def predict(self, texts: Sequence[str]) -> Floats:
        """Probabilities, shape (len(texts), len(labels)); each distinct text is computed at most once."""
        keys = [self._cache.key(text) for text in texts]
        known = {key: row for key in set(keys) if (row := self._cache.get(key)) is not None}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            cut = self._windower(list(missing.values()))
            rows = self.runner.encode(*joined([ids for windows in cut for ids in windows.ids]))[:, : len(self.labels)]
            starts = np.cumsum([0, *(len(windows.ids) for windows in cut)])[:-1]
            for key, row in zip(missing, np.maximum.reduceat(rows, starts), strict=True):
                known[key] = row.copy()
                self._cache.put(key, known[key])
        return np.array([known[key] for key in keys], dtype=np.float32).reshape(len(texts), len(self.labels))

    def close(self) -> None:
        """Stop the workers; safe twice."""
        self.runner.close()


class _Classifier:
    """A transformers model that does not pack (ALBERT); windows of one length share a call, so nothing is padded."""

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        self._master = model.eval().to(dtype)  # stays on the CPU: the way back from a lost GPU
        self._model = self._master
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        self._model = self._master if device.type == "cpu" else deepcopy(self._master).to(device)
        self.device = device

    def encode(self, ids: Ids, lengths: Lengths) -> Tensor:
        with torch.inference_mode():
            packs = [torch.from_numpy(run).to(self.device) for run in runs(ids, lengths)]
            return torch.cat([self._model(input_ids=run).logits for run in packs]).float().sigmoid()


def _read_checkpoint(path: Path) -> tuple[dict[str, Any], list[str], dict[str, Tensor]]:
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's guesses about the file; our own sentence follows
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path} is no checkpoint that loads without running code: {reason}") from None
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}") from None
    try:
        arguments = dict(loaded["config"]["arch"]["args"])
        labels = [_LABELS.get(label, label) for label in loaded["config"]["dataset"]["args"]["classes"]]
        state = dict(loaded["state_dict"])
        arguments = {key: arguments[key] for key in ("model_type", "model_name", "tokenizer_name", "num_classes")}
    except (KeyError, TypeError, ValueError):
        raise WeightsError(f"{path} is not a Detoxify checkpoint: it lacks config or state_dict") from None
    if TOXICITY not in labels or len(labels) > arguments["num_classes"]:
        raise WeightsError(f"{path} has the labels {', '.join(labels)}: one of them must be {TOXICITY}")
    if unknown := sorted(set(labels) - set(LABELS)):
        raise WeightsError(f"{path} has labels that are no Detoxify label: {', '.join(unknown)}")
    if all(name.startswith("model.") for name in state):  # as the trainer saved it, not as it was published
        state = {name.removeprefix("model."): tensor for name, tensor in state.items()}
    return arguments, labels, state


def _read_manifest(directory: Path) -> dict[str, Any]:
    advice = "make it with `assay import-detoxify`"
    try:
        manifest: dict[str, Any] = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
        expected = {name: manifest["sha256"][name] for name in FILES}
        known = manifest["format"] == FORMAT and TOXICITY in manifest["labels"] and manifest["window_tokens"] > 0
    except OSError as error:
        raise WeightsError(f"{directory} holds no readable manifest.json ({error.strerror}): {advice}") from None
    except (ValueError, KeyError, TypeError):
        raise WeightsError(f"{directory}/manifest.json is damaged: {advice} again") from None
    if not known:
        raise WeightsError(f"{directory} is of another version of Assay: {advice} again")
    for name, digest in expected.items():
        try:
            found = file_sha256(directory / name)
        except OSError as error:
            raise WeightsError(f"{directory}/{name}: {error.strerror}: {advice} again") from None
        if found != digest:
            raise WeightsError(f"{directory}/{name} is not the file that was imported (sha256 differs): {advice} again")
    return manifest


def _build(architecture: str, config: Path, outputs: int | None = None) -> Any:
    if architecture not in _ARCHITECTURES:
        raise WeightsError(f"{architecture} is not one of {', '.join(_ARCHITECTURES)}")
    kind = getattr(transformers, architecture)
    try:
        shape = kind.config_class.from_json_file(str(config))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{config} cannot be read: {error}") from None
    if outputs is not None:
        shape.num_labels = outputs
    return kind(shape).eval()


def _tokenizer(name: str, base: Path) -> Any:
    kind = getattr(transformers, name.removesuffix("Fast"), transformers.AutoTokenizer)
    try:
        tokenizer = kind.from_pretrained(str(base), local_files_only=True)
        return tokenizer.backend_tokenizer
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(f"{base} holds no tokeniser that {name} can read: {error}") from None


def _window_tokens(config: Any) -> int:
    shift = config.pad_token_id + 1 if "roberta" in config.model_type else 0  # RoBERTa counts positions after padding
    return min(WINDOW_TOKENS_MAX, int(config.max_position_embeddings) - shift)
