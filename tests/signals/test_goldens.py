"""Stored scores of a fixed set of exchanges: a change of any signal shows here, or it needs a new version.

Write them anew with ``python -m tests.signals.test_goldens`` after a change that is meant, and raise the version; what
is as stored, on this machine's kernels, stays as it was.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signals.suite import Suite, load_suite
from signals.types import Abstention, Document, Exchange

GOLDEN = Path(__file__).parent / "golden" / "suite.json"
# bfloat16 and float32, and the kernels of two makers, differ by this much in what the encoder gives
ENCODED = frozenset({"toxicity", "injection", "context_injection", "relevance", "disagreement", "reference_bertscore"})


def stored() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return cases


def exchange(case: dict[str, Any]) -> Exchange:
    documents = tuple(Document(**document) for document in case["exchange"].get("documents", ()))
    return Exchange(**case["exchange"] | {"documents": documents})


def scored(suite: Suite, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each case with the value or the reason of every column."""
    columns = suite.score([exchange(case) for case in cases]).columns
    return [
        {
            found.spec.column: Abstention(int(found.abstentions[row])).name.lower()
            if found.abstentions[row]
            else round(float(found.values[row]), 6)
            for found in columns
        }
        for row in range(len(cases))
    ]


@pytest.mark.parametrize("case", stored(), ids=lambda case: case["name"])
def test_the_scores_are_as_stored(suite: Suite, case: dict[str, Any]) -> None:
    (found,) = scored(suite, [case])

    assert found.keys() == case["scores"].keys()
    for column, expected in case["scores"].items():
        assert same(column, found[column], expected), column


def same(column: str, found: float | str, expected: float | str) -> bool:
    """Whether two scores, or reasons for none, are the same but for what the kernels of a machine make of them."""
    if isinstance(expected, str) or isinstance(found, str):
        return found == expected
    tolerance = 0.05 if column.rsplit("_", 1)[0] in ENCODED else 1e-6
    return bool(np.isclose(found, expected, rtol=0, atol=tolerance))


def main() -> None:
    cases = stored()
    suite = load_suite()
    for case, scores in zip(cases, scored(suite, cases), strict=True):
        before = case["scores"]
        case["scores"] = {
            name: before[name] if name in before and same(name, value, before[name]) else value
            for name, value in scores.items()
        }
    suite.close()
    GOLDEN.write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
