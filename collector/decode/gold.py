"""Gold answers that stand above a call: on the span of the experiment's item, which ends, and is sent, after the call.

An item may take several calls; its gold answer belongs to the one whose answer is the item's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from collector.decode import asked, dialects
from collector.decode.fields import Fields
from collector.decode.messages import parse
from collector.decode.spans import Span
from collector.records import LLMCall

_DEPTH_MAX: Final = 6


class Gold(msgspec.Struct, frozen=True, gc=False):
    """What should have come out of a span, and what did, as far as it was traced."""

    reference: str
    output: str | None


def gold_of(span: Span, chars_max: int) -> Gold | None:
    """The gold answer on a span, where it is not longer than ``chars_max``."""
    if "reference" not in span.shape.aliases:
        return None
    reference = asked.reference(Fields(span.attributes, span.shape), chars_max)
    if reference is None:
        return None
    told = next((span.attributes[key] for key in dialects.ITEM_OUTPUTS if span.attributes.get(key)), None)
    output = "\n".join(_strings(parse(told).value if isinstance(told, str) else told, _DEPTH_MAX))
    return Gold(reference, output[:chars_max] or None)


def item_of(span: Span) -> str | None:
    """The id of the span that will tell the gold answer of a call, where the call names it."""
    if "item" not in span.shape.aliases or "reference" in span.shape.aliases:
        return None
    named = Fields(span.attributes, span.shape).word("item")
    return named.lower() if named is not None and named.lower() != span.span_id else None


def answers_item(call: LLMCall, gold: Gold, *, alone: bool) -> bool:
    """Whether the call gave the item's answer; ``alone``: it is the only call that could have."""
    if gold.output is None:
        return alone
    texts = [output.text.strip() for output in call.outputs if output.text]
    return alone or any(text and text in gold.output for text in texts)


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)) and depth > 0:
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner, depth - 1)
