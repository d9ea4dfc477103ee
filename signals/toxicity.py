"""Toxicity of both texts: a light head on the shared encoder, or the labels of an imported Detoxify model.

The head is a logistic regression on the means of the encoder's layers TAPS; the score of a text is that of its worst
window, calibrated to the mixture of its training sets. A text in disguise is also read as :mod:`signals.readings`
makes it plain, by the head and by a model alike, and the worst reading counts. The head knows English alone: what the
language identifier is sure to be no English, code and keys included, gets half its probability, and so is never a
warning at the default threshold.

Sees: insults, threats, hate of groups, obscenity, sexual and violent talk as the training sets label them; the same
behind invisible and full-width characters, look-alikes, leetspeak, spaced letters, base64, hexadecimal and tag
characters. Cannot see: who says it to whom (counter-speech, quotes and reclaimed words are often flagged), polite
hostility, rot13 and other ciphers, images; with the head, other languages than English (their shortest texts, "Je
t'aime", may even be flagged), a short insult in a long calm window, and that a short question on the body, on sex, on
animals or on a group of people is harmless. Range 0 (harmless) .. 1 (certainly toxic). Abstains without text.
Cost: the head's is a dot product of
vectors that are there anyway, and one more text for the encoder where it was disguised; a model's is its own pass.
Source: the sets and numbers are in ``signals/heads/toxicity-v3.md``; the labels of a model are those of Detoxify.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from signals.batch import Batch, Costly, column
from signals.encoder import DIMENSIONS, TAPS, Encoded, Encoder
from signals.language import probability
from signals.readings import VERSION, judges, readings, worst_readings
from signals.runtime.weights import WeightsError, file_sha256
from signals.types import Embeddings, Floats, Judge, ScoreColumn, ScoreSpec, Side

if TYPE_CHECKING:
    from signals.detoxify import DetoxifyModel

HEAD = "toxicity-v3"
DAMPING = "2"  # part of the version: what counts as another language
SUSPECT = 0.2  # below, nobody looks at the language
FOREIGN = 0.95  # probability of anything but English


class ToxicityHead:
    """The light head; :meth:`probabilities` for vectors, :meth:`judge` for the texts of a batch."""

    name = "toxicity"
    costly = Costly.SHARED_PASS

    def __init__(self, encoder: Encoder, card: Path | None = None) -> None:
        """Raises WeightsError where the head does not fit its card or the encoder."""
        card = card or Path(str(files("signals") / "heads" / f"{HEAD}.json"))
        weights = card.with_suffix(".safetensors")
        self.facts = read_card(card, weights)
        if self.facts["encoder_sha256"] != encoder.weights or tuple(self.facts["taps"]) != TAPS:
            raise WeightsError(f"{weights.name} was fitted on another encoder: train it again (see {card.stem}.md)")
        with safe_open(weights, "np") as file:
            self._layers, self._bias = file.get_tensor("layers"), float(file.get_tensor("bias")[0])
        if self._layers.shape != (len(TAPS), DIMENSIONS):
            raise WeightsError(f"{weights.name} has vectors of another length than the encoder's")
        self._encoder = encoder
        version = f"head-{self.facts['version']}.{DAMPING}-{encoder.arithmetic}-{VERSION}"
        short = self.facts["sha256"][:8]
        self.specs = tuple(ScoreSpec(signal="toxicity", side=side, version=version, weights=short) for side in Side)

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        return tuple(
            column(
                spec,
                batch.abstentions(spec.side),
                self._worst(batch.wanted(spec.side), batch.encoded(spec.side), damped),
            )
            for spec in self.specs
        )

    def judge(self, batch: Batch, side: Side) -> Floats:
        """The calibrated probability of each text of a side that is not left out, shape (n,)."""
        return self._worst(batch.wanted(side), batch.encoded(side), _plain)

    @property
    def judges(self) -> Mapping[str, Judge]:
        return {self.name: lambda texts: self._worst(texts, self._encoder.encode(texts), _plain)}

    def _worst(self, said: Sequence[str], encoded: Encoded, read: Callable[[Sequence[str], Floats], Floats]) -> Floats:
        """The worst of each text's readings, each as ``read`` takes it."""
        worst = read(said, self.probabilities(encoded)).copy()
        found = [(row, text) for row, plain in enumerate(said) for text in readings(plain)]
        if found:
            texts = [text for _, text in found]
            again = read(texts, self.probabilities(self._encoder.encode(texts)))
            np.maximum.at(worst, [row for row, _ in found], again)
        return worst

    def probabilities(self, encoded: Encoded) -> Floats:
        """The calibrated probability of each text as it came, shape (n,)."""
        # sums of rows, not a product: a row's result then does not depend on how many rows there are
        logits = (encoded.layers * self._layers).reshape(-1, self._layers.size).sum(1) + self._bias
        return np.asarray(1 / (1 + np.exp(-encoded.highest(logits))), dtype=np.float32)

    def weights(self) -> tuple[Floats, float]:
        """Weights by layer and dimension, shape (len(TAPS), 384), and the bias; of the calibrated logit."""
        return self._layers, self._bias

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors of its own
        return ()


class ToxicityModel:
    """Every label of an imported Detoxify model, for both texts."""

    name = "toxicity"
    costly = Costly.OWN_MODEL

    def __init__(self, model: DetoxifyModel) -> None:
        self._model = model
        self.specs = tuple(
            ScoreSpec(signal=label, side=side, version=f"{model.version}-{VERSION}", weights=model.weights)
            for label in model.labels
            for side in Side
        )

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        wanted = {side: batch.wanted(side) for side in Side}
        distinct = list(dict.fromkeys(text for texts in wanted.values() for text in texts))
        rows = worst_readings(self._model, distinct)
        labels = {
            side: np.array([rows[text] for text in texts], dtype=np.float32).reshape(-1, len(self._model.labels))
            for side, texts in wanted.items()
        }
        return tuple(
            column(spec, batch.abstentions(spec.side), labels[spec.side][:, self._model.labels.index(spec.signal)])
            for spec in self.specs
        )

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors
        return ()

    @property
    def judges(self) -> Mapping[str, Judge]:
        return judges(self._model, self._model.labels)

    def close(self) -> None:
        """Stop the model's workers; safe twice."""
        self._model.close()


def _plain(_: Sequence[str], probabilities: Floats) -> Floats:
    return probabilities


def damped(texts: Sequence[str], probabilities: Floats) -> Floats:
    """The probabilities of a head that reads English, halved where it cannot read."""
    out = probabilities.copy()
    for row in np.flatnonzero(out > SUSPECT).tolist():
        english = probability(texts[row], "en")
        if english is not None and 1 - english > FOREIGN:
            out[row] /= 2
    return out


def read_card(card: Path, weights: Path) -> dict[str, Any]:
    """The facts of a head's card, after a look that ``weights`` is the file it speaks of."""
    try:
        facts: dict[str, Any] = json.loads(card.read_text(encoding="utf-8"))
        found = file_sha256(weights)
        with safe_open(weights, "np"):
            pass
    except (OSError, ValueError, SafetensorError) as error:
        raise WeightsError(f"the head {card.stem} cannot be read ({error}): reinstall llm-assay") from None
    if found != facts.get("sha256"):
        raise WeightsError(f"{weights.name} is not the file its card speaks of (sha256 differs): reinstall llm-assay")
    return facts
