"""A span that looks like a call, from its arrival to its verdict and the memory of it."""

from __future__ import annotations

from enum import Enum

import msgspec

from collector.decode import calls
from collector.decode.dialects import REDACTED
from collector.decode.gold import item_of
from collector.decode.routes import is_native
from collector.decode.spans import Span
from collector.records import Anchor, LLMCall


class State(Enum):
    """How far the verdict is."""

    PENDING = 0
    TOLD = 1  # a call was emitted
    DROPPED = 2


class Candidate(msgspec.Struct, gc=False, eq=False):
    """Mutable, owned by the assembler; after the verdict only what later twins are compared with is kept.

    Two partners point at each other: whoever forgets one calls ``part`` (nothing else would free them).
    """

    span: Span | None
    anchor: Anchor
    sequence: int
    trace_id: str
    span_id: str
    parent_id: str
    started_at: int
    ended_at: int
    process: str
    scope: str
    native: bool
    response_id: str | None  # where it is an attribute of its own
    rank: int
    state: State = State.PENDING
    deadline: float = float("inf")
    partner: Candidate | None = None  # the other report of the same request, by time and model
    twins: list[Span] | None = None
    known_models: tuple[str, ...] | None = None
    known_response_id: str | None = None
    item: str | None = None  # the span that will tell its gold answer

    @property
    def redacted(self) -> bool:
        """Whether the sender said that it withheld the text: nothing more will come."""
        span = self.span
        return span is not None and any(span.attributes[key] == REDACTED for key in span.shape.raw)

    @property
    def models(self) -> tuple[str, ...]:
        """The models it names."""
        if self.known_models is None:
            self.known_models = calls.models(self.span) if self.span is not None else ()
        return self.known_models

    @property
    def any_response_id(self) -> str | None:
        """The response's id, also from inside a raw response."""
        if self.known_response_id is None:
            self.known_response_id = self.response_id or (calls.response_id(self.span) if self.span else None) or ""
        return self.known_response_id or None

    @property
    def interval(self) -> tuple[int, int]:
        return self.started_at, self.ended_at

    def tell_twin(self, span: Span, most: int) -> None:
        """Keep another report of the same request, for what only it says."""
        if self.twins is None:
            self.twins = []
        if len(self.twins) < most and span not in self.twins:
            self.twins.append(span)

    def release(self, call: LLMCall | None = None) -> None:
        """Let go of the text; keep what identifies the request."""
        if call is not None:
            self.known_models = tuple([model for model in (call.request_model, call.response_model) if model])
            self.known_response_id = call.response_id or ""
        elif self.span is not None and self.state is State.TOLD:
            _ = self.models, self.any_response_id
        self.span = None
        self.twins = None

    def part(self) -> None:
        """Undo the pairing with a partner."""
        if self.partner is not None:
            self.partner.partner = None
            self.partner = None


def candidate_of(span: Span, anchor: Anchor, sequence: int) -> Candidate:
    """A new candidate, without a verdict or a deadline."""
    source = span.source
    return Candidate(
        span,
        anchor,
        sequence,
        span.trace_id,
        span.span_id,
        span.parent_id,
        span.started_at,
        span.ended_at,
        source.process,
        source.scope,
        is_native(source.scope),
        calls.cheap_response_id(span),
        calls.text_rank(span),
        item=item_of(span),
    )
