"""Personal data and secrets in the question and in the answer, and where they stand.

For an analyst or a redacting proxy::

    from signals.pii import find, redact

    find("Mail ana@shop.io")      # [Span(start=5, end=16, kind=EMAIL, detail='email')]
    redact("Mail ana@shop.io")    # 'Mail [EMAIL]'

Sees: secrets in some forty documented token formats, private keys, Authorization headers, passwords in URLs and
assignments and after a word for them in ten languages; cards, IBANs, bitcoin addresses and the personal numbers of 23
countries, each with its checksum; phone numbers with a country code, in the shape of North America, or of eight
countries after a word such as "phone"; mail addresses, also with "[at]"; public IP addresses. Hotlines and mailboxes of
a function (``support@``, ``noreply@``) are nobody's.
Digits and addresses behind invisible, full-width or look-alike characters count as well, and what stands in readable
base64, hexadecimal or tag characters, where the whole run is the find. Cannot see: names, street addresses, dates of
birth, health, passports; numbers spelled out as words; other national phone numbers; that a number with the right
checksum is made up, or that of an order. Numbers that many others look like (PESEL, BSN …) count only after a word that
names them; addresses in domains reserved for documentation (RFC 2606) never.
Range: the gravest find: 0 nothing, 0.3 an IP address, 0.55 contact data, 0.9 an identity or an account, 1 a secret.
Abstains without text. Cost: a few regular expressions over the characters, most of them only where there are digits,
and over what is encoded; no model.
Source: python-stdnum, phonenumbers (their versions are part of the score's identity), the makers' token formats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import phonenumbers
import stdnum

from signals.batch import Batch, Costly, each
from signals.normalise import INVISIBLE, encoded, plain, unseen
from signals.pii.people import find_people
from signals.pii.secrets import find_secrets
from signals.pii.spans import SEVERITY, Kind, Span, apart, together
from signals.types import Abstention, Embeddings, Exchange, ScoreColumn, ScoreSpec, Side

__all__ = ["SEVERITY", "Kind", "Pii", "Span", "cover", "find", "redact"]

TEXT_CHARS_MAX = 262_144  # a longer text is read to here


class Pii:
    """``pii`` of both sides: the severity of the gravest find."""

    name = "pii"
    costly = Costly.NO

    def __init__(self) -> None:
        rules = f"stdnum-{stdnum.__version__}-phonenumbers-{phonenumbers.__version__}"
        self.specs = tuple(ScoreSpec(signal="pii", side=side, version="3", weights=rules) for side in Side)

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        return tuple(
            each(spec, batch.exchanges, _score_input if spec.side is Side.INPUT else _score_output)
            for spec in self.specs
        )

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors
        return ()


def find(text: str) -> list[Span]:
    """Where personal data and secrets stand in ``text`` as it was given, in order and without overlaps."""
    return _find(text, apart)


def cover(text: str) -> list[Span]:
    """As :func:`find`, for whoever must leave nothing: finds that overlap are one, of the gravest kind."""
    return _find(text, together)


def redact(text: str) -> str:
    """``text`` with every find replaced by its kind in brackets."""
    pieces, done = [], 0
    for span in find(text):
        pieces += [text[done : span.start], f"[{span.kind}]"]
        done = span.end
    return "".join([*pieces, text[done:]])


def _find(text: str, choose: Callable[[Iterable[Span]], list[Span]]) -> list[Span]:
    text = text[:TEXT_CHARS_MAX]
    bare = plain(text)
    hidden = [
        Span(start, end, span.kind, span.detail)
        for start, end, said in encoded(bare.text)
        for span in _open(plain(said).text)
    ]
    seen = [Span(*bare.span(span.start, span.end), span.kind, span.detail) for span in [*_open(bare.text), *hidden]]
    return choose([*seen, *_unseen(text)])


def _unseen(text: str) -> Iterator[Span]:
    """What tag characters say, each find as the whole run of them."""
    for run in INVISIBLE.finditer(text):
        for said in unseen(run[0]):
            yield from (Span(*run.span(), span.kind, span.detail) for span in _open(said))


def _open(text: str) -> list[Span]:
    return [*find_secrets(text), *find_people(text)]


def _score_input(exchange: Exchange) -> float | Abstention:
    return _severity(exchange.input)


def _score_output(exchange: Exchange) -> float | Abstention:
    return _severity(exchange.output)


def _severity(text: str | None) -> float | Abstention:
    if not text or text.isspace():
        return Abstention.NO_TEXT
    return max((SEVERITY[span.kind] for span in find(text)), default=0.0)
