"""Every signal has a card that says what it sees, what it cannot, its range, cost and source, and when it abstains."""

from __future__ import annotations

import re

import pytest

from collector.catalog.signals import SIGNALS
from signals.cards import card

SAID = {
    "what it sees": r"\bSees\b",
    "what it cannot see": r"[Cc]annot\s+see",
    "its range": r"\bRange\b",
    "when it abstains": r"\bAbstain",
    "its cost": r"\bCost\b",
    "its source": r"\bSource\b|\b[Aa]fter\s+\w+|\((?:\w+ )?(?:et al\. )?\d{4}\)|et al\.",
}


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("signal", [entry.name for entry in SIGNALS])
def test_a_card_says(signal: str, said: str) -> None:
    assert re.search(SAID[said], card(signal) or ""), f"the card of {signal} does not say {said}"
