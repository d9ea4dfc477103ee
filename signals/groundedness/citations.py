"""Citations: whether what an answer cites exists, and whether it holds what the answer says.

====================== =============================================================================================
citation_missing       share of the distinct citations that lead to no document
citation_unsupported   1 - Precision@K: share of citations of existing documents that do not support their sentence
unsupported_claims     share of the answer's sentences that no single document supports, cited or not
====================== =============================================================================================

Read as citations: ``[1]``, ``[1, 3]``, ``[1-3]``, ``[^1]``, ``[doc 2]``, ``【1†source】``, ``(source: X)``, Markdown
links and addresses. A document supports a sentence where the sentence's novelty against it is at most SUPPORTED; a
citation speaks for the sentence that it stands in or behind. Documents are those of
:mod:`signals.groundedness.documents`; where there are none, the context is one document and only addresses can be
looked up.

Sees: invented numbers and addresses of sources, a citation of the wrong passage, sentences from nowhere. Cannot see:
contradictions (a denied sentence is as well supported), support that is spread over several documents, paraphrases and
translations (they count as unsupported), other styles of citation ("Smith 2019"), whether a cited page says more than
what was retrieved. Range 0 .. 1. Abstain without an answer or a context; the first two as not applicable where nothing
is cited or, for numbers and names, no documents are told apart. Precision is that of ALCE (Gao et al.
2023), with words in place of an entailment model.
Cost: ``python -m bench.groundedness``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from signals.batch import Batch, Costly, answers
from signals.groundedness.context_novelty import only_declines, sentence_novelty
from signals.groundedness.documents import documents_of
from signals.groundedness.reading import ANSWER_CHARS_MAX, CITATION, Reading, contextless, read, uncited
from signals.types import Abstention, Document, Embeddings, Exchange, ScoreColumn, ScoreSpec, Side

SUPPORTED = 0.5
CLAIM_WORDS_MIN = 2  # content words of a sentence that says something
SENTENCES_MAX = 200
CITATIONS_MAX = 200
_RANGE_MAX = 20

_REFERENCES = re.compile(
    r"^[ \t#*_]{0,9}(?:references|sources|citations|bibliography|quellen|参考文献)[ \t*_]{0,9}:?[ \t*_]{0,9}$",
    re.IGNORECASE | re.MULTILINE,
)


class Citation(NamedTuple):
    key: str  # a number, a name or an address
    is_url: bool


class Citations:
    """``citation_missing``, ``citation_unsupported`` and ``unsupported_claims`` of the output."""

    name = "citations"
    specs = tuple(
        ScoreSpec(signal=name, side=Side.OUTPUT, version="1")
        for name in ("citation_missing", "citation_unsupported", "unsupported_claims")
    )
    costly = Costly.NO

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        rows = [_score(exchange, batch) for exchange in batch.exchanges]
        return tuple(answers(spec, [row[at] for row in rows]) for at, spec in enumerate(self.specs))

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors
        return ()


class _Said(NamedTuple):
    """A sentence without its citations, and what it cites."""

    reading: Reading
    cites: list[Citation]


Answer = float | Abstention


def _score(exchange: Exchange, batch: Batch) -> tuple[Answer, Answer, Answer]:
    if reason := contextless(exchange):
        return reason, reason, reason
    documents = documents_of(exchange)
    apart = bool(documents)
    documents = documents or (Document(text=exchange.context or ""),)
    readings = [read(batch, document.text) for document in documents]
    said = list(_said(Reading(_without_code((exchange.output or "")[:ANSWER_CHARS_MAX]))))
    cited = [(sentence, citation) for sentence in said for citation in sentence.cites if apart or citation.is_url]
    cited = cited[:CITATIONS_MAX]
    found = {citation: _find(citation, documents) for _, citation in cited}
    missing = _share([not places for places in found.values()])
    unsupported = _share(
        [
            all(_novelty(sentence, readings[place]) > SUPPORTED for place in found[citation])
            for sentence, citation in cited
            if found[citation] and _claims(sentence)
        ]
    )
    claims = [sentence for sentence in said if _claims(sentence)]
    nowhere = _share([all(_novelty(sentence, reading) > SUPPORTED for reading in readings) for sentence in claims])
    return missing, unsupported, nowhere


def _without_code(text: str) -> str:
    return CITATION.sub(lambda found: " " if found["code"] else found[0], text)


def _share(verdicts: Sequence[bool]) -> Answer:
    return sum(verdicts) / len(verdicts) if verdicts else Abstention.NOT_APPLICABLE


def _said(answer: Reading) -> Iterator[_Said]:
    """The answer's sentences, each with its citations; those at the beginning of one belong to the one before."""
    before: _Said | None = None
    listing = _REFERENCES.search(answer.text)
    end = len(answer.text) if listing is None else listing.start()
    place = 0
    for sentence in answer.sentences[:SENTENCES_MAX]:
        place = answer.text.find(sentence.text, place)
        spans = list(CITATION.finditer(sentence.text))
        leading = _leading(sentence.text, spans) if before is not None else 0
        if before is not None:
            for span in spans[:leading]:
                before.cites.extend(_citations(span))
        cites = [citation for span in spans[leading:] for citation in _citations(span)]
        text = uncited(sentence.text) if place < end else ""
        if before is not None:
            yield before
        before = _Said(Reading(text), cites)
    if before is not None:
        yield before


def _leading(sentence: str, spans: Sequence[re.Match[str]]) -> int:
    """How many citations stand before the first word of a sentence."""
    place = count = 0
    for span in spans:
        if any(character.isalnum() for character in sentence[place : span.start()]) or span["link"]:
            break
        place, count = span.end(), count + 1
    return count


def _citations(found: re.Match[str]) -> list[Citation]:
    if target := found["target"] or found["url"]:
        return [Citation(_address(target), is_url=True)] if "://" in target else []
    if found["numbers"]:
        return [Citation(str(number), is_url=False) for number in _expanded(found["numbers"])]
    return [Citation((found["dagger"] or found["name"]).strip(), is_url=False)]


def _expanded(numbers: str) -> Iterator[int]:
    for part in re.split(r"[,;]", numbers):
        first, *rest = (int(end) for end in re.findall(r"\d+", part))
        last = rest[-1] if rest else first
        yield from range(first, last + 1) if 0 <= last - first <= _RANGE_MAX else (first, last)


def _address(url: str) -> str:
    return re.sub(r"^https?://(?:www\.)?|#.*$", "", url.rstrip(".,;:!?")).rstrip("/").lower()


def _find(citation: Citation, documents: Sequence[Document]) -> list[int]:
    """Which documents a citation means; none where it leads nowhere."""
    if citation.is_url:
        own = [at for at, document in enumerate(documents) if document.url and _address(document.url) == citation.key]
        return own or [at for at, document in enumerate(documents) if _mentions(document.text, citation.key)]
    key = citation.key.casefold()
    named = [at for at, document in enumerate(documents) if document.id is not None and document.id.casefold() == key]
    if named:
        return named
    if key.isdigit():
        numbered = any((document.id or "").isdigit() for document in documents)
        return [int(key) - 1] if not numbered and 1 <= int(key) <= len(documents) else []
    return [
        at
        for at, document in enumerate(documents)
        if any(key in (part or "").casefold() for part in (document.title, document.url, document.id))
    ]


def _mentions(text: str, address: str) -> bool:
    """Whether a text holds an address and no longer one that begins alike."""
    lower = text.lower()
    return address in lower and re.search(re.escape(address) + r"(?![\w-]|/\w|\.\w)", lower) is not None


def _claims(sentence: _Said) -> bool:
    words = [word for part in sentence.reading.sentences for word in part.words if word.content]
    return len(words) >= CLAIM_WORDS_MIN and not only_declines(sentence.reading.text)


def _novelty(sentence: _Said, document: Reading) -> float:
    return sentence_novelty(sentence.reading, document)
