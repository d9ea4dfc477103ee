"""The cards of the signals, read from the sources of their modules: no model is loaded to show one."""

from __future__ import annotations

import ast
from functools import cache
from importlib.resources import files

_MODULES = {
    "context_injection": "injection",
    "context_novelty": "groundedness/context_novelty",
    "disagreement": "agreement",
    "low_confidence": "perplexity",
    **dict.fromkeys(
        ("severe_toxicity", "obscene", "identity_attack", "insult", "threat", "sexual_explicit"), "toxicity"
    ),
    **dict.fromkeys(("number_mismatch", "negation_flip", "entity_mismatch"), "groundedness/claims"),
    **dict.fromkeys(
        ("citation_missing", "citation_unsupported", "unsupported_claims", "documents_unused"), "groundedness/citations"
    ),
    **dict.fromkeys(("contradiction", "unsupported"), "groundedness/nli"),
    **{f"reference_{name}": "reference" for name in ("exact", "f1", "rouge_l", "chrf", "bertscore")},
}
"""Where a signal's module is not called as the signal is."""


@cache
def card(signal: str) -> str | None:
    """What a signal sees, what it cannot, its range, cost and source; None: there is no such signal."""
    if not signal.isidentifier():
        return None
    name = _MODULES.get(signal, signal)
    for path in (files("signals").joinpath(f"{name}.py"), files("signals").joinpath(name, "__init__.py")):
        if path.is_file():
            return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return None
