"""Fit the light toxicity head, measure it, and write weights and card: python -m bench.heads.train_toxicity

Rows are split by a hash of the text: 80% fit, 10% calibrate, 10% validate; the shipped weights are those measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from bench.heads.card import write_card
from bench.heads.linear import Linear
from bench.heads.toxicity import (
    CLEAN,
    CLEAN_WEIGHT,
    FITTED,
    HARD,
    HARD_WEIGHT,
    L2,
    NEVER_FITTED,
    RATED,
    RATED_WEIGHT,
    RECALLS,
    SEED,
    SEEN,
    Rows,
    calibrate,
    fit_head,
    hash_of,
    load,
    probabilities,
    threshold_for,
)
from bench.measures import DATA, auroc, average_precision, calibration_error, interval
from signals.encoder import DIMENSIONS, TAPS, Encoder
from signals.runtime.weights import file_sha256
from signals.toxicity import HEAD

HEADS = Path(__file__).resolve().parents[2] / "signals" / "heads"


def measured(model: Linear, sets: Sequence[Rows]) -> dict[str, float | int | list[float]]:
    labels = np.concatenate([rows.labels for rows in sets])
    scores = np.concatenate([probabilities(model, rows) for rows in sets])
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


def functionalities(model: Linear, rows: Rows) -> dict[str, float]:
    """HateCheck: share of right verdicts at 0.5 for each kind of case."""
    right = (probabilities(model, rows) > 0.5) == rows.labels
    kinds = np.array(rows.kinds)
    return {kind: round(float(right[kinds == kind].mean()), 3) for kind in sorted(set(rows.kinds))}


def thresholds(model: Linear, toxic: Sequence[Rows], clean: Rows) -> list[dict[str, float]]:
    """For each recall the threshold that keeps it over ``toxic``, and the share of ``clean`` that it sends on."""
    found = np.concatenate([probabilities(model, rows)[rows.labels] for rows in toxic])
    calm = probabilities(model, clean)
    edges = {recall: threshold_for(recall / 100, found) for recall in RECALLS}
    return [
        {
            "recall_percent": recall,
            "threshold": round(edge, 6),
            "clean_sent": round(float((calm >= edge).mean()), 4),
        }
        for recall, edge in edges.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the labelled sets")
    parser.add_argument("--output", type=Path, default=HEADS)
    args = parser.parse_args()
    torch.manual_seed(SEED)
    encoder = Encoder(device="cpu")
    sets = {name: load(encoder, name, args.data) for name in (*FITTED, *NEVER_FITTED, RATED, CLEAN, HARD)}
    encoder.close()
    fitted, calibrating, held = ({name: sets[name].part(part) for name in (*FITTED, CLEAN, RATED)} for part in range(3))
    model = calibrate(
        fit_head([fitted[name] for name in FITTED], fitted[CLEAN], sets[HARD], fitted[RATED]),
        [calibrating[name] for name in (*FITTED, CLEAN)],
    )
    report = {
        "validation, fitted sets": measured(model, [held[name] for name in FITTED]),
        "validation, fitted sets with wikitalk and stormfront": measured(
            model, [held[name] for name in FITTED] + [sets["wikitalk"], sets["stormfront"]]
        ),
        **{f"validation, {name}": measured(model, [held[name]]) for name in FITTED},
        f"validation, {RATED}": measured(model, [held[RATED]]),
        **{f"never fitted, {name}": measured(model, [sets[name]]) for name in NEVER_FITTED},
    }
    for name in FITTED:
        others = [sets[other] for other in FITTED if other != name]
        report[f"left out whole, {name}"] = measured(
            fit_head(others, sets[CLEAN], sets[HARD], sets[RATED]), [sets[name]]
        )
    clean = probabilities(model, held[CLEAN])
    output = args.output / f"{HEAD}.safetensors"
    save_file(
        {
            "layers": model.weight.reshape(len(TAPS), DIMENSIONS),
            "bias": np.array([model.bias], dtype=np.float32),
        },
        output,
    )
    output.chmod(0o644)  # safetensors writes for the owner alone; the wheel is for everyone
    np.save(SEEN, np.unique([hash_of(text) for rows in fitted.values() for text in rows.texts]).astype(np.uint32))
    facts: dict[str, Any] = {
        "name": "toxicity",
        "version": "3",
        "sha256": file_sha256(output),
        "encoder": encoder.version,
        "encoder_sha256": encoder.weights,
        "taps": TAPS,
        "seed": SEED,
        "l2": L2,
        "clean_weight": CLEAN_WEIGHT,
        "hard_weight": HARD_WEIGHT,
        "rated_weight": RATED_WEIGHT,
        "rows": {
            name: {"fit": len(fitted[name]), "calibrate": len(calibrating[name]), "validate": len(held[name])}
            for name in (*FITTED, CLEAN)
        }
        | {HARD: {"fit": len(sets[HARD]), "calibrate": 0, "validate": 0}}
        | {RATED: {"fit": len(fitted[RATED]), "calibrate": 0, "validate": len(held[RATED])}},
        "cascade": thresholds(model, [calibrating[name] for name in FITTED], held[CLEAN]),
        "measured": report,
        "clean_traffic": {
            "n": len(clean),
            **{f"flagged_at_{edge}": round(float((clean > edge).mean()), 4) for edge in (0.5, 0.8)},
        },
        "hatecheck": functionalities(model, held["hatecheck"]),
    }
    (args.output / f"{HEAD}.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    write_card(facts, args.output / f"{HEAD}.md")
    print((args.output / f"{HEAD}.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
