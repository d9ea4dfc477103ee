"""Says what is wrong with a configuration, a line a problem."""

from __future__ import annotations

from pydantic import ValidationError


def explain(error: ValidationError) -> list[str]:
    """``place: what is wrong``; what was written is not repeated, it may be a secret in the wrong place."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(part) for part in problem["loc"]) or "(top)"
        unknown = problem["type"] == "extra_forbidden"
        lines.append(f"{place}: {'there is no such setting' if unknown else problem['msg']}")
    return lines
