"""Citations: whether they exist, and whether what they cite holds what is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.batch import Batch
from signals.groundedness.citations import PRECISION_AT, Citations
from signals.groundedness.documents import DOCUMENTS_MAX, marked, ranked, sources_of
from signals.suite import SuiteOptions, load_suite
from signals.types import Abstention, Document, Exchange

DOCUMENTS = (
    Document("The warranty of the kettle lasts two years.", url="https://www.shop.example/warranty/"),
    Document("The heating element is covered by the warranty.", title="Guide to coverage"),
)
CONTEXT = "\n\n".join(document.text for document in DOCUMENTS)
FIRST, SECOND = (document.text.rstrip(".") for document in DOCUMENTS)
NEVER = Abstention.NOT_APPLICABLE


def judged(
    output: str, documents: tuple[Document, ...] = DOCUMENTS, context: str = CONTEXT
) -> list[float | Abstention]:
    """Missing, unsupported, and claims without support; a reason where a column abstains."""
    return every(Exchange(output=output, context=context, documents=documents))[:3]


def unused(output: str, documents: tuple[Document, ...] = DOCUMENTS, context: str = CONTEXT) -> float | Abstention:
    return every(Exchange(output=output, context=context, documents=documents))[3]


def every(exchange: Exchange) -> list[float | Abstention]:
    columns = Citations().score(Batch([exchange], None, None))
    return [Abstention(int(c.abstentions[0])) if c.abstentions[0] else float(c.values[0]) for c in columns]


@pytest.mark.parametrize(
    "output",
    [
        f"{FIRST} [1]. {SECOND} [2].",
        f"{FIRST}. [1] {SECOND}. [2]",
        f"{FIRST} [doc 1]. {SECOND} [Document 2].",
        f"{FIRST}[^1]. {SECOND}[^2].",
        f"{FIRST}.¹ {SECOND}².",
        f"{FIRST}【1†source】. {SECOND}【2:0†guide.pdf】.",
        f"{FIRST} ([page](https://shop.example/warranty)). {SECOND} (source: guide to coverage).",
        f"{FIRST}, see http://www.shop.example/warranty#top. {SECOND} [2].",
        f"{FIRST} [1]. {SECOND} [1, 2].\n\nReferences:\n[1] warranty\n[2] guide",
    ],
)
def test_every_style_of_citation_is_followed_to_its_document(output: str) -> None:
    missing, _, nowhere = judged(output)

    assert (missing, nowhere) == (0, 0)


NAMED = (
    DOCUMENTS[0]._replace(id="kb-17", title="Warranty terms, 2026"),
    DOCUMENTS[1]._replace(id="0f8fad5b-d9cb-469f-a165-70867728950e", url="manuals/coverage.pdf"),
)


@pytest.mark.parametrize("index", ["M[2] = 5", "rows[0]", "x lies in [0, 1]", "match [0-9]", "10 km² of land"])
def test_an_index_a_range_and_a_unit_are_no_citations(index: str) -> None:
    assert judged(f"{FIRST}. Here, {index}")[:2] == [NEVER, NEVER]


def test_documents_may_be_numbered_from_0() -> None:
    from_zero = tuple(document._replace(id=str(at)) for at, document in enumerate(DOCUMENTS))

    assert judged(f"{FIRST} [0].", from_zero)[:2] == [0, 0]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("[kb-17]", "[0f8fad5b-d9cb-469f-a165-70867728950e]"),
        ("[doc: KB-17]", "[coverage.pdf, p. 3]"),
        ("[Warranty terms, 2026]", "(see coverage.pdf)"),
        ("(Warranty terms, 2026)", "(Guide to coverage)"),
        ("【kb-17】", "[the guide](manuals/coverage.pdf)"),
        ("(source: kb-17)", "[source: manuals/coverage.pdf]"),
        ("(source: warranty)", "(source: guide)"),
        ("[warranty terms](https://shop.example/warranty)", "[Guide to coverage](#guide)"),
        ("[1](#kb-17)", "[2](#top)"),
    ],
)
def test_a_name_leads_to_its_document_and_is_no_part_of_what_is_said(first: str, second: str) -> None:
    assert judged(f"{FIRST} {first}. {SECOND} {second}.", NAMED) == [0, 0, 0]
    assert judged(f"{FIRST} {second}. {SECOND} {first}.", NAMED)[:2] == [0, 1]


def test_several_names_share_a_pair_of_brackets() -> None:
    assert judged(f"{FIRST} [kb-17; coverage.pdf].", NAMED)[:2] == [0, 0.5]


def test_what_is_shaped_as_the_ids_and_names_no_document_is_missing() -> None:
    assert judged(f"{FIRST} [kb-99].", NAMED)[0] == 1
    assert judged(f"{FIRST} [1e10ad5b-d9cb-469f-a165-70867728950e].", NAMED)[0] == 1


@pytest.mark.parametrize(
    "aside", ["[sic]", "[step-3]", "(for example)", "[optional, see below]", "[2026-01-01]", "[2019]", "[Q3]"]
)
def test_other_brackets_are_no_citations(aside: str) -> None:
    assert judged(f"{FIRST} {aside}.", NAMED)[0] is NEVER


def test_a_number_is_a_place_or_an_id() -> None:
    numbered = tuple(document._replace(id=str(40 + at)) for at, document in enumerate(DOCUMENTS))

    assert judged(f"{FIRST} [1]. {SECOND} [2].", numbered)[:2] == [0, 0]
    assert judged(f"{FIRST} [40]. {SECOND} [41].", numbered)[:2] == [0, 0]
    assert judged(f"{FIRST} [42].", numbered)[0] == 1


def test_a_document_of_which_only_the_name_was_traced_exists_and_is_not_judged() -> None:
    silent = (Document("", id="kb-17"), Document("", id="kb-18"))

    assert judged(f"{FIRST} [kb-17].", silent) == [0, NEVER, NEVER]
    assert judged(f"{FIRST} [kb-19].", silent)[0] == 1
    assert unused(f"{FIRST} [kb-17].", silent) is NEVER


def test_a_short_word_in_a_source_leads_nowhere_and_part_of_a_word_neither() -> None:
    assert judged(f"{FIRST} (source: to).")[0] == 1
    assert judged(f"{FIRST} (source: cover).")[0] == 1


def test_documents_that_the_answer_has_nothing_from_are_unused() -> None:
    foreign = (*DOCUMENTS, Document("Penguins near Antarctica eat krill."), Document("Glaciers calve in summer."))

    assert unused(f"{FIRST}. {SECOND}.") == 0
    assert unused(f"{FIRST}. {SECOND}.", foreign) == 0.5
    assert unused(f"{FIRST} [1]. It lasts long [3].", foreign) == 0.5
    assert unused("The documents do not mention the price.", foreign) is NEVER
    assert unused(f"{FIRST}.", ()) is NEVER


def test_only_the_best_documents_count() -> None:
    rest = tuple(Document(f"Note {number} on glaciers.") for number in range(8))

    assert unused(f"{FIRST}.", (DOCUMENTS[0], *rest)) == pytest.approx(1 - 1 / PRECISION_AT)
    assert unused(f"{FIRST}.", (*rest, DOCUMENTS[0])) == 1


def test_scores_rank_documents_that_came_in_no_order() -> None:
    def order(*scores: float | None) -> list[float | None]:
        documents = tuple(Document(f"text {score}", score=score) for score in scores)
        return [source.document.score for source in ranked(sources_of(Exchange(documents=documents)))]

    assert order(0.2, 0.9, 0.5) == [0.9, 0.5, 0.2]
    assert order(0.1, 0.3, 0.8) == [0.1, 0.3, 0.8]  # distances
    assert order(0.2, None, 0.5) == [0.2, None, 0.5]


def test_a_citation_of_nothing_is_missing() -> None:
    assert judged(f"{FIRST} [1]. {SECOND} [9].")[0] == 0.5
    assert judged(f"{FIRST}, see https://shop.example/warranty-two.")[0] == 1
    assert judged(f"{FIRST} (source: Encyclopaedia).")[0] == 1


def test_a_document_that_does_not_say_it_does_not_support_it() -> None:
    assert judged(f"{FIRST} [2]. {SECOND} [2].") == [0, 0.5, 0]


def test_a_range_cites_all_that_it_spans() -> None:
    assert judged(f"{FIRST} [1-3].")[0] == pytest.approx(1 / 3)


def test_a_sentence_from_nowhere_is_unsupported_whether_it_cites_or_not() -> None:
    assert judged(f"{FIRST} [1]. Penguins near Antarctica eat krill.")[2] == 0.5
    assert judged("Penguins near Antarctica eat krill [1].") == [0, 1, 1]


def test_declining_claims_nothing() -> None:
    assert judged("The documents do not mention the price.") == [NEVER, NEVER, NEVER]


def test_without_documents_the_context_is_one_and_only_addresses_are_looked_up() -> None:
    context = f"{CONTEXT} https://shop.example/warranty"

    assert judged(f"{FIRST} [7].", (), context) == [NEVER, NEVER, 0]
    assert judged(f"{FIRST} https://shop.example/warranty", (), context)[0] == 0
    assert judged(f"{FIRST} https://shop.example/warran", (), context)[0] == 1


@pytest.mark.parametrize("code", ["`rows[1] = 2`", "```\nx[3][4]\n```", "`items[0]`"])
def test_an_index_in_code_is_no_citation(code: str) -> None:
    assert judged(f"{FIRST} {code}")[0] is NEVER


@pytest.mark.parametrize(
    "context",
    [
        "[1] First text here\nmore of it\n[2] Second text",
        "Document 1: First text here\nmore of it\nDocument 2: Second text",
        "Use these.\n\nSource [1]\nFirst text here\nmore of it\nSource [2]\nSecond text",
        '<doc id="1">First text here\nmore of it</doc>\n<doc id="2">Second text</doc>',
        '<document index="1">First text here\nmore of it</document><document index="2">Second text</document>',
    ],
)
def test_passages_of_a_prompt_are_told_apart_by_their_marks(context: str) -> None:
    found = marked(context)

    assert [(document.id, document.text) for document in found] == [
        ("1", "First text here\nmore of it"),
        ("2", "Second text"),
    ]


def test_a_prompt_s_marks_come_before_the_order_of_retrieval() -> None:
    exchange = Exchange(context="[4] Lids\n[5] Cables", documents=DOCUMENTS)

    assert [source.mark for source in sources_of(exchange)] == ["4", "5", None, None]


def test_a_marked_passage_keeps_the_names_of_the_document_in_it() -> None:
    context = f"[1] {DOCUMENTS[1].text}\n[2] {DOCUMENTS[0].text}"
    named = tuple(document._replace(id=f"kb-{at}") for at, document in enumerate(DOCUMENTS))

    found = sources_of(Exchange(context=context, documents=named))

    assert [(source.mark, source.document.id) for source in found] == [("1", "kb-1"), ("2", "kb-0")]
    assert judged(f"{FIRST} [2]. {SECOND} [kb-1].", named, context)[:2] == [0, 0]
    assert judged(f"{FIRST} [1]. {SECOND} [kb-0].", named, context)[:2] == [0, 1]


def test_the_marks_of_a_prompt_are_what_an_answer_cites() -> None:
    context = f"[4] {FIRST}.\n[5] {SECOND}."

    assert judged(f"{FIRST} [4].", (), context) == [0, 0, 0]
    assert judged(f"{FIRST} [1].", (), context)[0] == 1


def test_one_mark_alone_divides_nothing() -> None:
    assert marked("[1] A note") == marked("see [1] and [2] inside a line") == ()


def test_marks_inside_a_retrieved_document_are_its_own() -> None:
    notes = Document("Kettles.\n[1] A note\n[2] Another note")

    assert [source.document for source in sources_of(Exchange(context=notes.text, documents=(notes,)))] == [notes]


@pytest.mark.parametrize(
    "text",
    [
        "<doc>" * 60_000,
        "[1 " * 60_000,
        "-" * 60_000,
        "A-" * 60_000,
        "https://a " * 6_000,
        "[a](" * 9_000,
        "sources" + " " * 60_000 + "x",
        "(" * 60_000,
        "[kb-1" * 12_000,
        "[kb-1;" * 9_000 + "]",
    ],
)
def test_a_hostile_text_is_scored_within_bounds(text: str) -> None:
    suite = load_suite(SuiteOptions(enabled=("context_novelty", "claims", "citations")))

    assert not suite.score([Exchange(output=text, context=text, documents=NAMED)]).failures


def test_documents_are_bounded() -> None:
    assert len(sources_of(Exchange(documents=DOCUMENTS * 100))) == DOCUMENTS_MAX


@given(st.text(max_size=60), st.text("[]()【】†0123456789,-: shtp/.", max_size=40))
def test_any_text_is_judged_by_shares(around: str, marks: str) -> None:
    for value in every(Exchange(output=f"{around} {marks} {around}", context=CONTEXT, documents=NAMED)):
        assert isinstance(value, Abstention) or 0 <= value <= 1
