"""Runs the suite over a batch of calls: what a call offers the signals, and why it offers nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from collector import catalog
from collector.config import Config
from collector.records import Content, LLMCall
from collector.telemetry import Telemetry
from signals.types import Abstention, Depths, Document, Exchange, ScoreColumn, ScoringSuite, SuiteScores

if TYPE_CHECKING:
    from signals.suite import SuiteOptions

_ARRIVED = frozenset({Content.CAPTURED, Content.TRUNCATED, Content.PARTIAL})
_MISSING = {
    Content.NONE: Abstention.NOT_CAPTURED,
    Content.REDACTED: Abstention.REDACTED,
    Content.BY_REFERENCE: Abstention.BY_REFERENCE,
}


def suite_options(config: Config) -> SuiteOptions:
    """What the daemon of ``config`` loads."""
    from signals.cascade import CascadeOptions  # noqa: PLC0415 - scipy, and role serve needs none
    from signals.suite import SuiteOptions  # noqa: PLC0415

    signals = config.signals
    return SuiteOptions(
        enabled=signals.enabled,
        device=signals.device,
        backend=signals.backend,
        precision=signals.precision,
        backend_file=config.data / "backend.json",
        workers=signals.workers,
        detoxify=signals.detoxify,
        nli=signals.nli,
        cascade=None if signals.cascade is None else CascadeOptions(**signals.cascade.model_dump()),
    )


class Scorer:
    """Scores calls with one suite and tells the telemetry what failed and how long it took."""

    def __init__(self, suite: ScoringSuite, telemetry: Telemetry) -> None:
        self.suite = suite
        self._telemetry = telemetry

    def score(
        self, calls: Sequence[LLMCall], contexts: Sequence[str | None], shed: Depths | None = None
    ) -> SuiteScores:
        """Scores of ``calls`` in their order; an absent text says why it is absent, and a shed call that it is shed."""
        exchanges = [exchange(call, context) for call, context in zip(calls, contexts, strict=True)]
        scores = self.suite.score(exchanges, shed)
        self._telemetry.observe("assay_batch_calls", len(calls))
        for signal, failure in scores.failures.items():
            self._telemetry.add("assay_signal_failures_total", signal=signal, error=failure)
        for signal, seconds in scores.seconds.items():
            self._telemetry.add("assay_signal_seconds_total", seconds, signal=signal)
        for name, count in scores.counts.items():
            self._telemetry.add(catalog.SUITE_COUNTS[name].name, count)
        for name, value in scores.gauges.items():
            self._telemetry.set(catalog.SUITE_GAUGES[name].name, value)
        return replace(scores, columns=tuple(_explain(column, calls) for column in scores.columns))


def exchange(call: LLMCall, context: str | None) -> Exchange:
    """What the signals see of a call. An answer that is known to be empty is ``""``, an unknown one is None."""
    outputs = call.outputs
    texts = [output.text for output in outputs if output.text]
    known = bool(outputs) and call.content in _ARRIVED
    calls = [(made.name, made.arguments) for output in outputs for made in output.tool_calls]
    return Exchange(
        input=call.last_user_text,
        output="\n\n".join(texts) if texts else ("" if known else None),
        context=context,
        system=call.system,
        reference=call.reference,
        finish_reason=outputs[0].finish_reason if outputs else None,
        tool_calls=len(calls),
        failed=call.error is not None,
        outputs=tuple(texts) if len(texts) > 1 else (),
        calls=tuple(calls),
        tools=call.tool_definitions,
        response_format=call.response_format,
        logprobs=call.logprobs,
        documents=tuple(
            Document(text=found.text or "", id=found.id, title=found.title, url=found.url, score=found.score)
            for found in call.documents
        ),
        whole=call.content is Content.CAPTURED,
    )


def _explain(column: ScoreColumn, calls: Sequence[LLMCall]) -> ScoreColumn:
    missing = np.flatnonzero(column.abstentions == Abstention.NO_TEXT)
    if not len(missing):
        return column
    codes = column.abstentions.copy()
    for index in missing:
        codes[index] = _MISSING.get(calls[int(index)].content, Abstention.NO_TEXT)
    return replace(column, abstentions=codes)
