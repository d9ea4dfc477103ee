"""Messages in every shape that instrumentations write them, to turns of a conversation.

One side of a call may be JSON text or a structured value; a list of messages, one message, a provider's raw request or
response, or plain text. Text, tool calls and finish reasons are kept; reasoning, images and files are not text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from collector.decode.prefix import parse_prefix
from collector.decode.values import FINISH
from collector.records import ToolCall

REASONING_ROLES: Final = frozenset({"thinking", "reasoning"})
SYSTEM_ROLES: Final = frozenset({"system", "developer"})
_ROLES: Final = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "chatbot": "assistant",
    "function": "tool",
    "developer": "system",
    "systemmessage": "system",
    "humanmessage": "user",
    "aimessage": "assistant",
    "aimessagechunk": "assistant",
    "toolmessage": "tool",
}
_TEXT_TYPES: Final = frozenset({"text", "input_text", "output_text", "refusal", ""})
_TOOL_CALLS: Final = frozenset({"tool_call", "tool_use", "tool-call", "function_call", "server_tool_call"})
_TOOL_RESULTS: Final = frozenset(
    {"tool_call_response", "tool_result", "tool-result", "function_call_output", "server_tool_call_response"}
)
_RESULT_KEYS: Final = ("response", "result", "content", "output", "value")
_INPUT_LISTS: Final = ("messages", "input", "prompt", "prompts", "contents")
_SYSTEM_KEYS: Final = ("system", "instructions", "system_prompt")
_OUTPUT_LISTS: Final = ("choices", "generations", "candidates", "output", "messages")
_DEPTH_MAX: Final = 6  # of shapes inside shapes: a response around generations around a message around blocks
MESSAGES_MAX: Final = 2_048


class Turn(msgspec.Struct, frozen=True, gc=False):
    """One message; ``text`` is None where there was none, never ``""``."""

    role: str
    text: str | None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None


class Parsed(NamedTuple):
    """A value that was JSON text, and whether it was cut off."""

    value: Any
    truncated: bool


class _OtherShapeError(Exception):
    """The fast reader met a part that only the general one knows."""


class _Part(msgspec.Struct, gc=False):
    type: str = ""
    content: str | None = None
    text: str | None = None
    name: str | None = None
    arguments: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct, gc=False):
    role: str
    parts: list[_Part]
    finish_reason: str | None = None
    tool_calls: msgspec.UnsetType = msgspec.UNSET  # another shape: the general reader's


_FAST_TYPES: Final = frozenset({"text", "tool_call", "tool_call_response", "reasoning", "blob", "file", "uri"})
_FAST = msgspec.json.Decoder(list[_Message])
_ANY = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()


def read(value: Any, role: str) -> tuple[list[Turn], bool]:
    """The turns of one side, and whether its JSON was cut; ``role`` speaks where no message says who does."""
    if isinstance(value, str):
        if value.startswith("[{"):
            try:
                return _all_fast(_FAST.decode(value)), False
            except (msgspec.DecodeError, UnicodeError, RecursionError, _OtherShapeError):
                pass  # another shape, or cut
        value, truncated = parse(value)
        return list(_turns(value, role, _DEPTH_MAX))[:MESSAGES_MAX], truncated
    return list(_turns(value, role, _DEPTH_MAX))[:MESSAGES_MAX], False


def parse(text: str) -> Parsed:
    """The JSON value that ``text`` is or begins; plain text is itself."""
    if text[:64].lstrip()[:1] not in ("{", "[", '"'):
        return Parsed(text, truncated=False)
    try:
        return Parsed(_ANY.decode(text), truncated=False)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        cut = parse_prefix(text)
        return Parsed(text, truncated=False) if cut is None else Parsed(*cut)


def finish_reason(value: Any) -> str | None:
    """A finish reason in the words of the GenAI conventions; None for an empty or odd one."""
    if not isinstance(value, str) or not value or len(value) > 64:
        return None
    value = value.lower()
    plain: str = FINISH.get(value, value)
    return plain


def system_text(value: Any) -> tuple[list[str], bool]:
    """The texts of instructions that are kept apart from the messages, and whether they were cut."""
    truncated = False
    if isinstance(value, str):
        value, truncated = parse(value)
    if isinstance(value, list) and value and all(isinstance(item, dict) and "parts" in item for item in value):
        return [turn.text for turn in _turns(value, "system", _DEPTH_MAX) if turn.text], truncated
    text = text_of(value)
    return [text] if text else [], truncated


def text_of(content: Any, depth: int = _DEPTH_MAX) -> str | None:
    """The text of a message's content: a string, a part, or a list of parts; None where there is none."""
    if isinstance(content, str):
        return content or None
    if depth <= 0:
        return None
    if isinstance(content, dict):
        kind = content.get("type", "")
        if kind in _TEXT_TYPES or not isinstance(kind, str):
            for key in ("text", "content", "refusal", "parts"):
                text = text_of(content.get(key), depth - 1)
                if text:
                    return text
        return None
    if isinstance(content, list):
        texts = [text for text in (text_of(item, depth - 1) for item in content) if text]
        return "\n".join(texts) or None
    return None


def result_text(value: Any) -> str | None:
    """What a tool gave back, as text."""
    if isinstance(value, dict) and value.get("type") in ("text", "json", "error-text", "error-json"):
        value = value.get("value", value.get("text", value))
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else text_of(value) or _encode(value)


def tool_calls(value: Any) -> tuple[ToolCall, ...]:
    """Tool calls as OpenAI, Anthropic, LangChain and the AI SDK list them."""
    if isinstance(value, str):
        value = parse(value).value
    if isinstance(value, dict):
        value = list(value.values()) if value and all(isinstance(item, dict) for item in value.values()) else [value]
    return tuple(_tool_call(item) for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def _tool_call(item: dict[str, Any]) -> ToolCall:
    function = item.get("function")
    inner = function if isinstance(function, dict) else item
    name = inner.get("name") or item.get("toolName") or item.get("tool_name")
    for key in ("arguments", "args", "input"):
        if inner.get(key) is not None:
            arguments = inner[key]
            break
    else:
        arguments = None
    text = arguments if isinstance(arguments, str) or arguments is None else _encode(arguments)
    return ToolCall(name=name if isinstance(name, str) else None, arguments=text)


def _encode(value: Any) -> str | None:
    try:
        return _ENCODER.encode(value).decode()
    except (TypeError, ValueError, RecursionError, UnicodeError):
        return None


def _all_fast(messages: list[_Message]) -> list[Turn]:
    turns: list[Turn] = []
    for message in messages:
        role, parts, reason = message.role, message.parts, message.finish_reason
        if len(parts) == 1 and parts[0].type == "text":
            text = parts[0].content or parts[0].text or None
            turns.append(Turn(_ROLES.get(role, role), text, (), finish_reason(reason) if reason else None))
        else:
            turns.extend(_fast(message))
    return turns


def _fast(message: _Message) -> Iterator[Turn]:
    texts, found, results = [], [], []
    for part in message.parts:
        if part.type not in _FAST_TYPES:
            raise _OtherShapeError
        if part.type == "text":
            texts.append(part.content or part.text or "")
        elif part.type == "tool_call":
            found.append(ToolCall(name=part.name, arguments=_raw_text(part.arguments)))
        elif part.type == "tool_call_response":
            results.append(_raw_text(part.response) or _raw_text(part.result) or part.content)
    for result in results:
        yield Turn("tool", result_text(parse(result).value) if result else None)
    if results and not texts and not found:
        return
    text = "\n".join(filter(None, texts)) or None
    yield Turn(_ROLES.get(message.role, message.role), text, tuple(found), finish_reason(message.finish_reason))


def _raw_text(raw: msgspec.Raw) -> str | None:
    data = bytes(raw)
    if not data or data == b"null":
        return None
    return str(msgspec.json.decode(data)) if data[:1] == b'"' else data.decode()


def _turns(value: Any, role: str, depth: int) -> Iterator[Turn]:
    if depth <= 0 or value is None:
        return
    if isinstance(value, str):
        if value:
            yield Turn(role, value)
    elif isinstance(value, dict):
        yield from _object(value, role, depth)
    elif isinstance(value, list):
        if are_parts(value):
            yield from _message({"role": role, "content": value}, role)
        else:
            for item in value:
                yield from _turns(item, role, depth - 1)


def are_parts(value: Any) -> bool:
    """Whether a value is the list of parts of one message."""
    return isinstance(value, list) and bool(value) and all(_is_part(item) for item in value)


def _is_part(item: Any) -> bool:
    return isinstance(item, dict) and "role" not in item and item.get("type") in _PART_TYPES


_PART_TYPES = (_TEXT_TYPES | _TOOL_CALLS | _TOOL_RESULTS | {"reasoning", "thinking", "image_url", "blob", "uri"}) - {""}


def _object(value: dict[str, Any], role: str, depth: int) -> Iterator[Turn]:
    if "event.name" in value:
        yield from _event(value)
        return
    if "kwargs" in value and isinstance(value["kwargs"], dict):  # LangChain's serialised constructor
        inner = value["kwargs"]
        yield from _message({"role": inner.get("type"), **inner}, role)
        return
    if "role" in value or "parts" in value:
        yield from _message(value, role)
        return
    if value.get("type") in ("message", None) or role == "user":
        for key in _SYSTEM_KEYS if role == "user" else ():
            yield from (Turn("system", text) for text in system_text(value.get(key))[0])
    for key in _INPUT_LISTS if role == "user" else _OUTPUT_LISTS:
        if value.get(key):
            turns = _finished(_turns(value[key], role, depth - 1), value)
            yield from _one_answer(turns) if key == "output" else turns
            return
    for key in ("message", "raw", "response", "delta"):
        if isinstance(value.get(key), dict):
            yield from _finished(_turns(value[key], role, depth - 1), value)
            return
    yield from _message(value, role)


def _one_answer(turns: Iterable[Turn]) -> Iterator[Turn]:
    """The items of a Responses API answer, which are one answer."""
    items = list(turns)
    calls = tuple(call for item in items for call in item.tool_calls)
    text = "\n".join(item.text for item in items if item.text) or None
    if items:
        yield Turn("assistant", text, calls, items[-1].finish_reason)


def _finished(turns: Iterable[Turn], around: dict[str, Any]) -> Iterator[Turn]:
    """Turns whose finish reason may stand on the object around them."""
    reason = _reason(around)
    for turn in turns:
        yield turn if turn.finish_reason or not reason else Turn(turn.role, turn.text, turn.tool_calls, reason)


def _reason(value: dict[str, Any]) -> str | None:
    information = value.get("generation_info")
    sources = (value, information) if isinstance(information, dict) else (value,)
    for source in sources:
        for key in ("finish_reason", "finishReason", "stop_reason", "done_reason"):
            if reason := finish_reason(source.get(key)):
                return reason
    return finish_reason(value.get("status")) if value.get("object") == "response" else None


def _event(value: dict[str, Any]) -> Iterator[Turn]:
    """A message event flattened into an object, as pydantic-ai's ``events`` attribute lists them."""
    name = value["event.name"]
    if name == "gen_ai.choice":
        yield from choice_turns(value)
    elif isinstance(name, str):
        yield from _message(value, name.removeprefix("gen_ai.").removesuffix(".message"))


def choice_turns(body: Any) -> Iterator[Turn]:
    """The answer that a ``gen_ai.choice`` event holds."""
    if not isinstance(body, dict):
        text = text_of(body)
        yield from [Turn("assistant", text)] if text else []
        return
    message = body.get("message")
    inner = message if isinstance(message, dict) else {"content": message}
    calls = body.get("tool_calls") or inner.get("tool_calls")
    reason = body.get("finish_reason") or inner.get("finish_reason")
    for turn in _message({**inner, "tool_calls": calls, "finish_reason": reason}, "assistant"):
        yield Turn("assistant", turn.text, turn.tool_calls, turn.finish_reason)


def message_turns(body: Any, role: str) -> Iterator[Turn]:
    """The message that a per-message event holds."""
    if isinstance(body, dict):
        yield from _message(body, role)
    else:
        yield Turn(role, text_of(body))


def _message(value: dict[str, Any], role: str) -> Iterator[Turn]:
    speaker = value.get("role") or (value.get("type") if value.get("type") in _ROLES else None)
    speaker = str(speaker).lower() if isinstance(speaker, str) else role
    speaker = _ROLES.get(speaker, speaker)
    kind = value.get("type")
    if kind in _TOOL_RESULTS and "role" not in value:
        yield Turn("tool", _result(value))
        return
    if kind in _TOOL_CALLS and "role" not in value:
        yield Turn("assistant" if role == "user" else role, None, (_tool_call(value),))
        return
    if kind in ("reasoning", "thinking"):
        return
    content = value.get("content", value.get("parts", value.get("text")))
    if not content and value.get("parts"):
        content = value["parts"]
    parts = content if isinstance(content, list) else []
    results = [part for part in parts if isinstance(part, dict) and part.get("type") in _TOOL_RESULTS]
    for result in results:
        yield Turn("tool", _result(result))
    calls = tool_calls(value.get("tool_calls") or value.get("toolCalls"))
    if not calls:
        calls = tuple(_tool_call(part) for part in parts if isinstance(part, dict) and part.get("type") in _TOOL_CALLS)
    if not calls and isinstance(value.get("function_call"), dict):
        calls = (_tool_call(value["function_call"]),)
    text = text_of(content)
    if text is None and content is not None and speaker == "tool" and not results:
        text = result_text(content)
    if text is not None or calls or not results:
        yield Turn(speaker, text, calls, _reason(value))


def _result(part: dict[str, Any]) -> str | None:
    for key in _RESULT_KEYS:
        if part.get(key) is not None:
            return result_text(part[key])
    return None
