"""Which tables apply to a set of attribute names, looked up once: spans of one instrumentation are alike."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from collector.decode import dialects
from collector.decode.dialects import Alias, Rule
from collector.decode.routes import route

_ERRORS: Final = ("error_type", "error_level")
_STREAMING: Final = ("stream", "ttft_seconds", "ttft_seconds_if_stream", "ttft_milliseconds", "ttft_at")


class Shape(msgspec.Struct, frozen=True, gc=False):
    """The rows of the tables that can say anything of a span with these attributes, in the tables' order."""

    aliases: dict[str, tuple[Alias, ...]]  # field -> aliases whose attribute is present
    call_rules: tuple[Rule, ...]
    retrieval_rules: tuple[Rule, ...]
    messages: tuple[str, ...]  # attributes with all messages of a side
    raw: tuple[str, ...]
    speaks: bool  # has messages as indexed attributes
    variables: bool  # has prompt variables
    asks: bool  # can say what form the answer should have, or how sure the model was of it
    tells_errors: bool
    tells_streaming: bool  # whether it streamed, or when its first chunk came
    marker: str | None  # the dialect that an attribute tells


@lru_cache(maxsize=4_096)
def shape_of(keys: tuple[str, ...]) -> Shape:
    """The shape of a span with exactly these attributes."""
    present = frozenset(keys)
    found = {
        field: tuple(alias for alias in aliases if alias.key in present) for field, aliases in dialects.FIELDS.items()
    }
    places = [place for place in map(route, keys) if place is not None]
    return Shape(
        aliases={field: aliases for field, aliases in found.items() if aliases},
        call_rules=tuple(rule for rule in dialects.CALL_RULES if rule.key in present),
        retrieval_rules=tuple(rule for rule in dialects.RETRIEVAL_RULES if rule.key in present),
        messages=tuple(key for key in keys if key in dialects.MESSAGE_KEYS),
        raw=tuple(key for key in keys if key in dialects.RAW_KEYS),
        speaks=any(place.family in ("input", "output") for place in places),
        variables=any(key.startswith(dialects.VARIABLES) or key in dialects.VARIABLE_SETS for key in keys),
        asks=not present.isdisjoint(dialects.ASKED_KEYS)
        or any(place.family in ("tools", "functions") for place in places),
        tells_errors=any(found[field] for field in _ERRORS),
        tells_streaming=any(found[field] for field in _STREAMING) or not present.isdisjoint(dialects.STREAM_OPERATIONS),
        marker=next((dialect for key, dialect in dialects.MARKERS.items() if key in present), None),
    )


NO_SHAPE: Final = shape_of(())
