"""Looks names up in the dialect tables: where an attribute goes, and whom a scope belongs to."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from collector.decode.dialects import FAMILIES, NATIVE_SCOPES, SCOPE_NAMES, SCOPES, VARIABLES, WANTED

_SILENT: Final = frozenset(
    {"message", "message_content", "tool_call", "function", "document", "prompt", "completion", "tool"}
)
_FIELDS: Final = frozenset({"role", "content", "text", "contents", "tool_calls", "finish_reason", "reasoning"})
_DOCUMENT_FIELDS: Final = frozenset({"content", "text", "id", "score", "metadata"})
_FAMILY_FIELDS: Final = {
    "documents": _DOCUMENT_FIELDS,
    "reranked": _DOCUMENT_FIELDS,
    "tools": frozenset({"json_schema"}),
    "functions": frozenset({"name", "description", "parameters"}),
}
_SUBFIELDS: Final = frozenset({"type", "text", "name", "arguments"})
INDEX_MAX: Final = 4_096
KEY_CHARS_MAX: Final = 200


class Route(NamedTuple):
    """Where an indexed attribute belongs: ``llm.input_messages.3.message.contents.0.message_content.text`` is
    ``Route("input", 3, "contents", 0, "text")``."""

    family: str
    position: int
    field: str
    sub: int = -1
    subfield: str = ""


PLAIN: Final = Route("", -1, "")


@lru_cache(maxsize=16_384)
def route(key: str) -> Route | None:
    """Where an attribute goes; PLAIN for a wanted one without an index, None for one that nobody reads."""
    if key in WANTED or key.startswith(VARIABLES):
        return PLAIN
    for prefix, family in FAMILIES.items():
        if key.startswith(prefix):
            return _indexed(family, key[len(prefix) :].split("."))
    return None


def _indexed(family: str, parts: list[str]) -> Route | None:
    index = _number(parts[0])
    names = [part for part in parts[1:] if part not in _SILENT] or parts[-1:]
    if index is None or not names or names[0] not in _FAMILY_FIELDS.get(family, _FIELDS):
        return None
    field = "content" if names[0] == "text" else names[0]
    if len(names) == 1:
        return Route(family, index, field)
    sub = _number(names[1])
    if sub is None or len(names) != 3 or names[2] not in _SUBFIELDS:
        return None
    return Route(family, index, field, sub, names[2])


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        return None
    number = int(text)
    return number if number < INDEX_MAX else None


@lru_cache(maxsize=4_096)
def scope_dialect(scope: str) -> str | None:
    """The dialect that a scope's name alone tells."""
    if scope in SCOPE_NAMES:
        return SCOPE_NAMES[scope]
    matching = [prefix for prefix in SCOPES if scope.startswith(prefix)]
    return SCOPES[max(matching, key=len)] if matching else None


@lru_cache(maxsize=4_096)
def is_native(scope: str) -> bool:
    """Whether the scope is an SDK that reports its own requests."""
    return scope.startswith(NATIVE_SCOPES)
