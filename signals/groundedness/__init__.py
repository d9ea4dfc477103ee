"""Groundedness: what an answer says beyond, beside or against the context that it should rest on.

One reading of a text serves the whole family, and a context that several calls of a batch share is read once.
"""

from signals.groundedness.context_novelty import ContextNovelty, novelty

__all__ = ["ContextNovelty", "novelty"]
