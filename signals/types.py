"""What a signal takes and gives: exchanges in, one column of scores out, with a reason for each abstention."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Depths = npt.NDArray[np.uint8]  # how many steps of ScoringSuite.shed_order are left out, an exchange
Judge = Callable[[Sequence[str]], Floats]  # what a signal makes of any texts: 0 good .. 1 bad, shape (n,)


class Side(StrEnum):
    """Which text of an exchange a score speaks of."""

    INPUT = "input"
    OUTPUT = "output"


class Abstention(IntEnum):
    """Why a score is NaN. The numbers are stored in the chain: append, never renumber."""

    NONE = 0  # scored
    NO_TEXT = 1  # the call has no such text (a tool call, an embedding, a failed request)
    NO_CONTEXT = 2
    NOT_CAPTURED = 3  # the instrumentation did not capture the text
    REDACTED = 4
    BY_REFERENCE = 5
    SHED = 6  # overload
    FAILED = 7  # the signal raised
    NOT_APPLICABLE = 8


class Document(NamedTuple):
    """A retrieved text that an answer may cite, with what it is called by where that is known."""

    text: str  # "" where only its names are known
    id: str | None = None
    title: str | None = None
    url: str | None = None  # an address, or the path of a file
    score: float | None = None  # of the retriever: a similarity, or a distance


class Exchange(NamedTuple):  # the cheapest immutable object to make, and one is made for every call
    """One question and its answer, as far as they are known; None means unknown, never empty. Built by keyword."""

    input: str | None = None  # the last user text
    output: str | None = None  # the answer's text
    context: str | None = None  # what the answer should rest on
    system: str | None = None
    reference: str | None = None  # a gold answer
    finish_reason: str | None = None
    tool_calls: int = 0  # an answer that only calls tools has no text, and that is no fault
    failed: bool = False  # the request ended in an error
    outputs: tuple[str, ...] = ()  # the answers one by one where the request asked for several; else may be empty
    calls: tuple[tuple[str | None, str | None], ...] = ()  # tools called: name, arguments as JSON text
    tools: str | None = None  # the tools that the request offered: JSON text in the shape of any provider
    response_format: str | None = None  # "json", or JSON text with the schema that the answer had to fit
    logprobs: tuple[float, ...] = ()  # natural logarithms, one a token of the answer
    documents: tuple[Document, ...] = ()  # what was retrieved, one by one, in order; ``context`` holds it too
    whole: bool = True  # False: the trace cut a text of this exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSpec:
    """The identity of a score column; scores of two versions are never compared."""

    signal: str
    side: Side
    version: str
    weights: str = ""  # short hash of the weights, "" for a signal without any

    @property
    def column(self) -> str:
        return f"{self.signal}_{self.side.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreColumn:
    """Scores of one batch: 0 good .. 1 bad, NaN exactly where ``abstentions`` is not NONE."""

    spec: ScoreSpec
    values: Floats  # shape (n,)
    abstentions: npt.NDArray[np.uint8]  # shape (n,), Abstention codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Unit vectors of one side of a batch, for summaries such as the centroid; not a score."""

    side: Side
    version: str  # encoder, dtype and weights hash: vectors of two versions are never compared
    vectors: Floats  # shape (n, d); zeros where absent
    present: Bools  # shape (n,)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteScores:
    """All that the suite says of one batch."""

    columns: tuple[ScoreColumn, ...]
    embeddings: tuple[Embeddings, ...] = ()
    languages: tuple[str | None, ...] = ()  # of the inputs, ISO 639-1; None: unclear; empty: no signal tells
    failures: dict[str, str] = field(default_factory=dict)  # signal -> exception type; its column abstains
    seconds: dict[str, float] = field(default_factory=dict)  # signal (and "encoder") -> wall seconds
    counts: dict[str, int] = field(default_factory=dict)  # what encoder and signals did in this batch, by name
    gauges: dict[str, float] = field(default_factory=dict)  # how a signal finds itself now, by name; NaN: unknown


class ScoringSuite(Protocol):
    """What the collector needs of a suite; the tests' fake is a small real one."""

    @property
    def specs(self) -> tuple[ScoreSpec, ...]: ...
    @property
    def shed_order(self) -> tuple[tuple[str, ...], ...]:
        """Names of the costly signals, a step each: the first step is the first to be left out under overload."""
        ...

    @property
    def judges(self) -> Mapping[str, Judge]:
        """By signal: what judges pieces of texts with the signal's own model, for evidence; no score comes of it."""
        ...

    def score(self, exchanges: list[Exchange], shed: Bools | Depths | None = None) -> SuiteScores:
        """Score a batch; ``shed`` says of each exchange how many steps of ``shed_order`` leave it out
        (Abstention.SHED), or as a truth value whether all of them do."""
        ...
