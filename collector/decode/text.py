"""What was said in a call: the messages of both sides, from wherever its dialect puts them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from collector.decode import dialects
from collector.decode.fields import Fields
from collector.decode.messages import (
    REASONING_ROLES,
    Turn,
    are_parts,
    choice_turns,
    finish_reason,
    message_turns,
    parse,
    read,
    system_text,
    text_of,
    tool_calls,
)
from collector.decode.routes import route
from collector.decode.spans import Attributes, LogEvent, Span
from collector.records import ToolCall


class Conversation:
    """Both sides of one call as far as they arrived, and what is known of what did not."""

    __slots__ = ("inputs", "outputs", "redacted", "systems", "truncated")

    def __init__(self) -> None:
        self.systems: list[str] = []
        self.inputs: list[Turn] = []
        self.outputs: list[Turn] = []
        self.redacted = False
        self.truncated = False

    @property
    def captured(self) -> bool:
        """Whether any text or tool call arrived."""
        for turns in (self.outputs, self.inputs):
            for turn in turns:
                if turn.text or turn.tool_calls:
                    return True
        return bool(self.systems)


def conversation_of(span: Span, fields: Fields, events: Sequence[LogEvent]) -> Conversation:
    """Everything said; ``fields`` hold the attributes of the span and of its details event."""
    said = Conversation()
    attributes = fields.attributes
    value = attributes.get(dialects.SYSTEM)
    if value:
        texts, cut = system_text(value)
        said.systems.extend(texts)
        said.truncated |= cut
    _from_attributes(said, attributes, dialects.INPUT_MESSAGES[:1], dialects.OUTPUT_MESSAGES[:1])
    if said.inputs and said.outputs:
        said.outputs = _with_finish_reasons(said.outputs, fields)
        return said
    if not said.inputs or not said.outputs:
        if events:
            _from_events(said, events)
        if span.events:
            _from_span_events(said, span)
        if fields.shape.speaks:
            _from_indexed(said, span, attributes)
    if not said.inputs and not said.outputs and dialects.MESSAGE_LIST in attributes:
        turns, cut = read(attributes[dialects.MESSAGE_LIST], "user")
        said.truncated |= cut
        answered = bool(turns) and turns[-1].role == "assistant"
        said.inputs, said.outputs = (turns[:-1], turns[-1:]) if answered else (turns, [])
    if not said.outputs:
        _from_response(said, attributes)
    _from_attributes(said, attributes, dialects.INPUT_MESSAGES[1:], dialects.OUTPUT_MESSAGES[1:])
    if fields.shape.raw:
        _from_raw(said, fields)
    said.outputs = _with_finish_reasons(said.outputs, fields)
    return said


def _from_attributes(
    said: Conversation, attributes: Attributes, input_keys: Iterable[str], output_keys: Iterable[str]
) -> None:
    for key in input_keys:
        if said.inputs:
            break
        said.inputs = _side(said, attributes.get(key), "user")
    for key in output_keys:
        if said.outputs:
            break
        said.outputs = _side(said, attributes.get(key), "assistant")


def _side(said: Conversation, value: Any, role: str) -> list[Turn]:
    if not value:
        return []
    if value == dialects.REDACTED:
        said.redacted = True
        return []
    turns, cut = read(value, role)
    said.truncated |= cut
    return turns


def _from_events(said: Conversation, events: Sequence[LogEvent]) -> None:
    inputs: list[Turn] = []
    outputs: list[tuple[int, Turn]] = []
    for event in sorted(events, key=lambda event: event.at):
        if event.name in dialects.CHOICE_EVENTS:
            index = event.body.get("index") if isinstance(event.body, dict) else None
            order = index if isinstance(index, int) else len(outputs)
            outputs.extend((order, turn) for turn in choice_turns(event.body))
        elif event.name in dialects.MESSAGE_EVENTS:
            inputs.extend(message_turns(event.body, dialects.MESSAGE_EVENTS[event.name]))
    said.inputs = said.inputs or inputs
    said.outputs = said.outputs or [turn for _, turn in sorted(outputs, key=lambda pair: pair[0])]


def _from_span_events(said: Conversation, span: Span) -> None:
    inputs: list[Turn] = []
    outputs: list[Turn] = []
    for event in span.events:
        if event.name in dialects.MESSAGE_EVENTS or event.name in dialects.CHOICE_EVENTS:
            output = event.name in dialects.CHOICE_EVENTS
            body = event.attributes.get("gen_ai.event.content")
            text = event.attributes.get("gen_ai.completion" if output else "gen_ai.prompt")
            if isinstance(text, str):
                turns, cut = read(text, "assistant" if output else "user")
                said.truncated |= cut
            else:
                value = parse(body).value if isinstance(body, str) else event.attributes
                role = dialects.MESSAGE_EVENTS.get(event.name, "assistant")
                turns = list(choice_turns(value) if output else message_turns(value, role))
            (outputs if output else inputs).extend(turns)
    said.inputs = said.inputs or inputs
    said.outputs = said.outputs or outputs


def _from_indexed(said: Conversation, span: Span, attributes: Attributes) -> None:
    sides: dict[str, dict[int, dict[str, Any]]] = {}
    for key, value in attributes.items():
        place = route(key)
        if place is None or place.position < 0:
            continue
        message = sides.setdefault(place.family, {}).setdefault(place.position, {})
        if place.sub < 0:
            message[place.field] = value
        else:
            message.setdefault(f"{place.field}[]", {}).setdefault(place.sub, {})[place.subfield] = value
    inputs, outputs = sides.get("input"), sides.get("output")
    if inputs and not said.inputs:
        said.inputs = [turn for _, message in sorted(inputs.items()) for turn in _indexed_turns(message, "user")]
        if span.dropped and min(inputs) > 0:
            said.truncated = True  # the oldest attributes were evicted, and with them the first messages
    if outputs and not said.outputs:
        turns = [turn for _, message in sorted(outputs.items()) for turn in _indexed_turns(message, "assistant")]
        said.outputs = [turn for turn in turns if turn.role not in REASONING_ROLES]


def _indexed_turns(message: dict[str, Any], role: str) -> Iterable[Turn]:
    blocks = message.get("contents[]")
    calls = message.get("tool_calls[]")
    content: Any = message.get("content")
    if blocks:
        content = [block for _, block in sorted(blocks.items())]
    elif isinstance(content, str) and content.startswith(("[{", "{")):
        parsed = parse(content).value  # Traceloop writes content blocks as JSON into one attribute
        content = parsed if are_parts(parsed) else content
    found = tuple(_call(call) for _, call in sorted(calls.items())) if calls else ()
    speaker = message.get("role")
    speaker = speaker if isinstance(speaker, str) and speaker else role
    turns = list(message_turns({"role": speaker, "content": content, "type": "message"}, role))
    for turn in turns:
        reason = finish_reason(message.get("finish_reason"))
        last = turn is turns[-1]
        yield Turn(turn.role, turn.text, (found or turn.tool_calls) if last else turn.tool_calls, reason)


def _call(call: dict[str, Any]) -> ToolCall:
    calls = tool_calls([call])
    return calls[0]


def _from_response(said: Conversation, attributes: Attributes) -> None:
    text = next((attributes[key] for key in dialects.RESPONSE_TEXT if attributes.get(key)), None)
    calls = next((attributes[key] for key in dialects.RESPONSE_TOOL_CALLS if attributes.get(key)), None)
    if text is not None or calls is not None:
        spoken = text if isinstance(text, str) else text_of(text)
        said.outputs = [Turn("assistant", spoken or None, tool_calls(calls) if calls is not None else ())]


def _from_raw(said: Conversation, fields: Fields) -> None:
    for side, key, role in (("inputs", dialects.RAW_INPUT, "user"), ("outputs", dialects.RAW_OUTPUT, "assistant")):
        value = fields.attributes.get(key)
        if not isinstance(value, str) or not value:
            continue
        if value == dialects.REDACTED:
            said.redacted = True
            continue
        json = fields.attributes.get(dialects.MIME_TYPES[key]) == "application/json"
        if json and value[-1] not in '}]"':
            said.truncated = True
        if not getattr(said, side):
            turns, cut = read(value, role)
            said.truncated |= cut
            setattr(said, side, turns)


def _with_finish_reasons(outputs: list[Turn], fields: Fields) -> list[Turn]:
    """Answers with their reasons, those that stand apart filled in; reasons without an answer make none."""
    if not outputs or all(turn.finish_reason for turn in outputs):
        return outputs
    reasons = finish_reasons(fields)
    if len(reasons) < len(outputs):
        raw = fields.attributes.get(dialects.RAW_OUTPUT)
        if isinstance(raw, str) and raw[:1] == "{":
            told = [turn.finish_reason for turn in read(raw, "assistant")[0]]
            reasons = [*reasons, *told[len(reasons) :]]
    return [
        turn if turn.finish_reason else Turn(turn.role, turn.text, turn.tool_calls, reason)
        for turn, reason in zip(outputs, [*reasons, *[None] * len(outputs)], strict=False)
    ]


def finish_reasons(fields: Fields) -> list[str | None]:
    """The reasons that stand apart from the answers: a list, JSON of a list, or one word."""
    for alias in fields.shape.aliases.get("finish_reasons", ()):
        value = fields.attributes[alias.key]
        if isinstance(value, str) and value.startswith("["):
            value = parse(value).value
        if isinstance(value, list):
            return [finish_reason(item) for item in value[:64]]
        if value:
            return [finish_reason(value)]
    return []
