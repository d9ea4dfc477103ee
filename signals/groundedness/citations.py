"""Citations: whether what an answer cites exists, whether it holds what the answer says, and how much of what was
retrieved the answer rests on.

====================== =============================================================================================
citation_missing       share of the distinct citations that lead to no document
citation_unsupported   1 - precision of citations: share of those of existing documents that do not support their
                       sentence
unsupported_claims     share of the answer's sentences that no single document supports, cited or not
documents_unused       1 - Precision@K of the retrieval: share of the best K = PRECISION_AT documents (or of all, where
                       there are fewer) that the answer neither cites nor has a sentence from
====================== =============================================================================================

Citations are those of :mod:`signals.groundedness.citing`: numbers, addresses, and what the documents are called. A
number is a mark of the prompt, else a place in the order of retrieval or an id; a name leads to the documents with that
id, title, address or file name, ``(source: X)`` also to those whose name holds X. A document supports a sentence where
the sentence's novelty against it is at most SUPPORTED; a citation speaks for the sentence that it stands in or behind.
Documents are those of :mod:`signals.groundedness.documents`; where there are none, the context is one document and only
addresses can be looked up. A document of which only the names were traced exists and supports nothing that could be
judged: it is left out of everything but ``citation_missing``.

Sees: invented numbers, ids and addresses of sources, a citation of the wrong passage, sentences from nowhere, passages
that nobody needed. Cannot see: contradictions (a denied sentence is as well supported), support that is spread over
several documents, paraphrases and translations (they count as unsupported, and their documents as unused), other styles
of citation ("Smith 2019"), whether a cited page says more than what was retrieved, a good document that was not
retrieved. Range 0 .. 1. Abstain without an answer or a context; as not applicable the first two where nothing is cited
or, for numbers and names, no documents are told apart, the last where none are or the answer claims nothing. Precision
of citations is that of ALCE (Gao et al. 2023), with words in place of an entailment model; Precision@K counts as
relevant what the answer used. ``documents_unused`` is a cue: a call that retrieves more than it needs is no failure.
Cost: ``python -m bench.groundedness``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from signals.batch import Batch, Costly, answers
from signals.groundedness.answer import names_in, sources_in
from signals.groundedness.citing import Citation, Mark, Names, address, codeless, folded, marks, names_of, uncited
from signals.groundedness.context_novelty import only_declines, sentence_novelty
from signals.groundedness.documents import Source, ranked
from signals.groundedness.reading import ANSWER_CHARS_MAX, Reading, contextless, read
from signals.types import Abstention, Document, Embeddings, Exchange, ScoreColumn, ScoreSpec, Side

SUPPORTED = 0.5
PRECISION_AT = 5
CLAIM_WORDS_MIN = 2  # content words of a sentence that says something
SENTENCES_MAX = 200
CITATIONS_MAX = 200
NAME_PART_CHARS_MIN = 3  # of a name that leads to a longer one

_REFERENCES = re.compile(
    r"^[ \t#*_]{0,9}(?:references|sources|citations|bibliography|quellen|参考文献)[ \t*_]{0,9}:?[ \t*_]{0,9}$",
    re.IGNORECASE | re.MULTILINE,
)
_VERSIONS = {"citation_missing": "3", "citation_unsupported": "3", "unsupported_claims": "3", "documents_unused": "2"}


class Citations:
    """``citation_missing``, ``citation_unsupported``, ``unsupported_claims`` and ``documents_unused`` of the output."""

    name = "citations"
    specs = tuple(ScoreSpec(signal=name, side=Side.OUTPUT, version=version) for name, version in _VERSIONS.items())
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


def _score(exchange: Exchange, batch: Batch) -> tuple[Answer, ...]:
    if reason := contextless(exchange):
        return (reason,) * len(_VERSIONS)
    sources = sources_in(batch, exchange)
    apart = bool(sources)
    sources = sources or (Source(Document(text=exchange.context or ""), None),)
    readings = [read(batch, source.document.text) for source in sources]
    said = list(_said(Reading(codeless((exchange.output or "")[:ANSWER_CHARS_MAX])), names_in(batch, exchange)))
    cited = [(sentence, citation) for sentence in said for citation in sentence.cites if apart or citation.is_url]
    cited = cited[:CITATIONS_MAX]
    places = {citation: _find(citation, sources) for _, citation in cited}
    told = {citation: [at for at in found if readings[at].text] for citation, found in places.items()}
    claims = [sentence for sentence in said if _claims(sentence)]
    support = [[_supports(reading, sentence) for reading in readings] for sentence in claims]
    supported = {id(sentence): held for sentence, held in zip(claims, support, strict=True)}
    return (
        _share([not found for citation, found in places.items() if found or not _is_year(citation.key)]),
        _share(
            [
                not any(supported[id(sentence)][at] for at in told[citation])
                for sentence, citation in cited
                if told[citation] and id(sentence) in supported
            ]
        ),
        _share([not any(held) for held in support] if any(reading.text for reading in readings) else []),
        _unused(sources, {at for found in places.values() for at in found}, support) if apart else NEVER,
    )


NEVER = Abstention.NOT_APPLICABLE


def _unused(sources: Sequence[Source], cited: set[int], support: Sequence[Sequence[bool]]) -> Answer:
    """Of the best documents whose text is known; not applicable where the answer claims nothing."""
    if not support:
        return NEVER
    used = {source: at in cited or any(held[at] for held in support) for at, source in enumerate(sources)}
    best = ranked([source for source in sources if source.document.text])[:PRECISION_AT]
    return _share([not used[source] for source in best])


def _share(verdicts: Sequence[bool]) -> Answer:
    return sum(verdicts) / len(verdicts) if verdicts else NEVER


def _said(answer: Reading, names: Names) -> Iterator[_Said]:
    """The answer's sentences, each with its citations; those at the beginning of one belong to the one before."""
    before: _Said | None = None
    listing = _REFERENCES.search(answer.text)
    end = len(answer.text) if listing is None else listing.start()
    place = 0
    for sentence in answer.sentences[:SENTENCES_MAX]:
        place = answer.text.find(sentence.text, place)
        found = marks(sentence.text, names)
        leading = _leading(sentence.text, found) if before is not None else 0
        if before is not None:
            before.cites.extend(citation for mark in found[:leading] for citation in mark.cites)
        cites = [citation for mark in found[leading:] for citation in mark.cites]
        text = uncited(sentence.text, names) if place < end else ""
        if before is not None:
            yield before
        before = _Said(Reading(text), cites)
    if before is not None:
        yield before


def _leading(sentence: str, found: Sequence[Mark]) -> int:
    """How many citations stand before the first word of a sentence."""
    place = count = 0
    for mark in found:
        if any(character.isalnum() for character in sentence[place : mark.start]) or mark.is_link:
            break
        place, count = mark.end, count + 1
    return count


def _find(citation: Citation, sources: Sequence[Source]) -> list[int]:
    """Which documents a citation means; none where it leads nowhere."""
    documents = [source.document for source in sources]
    if citation.is_url:
        own = [at for at, document in enumerate(documents) if document.url and address(document.url) == citation.key]
        return own or [at for at, document in enumerate(documents) if _mentions(document.text, citation.key)]
    key = folded(citation.key)
    found = [at for at, source in enumerate(sources) if key in _called(source)]
    if found or key.isdigit() or len(key) < NAME_PART_CHARS_MIN:
        return found
    part = re.compile(rf"(?<!\w){re.escape(key)}(?!\w)")
    return [at for at, document in enumerate(documents) if any(map(part.search, names_of(document)))]


def _is_year(key: str) -> bool:
    """``[2019]`` is rather another style of citation than the two thousand and nineteenth document."""
    return len(key) == 4 and key.isdigit() and key[:2] in ("19", "20")


def _called(source: Source) -> set[str]:
    marked = {folded(name) for name in (source.mark, source.document.id) if name}
    return marked | set(names_of(source.document))


def _mentions(text: str, place: str) -> bool:
    """Whether a text holds an address and no longer one that begins alike."""
    lower = text.lower()
    return place in lower and re.search(re.escape(place) + r"(?![\w-]|/\w|\.\w)", lower) is not None


def _claims(sentence: _Said) -> bool:
    words = [word for part in sentence.reading.sentences for word in part.words if word.content]
    return len(words) >= CLAIM_WORDS_MIN and not only_declines(sentence.reading.text)


def _supports(document: Reading, sentence: _Said) -> bool:
    return bool(document.text) and sentence_novelty(sentence.reading, document) <= SUPPORTED
