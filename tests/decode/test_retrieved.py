"""Retrieved documents keep the names by which an answer may cite them, in every shape that reports them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.decode.context import context_text
from collector.decode.retrieved import DOCUMENTS_MAX, NAME_CHARS_MAX, merged
from collector.records import Document
from collector.scoring import exchange
from tests.decode.wire import CHAT, WireSpan, call

CAPITAL, FOOD = "Paris is the capital.", "Lyon is famous for its food."
FIRST = Document(text=CAPITAL, id="kb-1", title="Cities", url="https://kb.example/cities", score=0.9)
SECOND = Document(text=FOOD, id="kb-2", url="food.md", score=0.4)
LISTED = [
    {"page_content": CAPITAL, "id": "kb-1", "metadata": {"title": "Cities", "source": FIRST.url, "score": 0.9}},
    {"page_content": FOOD, "id": "kb-2", "metadata": {"source": "food.md", "score": 0.4}},
]
NODES = [
    {"id_": "kb-1", "text": CAPITAL, "metadata": {"title": "Cities", "url": FIRST.url}},
    {"id_": "kb-2", "text": FOOD, "extra_info": {"path": "food.md"}},
]
RETRIEVERS: dict[str, WireSpan] = {
    "OpenInference": WireSpan(
        attributes={
            "openinference.span.kind": "RETRIEVER",
            "retrieval.documents.0.document.content": CAPITAL,
            "retrieval.documents.0.document.id": "kb-1",
            "retrieval.documents.0.document.score": 0.9,
            "retrieval.documents.0.document.metadata": json.dumps({"title": "Cities", "url": FIRST.url}),
            "retrieval.documents.1.document.content": FOOD,
            "retrieval.documents.1.document.id": "kb-2",
            "retrieval.documents.1.document.score": 0.4,
            "retrieval.documents.1.document.metadata": json.dumps({"file_path": "food.md"}),
        }
    ),
    "OpenInference, ids in the raw output alone": WireSpan(
        attributes={
            "openinference.span.kind": "RETRIEVER",
            "retrieval.documents.0.document.content": CAPITAL,
            "retrieval.documents.1.document.content": FOOD,
            "output.value": json.dumps({"documents": LISTED}),
        }
    ),
    "a reranker": WireSpan(
        attributes={
            "openinference.span.kind": "RERANKER",
            "reranker.input_documents.0.document.content": FOOD,
            "reranker.output_documents.0.document.content": CAPITAL,
            "reranker.output_documents.0.document.id": "kb-1",
            "reranker.output_documents.0.document.score": 0.9,
            "reranker.output_documents.0.document.metadata": json.dumps({"title": "Cities", "url": FIRST.url}),
            "reranker.output_documents.1.document.content": FOOD,
            "reranker.output_documents.1.document.id": "kb-2",
            "reranker.output_documents.1.document.score": 0.4,
            "reranker.output_documents.1.document.metadata": json.dumps({"source": "food.md"}),
        }
    ),
    "MLflow": WireSpan(attributes={"mlflow.spanType": '"RETRIEVER"', "mlflow.spanOutputs": json.dumps(LISTED)}),
    "Langfuse": WireSpan(
        attributes={"langfuse.observation.type": "retriever", "langfuse.observation.output": json.dumps(LISTED)}
    ),
    "Traceloop LangChain": WireSpan(
        attributes={
            "gen_ai.operation.name": "vector_db_retrieve",
            "traceloop.entity.output": json.dumps({"documents": LISTED}),
        }
    ),
    "LangChain's constructors": WireSpan(
        attributes={
            "gen_ai.operation.name": "vector_db_retrieve",
            "traceloop.entity.output": json.dumps(
                [{"lc": 1, "type": "constructor", "id": ["langchain", "Document"], "kwargs": each} for each in LISTED]
            ),
        }
    ),
    "LlamaIndex": WireSpan(
        name="VectorIndexRetriever.task",
        attributes={
            "traceloop.entity.output": json.dumps(
                [
                    json.dumps({"node": NODES[0], "score": 0.9}),
                    json.dumps({"node": NODES[1], "score": 0.4}),
                ]
            )
        },
    ),
    "a vector store": WireSpan(
        attributes={
            "gen_ai.operation.name": "retrieval",
            "gen_ai.retrieval.documents": json.dumps(
                [
                    {"id": "kb-1", "score": 0.9, "metadata": {"text": CAPITAL, "title": "Cities", "url": FIRST.url}},
                    {"id": "kb-2", "score": 0.4, "metadata": {"text": FOOD, "url": "food.md"}},
                ]
            ),
        }
    ),
    "OpenTelemetry, structured, with contents": WireSpan(
        attributes={
            "gen_ai.operation.name": "retrieval",
            "gen_ai.retrieval.documents": [
                {"id": "kb-1", "score": 0.9, "content": CAPITAL, "title": "Cities", "uri": FIRST.url},
                {"id": "kb-2", "score": 0.4, "content": FOOD, "uri": "food.md"},
            ],
        }
    ),
}


def documents_of(*spans: WireSpan) -> tuple[Document, ...]:
    return call(*(span.but(span=7 + at, start=-2.0, end=-1.0) for at, span in enumerate(spans)), CHAT).documents


@pytest.mark.parametrize("convention", RETRIEVERS)
def test_every_convention_tells_what_a_document_is_called(convention: str) -> None:
    assert documents_of(RETRIEVERS[convention]) == (FIRST, SECOND)


def test_the_signals_get_the_names_beside_the_texts() -> None:
    found = call(RETRIEVERS["MLflow"].but(span=7, start=-2.0, end=-1.0), CHAT)

    seen = exchange(found, context_text(found)).documents

    assert [(each.text, each.id, each.title, each.url, each.score) for each in seen] == [
        (each.text, each.id, each.title, each.url, each.score) for each in (FIRST, SECOND)
    ]


def ids_only(*ids: str) -> WireSpan:
    listed = json.dumps([{"id": each, "score": None} for each in ids])
    return WireSpan(attributes={"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": listed})


def test_ids_without_texts_are_documents_but_no_context() -> None:
    found = call(ids_only("kb-1", "kb-2").but(span=7, start=-2.0, end=-1.0), CHAT)

    assert found.documents == (Document(text=None, id="kb-1"), Document(text=None, id="kb-2"))
    assert found.context_documents == ()
    assert [each.text for each in exchange(found, None).documents] == ["", ""]


def test_two_instrumentations_of_one_retrieval_complete_each_other() -> None:
    assert documents_of(ids_only("kb-1", "kb-2"), RETRIEVERS["MLflow"]) == (FIRST, SECOND)
    assert documents_of(RETRIEVERS["OpenInference"], RETRIEVERS["Traceloop LangChain"]) == (FIRST, SECOND)


def test_ids_alone_never_hide_a_retrieval_with_texts() -> None:
    spans = [RETRIEVERS["MLflow"].but(span=7, start=-3.0, end=-2.0), ids_only("x").but(span=8, start=-1.0, end=-0.5)]

    assert call(*spans, CHAT).documents == (FIRST, SECOND)


def test_a_text_that_was_indexed_twice_keeps_both_places() -> None:
    twice = json.dumps([{"text": CAPITAL, "id": "a"}, {"text": CAPITAL, "id": "b"}])
    found = call(
        WireSpan(
            span=7,
            start=-2.0,
            end=-1.0,
            attributes={"langfuse.observation.type": "retriever", "langfuse.observation.output": twice},
        ),
        CHAT,
    )

    assert [document.id for document in found.documents] == ["a", "b"]
    assert found.context_documents == (CAPITAL,)


def test_a_withheld_text_keeps_its_id_and_its_place() -> None:
    withheld = WireSpan(
        attributes={
            "openinference.span.kind": "RETRIEVER",
            "retrieval.documents.0.document.content": "__REDACTED__",
            "retrieval.documents.0.document.id": 17,
            "retrieval.documents.1.document.content": FOOD,
        }
    )

    assert documents_of(withheld) == (Document(text=None, id="17"), Document(text=FOOD))


def test_a_prompt_variable_is_context_and_no_document_that_can_be_cited() -> None:
    found = call(CHAT.but(attributes=CHAT.attributes | {"gen_ai.prompt.variable.context": f"{CAPITAL}\n{FOOD}"}))

    assert found.context_documents == (f"{CAPITAL}\n{FOOD}",)
    assert found.documents == ()


@pytest.mark.parametrize(
    "output",
    [
        "no list at all",
        '{"id": "run-1", "status": "ok"}',
        "[1, 2]",
        "[[[[[[[[[[[[]]]]]]]]]]]]",
        '[{"found": 3}]',
        "[{}]",
    ],
)
def test_what_holds_neither_texts_nor_ids_is_no_retrieval(output: str) -> None:
    span = WireSpan(attributes={"langfuse.observation.type": "retriever", "langfuse.observation.output": output})

    assert documents_of(span) == ()


def test_odd_names_are_no_names() -> None:
    listed: list[dict[str, Any]] = [
        {"text": CAPITAL, "id": ["a"], "title": "x" * (NAME_CHARS_MAX + 1), "url": True, "score": "near"},
        {"text": FOOD, "id": " ", "metadata": "not an object", "score": True},
    ]
    span = WireSpan(
        attributes={"langfuse.observation.type": "retriever", "langfuse.observation.output": json.dumps(listed)}
    )

    assert documents_of(span) == (Document(text=CAPITAL), Document(text=FOOD))


def test_documents_are_bounded() -> None:
    listed = json.dumps([{"text": f"text {number}"} for number in range(2 * DOCUMENTS_MAX)])
    span = WireSpan(attributes={"langfuse.observation.type": "retriever", "langfuse.observation.output": listed})

    assert len(documents_of(span)) == DOCUMENTS_MAX


_named = st.builds(Document, text=st.sampled_from([None, "a", "b"]), id=st.sampled_from([None, "1", "2"])).filter(
    lambda document: document.text or document.id
)


@given(st.lists(st.lists(_named, max_size=4), max_size=3))
def test_reports_are_merged_without_losing_a_name_and_twice_adds_none(groups: list[list[Document]]) -> None:
    once = merged(groups)

    assert {document.id for document in once} >= {document.id for group in groups for document in group if document.id}
    assert {document.text for document in once} >= {
        document.text for group in groups for document in group if document.text
    }
    assert len(merged([once, once])) == len(once)
