"""Toxicity of both texts: a light head on the shared encoder, or a Detoxify model where one was imported."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from signals.batch import Batch, Costly, column
from signals.encoder import DIMENSIONS, TONE_LAYER, Encoded, Encoder
from signals.runtime.weights import WeightsError, file_sha256
from signals.types import Embeddings, Floats, ScoreColumn, ScoreSpec, Side

if TYPE_CHECKING:
    from signals.detoxify import DetoxifyModel

HEAD = "toxicity-v1"


class ToxicityHead:
    """Logistic regression on the encoder's tone and meaning vectors; the score is that of the worst window.

    ``signals/heads/toxicity-v1.md`` says on what it was fitted, how well it does and where it fails.
    """

    name = "toxicity"
    costly = Costly.SHARED_PASS

    def __init__(self, encoder: Encoder, card: Path | None = None) -> None:
        """Raises WeightsError where the head does not fit its card or the encoder."""
        card = card or Path(str(files("signals") / "heads" / f"{HEAD}.json"))
        weights = card.with_suffix(".safetensors")
        facts = read_card(card, weights)
        if facts["encoder_sha256"] != encoder.weights or facts["tone_layer"] != TONE_LAYER:
            raise WeightsError(f"{weights.name} was fitted on another encoder: train it again (see {card.stem}.md)")
        with safe_open(weights, "np") as file:
            self._tone, self._meaning = file.get_tensor("tone"), file.get_tensor("meaning")
            self._bias = float(file.get_tensor("bias")[0])
        if self._tone.shape != (DIMENSIONS,) or self._meaning.shape != (DIMENSIONS,):
            raise WeightsError(f"{weights.name} has vectors of another length than the encoder's")
        version, short = f"head-{facts['version']}-{encoder.version.rsplit('-', 1)[1]}", facts["sha256"][:8]
        self.specs = tuple(ScoreSpec(signal="toxicity", side=side, version=version, weights=short) for side in Side)

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        return tuple(
            column(spec, batch.abstentions(spec.side), self.probabilities(batch.encoded(spec.side)))
            for spec in self.specs
        )

    def probabilities(self, encoded: Encoded) -> Floats:
        """The calibrated probability of each text, shape (n,)."""
        # sums of rows, not a product: a row's result then does not depend on how many rows there are
        logits = (encoded.tones * self._tone).sum(1) + (encoded.windows * self._meaning).sum(1) + self._bias
        return np.asarray(1 / (1 + np.exp(-encoded.highest(logits))), dtype=np.float32)

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors of its own
        return ()


class ToxicityModel:
    """The toxicity label of an imported Detoxify model, for both texts."""

    name = "toxicity"
    costly = Costly.OWN_MODEL

    def __init__(self, model: DetoxifyModel) -> None:
        self._model = model
        self.specs = tuple(
            ScoreSpec(signal="toxicity", side=side, version=model.version, weights=model.weights) for side in Side
        )

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        wanted = {side: batch.wanted(side) for side in Side}
        distinct = list(dict.fromkeys(text for texts in wanted.values() for text in texts))
        scores = dict(zip(distinct, self._model.predict(distinct)[:, self._model.toxicity], strict=True))
        return tuple(
            column(
                spec,
                batch.abstentions(spec.side),
                np.array([scores[text] for text in wanted[spec.side]], dtype=np.float32),
            )
            for spec in self.specs
        )

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors
        return ()

    def close(self) -> None:
        """Stop the model's workers; safe twice."""
        self._model.close()


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
