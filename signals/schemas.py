"""JSON Schemas that come from outside: compiled once, checked within bounds, never fetching or matching anything.

A schema is data of whoever writes telemetry. So references are resolved inside the schema only, ``pattern`` and
``patternProperties`` are not checked (a regular expression can stall a scorer), and a check gives up after
STEPS_MAX followed references.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

SCHEMA_CHARS_MAX = 65_536
DEFINITIONS_CHARS_MAX = 262_144
VALUE_CHARS_MAX = 65_536
STEPS_MAX = 2_000
_SCHEMA_KEYS = ("parameters", "input_schema", "inputSchema", "parametersJsonSchema", "schema")

Fits = Callable[[Any], bool | None]
_steps: ContextVar[int] = ContextVar("schema_steps", default=0)


class _TooManyStepsError(Exception):
    pass


def _counted(keyword: str) -> Callable[..., Iterator[ValidationError]]:
    follow = Draft202012Validator.VALIDATORS[keyword]

    def check(validator: Any, reference: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        steps = _steps.get() + 1
        if steps > STEPS_MAX:
            raise _TooManyStepsError
        _steps.set(steps)
        yield from follow(validator, reference, instance, schema) or ()

    return check


def _unchecked(*_: Any) -> Iterator[ValidationError]:
    return iter(())


_Bounded: type[Validator] = extend(
    Draft202012Validator,
    {
        "$ref": _counted("$ref"),
        "$dynamicRef": _counted("$dynamicRef"),
        "pattern": _unchecked,
        "patternProperties": _unchecked,
    },
)


@lru_cache(maxsize=256)
def compiled(schema: str) -> Fits | None:
    """A check of values against JSON text that is a schema: True, False, or None where it cannot be told. None for
    text that is no schema."""
    if len(schema) > SCHEMA_CHARS_MAX:
        return None
    try:
        document = json.loads(schema)
        Draft202012Validator.check_schema(document)
    except (ValueError, RecursionError, SchemaError, Unresolvable):
        return None
    return _checker(document) if isinstance(document, dict) else None


@lru_cache(maxsize=256)
def tools(definitions: str) -> dict[str, Fits | None] | None:
    """The tools of a request by name, from JSON text in the shape of any provider; None where it cannot be read."""
    if len(definitions) > DEFINITIONS_CHARS_MAX:
        return None
    try:
        found = json.loads(definitions)
    except (ValueError, RecursionError):
        return None
    known: dict[str, Fits | None] = {}
    for item in _flat(found if isinstance(found, list) else [found]):
        name, schema = _definition(item)
        if name is None:
            return None
        known[name] = compiled(json.dumps(schema)) if isinstance(schema, dict) else None
    return known


def _flat(items: list[Any]) -> Iterator[Any]:
    """Each definition; some providers hand them in lists of their own."""
    for item in items:
        held = item.get("functionDeclarations", item.get("function_declarations")) if isinstance(item, dict) else None
        if isinstance(held, list):
            yield from held
        else:
            yield item


def _definition(item: Any) -> tuple[str | None, Any]:
    if isinstance(item, str):
        try:
            item = json.loads(item)
        except (ValueError, RecursionError):
            return None, None
    if not isinstance(item, dict):
        return None, None
    inner = next((item[key] for key in ("function", "toolSpec") if isinstance(item.get(key), dict)), item)
    name = inner.get("name", inner.get("type"))  # a tool that the provider runs itself is called by its type
    schema = next((inner[key] for key in _SCHEMA_KEYS if key in inner), None)
    if isinstance(schema, dict) and isinstance(schema.get("json"), dict):  # Bedrock's
        schema = schema["json"]
    return (name if isinstance(name, str) else None), schema


def _checker(schema: dict[str, Any]) -> Fits:
    validator = _Bounded(schema, registry=Registry())  # a registry of its own: the default one would fetch from the web

    def fits(value: Any) -> bool | None:
        token = _steps.set(0)
        try:
            return bool(validator.is_valid(value))
        except (_TooManyStepsError, RecursionError, Unresolvable, OverflowError):
            return None
        finally:
            _steps.reset(token)

    return fits
