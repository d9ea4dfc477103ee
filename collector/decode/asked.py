"""What a request asked of the answer: its form, and a gold answer; and how sure the model was of its words.

Nothing is judged here: what arrived is handed on as JSON text, in the shape of whichever provider wrote it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from collector.decode import dialects
from collector.decode.fields import Fields
from collector.decode.routes import route

LOGPROBS_MAX = 16_384
_LOGPROB_MARKS = ('"logprob":', '"token_logprobs":[', '"token_logprobs": [')  # `"logprobs": null` is in every response
_ENCODER = msgspec.json.Encoder()


def tool_definitions(fields: Fields, chars_max: int) -> str | None:
    """The tools that the request offered, a JSON array; None where none were traced, or not whole."""
    attributes = fields.attributes
    found: Any = next((attributes[key] for key in dialects.TOOL_DEFINITIONS if attributes.get(key)), None)
    if found is None:
        found = _indexed(fields) or _inside_inputs(fields, "tools")
    return _text(found, chars_max) if found else None


def response_format(fields: Fields, chars_max: int) -> str | None:
    """``json`` or another word, or JSON text of the format object or schema that the request asked for."""
    attributes = fields.attributes
    found: Any = next((attributes[key] for key in dialects.RESPONSE_FORMATS if attributes.get(key)), None)
    if found is None:
        if attributes.get("ai.operationId") in dialects.OBJECT_OPERATIONS:
            return "json"
        found = _inside_inputs(fields, "response_format")
    return _text(found, chars_max) if found else None


def reference(fields: Fields, chars_max: int) -> str | None:
    """The gold answer that was traced with the call; None where there is none, or not whole."""
    for alias in fields.shape.aliases.get("reference", ()):
        found = fields.attributes.get(alias.key) if alias.path is None else fields.find(alias)
        if found:
            return _text(found, chars_max)
    return None


def logprobs(fields: Fields) -> tuple[float, ...]:
    """Log-probabilities of the first answer's tokens, from a raw response that holds them."""
    for key in dialects.RAW_RESPONSES:
        value = fields.attributes.get(key)
        if isinstance(value, str) and any(mark in value for mark in _LOGPROB_MARKS):
            document = fields.json(key)
            choices = document.get("choices") if isinstance(document, dict) else None
            if isinstance(choices, list) and choices and isinstance(choices[0], dict):
                found = _numbers(choices[0].get("logprobs"))
                if found:
                    return found
    return ()


def _numbers(told: Any) -> tuple[float, ...]:
    """OpenAI's chat form (``content`` of objects with ``logprob``) and its older one (``token_logprobs``)."""
    if not isinstance(told, dict):
        return ()
    tokens = told.get("content")
    if isinstance(tokens, list):
        values = [token.get("logprob") for token in tokens[:LOGPROBS_MAX] if isinstance(token, dict)]
    else:
        older = told.get("token_logprobs")
        values = older[:LOGPROBS_MAX] if isinstance(older, list) else []
    return tuple([float(value) for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)])


def _indexed(fields: Fields) -> list[Any]:
    """Definitions that stand one an attribute (OpenInference), or one in several (older OpenLLMetry)."""
    tools: dict[int, Any] = {}
    for key, value in fields.attributes.items():
        place = route(key)
        if place is None:
            continue
        if place.family == "tools":
            tools[place.position] = _parsed(value)
        elif place.family == "functions":
            tools.setdefault(place.position, {})[place.field] = _parsed(value)
    return [definition for _, definition in sorted(tools.items())]


def _inside_inputs(fields: Fields, name: str) -> Any:
    for key in dialects.REQUEST_PARAMETERS:
        value = fields.attributes.get(key)
        if isinstance(value, str) and f'"{name}"' in value:
            document = fields.json(key)
            if isinstance(document, dict) and document.get(name):
                return document[name]
    return None


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("{"):
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return value
    return value


def _text(value: Any, chars_max: int) -> str | None:
    if not isinstance(value, (str, list, dict)):
        return None
    try:
        text = value if isinstance(value, str) else _ENCODER.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        return None
    return text if len(text) <= chars_max and text != dialects.REDACTED else None
