"""The cards of the signals, read from the sources of their modules: no model is loaded to show one."""

from __future__ import annotations

import ast
from functools import cache
from importlib.resources import files

_MODULES = {
    "context_injection": "injection",
    "context_novelty": "groundedness",
    "disagreement": "agreement",
    "low_confidence": "perplexity",
}
"""Where a signal's module is not called as the signal is."""


@cache
def card(signal: str) -> str | None:
    """What a signal sees, what it cannot, its range, cost and source; None: there is no such signal."""
    if not signal.isidentifier():
        return None
    room = files("signals")
    name = _MODULES.get(signal, signal)
    for path in (room / f"{name}.py", room / name / "__init__.py"):
        if path.is_file():
            return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return None
