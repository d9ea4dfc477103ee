"""Fit the light toxicity head, measure it, and write weights and card: python -m bench.heads.train_toxicity

Rows are split by a hash of the text: 80% fit, 10% calibrate, 10% validate; the shipped weights are those measured.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as nn
from safetensors.numpy import save_file

from bench.heads.card import write_card
from bench.measures import DATA, auroc, average_precision, calibration_error, interval, read_set
from signals.encoder import TONE_LAYER, Encoded, Encoder
from signals.runtime.weights import file_sha256

FITTED = ("davidson", "surge", "toxigen_seed", "openai_mod", "hatecheck")
EVALUATED = ("wikitalk", "stormfront", "civil_toxicspans")  # share-alike, or all pre-filtered as toxic: never fitted
CLEAN = "halueval_general"  # requests to an assistant and its answers, taken as harmless
CLEAN_WEIGHT = 0.3  # of the loss, against 1 for each labelled set on average
L2 = 1e-4
SEED = 0
HEADS = Path(__file__).resolve().parents[2] / "signals" / "heads"


@dataclass(frozen=True, slots=True)
class Rows:
    """Texts of one set as vectors, with labels and the part each belongs to (0 fit, 1 calibrate, 2 validate)."""

    features: torch.Tensor  # (windows, 768)
    owner: torch.Tensor  # (windows,)
    labels: torch.Tensor  # (texts,)
    part: npt.NDArray[np.int64]
    groups: tuple[str, ...]

    def only(self, keep: npt.NDArray[np.bool_]) -> Rows:
        number = torch.from_numpy(np.cumsum(keep) - 1)
        rows = torch.from_numpy(keep)[self.owner]
        groups = tuple(group for group, kept in zip(self.groups, keep, strict=True) if kept)
        chosen = torch.from_numpy(keep)
        return Rows(self.features[rows], number[self.owner[rows]], self.labels[chosen], self.part[keep], groups)


@dataclass(frozen=True, slots=True)
class Fit:
    weight: torch.Tensor  # (768,)
    bias: float

    def logits(self, rows: Rows) -> torch.Tensor:
        return highest(rows.features @ self.weight + self.bias, rows.owner, len(rows.labels))


def part_of(text: str) -> int:
    """Equal texts, up to case and spaces, always fall into one part."""
    byte = hashlib.sha256(" ".join(text.lower().split()).encode()).digest()[0]
    return 0 if byte < 205 else 1 if byte < 230 else 2


def highest(logits: torch.Tensor, owner: torch.Tensor, n: int) -> torch.Tensor:
    return torch.full((n,), -1e9).scatter_reduce(0, owner, logits, "amax")


def rows_of(encoded: Encoded, texts: list[str], labels: list[bool], groups: list[str]) -> Rows:
    return Rows(
        torch.from_numpy(np.concatenate((encoded.tones, encoded.windows), axis=1)),
        torch.from_numpy(encoded.owner),
        torch.tensor(labels, dtype=torch.float32),
        np.array([part_of(text) for text in texts]),
        tuple(groups),
    )


def load(encoder: Encoder, name: str, data: Path) -> Rows:
    raw = read_set(name, data)
    if name == CLEAN:
        texts = [row["question"] for row in raw] + [row["response"] for row in raw]
        return rows_of(encoder.encode(texts), texts, [False] * len(texts), [""] * len(texts))
    texts = [row["text"] for row in raw]
    groups = [row.get("functionality", "") for row in raw]
    return rows_of(encoder.encode(texts), texts, [bool(row["label"]) for row in raw], groups)


def fit(sets: list[Rows], clean: Rows) -> Fit:
    """Logistic regression on the worst window of each text; a set weighs by the root of its size."""
    masses = [len(rows.labels) ** 0.5 for rows in sets] + [
        CLEAN_WEIGHT * sum(len(r.labels) ** 0.5 for r in sets) / len(sets)
    ]
    every = [*sets, clean]
    counts = [len(rows.labels) for rows in every]
    shares = torch.cat([torch.full((n,), mass / n) for n, mass in zip(counts, masses, strict=True)])
    starts = np.cumsum([0, *counts])[:-1].tolist()
    owner = torch.cat([rows.owner + start for rows, start in zip(every, starts, strict=True)])
    features, labels = torch.cat([rows.features for rows in every]), torch.cat([rows.labels for rows in every])
    shares /= shares.sum()
    weight, bias = torch.zeros(features.shape[1], requires_grad=True), torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=150, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        logits = highest(features @ weight + bias, owner, len(labels))
        loss = (nn.binary_cross_entropy_with_logits(logits, labels, reduction="none") * shares).sum()
        loss = loss + L2 * weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return Fit(weight.detach(), float(bias.detach()))


def calibrate(model: Fit, sets: list[Rows]) -> Fit:
    """Platt's scaling on rows that the fit has not seen, folded into the weights."""
    logits, labels = torch.cat([model.logits(rows) for rows in sets]), torch.cat([rows.labels for rows in sets])
    scale, shift = torch.ones(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS([scale, shift], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = nn.binary_cross_entropy_with_logits(logits * scale + shift, labels)
        loss.backward()
        return loss

    optimiser.step(closure)
    factor = float(scale.detach())
    return Fit(model.weight * factor, model.bias * factor + float(shift.detach()))


def measured(model: Fit, sets: list[Rows]) -> dict[str, float | int | list[float]]:
    labels = torch.cat([rows.labels for rows in sets]).numpy().astype(bool)
    scores = torch.cat([model.logits(rows) for rows in sets]).sigmoid().double().numpy()
    low, high = interval(labels, scores, seed=SEED)
    return {
        "n": len(labels),
        "toxic": int(labels.sum()),
        "auroc": round(auroc(labels, scores), 4),
        "interval": [round(low, 4), round(high, 4)],
        "average_precision": round(average_precision(labels, scores), 4),
        "calibration_error": round(calibration_error(labels, scores), 4),
        "recall_at_0.5": round(float((scores[labels] > 0.5).mean()), 4),
        "flagged_harmless_at_0.5": round(float((scores[~labels] > 0.5).mean()), 4),
    }


def functionalities(model: Fit, rows: Rows) -> dict[str, float]:
    """HateCheck: share of right verdicts at 0.5 for each kind of case."""
    right = ((model.logits(rows) > 0) == (rows.labels > 0)).numpy()
    kinds = np.array(rows.groups)
    return {kind: round(float(right[kinds == kind].mean()), 3) for kind in sorted(set(rows.groups))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the labelled sets")
    parser.add_argument("--output", type=Path, default=HEADS)
    args = parser.parse_args()
    torch.manual_seed(SEED)
    encoder = Encoder(device="cpu")
    sets = {name: load(encoder, name, args.data) for name in (*FITTED, *EVALUATED, CLEAN)}
    encoder.close()
    parts = [{name: rows.only(rows.part == part) for name, rows in sets.items()} for part in range(3)]
    model = calibrate(
        fit([parts[0][name] for name in FITTED], parts[0][CLEAN]), [parts[1][name] for name in (*FITTED, CLEAN)]
    )
    held = parts[2]
    report = {
        "validation, fitted sets": measured(model, [held[name] for name in FITTED]),
        "validation, fitted sets with wikitalk and stormfront": measured(
            model, [held[name] for name in FITTED] + [sets["wikitalk"], sets["stormfront"]]
        ),
        **{f"validation, {name}": measured(model, [held[name]]) for name in FITTED},
        **{f"never fitted, {name}": measured(model, [sets[name]]) for name in EVALUATED},
    }
    for name in FITTED:
        others = [sets[other] for other in FITTED if other != name]
        report[f"left out whole, {name}"] = measured(fit(others, sets[CLEAN]), [sets[name]])
    clean = model.logits(held[CLEAN]).sigmoid().numpy()
    passed = {f"flagged_at_{edge}": round(float((clean > edge).mean()), 4) for edge in (0.5, 0.8)}
    output = args.output / "toxicity-v1.safetensors"
    save_file(
        {
            "tone": model.weight[:384].numpy(),
            "meaning": model.weight[384:].numpy(),
            "bias": np.array([model.bias], dtype=np.float32),
        },
        output,
    )
    output.chmod(0o644)  # safetensors writes for the owner alone; the wheel is for everyone
    facts = {
        "name": "toxicity",
        "version": "1",
        "sha256": file_sha256(output),
        "encoder": encoder.version,
        "encoder_sha256": encoder.weights,
        "tone_layer": TONE_LAYER,
        "seed": SEED,
        "l2": L2,
        "clean_weight": CLEAN_WEIGHT,
        "rows": {
            name: {
                "fit": len(parts[0][name].labels),
                "calibrate": len(parts[1][name].labels),
                "validate": len(held[name].labels),
            }
            for name in (*FITTED, CLEAN)
        },
        "measured": report,
        "clean_traffic": {"n": len(clean), **passed},
        "hatecheck": functionalities(model, held["hatecheck"]),
    }
    (args.output / "toxicity-v1.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    write_card(facts, args.output / "toxicity-v1.md")
    print((args.output / "toxicity-v1.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
