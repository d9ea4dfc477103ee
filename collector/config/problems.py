"""Says what is wrong with a configuration, a line a problem."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

_WANTED = {
    "missing": "is needed",
    "tuple_type": "a list is needed: [one, other]",
    "string_type": "a text is needed: put it in quotes",
    "model_type": "a section is needed, settings below it",
    "dict_type": "a section is needed, settings below it",
    "bool_type": "true or false is needed",
    "bool_parsing": "true or false is needed",
    "int_type": "a whole number is needed",
    "int_parsing": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "float_type": "a number is needed; its unit is in the name",
    "float_parsing": "a number is needed; its unit is in the name",
}
"""What pydantic says in the words of Python, in those of YAML."""


def explain(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """``place: what is wrong``; what was written is not repeated, it may be a secret in the wrong place.

    ``root`` is the model that was validated: a misspelt setting is told the name that it resembles.
    """
    lines = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(part) for part in problem["loc"]) or "(top)"
        if problem["type"] == "extra_forbidden":
            what = f"there is no such setting{_resembling(root, [str(part) for part in problem['loc']])}"
        else:
            what = _WANTED.get(problem["type"], problem["msg"].removeprefix("Value error, "))
        lines.append(f"{place}: {what}")
    return lines


def _resembling(root: type[BaseModel], path: list[str]) -> str:
    *above, name = path
    section: type[BaseModel] | None = root
    for key in above:
        field = section.model_fields.get(key) if section else None
        section = next(_sections(field.annotation), None) if field else None
    near = difflib.get_close_matches(name, section.model_fields, n=1) if section else []
    return f"; is it {near[0]}?" if near else ""


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)
