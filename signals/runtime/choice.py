"""Which backend and number format the models run in: what the settings say, or what a short measurement finds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from signals.runtime.bert import PackedBert
from signals.runtime.device import DTYPES, choose_device, choose_dtype
from signals.runtime.openvino import OpenvinoBert, available
from signals.runtime.runner import Backend
from signals.runtime.tokens import Ids, Lengths, Windower, joined
from signals.runtime.weights import WeightsError, encoder_directory
from signals.types import Floats

BACKENDS = ("torch", "openvino")
MARGIN = 1.25  # times as fast, before the default is left: a choice that flips between two starts parts the baselines
PARITY_MIN = 0.9999  # cosine of every row to float32
ROUNDS = 3  # the candidates take turns; the least of each counts
HOPELESS = 2  # times the least of all: such a candidate has no further turn
PACKS = ((140,), (68, 63), (34, 32, 30, 28), (20, 18, 17, 16, 15, 14, 13, 12))
"""Tokens of the windows: small packs of the kinds that a sorted batch is cut into."""

TEXT = (
    "The invoice of the eleventh of March lists two kettles, although only one of them was ever delivered to us. "
    "Our server room is cooled by two independent units, and each of them can carry the whole load in summer. "
    "She asked whether the warranty covers damage by water, and nobody in the shop was able to give an answer. "
    "Water boils at a lower temperature on a high mountain, so pasta needs a few more minutes than at the coast. "
    "Please summarise the attached report in three bullet points and name the risks that the auditors found. "
    "A train that leaves at nine and travels for three hours and a half arrives half an hour after midday. "
    "The function returns a list of pairs, sorted by the second element, and raises an error for an empty input. "
    "I am sorry to hear that the parcel arrived damaged, and I have arranged for a replacement to be sent today. "
    "In the autumn the birds gather on the wires above the field and leave together before the first cold night."
)

Trunk = PackedBert | OpenvinoBert
Pack = tuple[Ids, Lengths]
Measure = Callable[[Sequence["Choice"]], Mapping["Choice", float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How numbers are made; ``name`` stands in the version of every score that rests on them."""

    backend: str  # one of BACKENDS
    precision: str  # bf16, fp32
    device: str = "cpu"

    @property
    def name(self) -> str:
        return self.precision if self.backend == "torch" else f"{self.backend}-{self.precision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A choice, and why in words for the log."""

    choice: Choice
    reason: str


def choose(
    *,
    device: str = "auto",
    backend: str = "auto",
    precision: str = "auto",
    pinned: Path | None = None,
    measure: Measure | None = None,
) -> Chosen:
    """What ``auto`` means here. Raises WeightsError with a sentence for what this machine cannot do.

    A GPU always runs torch. On a CPU ``auto`` measures the candidates on the shipped encoder, once a process, and
    leaves the first of them, which needs nothing but torch in the format that the hardware multiplies, only for one
    that is MARGIN times as fast and gives float32's numbers within PARITY_MIN. ``pinned`` is a file that keeps what
    was chosen for the next start; a fleet names one backend in its settings instead.
    """
    if backend not in (*BACKENDS, "auto"):
        raise WeightsError(f"signals.backend must be auto, {' or '.join(BACKENDS)}, not {backend!r}")
    place = choose_device("cpu" if backend == "openvino" and device == "auto" else device)
    native = _precision(choose_dtype(place, precision))
    if place.type != "cpu":
        if backend == "openvino":
            raise WeightsError("signals.backend openvino runs on the CPU: set signals.device to cpu or auto")
        return Chosen(choice=Choice(backend="torch", precision=native, device=place.type), reason="the GPU's")
    if backend == "openvino" and not available():
        raise WeightsError("signals.backend is openvino, which is not installed: pip install 'llm-assay[openvino]'")
    if backend != "auto":
        return Chosen(choice=Choice(backend=backend, precision=native), reason="as set")
    found = candidates(native, fixed=precision != "auto")
    if len(found) == 1:
        return Chosen(choice=found[0], reason="the only one")
    if (known := _pinned(pinned)) in found:
        return Chosen(choice=known, reason=f"as chosen before, see {pinned}")
    chosen = fastest(found, (measure or measured)(found))
    if pinned is not None:
        pinned.write_text(json.dumps({"backend": chosen.choice.backend, "precision": chosen.choice.precision}) + "\n")
    return chosen


def candidates(native: str, *, fixed: bool) -> list[Choice]:
    """What may run on this CPU, the default first."""
    found = [Choice(backend="torch", precision=native)]
    if available():
        found.append(Choice(backend="openvino", precision=native))
    if native != "fp32" and not fixed:
        found.append(Choice(backend="torch", precision="fp32"))
    return found


def fastest(found: Sequence[Choice], seconds: Mapping[Choice, float]) -> Chosen:
    """The default, or the fastest that beats it by MARGIN; candidates without a time failed on parity."""
    fair = [choice for choice in found if choice in seconds]
    best = min(fair, key=seconds.__getitem__)
    chosen = best if found[0] not in seconds or seconds[found[0]] >= MARGIN * seconds[best] else found[0]
    told = [
        f"{choice.name} {seconds[chosen] / seconds[choice]:.2f}x" if choice in seconds else f"{choice.name} inexact"
        for choice in found
        if choice != chosen
    ]
    return Chosen(choice=chosen, reason=f"measured, in its speed {', '.join(told)}")


def measured(found: Sequence[Choice]) -> Mapping[Choice, float]:
    """CPU seconds of a pack for each candidate whose rows are exact enough, by the shipped encoder's weights."""
    return _measured(tuple(found))


@cache
def _measured(found: tuple[Choice, ...]) -> Mapping[Choice, float]:
    directory = encoder_directory()
    (windows,) = Windower(directory / "tokenizer.json")([TEXT])
    start, *rest = windows.ids[0]
    end = windows.ids[0][-1]
    packs = [joined([np.array([start, *rest[: length - 2], end]) for length in pack]) for pack in PACKS]
    exact = Choice(backend="torch", precision="fp32")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        models = {choice: _encoder(directory, choice) for choice in {*found, exact}}
        return compare({choice: models[choice] for choice in found}, models[exact], packs, clock=time.process_time)
    finally:
        torch.set_num_threads(before)


def compare(
    models: Mapping[Choice, Backend], exact: Backend, packs: Sequence[Pack], *, clock: Callable[[], float]
) -> dict[Choice, float]:
    """The least of ROUNDS turns by ``clock``, for each model whose rows point where those of ``exact`` do.

    One that took HOPELESS times the least so far has had its turns.
    """
    reference = _unit(exact, packs)
    fair = {
        choice: model
        for choice, model in models.items()
        if model is exact or (_unit(model, packs) * reference).sum(-1).min() >= PARITY_MIN
    }
    seconds = dict.fromkeys(fair, float("inf"))
    for turn in range(ROUNDS):
        for choice, model in fair.items():
            if turn and seconds[choice] > HOPELESS * min(seconds.values()):
                continue
            start = clock()
            for pack in packs:
                model.encode(*pack)
            seconds[choice] = min(seconds[choice], clock() - start)
    return seconds


def build(
    choice: Choice,
    weights: Mapping[str, Tensor],
    *,
    heads: int,
    taps: Sequence[int],
    epsilon: float = 1e-12,
    pad: int | None = None,
    streams: int = 1,
) -> Trunk:
    """A BERT of ``weights`` as chosen; ``streams`` is how many threads will call it at once."""
    dtype = DTYPES[choice.precision]
    if choice.backend == "openvino":
        return OpenvinoBert(weights, heads=heads, taps=taps, dtype=dtype, epsilon=epsilon, pad=pad, streams=streams)
    return PackedBert(weights, heads=heads, taps=taps, dtype=dtype, epsilon=epsilon, pad=pad)


def _encoder(directory: Path, choice: Choice) -> Backend:
    shape = json.loads((directory / "config.json").read_text())
    layers = shape["num_hidden_layers"]
    weights = load_file(directory / "model.safetensors")
    model = build(choice, weights, heads=shape["num_attention_heads"], taps=(layers,))
    model.to(torch.device("cpu"))
    return model


def _unit(model: Backend, packs: Sequence[Pack]) -> Floats:
    rows = torch.cat([model.encode(*pack).float() for pack in packs])
    return np.asarray((rows / rows.norm(dim=-1, keepdim=True)).numpy(), dtype=np.float32)


def _precision(dtype: torch.dtype) -> str:
    return next(name for name, known in DTYPES.items() if known is dtype)


def _pinned(file: Path | None) -> Choice | None:
    """None where there is no such file, or nothing in it that is a choice."""
    try:
        kept = json.loads(file.read_text()) if file is not None else {}
        return Choice(backend=kept["backend"], precision=kept["precision"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
