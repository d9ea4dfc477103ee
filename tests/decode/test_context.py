"""What a call's answer should rest on: its prompt first, then what was retrieved for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.decode.context import context_text
from collector.records import Content, Document, LLMCall, Message
from collector.scoring import exchange
from tests.decode.wire import CHAT, WireSpan, call, calls

CAPITAL, FOOD = "Paris is the capital.", "Lyon is famous for its food."
OPENINFERENCE: dict[str, Any] = {
    "openinference.span.kind": "RETRIEVER",
    "retrieval.documents.0.document.content": CAPITAL,
    "retrieval.documents.0.document.score": 0.5,
    "retrieval.documents.1.document.content": FOOD,
}
RETRIEVERS: dict[str, WireSpan] = {
    "OpenInference": WireSpan(attributes=OPENINFERENCE),
    "MLflow": WireSpan(
        attributes={
            "mlflow.spanType": '"RETRIEVER"',
            "mlflow.spanOutputs": json.dumps([{"page_content": CAPITAL, "metadata": {}}, {"page_content": FOOD}]),
        }
    ),
    "Langfuse": WireSpan(
        attributes={
            "langfuse.observation.type": "retriever",
            "langfuse.observation.output": json.dumps([CAPITAL, FOOD]),
        }
    ),
    "Traceloop LangChain": WireSpan(
        attributes={
            "gen_ai.operation.name": "vector_db_retrieve",
            "gen_ai.provider.name": "langchain",
            "traceloop.entity.output": json.dumps({"documents": [{"page_content": CAPITAL}, {"page_content": FOOD}]}),
        }
    ),
    "Traceloop LlamaIndex": WireSpan(
        name="VectorIndexRetriever.task",
        attributes={
            "traceloop.entity.output": json.dumps(
                [json.dumps({"node": {"text": CAPITAL}, "score": 0.1}), json.dumps({"node": {"text": FOOD}})]
            )
        },
    ),
}


@pytest.mark.parametrize("convention", RETRIEVERS)
def test_retrieved_documents_join_the_call_that_follows(convention: str) -> None:
    retriever = RETRIEVERS[convention].but(span=7, start=-2.0, end=-1.0)

    found = call(retriever, CHAT)

    assert found.context_documents == (CAPITAL, FOOD)
    assert context_text(found) == f"{CAPITAL}\n\n{FOOD}"


def test_documents_without_text_are_none() -> None:
    ids_only = WireSpan(
        span=7,
        start=-2.0,
        end=-1.0,
        attributes={
            "gen_ai.operation.name": "retrieval",
            "gen_ai.retrieval.documents": json.dumps([{"id": "1", "score": None}]),
        },
    )

    assert call(ids_only, CHAT).context_documents == ()


def retriever(span: int, text: str, *, start: float, parent: int = 0, kind: str = "RETRIEVER") -> WireSpan:
    prefix = "retrieval.documents" if kind == "RETRIEVER" else "reranker.output_documents"
    attributes = {"openinference.span.kind": kind, f"{prefix}.0.document.content": text}
    return WireSpan(span=span, parent=parent, start=start, end=start + 0.5, attributes=attributes)


def test_what_was_retrieved_after_the_call_began_is_not_its_context() -> None:
    assert call(retriever(7, CAPITAL, start=0.2), CHAT).context_documents == ()


def test_the_retrieval_with_the_deepest_common_ancestor_feeds_the_call() -> None:
    root = WireSpan(span=100, name="turn", scope="app")
    chain = WireSpan(span=101, parent=100, name="chain", scope="app")
    near = [WireSpan(span=102, parent=101, name="parallel", scope="app"), retriever(7, CAPITAL, start=-4.0, parent=102)]
    far = retriever(8, FOOD, start=-2.0, parent=100)

    assert call(*near, far, CHAT.but(parent=101), chain, root).context_documents == (CAPITAL,)
    assert call(root, chain, CHAT.but(parent=101), far, *near).context_documents == (CAPITAL,)


def test_each_turn_of_an_agent_has_what_was_retrieved_since_the_last() -> None:
    second = CHAT.but(span=2, start=3.0, end=4.0, attributes=CHAT.attributes | {"gen_ai.response.id": "r2"})
    spans = [retriever(7, CAPITAL, start=-1.0), CHAT, retriever(8, FOOD, start=1.5), second]

    assert [each.context_documents for each in calls(*spans)] == [(CAPITAL,), (FOOD,)]


def test_several_retrievals_before_one_call_all_feed_it() -> None:
    found = call(retriever(7, CAPITAL, start=-3.0), retriever(8, FOOD, start=-2.0), CHAT)

    assert found.context_documents == (CAPITAL, FOOD)


def test_a_rerankers_choice_replaces_what_it_chose_from() -> None:
    found = call(retriever(7, FOOD, start=-3.0), retriever(8, CAPITAL, start=-2.0, kind="RERANKER"), CHAT)

    assert found.context_documents == (CAPITAL,)


def test_nested_retriever_spans_tell_their_documents_once() -> None:
    outer = WireSpan(span=7, start=-3.0, end=-1.0, attributes=OPENINFERENCE)

    assert call(outer.but(span=8, parent=7), outer, CHAT).context_documents == (CAPITAL, FOOD)


def test_a_prompt_variable_may_carry_the_documents() -> None:
    variables = {"gen_ai.prompt.variable.context": f"{CAPITAL}\n{FOOD}", "gen_ai.prompt.variable.question": "Where?"}
    json_variables = {"llm.prompt_template.variables": json.dumps({"context": CAPITAL, "question": "Where?"})}

    assert call(CHAT.but(attributes=CHAT.attributes | variables)).context_documents == (f"{CAPITAL}\n{FOOD}",)
    assert call(CHAT.but(attributes=CHAT.attributes | json_variables)).context_documents == (CAPITAL,)
    joined = call(
        RETRIEVERS["OpenInference"].but(span=7, start=-2, end=-1), CHAT.but(attributes=CHAT.attributes | variables)
    )
    assert joined.context_documents == (CAPITAL, FOOD)


def told(system: str | None = None, *messages: tuple[str, str], documents: tuple[str, ...] = ()) -> LLMCall:
    return LLMCall(
        call_id="t:s",
        trace_id="t",
        span_id="s",
        started_at=0,
        ended_at=1,
        service="shop",
        dialect="otel_genai",
        content=Content.CAPTURED,
        system=system,
        input_messages=tuple(Message(role=role, text=text) for role, text in messages),
        context_documents=documents,
        documents=tuple(Document(text=text) for text in documents),
    )


def test_instructions_and_small_talk_are_no_context() -> None:
    assert context_text(told("You are a helpful assistant.", ("user", "Where is Paris?"))) is None
    assert context_text(told(None, ("user", "Hi"), ("assistant", "Hello."), ("user", "Where is Paris?"))) is None
    assert context_text(told()) is None


def test_a_system_prompt_that_supplies_material_is_context() -> None:
    system = f"Answer using only this context:\n{CAPITAL}"

    assert context_text(told(system, ("user", "Where?"))) == system


def test_tool_results_come_first() -> None:
    call = told("Be brief.", ("user", "Weather?"), ("assistant", "…"), ("tool", "18C"))

    assert context_text(call) == "18C\n\nBe brief."


def test_a_question_that_brings_its_material_leaves_only_the_material() -> None:
    asked = f"Document:\n{CAPITAL}\n\nQuestion: which is the capital?"

    assert context_text(told(None, ("user", asked))) == f"Document:\n{CAPITAL}"


def test_the_signals_see_each_retrieved_document_for_itself() -> None:
    made = told(None, ("user", "Where?"), documents=(CAPITAL, FOOD))

    assert [document.text for document in exchange(made, context_text(made)).documents] == [CAPITAL, FOOD]


def test_documents_that_the_prompt_already_says_are_not_repeated() -> None:
    system = f"Context:\n{CAPITAL}"

    text = context_text(told(system, ("user", "Where?"), documents=(CAPITAL, FOOD)))

    assert text == f"{system}\n\n{FOOD}"
