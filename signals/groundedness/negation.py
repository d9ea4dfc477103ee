"""Negation: words that the answer negates and the context does not, or the other way round.

A word is negated within REACH words after a negator ("not", "n't", "no", "never", "without", "fails", …) and BACK
before it, in the same clause; "not only", "don't hesitate", "no problem" and their like negate nothing. In each
sentence of the answer: each content word that it negates and the context only affirms counts 1, one that the context
only negates DROPPED, a negated word that the context does not hold UNKNOWN; the sentence with the greatest sum ``e``
decides, as ``e / (e + 1)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile

from signals.groundedness.reading import STEM_CHARS, STOP_WORDS, Reading

REACH = 5
BACK = 2
SLACK = 2  # the context may say it in a few words more
DROPPED = 0.3
UNKNOWN = 0.3

_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|[.!?,;:](?=\s)|\n")
_ENDS = frozenset(".!?,;:\n")
_IDLE = re.compile(
    r"\b(?:not only|not (?:just|merely|to mention)|whether or not|nothing (?:but|more than)|why not|if not(?=[,.])"
    r"|no (?:problem|worries|doubt|matter|less than|later than|more than)"
    r"|(?:do not|don't|never) (?:forget|hesitate|worry)|can(?:'t|not) (?:wait|go wrong|help))\b"
)
_NEGATORS = frozenset(
    """
    not no never none nor neither nothing nobody without cannot unable hardly barely refuse refuses refused refusal
    lack lacks lacked lacking fail fails failed failing failure deny denies denied reject rejects rejected rejecting
    prevent prevents prevented preventing absent absence exclude excludes excluded excluding except
    """.split()  # noqa: SIM905 - a list of words reads as text
)


def negation_flip(answer: Reading, context: Reading) -> float | None:
    """0 nothing is turned round .. 1 much is; None where answer and context share no content word."""
    said = [_Tokens(sentence.text.lower()) for sentence in answer.sentences]
    wanted = {stem for sentence in said for stem, _ in sentence.flagged(0)}
    read = _Tokens(context.text.lower(), wanted)
    affirmed = {stem for stem, turned in read.flagged(0) if not turned}
    negated = {stem for stem, turned in read.flagged(0) if turned}
    if not affirmed and not negated:
        return None
    nearly = {stem for stem, turned in read.flagged(SLACK) if turned}
    most = 0.0
    for sentence in said:
        evidence = 0.0
        for stem, turned in sentence.flagged(0):
            if turned and stem not in nearly:
                evidence += 1.0 if stem in affirmed else UNKNOWN
            elif not turned and stem in negated and stem not in affirmed:
                evidence += DROPPED
        most = max(most, evidence)
    return most / (most + 1)


class _Tokens:
    """A lower-case text as tokens; with ``wanted`` only words of these stems count."""

    def __init__(self, text: str, wanted: set[str] | None = None) -> None:
        self._tokens = _TOKEN.findall(_IDLE.sub(" ", text))
        self._negators = [at for at, token in enumerate(self._tokens) if token in _NEGATORS or token.endswith("n't")]
        stems = [token[:STEM_CHARS] for token in self._tokens]
        if wanted is None:
            self._content = [(at, stems[at]) for at, token in enumerate(self._tokens) if _is_content(token)]
        else:
            self._content = [(at, stem) for at, stem in enumerate(stems) if stem in wanted]

    def flagged(self, slack: int) -> list[tuple[str, bool]]:
        """The content words by their stems, and whether each is negated."""
        turned: set[int] = set()
        for at in self._negators:
            turned.update(self._until_end(range(at + 1, min(len(self._tokens), at + REACH + slack + 1))))
            turned.update(self._until_end(range(at - 1, max(-1, at - BACK - slack - 1), -1)))
        return [(stem, at in turned) for at, stem in self._content]

    def _until_end(self, places: range) -> Iterator[int]:
        return takewhile(lambda place: self._tokens[place] not in _ENDS, places)


def _is_content(token: str) -> bool:
    return token not in STOP_WORDS and token not in _NEGATORS and token not in _ENDS and "'" not in token
