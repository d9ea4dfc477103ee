"""Captured telemetry of real instrumentations: every case gives exactly its calls, with what the payload says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collector.config import LimitsConfig
from collector.decode.files import decode_files
from collector.decode.otlp import decode_logs, decode_traces
from collector.records import Content, LLMCall

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "otlp"
pytestmark = pytest.mark.skipif(not FIXTURES.is_dir(), reason="the captured telemetry (../shared/fixtures) is not here")


def cases() -> list[Any]:
    return [
        pytest.param(manifest.parent, case, suffix, id=f"{manifest.parent.name}/{name}{suffix}")
        for manifest in sorted(FIXTURES.glob("*/manifest.json"))
        for name, case in json.loads(manifest.read_text()).items()
        for suffix in (".json", ".pb")
        if all((manifest.parent / each).with_suffix(suffix).exists() for each in case["files"]["traces"])
    ]


def decoded(folder: Path, case: dict[str, Any], suffix: str) -> tuple[LLMCall, ...]:
    files = {
        kind: [(folder / name).with_suffix(suffix) for name in case["files"].get(kind, ())]
        for kind in ("traces", "logs")
    }
    result = decode_files(files["traces"], files["logs"])
    assert result.problems == ()
    return tuple(sorted(result.calls, key=lambda call: call.started_at))


@pytest.mark.parametrize(("folder", "case", "suffix"), cases())
def test_a_captured_case_gives_exactly_its_calls_and_fields(folder: Path, case: dict[str, Any], suffix: str) -> None:
    found = decoded(folder, case, suffix)

    assert len(found) == case["n_llm_calls"]
    left = list(found)
    for expected, literal in zip(case["expected_calls"], case["literal_present_in_payload"], strict=True):
        if expected["kind"] != "chat":
            continue
        call = _matching(left, expected)
        left.remove(call)
        present = {name for name, where in literal.items() if any(where.values())}
        for name in present & {"request_model", "response_model", "response_id", "system", "last_user_text"}:
            assert getattr(call, name) == expected[name], name
        if "output_text" in present:
            assert [output.text for output in call.outputs] == [each["text"] or None for each in expected["outputs"]]
        if "tool_call_name" in present:
            assert _tools(call) == [
                [(tool["name"], tool["arguments"]) for tool in each["tool_calls"]] for each in expected["outputs"]
            ]
        prompt = "\n".join(filter(None, [call.system, *(message.text for message in call.input_messages)]))
        for index, document in enumerate(expected.get("context_docs_in_prompt", ())):
            if f"context_doc_{index}" in present:
                assert document in prompt or document in call.context_documents


def _matching(calls: list[LLMCall], expected: dict[str, Any]) -> LLMCall:
    same_id = [call for call in calls if call.response_id and call.response_id == expected.get("response_id")]
    same_text = [call for call in calls if call.last_user_text == expected.get("last_user_text")]
    return (same_id or same_text or calls)[0]


def _tools(call: LLMCall) -> list[list[tuple[str | None, Any]]]:
    return [
        [(tool.name, json.loads(tool.arguments or "null")) for tool in output.tool_calls] for output in call.outputs
    ]


def test_protobuf_and_json_of_one_request_decode_alike() -> None:
    limits = LimitsConfig()
    compared = 0
    for path in sorted(FIXTURES.glob("*/*.pb")):
        if ".metrics." not in path.name:
            decode = decode_logs if ".logs." in path.name else decode_traces
            assert decode(path.read_bytes(), limits) == decode(path.with_suffix(".json").read_bytes(), limits)
            compared += 1

    assert compared


EXPECTED_CONTENT = {
    "opentelemetry-instrumentation-genai-openai-1.3b0/off.chat": Content.NONE,
    "opentelemetry-instrumentation-genai-openai-1.3b0/upload.chat": Content.BY_REFERENCE,
    "opentelemetry-instrumentation-genai-openai-1.3b0/both.stream_aborted": Content.PARTIAL,
    "opentelemetry-instrumentation-genai-openai-1.3b0/both.long_truncated": Content.TRUNCATED,
    "opentelemetry-instrumentation-genai-openai-1.3b0/both.stream": Content.CAPTURED,
    "opentelemetry-instrumentation-openai-0.62.4/on.stream_aborted": Content.PARTIAL,
    "opentelemetry-instrumentation-openai-0.62.4/on.long_truncated": Content.TRUNCATED,
    "opentelemetry-instrumentation-openai-0.62.4/on.content_filter": Content.CAPTURED,
    "opentelemetry-instrumentation-openai-v2-2.1b0/off.chat": Content.NONE,
    "openinference-instrumentation-openai-0.1.66/hide.chat": Content.REDACTED,
    "openinference-instrumentation-openai-0.1.66/on.stream_aborted": Content.PARTIAL,
    "openinference-instrumentation-openai-0.1.66/on.long_countlimit": Content.TRUNCATED,
    "openinference-instrumentation-openai-0.1.66/on.long_truncated": Content.TRUNCATED,
    "openinference-instrumentation-openai-0.1.66/on.stream_nousage": Content.CAPTURED,
    "vercel-ai-sdk-6.0.326/json.chat_off": Content.NONE,
    "vercel-ai-sdk-6.0.326/json.tools": Content.CAPTURED,
}


@pytest.mark.parametrize(("case", "content"), EXPECTED_CONTENT.items())
def test_what_of_the_text_arrived_is_told(case: str, content: Content) -> None:
    folder, name = case.split("/")
    manifest = json.loads((FIXTURES / folder / "manifest.json").read_text())

    assert {call.content for call in decoded(FIXTURES / folder, manifest[name], ".json")} == {content}


NAMES = {
    "openinference-instrumentation-langchain-0.1.80/oinf-on.rag": [
        ("bacde246-c6ef-4174-89ca-8a1b51358734", "kb/2.md", "Lyon is famous for its food."),
        ("1a8530ed-bfb4-4d95-9bc1-b358f149ba23", "kb/0.md", "Paris is the capital and largest city of France."),
    ],
    "mlflow-tracing-3.17.2/native.rag": [
        (None, "kb/0", "Paris is the capital and largest city of France."),
        (None, "kb/1", "The Seine runs through Paris."),
    ],
    "opentelemetry-instrumentation-genai-langchain-1.3b0/newgenai-both.rag": [
        ("32017d16-545b-473a-8005-2558c3a35e9a", None, None),
        ("11edaa4c-274d-41fd-9d15-4aee3a685122", None, None),
    ],
}


@pytest.mark.parametrize(("case", "documents"), NAMES.items())
def test_a_retrieval_tells_what_its_documents_are_called(case: str, documents: list[tuple[str | None, ...]]) -> None:
    folder, name = case.split("/")
    manifest = json.loads((FIXTURES / folder / "manifest.json").read_text())

    (found,) = decoded(FIXTURES / folder, manifest[name], ".pb")

    assert [(document.id, document.url, document.text) for document in found.documents] == documents
