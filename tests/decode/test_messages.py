"""Messages of every shape, and JSON that was cut off."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.decode.messages import finish_reason, parse, read, system_text
from collector.decode.prefix import parse_prefix

ASSISTANT: dict[str, Any] = {
    "conventions": [
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "sky", "arguments": {"at": 3}}]}
    ],
    "OpenAI": {"choices": [{"message": {"tool_calls": [{"function": {"name": "sky", "arguments": '{"at":3}'}}]}}]},
    "OpenAI before tools": {"role": "assistant", "function_call": {"name": "sky", "arguments": '{"at":3}'}},
    "OpenAI responses": {"output": [{"type": "function_call", "name": "sky", "arguments": '{"at":3}'}]},
    "Anthropic": {"role": "assistant", "content": [{"type": "tool_use", "name": "sky", "input": {"at": 3}}]},
    "AI SDK": [{"role": "assistant", "content": [{"type": "tool-call", "toolName": "sky", "input": {"at": 3}}]}],
    "LangChain": {
        "generations": [[{"message": {"kwargs": {"content": "", "tool_calls": [{"name": "sky", "args": {"at": 3}}]}}}]]
    },
    "LiteLLM": [
        {"role": "assistant", "parts": [], "tool_calls": [{"function": {"name": "sky", "arguments": '{"at":3}'}}]}
    ],
}


@pytest.mark.parametrize("shape", ASSISTANT)
@pytest.mark.parametrize("structured", [True, False])
def test_tool_calls_are_read_from_every_shape(shape: str, structured: bool) -> None:
    value = ASSISTANT[shape] if structured else json.dumps(ASSISTANT[shape])

    turns, truncated = read(value, "assistant")

    assert [(turn.text, len(turn.tool_calls)) for turn in turns] == [(None, 1)]
    (tool_call,) = turns[0].tool_calls
    assert (tool_call.name, json.loads(tool_call.arguments or "")) == ("sky", {"at": 3})
    assert not truncated


RESULTS: dict[str, Any] = {
    "conventions": {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "18C"}]},
    "older conventions": {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "result": "18C"}]},
    "OpenAI": {"role": "tool", "tool_call_id": "1", "content": "18C"},
    "OpenAI responses": {"type": "function_call_output", "call_id": "1", "output": "18C"},
    "Anthropic": {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "18C"}]}]},
    "AI SDK": {"role": "tool", "content": [{"type": "tool-result", "output": {"type": "text", "value": "18C"}}]},
}


@pytest.mark.parametrize("shape", RESULTS)
def test_tool_results_are_turns_of_the_tool(shape: str) -> None:
    turns, _ = read(json.dumps([RESULTS[shape]]), "user")

    assert [(turn.role, turn.text) for turn in turns] == [("tool", "18C")]


@pytest.mark.parametrize(
    "value",
    [
        "Where?",
        {"prompt": "Where?"},
        [{"role": "user", "content": "Where?"}],
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Where?"}, {"type": "image_url"}]}]},
        [[{"kwargs": {"type": "human", "content": "Where?"}}]],
        [{"role": "HUMAN", "content": "Where?"}],
        {"contents": [{"role": "user", "parts": [{"text": "Where?"}]}]},
        {"role": "user", "parts": [{"type": "text", "content": "Where?"}, {"type": "blob", "content": "aGk="}]},
        [{"type": "text", "text": "Where?"}],
    ],
)
def test_a_question_is_read_from_every_shape(value: Any) -> None:
    turns, _ = read(value if isinstance(value, str) else json.dumps(value), "user")

    assert [(turn.role, turn.text) for turn in turns] == [("user", "Where?")]


def test_reasoning_is_no_text_of_an_answer() -> None:
    for content in (
        [{"type": "reasoning", "content": "hmm"}, {"type": "text", "content": "In France."}],
        [{"type": "thinking", "thinking": "hmm"}, {"type": "text", "text": "In France."}],
    ):
        turns, _ = read(json.dumps([{"role": "assistant", "parts": content}]), "assistant")

        assert [turn.text for turn in turns] == ["In France."]


def test_instructions_that_stand_apart_are_system_text() -> None:
    assert system_text('[{"type":"text","content":"Be brief."}]') == (["Be brief."], False)
    assert system_text("Be brief.") == (["Be brief."], False)
    assert system_text([{"role": "system", "parts": [{"type": "text", "content": "Be brief."}]}]) == (
        ["Be brief."],
        False,
    )
    turns, _ = read(json.dumps({"system": "Be brief.", "messages": [{"role": "user", "content": "?"}]}), "user")
    assert [turn.role for turn in turns] == ["system", "user"]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("tool_calls", "tool_call"),
        ("end_turn", "stop"),
        ("MAX_TOKENS", "length"),
        ("", None),
        (7, None),
        ("x" * 99, None),
    ],
)
def test_finish_reasons_have_one_spelling(raw: Any, reason: str | None) -> None:
    assert finish_reason(raw) == reason


def test_messages_of_cut_json_are_read_as_far_as_they_go() -> None:
    whole = json.dumps(
        [
            {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
            {"role": "user", "parts": [{"type": "text", "content": "Where is Paris?"}]},
        ]
    )

    turns, truncated = read(whole[: whole.index("Paris")], "user")

    assert truncated
    assert [(turn.role, turn.text) for turn in turns] == [("system", "Be brief."), ("user", "Where is ")]


def test_plain_text_that_begins_like_json_stays_plain_text() -> None:
    for text in ("[INST] Where? [/INST]", "{name}, where?", "[1] Paris is far. [2] It is.", '"Where?" she asked'):
        assert parse(text) == (text, False)
        assert read(text, "user")[0][0].text == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
containers = st.lists(json_values, max_size=4) | st.dictionaries(st.text(max_size=5), json_values, max_size=4)


@given(value=containers, ascii_only=st.booleans())
def test_every_beginning_of_json_is_parsed_and_the_whole_is_not_cut(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)

    assert parse_prefix(text) == (value, False)
    for size in range(1, len(text)):
        cut = parse_prefix(text[:size])
        assert cut is not None
        assert cut[1] is True
        assert _within(cut[0], value)


def _within(part: Any, whole: Any) -> bool:
    """Whether a cut value says nothing that the whole does not."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and _within(part[key], whole[key]) for key in part)
    if isinstance(part, list):
        return isinstance(whole, list) and len(part) <= len(whole) and all(map(_within, part, whole))
    if isinstance(part, str):
        return isinstance(whole, str) and whole.startswith(part)
    return bool(part == whole)


@given(st.text(alphabet='[]{}",:\\u0123456789abtrue ', max_size=60))
def test_no_text_breaks_the_prefix_parser(text: str) -> None:
    parse_prefix(text)


def test_what_nests_too_deep_counts_as_cut_there() -> None:
    value, cut = parse_prefix("[" * 100_000) or (None, None)

    assert cut is True
    assert value
