"""Toxicity in two stages: the light head reads every text, a Detoxify model those that it cannot clear.

A text goes to the model where the head's probability reaches the threshold that kept the stated recall on the head's
calibration rows (``signals/heads/toxicity-v3.md``), and a random one in ``bypass_one_in`` of the rest goes as well. The
draw is a hash of the exchange, so a replay draws alike and a batch as its exchanges one by one.

Score of a text that the model saw: the model's, in every label. Of a text that the head cleared: the head's
probability for ``toxicity``, at most CLEARED_MAX and so no warning at the default threshold, and 0 for other labels.
Shares of calls above a threshold then keep their meaning as lower bounds; the unbiased toxic rate and the live recall
stand in the counts and gauges. The versions of the columns name the cascade, so that no one compares them with others.

Cost: that of the head, and of the model for the share that is sent. While the live recall is provably below
``recall_min`` everything goes to the model (see recall.py); rows are then the model's and the counts say how many.
What it cannot: recall is against the model's own verdict above FLAGGED_AT, which is not the truth; equal exchanges
share one draw, so traffic of few distinct texts has a wider uncertainty than the interval says.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Protocol

import numpy as np

from signals.batch import Batch, Costly, column
from signals.readings import judges, worst_readings
from signals.recall import Guard, Tally, estimate
from signals.runtime.weights import WeightsError
from signals.types import Abstention, Bools, Embeddings, Exchange, Floats, Judge, ScoreColumn, ScoreSpec, Side

if TYPE_CHECKING:
    from signals.toxicity import ToxicityHead

FLAGGED_AT = 0.5  # a text above is toxic in the eyes of the full model
CLEARED_MAX = 0.49


class FullModel(Protocol):
    """What the second stage needs of a Detoxify model."""

    labels: tuple[str, ...]
    toxicity: int
    version: str
    weights: str

    def predict(self, texts: Sequence[str]) -> Floats: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeOptions:
    """How much is to be caught, and how that is watched."""

    recall_percent: int = 95  # of the toxic texts of the head's calibration rows; those of its card
    recall_min: float = 0.9  # below, provably, everything goes to the full model
    bypass_one_in: int = 50  # of the texts that the head clears go to the full model all the same
    salt: str = "assay"  # of the draw; one for the fleet


class Cascade:
    """The labels of a Detoxify model for both texts, run where the light head does not clear them."""

    name = "toxicity"
    costly = Costly.OWN_MODEL

    def __init__(self, head: ToxicityHead, model: FullModel, options: CascadeOptions) -> None:
        """Raises WeightsError where the head's card knows no threshold for the recall."""
        known = {entry["recall_percent"]: entry for entry in head.facts["cascade"]}
        if options.recall_percent not in known:
            raise WeightsError(
                f"no threshold for a recall of {options.recall_percent} % is known, only for "
                + ", ".join(f"{percent} %" for percent in known)
            )
        self._head, self._model, self._options = head, model, options
        self._threshold = float(known[options.recall_percent]["threshold"])
        self._salt = hashlib.blake2b(options.salt.encode(), digest_size=16).digest()
        self._lock = threading.Lock()
        self._tally, self._rescued = Tally(), 0
        self._guard = Guard(recall=options.recall_percent / 100, recall_min=options.recall_min)
        version = f"cascade{options.recall_percent}-{head.specs[0].version}-{model.version}"
        weights = f"{head.specs[0].weights}{model.weights}"
        self.specs = tuple(
            ScoreSpec(signal=label, side=side, version=version, weights=weights)
            for label in model.labels
            for side in Side
        )

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        first = {side: self._head.judge(batch, side) for side in Side}
        drawn = {side: self._drawn(batch, side) for side in Side}
        everything = self._guard.fallen
        chosen = {side: (first[side] >= self._threshold) | drawn[side] | everything for side in Side}
        texts = {side: batch.wanted(side) for side in Side}
        distinct = {text: None for side in Side for text, go in zip(texts[side], chosen[side], strict=True) if go}
        rows = worst_readings(self._model, list(distinct))
        labels = {side: self._cleared(first[side]) for side in Side}
        for side in Side:
            for place in np.flatnonzero(chosen[side]):
                labels[side][place] = rows[texts[side][place]]
            self._count(first[side] >= self._threshold, drawn[side], labels[side][:, self._model.toxicity], everything)
        return tuple(
            column(spec, batch.abstentions(spec.side), labels[spec.side][:, self._model.labels.index(spec.signal)])
            for spec in self.specs
        )

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors of its own
        return ()

    @property
    def judges(self) -> Mapping[str, Judge]:
        """The model's: what the head cleared is no warning."""
        return judges(self._model, self._model.labels)

    def close(self) -> None:
        """Stop the model's workers; safe twice."""
        self._model.close()

    @property
    def counts(self) -> dict[str, int]:
        """Totals since the start; they add up over a fleet, and recall and rate follow from the sums."""
        tally = self._tally
        return {
            **{f"cascade_{part.name}": getattr(tally, part.name) for part in fields(tally)},
            "cascade_flagged_weighted": tally.flagged_sent + self._options.bypass_one_in * tally.flagged_sampled,
            "cascade_rescued": self._rescued,
            "cascade_falls": self._guard.falls,
        }

    @property
    def gauges(self) -> dict[str, float]:
        """Of the recent traffic of this process; NaN where too little is known."""
        found = estimate(self._guard.recent)
        return {
            **{f"cascade_{part.name}": getattr(found, part.name) for part in fields(found)},
            "cascade_fallen": float(self._guard.fallen),
        }

    def _cleared(self, probabilities: Floats) -> Floats:
        labels = np.zeros((len(probabilities), len(self._model.labels)), dtype=np.float32)
        labels[:, self._model.toxicity] = np.minimum(probabilities, CLEARED_MAX)
        return labels

    def _drawn(self, batch: Batch, side: Side) -> Bools:
        """Which of the side's texts the full model sees whatever the head says."""
        present = batch.abstentions(side) == Abstention.NONE
        lots = [self._lot(exchange, side) for exchange, here in zip(batch.exchanges, present, strict=True) if here]
        return np.array([lot % self._options.bypass_one_in == 0 for lot in lots], dtype=np.bool_)

    def _lot(self, exchange: Exchange, side: Side) -> int:
        hashed = hashlib.blake2b(side.encode(), digest_size=8, key=self._salt)
        for text in (exchange.input or "", exchange.output or ""):
            hashed.update(b"\0" + text.encode("utf-8", "surrogatepass"))
        return int.from_bytes(hashed.digest(), "big")

    def _count(self, sent: Bools, drawn: Bools, toxicity: Floats, everything: bool) -> None:
        flagged, sampled = toxicity > FLAGGED_AT, drawn & ~sent
        tally = Tally(
            texts=len(sent),
            sent=int(sent.sum()),
            sampled=int(sampled.sum()),
            flagged_sent=int((flagged & sent).sum()),
            flagged_sampled=int((flagged & sampled).sum()),
        )
        with self._lock:
            self._tally += tally
            self._rescued += int((~sent & ~drawn).sum()) if everything else 0
            self._guard.add(tally)
