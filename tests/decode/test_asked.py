"""What a request asked of the answer's form, and its log-probabilities, out of every dialect that traces them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collector.config import LimitsConfig
from collector.decode.files import decode_files
from collector.records import LLMCall, Output
from collector.scoring import exchange
from signals.format import call_level
from signals.types import Exchange
from tests.decode.wire import BARE, CHAT, WireEvent, call, calls

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "otlp"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "name": "get_weather", "parameters": SCHEMA}
OFFERED: dict[str, dict[str, Any]] = {
    "json text": {"gen_ai.tool.definitions": json.dumps([TOOL])},
    "structured": {"gen_ai.tool.definitions": [TOOL]},
    "vercel": {"ai.prompt.tools": [json.dumps({"type": "function", "name": "get_weather", "inputSchema": SCHEMA})]},
    "openinference": {
        "llm.tools.0.tool.json_schema": json.dumps({"type": "function", "function": TOOL}),
        "llm.tools.1.tool.json_schema": json.dumps({"name": "get_time", "input_schema": {}}),
    },
    "older openllmetry": {
        "llm.request.functions.0.name": "get_weather",
        "llm.request.functions.0.description": "Weather of a city",
        "llm.request.functions.0.parameters": json.dumps(SCHEMA),
    },
    "mlflow": {"mlflow.spanInputs": json.dumps({"messages": [], "tools": [{"type": "function", "function": TOOL}]})},
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
FORMATS: list[tuple[dict[str, Any], str]] = [
    ({"gen_ai.output.type": "json"}, "json"),
    ({"gen_ai.output.type": "text"}, "text"),
    ({"gen_ai.request.structured_output_schema": json.dumps(SCHEMA), "gen_ai.output.type": "json"}, json.dumps(SCHEMA)),
    ({"gen_ai.openai.request.response_format": "json_object"}, "json_object"),
    ({"ai.operationId": "ai.generateObject.doGenerate"}, "json"),
]


@pytest.mark.parametrize("spelling", OFFERED)
def test_the_tools_that_were_offered_are_known_in_every_spelling(spelling: str) -> None:
    found = call(CHAT.but(attributes={**CHAT.attributes, **OFFERED[spelling]}))

    assert call_level("get_weather", '{"city": "Paris"}', found.tool_definitions) == 0
    assert call_level("get_weather", "{}", found.tool_definitions) > 0.5


@pytest.mark.parametrize(("attributes", "expected"), FORMATS)
def test_the_format_that_was_asked_for_is_handed_on(attributes: dict[str, Any], expected: str) -> None:
    assert call(CHAT.but(attributes={**CHAT.attributes, **attributes})).response_format == expected


def test_a_format_inside_the_invocation_parameters_is_found() -> None:
    parameters = {"llm.invocation_parameters": json.dumps({"model": "gpt-4o-mini", "response_format": FORMAT})}

    assert json.loads(call(CHAT.but(attributes={**CHAT.attributes, **parameters})).response_format or "") == FORMAT


def test_what_only_the_details_event_says_counts_as_well() -> None:
    event = WireEvent(name="gen_ai.client.inference.operation.details", attributes={"gen_ai.tool.definitions": [TOOL]})

    (found,) = calls(BARE, events=[event])

    assert json.loads(found.tool_definitions or "") == [TOOL]


@pytest.mark.parametrize("key", ["output.value", "mlflow.spanOutputs", "langfuse.observation.output"])
@pytest.mark.parametrize(
    "told",
    [
        {"content": [{"token": "Paris", "logprob": -0.25}, {"token": ".", "logprob": -1}, {"token": "!"}, "odd"]},
        {"token_logprobs": [-0.25, -1, None, True]},
    ],
)
def test_log_probabilities_are_read_from_a_raw_response(key: str, told: dict[str, Any]) -> None:
    response = {"choices": [{"logprobs": told, "message": {"role": "assistant", "content": "Paris."}}]}

    found = call(CHAT.but(attributes={**CHAT.attributes, key: json.dumps(response)}))

    assert found.logprobs == (-0.25, -1.0)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"output.value": '{"choices": [{"logprobs": null}]}'},
        {"output.value": '{"logprob": -1, "choices": 7}'},
        {"output.value": '{"logprob": -1, "choices": [{"logprobs": {"content": {}}}]}'},
        {"gen_ai.tool.definitions": "", "gen_ai.output.type": ""},
        {"gen_ai.tool.definitions": "__REDACTED__"},
        {"gen_ai.tool.definitions": "x" * (LimitsConfig().text_chars_max + 1)},
        {"llm.tools.0.tool.other": "x", "llm.tools.x.tool.json_schema": "{}"},
    ],
)
def test_what_is_absent_odd_or_too_long_is_unknown(attributes: dict[str, Any]) -> None:
    found = call(CHAT.but(attributes={**CHAT.attributes, **attributes}))

    assert (found.tool_definitions, found.response_format, found.logprobs) == (None, None, ())
    assert found.outputs == call(CHAT).outputs


def test_an_exchange_says_what_was_asked_and_how_it_was_answered() -> None:
    first = call(CHAT.but(attributes={**CHAT.attributes, **OFFERED["json text"], "gen_ai.output.type": "json"}))
    several = LLMCall(
        **{name: getattr(first, name) for name in first.__struct_fields__}
        | {"outputs": (Output(text="a"), Output(text="b"))}
    )

    found = exchange(several, None)

    assert (found.output, found.outputs) == ("a\n\nb", ("a", "b"))
    assert (found.response_format, found.tools) == ("json", first.tool_definitions)
    assert exchange(first, None).outputs == ()
    assert isinstance(found, Exchange)


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the captured telemetry (../shared/fixtures) is not here")
def test_captured_telemetry_holds_tools_and_log_probabilities() -> None:
    def first(path: str, logs: str = "") -> LLMCall:
        found = decode_files([FIXTURES / path], [FIXTURES / logs] if logs else []).calls
        return min(found, key=lambda each: each.started_at)

    openai = "opentelemetry-instrumentation-genai-openai-1.3b0"
    tools = [
        first(f"{openai}/both.tools.pb"),
        first(f"{openai}/event.tools.pb", f"{openai}/event.tools.logs.pb"),
        first("opentelemetry-instrumentation-openai-0.62.4/on.tools.pb"),
        first("openinference-instrumentation-openai-0.1.66/on.tools.pb"),
        first("openinference-instrumentation-anthropic-3.1.0/on.tools.pb"),
        first("vercel-ai-sdk-6.0.326/json.tools.json"),
    ]
    sure = first("openinference-instrumentation-openai-0.1.66/on.logprobs.pb").logprobs

    for found in tools:
        assert call_level("get_weather", '{"city": 7}', found.tool_definitions) > 0.5
        made = exchange(found, None)
        assert made.tool_calls == 1
        assert call_level(*made.calls[0], made.tools) == 0
    assert sure[:3] == pytest.approx((-0.1, -0.2, -0.3))


@pytest.mark.parametrize(
    ("attributes", "reference"),
    [
        ({"assay.reference": "Paris"}, "Paris"),
        ({"assay.reference": '"Paris", she said'}, '"Paris", she said'),
        ({"langfuse.experiment.item.expected_output": '"Paris"'}, "Paris"),
        ({"langfuse.experiment.item.expected_output": "Paris, France."}, "Paris, France."),
        ({"langfuse.experiment.item.expected_output": '{"city":"Paris"}'}, '{"city":"Paris"}'),
        ({"braintrust.expected": '"Paris"'}, "Paris"),
        ({"braintrust.expected_json": '"Paris"'}, "Paris"),
        ({"assay.reference": "Paris", "langfuse.experiment.item.expected_output": '"Rome"'}, "Paris"),
        ({"assay.reference": "x" * (LimitsConfig().text_chars_max + 1)}, None),
        ({}, None),
    ],
)
def test_a_gold_answer_that_is_traced_with_the_call_reaches_the_signals(
    attributes: dict[str, Any], reference: str | None
) -> None:
    found = call(CHAT.but(attributes={**CHAT.attributes, **attributes}))

    assert found.reference == reference
    assert exchange(found, None).reference == reference
