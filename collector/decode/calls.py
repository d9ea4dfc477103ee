"""Which span is a call, and which of two reports of one request is the better one."""

from __future__ import annotations

from typing import Final

from collector.decode import dialects
from collector.decode.fields import Fields
from collector.decode.spans import Span

SAME_ID_NANOSECONDS: Final = 60 * 10**9  # a native SDK's span with the response id of another starts this near to it
SLACK_NANOSECONDS: Final = 10**9  # clocks and exporters of one process disagree by less
NOTHING, RAW, MESSAGES = 0, 1, 2


def is_call(span: Span) -> bool:
    """Whether a table says that the span is one request to a model; unknown operations are none."""
    for rule in span.shape.call_rules:
        value = span.attributes[rule.key]
        if isinstance(value, str):
            word = value.strip('"')
            if word in rule.calls or word.endswith(dialects.CALL_SUFFIXES.get(rule.key, _NO_SUFFIX)):
                return span.name not in dialects.NEVER_CALLS
            if word in rule.others:
                return False
    return False


_NO_SUFFIX: Final = ("\0",)


def text_rank(span: Span) -> int:
    """How much of the text a span carries: messages, only a raw request or response, nothing."""
    attributes, shape = span.attributes, span.shape
    if shape.speaks:
        return MESSAGES
    for key in shape.messages:
        if attributes[key] not in _EMPTY:
            return MESSAGES
    for key in shape.raw:
        if attributes[key] not in _EMPTY:
            return RAW
    if not span.events:
        return NOTHING
    return MESSAGES if any(event.name in dialects.EVENTS for event in span.events) else NOTHING


_EMPTY: Final = (None, "", dialects.REDACTED)


def cheap_response_id(span: Span) -> str | None:
    """The response's id where it is an attribute of its own."""
    for key in dialects.CHEAP_RESPONSE_ID:
        value = span.attributes.get(key)
        if isinstance(value, str) and value:
            return value
    return None


def response_id(span: Span) -> str | None:
    """The response's id wherever it stands, also inside a raw response."""
    return Fields(span.attributes, span.shape).word("response_id")


def models(span: Span) -> tuple[str, ...]:
    """The models that a span names, requested and answering."""
    fields = Fields(span.attributes, span.shape)
    named = (fields.word(each) for each in ("request_model", "response_model", "any_model"))
    return tuple(dict.fromkeys(model for model in named if model))


def overlap(left: tuple[int, int], right: tuple[int, int]) -> bool:
    """Whether two intervals (nanoseconds) touch, give or take the slack."""
    return left[0] <= right[1] + SLACK_NANOSECONDS and right[0] <= left[1] + SLACK_NANOSECONDS
