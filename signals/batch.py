"""What every signal is given: the exchanges of a batch, and the vectors of their texts, computed once for all."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from signals.types import Abstention, Bools, Embeddings, Exchange, Floats, ScoreColumn, ScoreSpec, Side

if TYPE_CHECKING:  # torch stays out of a suite that needs no encoder
    from signals.encoder import Encoded, Encoder

T = TypeVar("T")


class Costly(IntEnum):
    """What a signal costs, in the order in which overload leaves signals out: the greatest goes first.

    The signals of the shared pass go together: one of them less would save a dot product, all of them save the pass.
    """

    NO = 0  # a scan of the text; never left out
    SHARED_PASS = 1  # stands on the vectors that the batch computes once for all
    FURTHER_TEXTS = 2  # has texts encoded that no other signal needs
    OWN_MODEL = 3  # runs a model of its own


class Signal(Protocol):
    """One family of quality measurements; it may raise, the suite answers for it."""

    @property
    def name(self) -> str: ...
    @property
    def specs(self) -> tuple[ScoreSpec, ...]: ...
    @property
    def costly(self) -> Costly:
        """A value of Costly; True says SHARED_PASS."""
        ...

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        """One column a spec, in their order."""
        ...

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]: ...


class Batch:
    """The exchanges, with the texts to encode told apart from those that are absent or shed.

    ``shed`` is what one signal leaves out; ``leaving_out`` gives another signal its own, over the same vectors.
    """

    def __init__(self, exchanges: Sequence[Exchange], shed: Bools | None, encoder: Encoder | None) -> None:
        self.exchanges = exchanges
        self.shed: Bools = np.zeros(len(exchanges), dtype=np.bool_) if shed is None else np.asarray(shed, np.bool_)
        if len(self.shed) != len(exchanges):
            raise ValueError(f"shed speaks of {len(self.shed)} exchanges, the batch has {len(exchanges)}")
        self._vectors = _Vectors(encoder, [text for side in Side for text in self.wanted(side)] if encoder else [])
        self._made: dict[Hashable, Any] = {}

    def __len__(self) -> int:
        return len(self.exchanges)

    def leaving_out(self, shed: Bools) -> Batch:
        """The same exchanges and vectors, for a signal that leaves out these as well."""
        other = Batch(self.exchanges, self.shed | shed, None)
        other._vectors, other._made = self._vectors, self._made
        return other

    def texts(self, side: Side) -> list[str | None]:
        """The texts of a side; one without any visible character counts as absent."""
        every = [exchange.input if side is Side.INPUT else exchange.output for exchange in self.exchanges]
        return [text if text and not text.isspace() else None for text in every]

    def abstentions(self, side: Side) -> npt.NDArray[np.uint8]:
        """Why a costly signal leaves a text out: NO_TEXT, SHED, or NONE where it does not."""
        missing = np.array([text is None for text in self.texts(side)], dtype=np.bool_)
        return np.where(missing, Abstention.NO_TEXT, np.where(self.shed, Abstention.SHED, Abstention.NONE)).astype(
            np.uint8
        )

    def encode(self) -> None:
        """Compute the vectors now, so that their time is told apart; without this the first to ask computes them."""
        self._vectors.compute()

    def encoded(self, side: Side) -> Encoded:
        """Vectors of the side's texts with abstention NONE, in their order."""
        return self._vectors.of(self.wanted(side))

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives, made once for this batch by the first signal that asks; ``key`` tells it apart."""
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    def wanted(self, side: Side) -> list[str]:
        """The side's texts with abstention NONE, in their order."""
        return [text for text, shed in zip(self.texts(side), self.shed, strict=True) if text is not None and not shed]


class _Vectors:
    """Each distinct text encoded once, when the first signal asks."""

    def __init__(self, encoder: Encoder | None, texts: Sequence[str]) -> None:
        self._encoder = encoder
        self._places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        self._encoded: Encoded | None = None

    def compute(self) -> Encoded:
        if self._encoder is None:
            raise RuntimeError("this suite was loaded without an encoder")
        if self._encoded is None:
            self._encoded = self._encoder.encode(list(self._places))
        return self._encoded

    def of(self, texts: Sequence[str]) -> Encoded:
        return self.compute().take(np.array([self._places[text] for text in texts], dtype=np.int64))


def column(spec: ScoreSpec, abstentions: npt.NDArray[np.uint8], scored: Floats) -> ScoreColumn:
    """A column from the scores of the exchanges whose abstention is NONE, clipped into 0..1."""
    values = np.full(len(abstentions), np.nan, dtype=np.float32)
    values[abstentions == Abstention.NONE] = np.clip(scored, 0.0, 1.0)
    return ScoreColumn(spec=spec, values=values, abstentions=abstentions)


def each(
    spec: ScoreSpec, exchanges: Sequence[Exchange], score: Callable[[Exchange], float | Abstention]
) -> ScoreColumn:
    """A column from a function of one exchange that answers with a score or with the reason for none."""
    return answers(spec, [score(exchange) for exchange in exchanges])


def answers(spec: ScoreSpec, given: Sequence[float | Abstention]) -> ScoreColumn:
    """A column from one score, or one reason for none, an exchange."""
    codes = np.array([answer if isinstance(answer, Abstention) else Abstention.NONE for answer in given], np.uint8)
    scored = np.array([answer for answer in given if not isinstance(answer, Abstention)], dtype=np.float32)
    return column(spec, codes, scored)
