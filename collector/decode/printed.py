"""A call as the JSON object that ``assay decode`` prints: fixed keys in a fixed order, unknown values null."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from collector.records import LLMCall, Output

KEYS: Final = (
    *("call_id", "trace_id", "span_id", "service", "operation", "provider", "request_model", "response_model"),
    *("response_id", "conversation_id", "system", "input_messages", "last_user_text", "outputs", "input_tokens"),
    *("output_tokens", "cache_read_tokens", "error", "stream", "latency_seconds", "ttft_seconds"),
    *("context_documents", "content", "dialect", "dropped_attributes"),
)
_ENCODER = msgspec.json.Encoder()


def printed(call: LLMCall) -> bytes:
    """One line of JSON."""
    told: dict[str, Any] = {key: getattr(call, key) for key in KEYS}
    told["input_messages"] = [{"role": message.role, "text": message.text} for message in call.input_messages]
    told["outputs"] = [_output(output) for output in call.outputs]
    return _ENCODER.encode(told)


def _output(output: Output) -> dict[str, Any]:
    calls = [{"name": call.name, "arguments": _arguments(call.arguments)} for call in output.tool_calls]
    return {"text": output.text, "tool_calls": calls, "finish_reason": output.finish_reason}


def _arguments(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
