"""The toxicity head beside the heads it could have been, on the same rows: python -m bench.heads.compare

Every head is taught by the recipe of ``train_toxicity``: fitted on 80% of the rows, calibrated on 10% and judged on the
last 10% ("pooled" and what is never fitted), and refitted without any row of a set to be judged on the whole of it
("left out whole"). Differences to the shipped head and their 95% intervals are of the same resampled rows: one that
holds 0 is noise. A head wins that is better on the sets left out and nowhere worse.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from bench.heads.alternatives import Score, first, invariant, mlp, second, unbiased
from bench.heads.linear import fit
from bench.heads.toxicity import (
    CLEAN,
    FITTED,
    HARD,
    L2,
    NEVER_FITTED,
    RATED,
    SEED,
    Floats,
    Lesson,
    Rows,
    lesson,
    load,
    platt,
)
from bench.measures import DATA, Labels, Scores, auroc, calibration_error, interval
from signals.encoder import Encoder

COMPARED = Path(__file__).with_name("toxicity-v3.compared.md")
HEADING = "What `python -m bench.heads.compare` printed; its first lines say what is compared.\n\n"
SHIPPED = "head 3, shipped"
FORMER = {"head 2": (HARD,), "head 1": ()}  # what they knew besides the labelled sets and the harmless traffic


def shipped(taught: Lesson) -> Score:
    return fit(taught.vectors, taught.targets, l2=L2, shares=taught.shares).logits


HEADS: dict[str, Callable[[Lesson], Score]] = {
    SHIPPED: shipped,
    "head 2": second,
    "head 1": first,
    "hidden layer of 64": mlp,
    "equal losses of the sets": invariant,
    "intercepts and weights a set": unbiased,
}


def judged(head: str, sets: dict[str, Rows]) -> Iterator[tuple[str, Labels, Scores]]:
    """What is judged, with the labels and the probabilities of one head."""

    def taught(parts: Sequence[Rows], clean: Rows, rated: Rows) -> Score:
        known = FORMER.get(head, (HARD, RATED))
        hard, comments = (each if name in known else None for name, each in ((HARD, sets[HARD]), (RATED, rated)))
        return HEADS[head](lesson(parts, clean, hard, comments))

    fitted, calibrating, held = ({name: sets[name].part(part) for name in (*FITTED, CLEAN, RATED)} for part in range(3))
    score = taught([fitted[name] for name in FITTED], fitted[CLEAN], fitted[RATED])
    factor, shift = platt(*_joined(score, [calibrating[name] for name in (*FITTED, CLEAN)]))
    logits, labels = _joined(score, [held[name] for name in FITTED])
    yield "pooled, validation rows", labels, _probabilities(logits * factor + shift)
    for name in NEVER_FITTED:
        logits = score(sets[name].vectors)
        yield f"{name}, never fitted", sets[name].labels, _probabilities(logits * factor + shift)
    for name in FITTED:
        others = [sets[other] for other in FITTED if other != name]
        yield (
            f"{name}, left out whole",
            sets[name].labels,
            _probabilities(taught(others, sets[CLEAN], sets[RATED])(sets[name].vectors)),
        )


def table(sets: dict[str, Rows]) -> Iterator[str]:
    """A Markdown table, a line at a time."""
    yield "| head | on | n | AUROC | 95 % | difference to head 3 | 95 % | calibration error |"
    yield "|---|---|---|---|---|---|---|---|"
    base: dict[str, Scores] = {}
    for head in HEADS:
        for on, labels, scores in judged(head, sets):
            reference = base.setdefault(on, scores)
            value, (low, high) = auroc(labels, scores), interval(labels, scores, seed=SEED)
            cells = [head, on, str(len(labels)), f"{value:.3f}", f"{low:.3f} – {high:.3f}"]
            if head == SHIPPED:
                cells += ["", ""]
            else:
                below, above = _paired(labels, scores, reference)
                cells += [f"{value - auroc(labels, reference):+.3f}", f"{below:+.3f} – {above:+.3f}"]
            yield f"| {' | '.join(cells)} | {calibration_error(labels, scores):.3f} |"


def _paired(labels: Labels, scores: Scores, reference: Scores) -> tuple[float, float]:
    rows = np.arange(len(labels), dtype=np.float64)

    def difference(drawn: Labels, at: Scores) -> float:
        places = at.astype(np.int64)
        return auroc(drawn, scores[places]) - auroc(drawn, reference[places])

    return interval(labels, rows, difference, seed=SEED)


def _joined(score: Score, sets: Sequence[Rows]) -> tuple[Floats, Labels]:
    return np.concatenate([score(rows.vectors) for rows in sets]), np.concatenate([rows.labels for rows in sets])


def _probabilities(logits: Floats) -> Scores:
    return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the labelled sets")
    parser.add_argument("--output", type=Path, default=COMPARED, help="where the table goes besides the screen")
    args = parser.parse_args()
    torch.manual_seed(SEED)
    encoder = Encoder(device="cpu")
    sets = {name: load(encoder, name, args.data) for name in (*FITTED, *NEVER_FITTED, RATED, CLEAN, HARD)}
    encoder.close()
    lines = []
    for line in table(sets):
        print(line, flush=True)
        lines.append(line + "\n")
    args.output.write_text(HEADING + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
