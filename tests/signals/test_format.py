"""Format: JSON that was asked for, and tool calls against what the request offered."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.format import BROKEN, MISFIT, UNKNOWN_TOOL, WRAPPED, answer_level, asks_for_json, call_level
from signals.schemas import compiled, tools
from signals.suite import SuiteOptions, load_suite
from signals.types import Abstention, Exchange

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL_SHAPES = [
    [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}],
    [{"type": "function", "name": "weather", "parameters": SCHEMA}],
    [{"name": "weather", "input_schema": SCHEMA}],
    [json.dumps({"type": "function", "name": "weather", "inputSchema": SCHEMA})],
    {"name": "weather", "parametersJsonSchema": SCHEMA},
    [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": SCHEMA}]}],
    [{"toolSpec": {"name": "weather", "inputSchema": {"json": SCHEMA}}}],
    [{"type": "web_search"}, {"type": "function", "name": "weather", "parameters": SCHEMA}],
]


def score(exchange: Exchange) -> float | Abstention:
    (column,) = load_suite(SuiteOptions(enabled=("format",))).score([exchange]).columns
    return Abstention(int(column.abstentions[0])) or float(column.values[0])


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        ('{"city": "Paris"}', 0.0),
        (" [1, 2]\n", 0.0),
        ('```json\n{"city": "Paris"}\n```', WRAPPED),
        ('Sure! {"city": "Paris"} Anything else?', WRAPPED),
        ('<think>as {x}, or [1]</think>{"city": "Paris"}', WRAPPED),
        ('{"city": "Paris"}\nHope that helps :}', WRAPPED),
        ('{"city": "Paris"}{"city": "Rome"}', WRAPPED),
        ("Is it {x}? Or [y]?", BROKEN),
        ("It is Paris.", BROKEN),
        ('{"city": "Paris"', BROKEN),
        ("{'city': 'Paris'}", BROKEN),
        ('{"city": NaN}', BROKEN),
        ("[" * 100_000, BROKEN),
    ],
)
def test_levels_of_an_answer_are_as_documented(answer: str, level: float) -> None:
    assert answer_level(answer, None) == level


def test_an_answer_must_fit_the_schema_that_was_asked_for() -> None:
    schema = json.dumps(SCHEMA)

    assert answer_level('{"city": "Paris"}', schema) == 0
    assert answer_level('{"town": "Paris"}', schema) == MISFIT
    assert answer_level('{"town": "Paris"}', "no schema at all") == 0


@pytest.mark.parametrize("definitions", TOOL_SHAPES)
def test_tool_calls_are_checked_in_the_shape_of_any_provider(definitions: object) -> None:
    offered = json.dumps(definitions)

    assert call_level("weather", '{"city": "Paris"}', offered) == 0
    assert call_level("weather", '{"town": "Paris"}', offered) == MISFIT
    assert call_level("weather", None, offered) == MISFIT
    assert call_level("weather", '{"city": ', offered) == BROKEN
    assert call_level("whether", '{"city": "Paris"}', offered) == UNKNOWN_TOOL


@pytest.mark.parametrize("definitions", [None, "", "[{", '[{"description": "nameless"}]', '[{"name": "weather"}]', "7"])
def test_without_definitions_that_can_be_read_only_the_arguments_are_parsed(definitions: str | None) -> None:
    assert call_level("weather", '{"town": 1}', definitions) == 0
    assert call_level("weather", "{", definitions) == BROKEN


@pytest.mark.parametrize(
    "text",
    [
        "Reply only with valid JSON.",
        "You are an API. Always respond in JSON format.",
        "Extract name and price. Return a JSON object with the keys name and price",
        "Please output the result as JSON",
        "Return the answer as a JSON array of strings.",
        "Antworte bitte nur als JSON.",
        "Extract name and price as JSON: Kettle, 20 euros",
        "Format: json",
        "The output should be formatted as a JSON instance that conforms to the schema below.",
        "Please use the following JSON format:",
        "Rispondi in JSON",
        "Верни ответ в формате JSON",
        "以 JSON 返回",
        "JSON形式で答えてください",
    ],
)
def test_a_wish_for_json_is_understood(text: str) -> None:
    assert asks_for_json(text)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "What is JSON?",
        "Convert this JSON to YAML: {}",
        "How do I parse JSON in Python?",
        "Do not answer in JSON format.",
        "Explain this JSON schema to me",
        'Is this valid JSON? {"a": 1}',
        "Write code to generate JSON",
        "The server should respond with JSON. Write the handler in Go.",
        "How do I output JSON in bash?",
        "Should I answer with JSON or XML?",
        "Summarise this JSON document",
        "The endpoint returned JSON yesterday.",
        "Write a haiku about Jason.",
    ],
)
def test_talk_about_json_is_no_wish_for_it(text: str | None) -> None:
    assert not asks_for_json(text)


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        (Exchange(), Abstention.NO_TEXT),
        (Exchange(output="Hello"), Abstention.NOT_APPLICABLE),
        (Exchange(output="Hello", response_format="json"), BROKEN),
        (Exchange(output="Hello", response_format="json", whole=False), Abstention.NOT_APPLICABLE),
        (Exchange(output="{}", system="Always respond in JSON."), 0.0),
        (Exchange(output="{}\n\n{", outputs=("{}", "{"), response_format="json"), BROKEN),
        (Exchange(output="Let me look.", input="Reply in JSON format.", calls=(("weather", "{}"),)), 0.0),
        (Exchange(output="", calls=(("weather", "{"),), tool_calls=1), BROKEN),
        (
            Exchange(
                output='{"town": 1}',
                response_format=json.dumps({"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}),
            ),
            MISFIT,
        ),
        *(
            (Exchange(output='{"town": 1}', response_format=json.dumps(asked)), MISFIT)
            for asked in (
                {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}},
                {"responseMimeType": "application/json", "responseSchema": SCHEMA},
                {"response_mime_type": "application/json", "response_schema": SCHEMA},
            )
        ),
        (Exchange(output="Hello", response_format="application/json"), BROKEN),
        (Exchange(output="Hello", response_format='{"responseMimeType": "text/plain"}'), Abstention.NOT_APPLICABLE),
        (Exchange(output='{"town": 1}', response_format='{"type": "json_object"}'), 0.0),
        (Exchange(output="Hello", response_format='{"type": "text"}'), Abstention.NOT_APPLICABLE),
    ],
)
def test_what_was_asked_decides_what_is_checked(exchange: Exchange, expected: float | Abstention) -> None:
    assert score(exchange) == (expected if isinstance(expected, Abstention) else pytest.approx(expected))


def test_a_schema_from_outside_fetches_nothing_and_matches_nothing() -> None:
    remote = compiled('{"$ref": "http://127.0.0.1:9/schema.json"}')
    stalling = compiled('{"type": "string", "pattern": "^(a+)+$"}')

    assert remote is not None
    assert remote({}) is None
    assert stalling is not None
    assert stalling("a" * 60 + "!") is True


def test_a_schema_that_multiplies_is_given_up() -> None:
    """Unbounded, this check would follow 2 to the power of 60 references."""
    levels = {f"l{n}": {"allOf": [{"$ref": f"#/$defs/l{n + 1}"}] * 2} for n in range(60)}
    bomb = compiled(json.dumps({"$ref": "#/$defs/l0", "$defs": {**levels, "l60": {}}}))

    assert bomb is not None
    assert bomb({}) is None


def test_an_endless_reference_is_given_up() -> None:
    endless = compiled('{"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}')

    assert endless is not None
    assert endless({}) is None


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_is_a_definition_or_none(definitions: str, arguments: str) -> None:
    tools(definitions)
    compiled(definitions)

    assert 0 <= call_level("f", arguments, definitions) <= 1
