"""Reads one field of a call: the first alias that holds a usable value wins."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from collector.decode import dialects, values
from collector.decode.dialects import Alias
from collector.decode.messages import parse
from collector.decode.routes import scope_dialect
from collector.decode.shapes import Shape
from collector.decode.spans import Attributes, Span

WORD_CHARS_MAX: Final = 512
COUNT_MAX: Final = 1 << 53
_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})
_ABSENT: Final = object()


class Fields:
    """The attributes of one call, with the JSON inside them parsed at most once."""

    __slots__ = ("_parsed", "attributes", "shape")

    def __init__(self, attributes: Attributes, shape: Shape) -> None:
        self.attributes = attributes
        self.shape = shape
        self._parsed: dict[str, Any] = {}

    def json(self, key: str) -> Any:
        """The JSON value of an attribute, as far as it arrived; None where it holds none."""
        value = self._parsed.get(key, _ABSENT)
        if value is _ABSENT:
            value = self.attributes.get(key)
            if isinstance(value, str):
                parsed = parse(value).value
                value = None if parsed is value else parsed
            self._parsed[key] = value
        return value

    def find(self, alias: Alias) -> Any:
        """What stands at one alias; None where nothing does."""
        value = self.json(alias.key)
        for step in alias.path or ():
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return None
        return value

    def word(self, field: str) -> str | None:
        """The first non-empty short string (numbers count: sessions are often integers)."""
        aliases = self.shape.aliases.get(field)
        if aliases is None:
            return None
        attributes = self.attributes
        for alias in aliases:
            value = attributes.get(alias.key) if alias.path is None else self.find(alias)
            if value is None or value == "":
                continue
            if isinstance(value, str):
                if value != dialects.REDACTED:
                    return value[:WORD_CHARS_MAX]
            elif isinstance(value, int) and not isinstance(value, bool):
                return str(value)[:WORD_CHARS_MAX] if -COUNT_MAX < value < COUNT_MAX else None
        return None

    def count(self, field: str) -> int | None:
        """The first natural number."""
        attributes = self.attributes
        for alias in self.shape.aliases.get(field, ()):
            value = attributes.get(alias.key) if alias.path is None else self.find(alias)
            if value is None or isinstance(value, bool):
                continue
            if isinstance(value, str):
                value = int(value) if value.isascii() and value.isdigit() and len(value) <= 16 else None
            if isinstance(value, float):
                value = int(value) if value.is_integer() else None
            if isinstance(value, int) and 0 <= value <= COUNT_MAX:
                return value
        return None

    def seconds(self, field: str) -> float | None:
        """The first duration that is a finite number and not negative."""
        for alias in self.shape.aliases.get(field, ()):
            value = self.attributes.get(alias.key) if alias.path is None else self.find(alias)
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
                return float(value)
        return None

    def flag(self, field: str) -> bool | None:
        """The first boolean, also as the words that Python and JavaScript print."""
        for alias in self.shape.aliases.get(field, ()):
            value = self.attributes.get(alias.key) if alias.path is None else self.find(alias)
            if isinstance(value, str):
                value = value.lower()
                value = True if value in _TRUE else False if value in _FALSE else None
            if isinstance(value, bool):
                return value
        return None


def provider_of(fields: Fields, model: str | None) -> str | None:
    """The provider's name as the GenAI conventions write it, inferred from the model where nobody names it."""
    for alias in fields.shape.aliases.get("provider", ()):
        value = fields.attributes[alias.key] if alias.path is None else fields.find(alias)
        if isinstance(value, str) and len(value) <= WORD_CHARS_MAX and (name := _provider(value)) is not None:
            return name
    return _provider_of_model(model) if model else None


@lru_cache(maxsize=1_024)
def _provider(named: str) -> str | None:
    name = named.strip().lower()
    if name not in values.PROVIDERS and name not in values.PROVIDER_ALIASES:
        name = name.split(".", 1)[0]
    name = values.PROVIDER_ALIASES.get(name, name)
    return None if name in values.NOT_PROVIDERS else name


@lru_cache(maxsize=1_024)
def _provider_of_model(model: str) -> str | None:
    lower = model.lower().rsplit("/", 1)[-1]
    return next((provider for prefix, provider in values.MODEL_PROVIDERS if lower.startswith(prefix)), None)


def error_of(span: Span, fields: Fields) -> str | None:
    """The class of a failed call's error: rate_limit, timeout, server, or the exception's own name; None if none."""
    if not span.failed and not fields.shape.tells_errors:
        return None
    kind = fields.word("error_type")
    if not span.failed and kind is None and fields.word("error_level") != "ERROR":
        return None
    exceptions = [event for event in span.events if event.name == "exception"]
    kinds = [kind, *(event.attributes.get("exception.type") for event in exceptions)]
    message = span.status_message or fields.word("error_message") or ""
    head = message.split(":", 1)[0] if ":" in message[:80] else ""
    kinds.append(head if head.replace("_", "").replace(".", "").isalnum() else None)
    names = [name.rsplit(".", 1)[-1] for name in kinds if isinstance(name, str) and name]
    for name in names:
        plain = name.lower().replace("_", "")
        for part, error in values.ERROR_CLASSES:
            if part in plain:
                return error
    status = fields.count("http_status")
    if status is None:
        status = next((int(name) for name in names if name.isascii() and name.isdigit() and len(name) == 3), None)
    if status is not None and status >= 400:
        if status == 429:
            return "rate_limit"
        if status in (408, 504):
            return "timeout"
        if status >= 500:
            return "server"
    telling = [name for name in names if name not in values.VAGUE_ERRORS]
    if telling:
        return telling[0][:WORD_CHARS_MAX]
    lower = message[:500].lower()
    phrase = next((error for words, error in values.ERROR_PHRASES if words in lower), None)
    return phrase or (names[0][:WORD_CHARS_MAX] if names else "error")


def dialect_of(span: Span) -> str:
    """Which table a span speaks: told by its scope, else by a marker attribute."""
    named = scope_dialect(span.source.scope)
    if named is not None:
        return named
    return span.shape.marker or "otel_genai"
