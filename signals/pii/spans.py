"""What a finder of personal data or secrets gives back: where, and of which kind; never the text itself."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What was found; the value stands in redacted text."""

    PRIVATE_KEY = "PRIVATE_KEY"
    TOKEN = "TOKEN"  # noqa: S105 - a kind, not a token
    PASSWORD = "PASSWORD"  # noqa: S105
    CARD = "CARD"
    BANK_ACCOUNT = "BANK_ACCOUNT"
    NATIONAL_ID = "NATIONAL_ID"
    WALLET = "WALLET"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    IP_ADDRESS = "IP_ADDRESS"


SEVERITY = {
    Kind.PRIVATE_KEY: 1.0,
    Kind.TOKEN: 1.0,
    Kind.PASSWORD: 1.0,
    Kind.CARD: 0.9,
    Kind.BANK_ACCOUNT: 0.9,
    Kind.NATIONAL_ID: 0.9,
    Kind.WALLET: 0.55,
    Kind.PHONE: 0.55,
    Kind.EMAIL: 0.55,
    Kind.IP_ADDRESS: 0.3,
}


class Span(NamedTuple):
    """``text[start:end]`` is of ``kind``; ``detail`` names the format (``github``, ``iban``, ``es.nif``)."""

    start: int
    end: int
    kind: Kind
    detail: str


def apart(found: Iterable[Span]) -> list[Span]:
    """The spans in order without overlaps: the graver, then the longer, then the earlier one stays."""
    kept: list[Span] = []
    for span in sorted(found, key=lambda span: (-SEVERITY[span.kind], span.start - span.end, span)):
        if all(span.end <= other.start or span.start >= other.end for other in kept):
            kept.append(span)
    return sorted(kept)


def together(found: Iterable[Span]) -> list[Span]:
    """The spans in order, those that overlap as one of the gravest kind: all that any of them covers stays covered."""
    joined: list[Span] = []
    for span in sorted(found):
        if not joined or span.start >= joined[-1].end:
            joined.append(span)
            continue
        last = joined[-1]
        gravest = max(last, span, key=lambda each: SEVERITY[each.kind])
        joined[-1] = Span(last.start, max(last.end, span.end), gravest.kind, gravest.detail)
    return joined
