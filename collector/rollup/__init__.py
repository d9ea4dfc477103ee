"""Pure, mergeable summaries of calls: numpy alone, no clock, no disk.

``fold_scores`` and ``fold_traffic`` turn a batch of calls into a ``Summary``; ``merge`` adds summaries and ``coarsen``
widens their windows. All three are one operation, a sum over equal keys in integers, so any order and any grouping of
the same calls gives the same bytes.
"""

from collector.rollup.fold import SCORES, TRAFFIC, CallColumns, ScoreValues, Thresholds, fold_scores, fold_traffic
from collector.rollup.summary import Shape, Summary, Words, coarsen, empty, merge

__all__ = [
    "SCORES",
    "TRAFFIC",
    "CallColumns",
    "ScoreValues",
    "Shape",
    "Summary",
    "Thresholds",
    "Words",
    "coarsen",
    "empty",
    "fold_scores",
    "fold_traffic",
    "merge",
]
