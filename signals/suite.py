"""The suite: every signal over a batch, each distinct text encoded once, and no signal able to spoil another.

For an analyst with a DataFrame::

    from signals.suite import load_suite
    from signals.types import Exchange

    suite = load_suite()
    scores = suite.score([Exchange(input=row.question, output=row.answer, context=row.documents)
                          for row in frame.itertuples()])
    for column in scores.columns:                  # NaN: column.abstentions says why
        frame[column.spec.column] = column.values
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from signals.batch import Batch, Costly, Signal
from signals.degeneration import Degeneration
from signals.groundedness import ContextNovelty
from signals.groundedness.citations import Citations
from signals.groundedness.claims import Claims
from signals.perplexity import Perplexity
from signals.reference import Reference
from signals.refusal import Refusal
from signals.runtime.weights import WeightsError
from signals.types import Abstention, Bools, Depths, Embeddings, Exchange, Judge, ScoreColumn, ScoreSpec, SuiteScores

if TYPE_CHECKING:
    from signals.cascade import CascadeOptions
    from signals.encoder import Encoder
    from signals.runtime.choice import Choice, Chosen

NOT_A_NUMBER = "NotANumber"  # among failures, beside the types of exceptions

T = TypeVar("T")


class SuiteError(Exception):
    """The suite cannot be loaded; the message is a sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteOptions:
    """What to load, and how much of the machine it may use."""

    enabled: Sequence[str] | None = None  # names of SIGNALS; None: all
    device: str = "auto"  # auto, cpu, cuda
    precision: str = "auto"  # auto, bf16, fp32; a fleet of mixed machines fixes it, or its vectors never compare
    backend: str = "auto"  # torch, openvino; auto: see signals.runtime.choice, a fleet fixes it as well
    backend_file: Path | None = None  # where auto keeps its choice for the next start
    workers: int = 0  # threads of the models on a CPU; 0: one a core
    detoxify: Path | None = None  # a folder made by `assay import-detoxify`; replaces the light toxicity head
    nli: Path | None = None  # a folder with a model of entailment or of unsupported spans; see signals.groundedness.nli
    cascade: CascadeOptions | None = None  # the head clears what it can, the Detoxify model reads the rest
    pack_tokens_max: int = 0  # tokens of one forward pass; 0: 2,048 on a CPU, 32,768 on a GPU
    cache_bytes_max: int = 64 << 20  # of vectors of texts seen before


class Suite:
    """A loaded suite; ``score`` may be called from several threads, whose ``counts`` then add up only in sum."""

    def __init__(
        self,
        signals: Sequence[Signal],
        encoder: Encoder | None,
        clock: Callable[[], float] = time.perf_counter,
        runs_on: str = "",
    ) -> None:
        self.encoder = encoder
        self.runs_on = runs_on  # backend and number format of the models and why, for the log; empty without models
        self._signals = tuple(signals)
        self._clock = clock
        self.specs: tuple[ScoreSpec, ...] = tuple(spec for signal in signals for spec in signal.specs)
        self._steps = sorted({int(signal.costly) for signal in signals} - {Costly.NO}, reverse=True)

    @property
    def shed_order(self) -> tuple[tuple[str, ...], ...]:
        """The costly signals, the costliest first; those of one step share their cost, so they go together."""
        return tuple(tuple(signal.name for signal in self._signals if signal.costly == step) for step in self._steps)

    @property
    def judges(self) -> Mapping[str, Judge]:
        """By signal: what judges pieces of texts with the signal's own model. Between batches; no batch counts it."""
        return {name: judge for signal in self._signals for name, judge in getattr(signal, "judges", {}).items()}

    def score(self, exchanges: Sequence[Exchange], shed: Bools | Depths | None = None) -> SuiteScores:
        """Scores in the order of ``exchanges``; columns in the order of ``specs``. Never raises for what a text holds.

        A signal that raises abstains with FAILED for the whole batch and is named in ``failures``; the others score.
        One whose model answers with what is no number abstains so for those texts, and is named, too.
        ``shed`` is per exchange the number of steps of ``shed_order`` that leave it out; True: all of them.
        """
        depths = self._depths(len(exchanges), shed)
        batch = Batch(exchanges, depths >= max(1, len(self._steps)), self.encoder)
        seconds: dict[str, float] = {}
        failures: dict[str, str] = {}
        before = self._counts()
        if self.encoder is not None:
            self._timed("encoder", seconds, failures, batch.encode)
        columns: list[ScoreColumn] = []
        embeddings: list[Embeddings] = []
        languages: tuple[str | None, ...] = ()
        for signal in self._signals:
            own = batch.leaving_out(depths > self._steps.index(signal.costly)) if signal.costly else batch
            found = self._timed(signal.name, seconds, failures, partial(_run, signal, own))
            columns += found[0] if found else [_failed(spec, own) for spec in signal.specs]
            embeddings += found[1] if found else []
            languages = languages or (found[2] if found else ())
        for at, column in enumerate(columns):
            if not np.isfinite(column.values[column.abstentions == Abstention.NONE]).all():
                columns[at] = _only_numbers(column)
                failures[column.spec.signal] = NOT_A_NUMBER
        failures.pop("encoder", None)  # the signals that stand on it are named
        counts = {name: total - before[name] for name, total in self._counts().items()}
        return SuiteScores(
            columns=tuple(columns),
            embeddings=tuple(map(_finite, embeddings)),
            languages=languages,
            failures=failures,
            seconds=seconds,
            counts=counts,
            gauges={name: value for signal in self._signals for name, value in getattr(signal, "gauges", {}).items()},
        )

    def close(self) -> None:
        """Stop the workers; safe twice."""
        for part in (self.encoder, *self._signals):
            close = getattr(part, "close", None)
            if close is not None:
                close()

    def _depths(self, n: int, shed: Bools | Depths | None) -> Depths:
        if shed is None:
            return np.zeros(n, dtype=np.uint8)
        if len(shed) != n:
            raise ValueError(f"shed speaks of {len(shed)} exchanges, the batch has {n}")
        return np.asarray(shed * len(self._steps) if shed.dtype == np.bool_ else shed, dtype=np.uint8)

    def _timed(self, name: str, seconds: dict[str, float], failures: dict[str, str], work: Callable[[], T]) -> T | None:
        start = self._clock()
        try:
            return work()
        except Exception as error:  # whatever a signal raises is its own failure and no one else's
            failures[name] = type(error).__name__
            return None
        finally:
            seconds[name] = self._clock() - start

    def _counts(self) -> dict[str, int]:
        own = {name: total for signal in self._signals for name, total in getattr(signal, "counts", {}).items()}
        if self.encoder is None:
            return own
        counts, runs = self.encoder.counts, self.encoder.runner.counts
        return own | {
            "encoder_texts": counts.texts,
            "encoder_cache_hits": counts.cache_hits,
            "encoder_windows_skipped": counts.windows_skipped,
            "encoder_tokens": runs.tokens,
            "encoder_packs_halved": runs.packs_halved,
            "encoder_device_losses": runs.device_losses,
        }


class _Loader:
    """Builds signals; the encoder is loaded once, and only if one of them asks for it."""

    def __init__(self, options: SuiteOptions) -> None:
        self.options = options
        self.loaded: Encoder | None = None
        self._chosen: Chosen | None = None

    @property
    def choice(self) -> Choice:
        """Of all models of BERT's shape: made once, so that one measurement serves them all."""
        from signals.runtime.choice import choose  # noqa: PLC0415 - torch

        if self._chosen is None:
            self._chosen = choose(
                device=self.options.device,
                backend=self.options.backend,
                precision=self.options.precision,
                pinned=self.options.backend_file,
            )
        return self._chosen.choice

    @property
    def runs_on(self) -> str:
        return f"{self._chosen.choice.name} ({self._chosen.reason})" if self._chosen is not None else ""

    @property
    def encoder(self) -> Encoder:
        from signals.encoder import Encoder  # noqa: PLC0415 - torch

        if self.loaded is None:
            self.loaded = Encoder(
                device=self.choice.device,
                precision=self.choice.precision,
                backend=self.choice.backend,
                workers=self.options.workers,
                cache_bytes_max=self.options.cache_bytes_max,
                pack_tokens_max=self.options.pack_tokens_max,
            )
        return self.loaded


def _toxicity(loader: _Loader) -> Signal:
    from signals.toxicity import ToxicityHead, ToxicityModel  # noqa: PLC0415 - torch

    options = loader.options
    if options.detoxify is None:
        if options.cascade is not None:
            raise SuiteError("a cascade needs a Detoxify model: import one and name its folder")
        return ToxicityHead(loader.encoder)
    from signals.detoxify import DetoxifyModel  # noqa: PLC0415 - transformers

    model = DetoxifyModel(
        options.detoxify,
        device=loader.choice.device,
        precision=loader.choice.precision,
        backend=loader.choice.backend,
        workers=options.workers,
        pack_tokens_max=options.pack_tokens_max,
    )
    if options.cascade is None:
        return ToxicityModel(model)
    from signals.cascade import Cascade  # noqa: PLC0415 - scipy

    return Cascade(ToxicityHead(loader.encoder), model, options.cascade)


def _nli(loader: _Loader) -> Signal:
    from signals.groundedness.nli import Nli  # noqa: PLC0415 - transformers

    options = loader.options
    if options.nli is None:
        raise SuiteError("the signal nli needs a model: name its folder in signals.nli")
    return Nli(
        options.nli,
        device=options.device,
        precision=options.precision,
        workers=options.workers,
        pack_tokens_max=options.pack_tokens_max,
    )


def _embedding(loader: _Loader) -> Signal:
    from signals.embedding import Embedding  # noqa: PLC0415 - torch

    return Embedding(loader.encoder.version)


def _injection(loader: _Loader) -> Signal:
    from signals.injection import Injection  # noqa: PLC0415 - torch

    return Injection(loader.encoder)


def _relevance(loader: _Loader) -> Signal:
    from signals.relevance import Relevance  # noqa: PLC0415 - torch

    return Relevance(loader.encoder.version)


def _agreement(loader: _Loader) -> Signal:
    from signals.agreement import Agreement  # noqa: PLC0415 - torch

    return Agreement(loader.encoder)


def _bertscore(loader: _Loader) -> Signal:
    from signals.reference import ReferenceBertscore  # noqa: PLC0415 - torch

    return ReferenceBertscore(loader.encoder)


def _format() -> Signal:
    from signals.format import Format  # noqa: PLC0415 - jsonschema

    return Format()


def _language() -> Signal:
    from signals.language import Language  # noqa: PLC0415 - 80 MB of n-grams

    return Language()


def _pii() -> Signal:
    from signals.pii import Pii  # noqa: PLC0415 - tables of phone numbers

    return Pii()


SIGNALS: dict[str, Callable[[_Loader], Signal]] = {
    "toxicity": _toxicity,
    "context_novelty": lambda _: ContextNovelty(),
    "claims": lambda _: Claims(),
    "citations": lambda _: Citations(),
    "nli": _nli,
    "embedding": _embedding,
    "degeneration": lambda _: Degeneration(),
    "injection": _injection,
    "pii": lambda _: _pii(),
    "refusal": lambda _: Refusal(),
    "format": lambda _: _format(),
    "relevance": _relevance,
    "disagreement": _agreement,
    "perplexity": lambda _: Perplexity(),
    "language": lambda _: _language(),
    "reference": lambda _: Reference(),
    "reference_bertscore": _bertscore,
}


def load_suite(options: SuiteOptions | None = None) -> Suite:
    """Load what ``options`` name, in the order of SIGNALS; raises SuiteError. Takes seconds: torch and the weights."""
    options = options or SuiteOptions()
    names = tuple(_default(options) if options.enabled is None else options.enabled)
    if unknown := sorted(set(names) - set(SIGNALS)):
        raise SuiteError(f"no signal is called {', '.join(unknown)}; there are {', '.join(SIGNALS)}")
    loader = _Loader(options)
    try:
        signals = [SIGNALS[name](loader) for name in SIGNALS if name in names]
    except WeightsError as error:
        raise SuiteError(str(error)) from None
    return Suite(signals, loader.loaded, runs_on=loader.runs_on)


def _default(options: SuiteOptions) -> Iterator[str]:
    """Every signal but those whose model nobody named."""
    return (name for name in SIGNALS if name != "nli" or options.nli is not None)


def _run(
    signal: Signal, batch: Batch
) -> tuple[tuple[ScoreColumn, ...], tuple[Embeddings, ...], tuple[str | None, ...]]:
    tell = getattr(signal, "languages", None)
    return signal.score(batch), signal.embed(batch), tell(batch) if tell else ()


def _only_numbers(column: ScoreColumn) -> ScoreColumn:
    """FAILED where a score is no number: a sum would never recover from it."""
    missing = (column.abstentions == Abstention.NONE) & ~np.isfinite(column.values)
    return replace(column, abstentions=np.where(missing, Abstention.FAILED, column.abstentions).astype(np.uint8))


def _finite(side: Embeddings) -> Embeddings:
    """Absent where a vector is not of finite numbers."""
    sound: Bools = np.asarray(np.isfinite(side.vectors).all(axis=1))
    if sound.all():
        return side
    return replace(
        side, vectors=np.where(sound[:, None], side.vectors, 0).astype(np.float32), present=side.present & sound
    )


def _failed(spec: ScoreSpec, batch: Batch) -> ScoreColumn:
    codes = batch.abstentions(spec.side)
    codes[codes == Abstention.NONE] = Abstention.FAILED
    return ScoreColumn(spec=spec, values=np.full(len(batch), np.nan, dtype=np.float32), abstentions=codes)
