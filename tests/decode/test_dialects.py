"""Each dialect's own spelling of one call, as facts about the wire describe it; also of those not captured here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.records import Content, Output, ToolCall
from tests.decode.wire import BARE, CHAT, WireEvent, WireSpan, call, calls, text_messages

QUESTION, ANSWER, SYSTEM = "Where is Paris?", "In France.", "You know maps."
MODELS = {"gen_ai.request.model": "gpt-4o-mini", "gen_ai.response.model": "gpt-4o-mini-2026-01-01"}
OPENAI_MESSAGES = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
OPENAI_RESPONSE = {
    "id": "resp-1",
    "model": "gpt-4o-mini-2026-01-01",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}],
}

OTEL: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    **MODELS,
    "gen_ai.response.id": "resp-1",
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 3,
    "gen_ai.usage.cache_read.input_tokens": 4,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.input.messages": text_messages(("system", SYSTEM), ("user", QUESTION)),
    "gen_ai.output.messages": text_messages(("assistant", ANSWER)),
}
SPELLINGS: dict[str, WireSpan] = {
    "otel_genai": WireSpan(attributes=OTEL),
    "openinference": WireSpan(
        scope="openinference.instrumentation.openai",
        attributes={
            "openinference.span.kind": "LLM",
            "llm.system": "openai",
            "llm.invocation_parameters": json.dumps({"model": "gpt-4o-mini"}),
            "llm.model_name": "gpt-4o-mini-2026-01-01",
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": SYSTEM,
            "llm.input_messages.1.message.role": "user",
            "llm.input_messages.1.message.contents.0.message_content.type": "text",
            "llm.input_messages.1.message.contents.0.message_content.text": QUESTION,
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": ANSWER,
            "llm.finish_reason": "stop",
            "llm.token_count.prompt": 12,
            "llm.token_count.completion": 3,
            "llm.token_count.prompt_details.cache_read": 4,
            "output.value": json.dumps(OPENAI_RESPONSE),
            "output.mime_type": "application/json",
        },
    ),
    "traceloop": WireSpan(
        scope="opentelemetry.instrumentation.openai.v1",
        attributes={
            "llm.request.type": "chat",
            "gen_ai.system": "OpenAI",
            **MODELS,
            "gen_ai.response.id": "resp-1",
            "llm.is_streaming": False,
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": SYSTEM,
            "gen_ai.prompt.1.role": "user",
            "gen_ai.prompt.1.content": QUESTION,
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": ANSWER,
            "gen_ai.completion.0.finish_reason": "stop",
            "gen_ai.usage.prompt_tokens": 12,
            "gen_ai.usage.completion_tokens": 3,
            "gen_ai.usage.cache_read_input_tokens": 4,
            "llm.usage.total_tokens": 15,
        },
    ),
    "openlit": WireSpan(
        scope="openlit.otel.tracing",
        attributes=OTEL
        | {
            "gen_ai.system_instructions": json.dumps([{"type": "text", "content": SYSTEM}]),
            "gen_ai.server.time_to_first_token": 0.9,
            "gen_ai.request.is_stream": False,
            "gen_ai.environment": "prod",
        },
    ),
    "langfuse": WireSpan(
        scope="langfuse-sdk",
        attributes={
            "langfuse.observation.type": "generation",
            "langfuse.observation.model.name": "gpt-4o-mini-2026-01-01",
            "langfuse.observation.input": json.dumps(OPENAI_MESSAGES),
            "langfuse.observation.output": json.dumps(OPENAI_RESPONSE),
            "langfuse.observation.usage_details": json.dumps(
                {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
            ),
        },
    ),
    "mlflow": WireSpan(
        scope="mlflow.tracing.provider",
        attributes={
            "mlflow.spanType": '"CHAT_MODEL"',
            "model": '"gpt-4o-mini"',
            "mlflow.llm.model": '"gpt-4o-mini-2026-01-01"',
            "mlflow.spanInputs": json.dumps({"model": "gpt-4o-mini", "messages": OPENAI_MESSAGES}),
            "mlflow.spanOutputs": json.dumps(OPENAI_RESPONSE),
            "mlflow.chat.tokenUsage": json.dumps(
                {"input_tokens": 12, "output_tokens": 3, "cache_read_input_tokens": 4}
            ),
        },
    ),
    "litellm": WireSpan(
        scope="litellm",
        name="litellm_request",
        attributes={
            "llm.request.type": "acompletion",
            "gen_ai.operation.name": "acompletion",
            "gen_ai.system": "openai",
            **MODELS,
            "gen_ai.response.id": "resp-1",
            "llm.is_streaming": "False",
            "gen_ai.input.messages": json.dumps(
                [
                    {"role": "system", "parts": [{"type": "text", "content": SYSTEM}]},
                    {"role": "user", "parts": [{"type": "text", "text": QUESTION}]},
                ]
            ),
            "gen_ai.output.messages": text_messages(("assistant", ANSWER)),
            "gen_ai.response.finish_reasons": '["stop"]',
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 3,
            "gen_ai.usage.cache_read.input_tokens": 4,
        },
    ),
    "vercel": WireSpan(
        scope="ai",
        name="ai.generateText.doGenerate",
        attributes={
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.model.provider": "openai.chat",
            "ai.model.id": "gpt-4o-mini",
            "ai.prompt.messages": json.dumps(
                [
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
                ]
            ),
            "ai.response.text": ANSWER,
            "ai.response.id": "resp-1",
            "ai.response.model": "gpt-4o-mini-2026-01-01",
            "ai.response.finishReason": "stop",
            "ai.usage.inputTokens": 12,
            "ai.usage.outputTokens": 3,
            "ai.usage.cachedInputTokens": 4,
        },
    ),
    "pydantic_ai": WireSpan(
        scope="pydantic-ai",
        attributes=OTEL
        | {
            "gen_ai.input.messages": text_messages(("user", QUESTION)),
            "gen_ai.system_instructions": json.dumps([{"type": "text", "content": SYSTEM}]),
        },
    ),
}


@pytest.mark.parametrize("dialect", SPELLINGS)
def test_every_dialect_tells_the_same_call(dialect: str) -> None:
    found = call(SPELLINGS[dialect])

    assert found.dialect == dialect
    assert (found.provider, found.request_model, found.response_model, found.response_id) == (
        *("openai", "gpt-4o-mini", "gpt-4o-mini-2026-01-01"),
        "resp-1",
    )
    assert (found.system, found.last_user_text) == (SYSTEM, QUESTION)
    assert [(message.role, message.text) for message in found.input_messages] == [("user", QUESTION)]
    assert found.outputs == (Output(text=ANSWER, finish_reason="stop"),)
    assert (found.input_tokens, found.output_tokens, found.cache_read_tokens) == (12, 3, 4)
    assert (found.content, found.error, found.latency_seconds) == (Content.CAPTURED, None, 1.0)
    assert not found.stream
    assert found.ttft_seconds is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "embeddings"},
        {"gen_ai.operation.name": "invoke_agent", **OTEL, "gen_ai.aggregated_usage.input_tokens": 5}
        | {"gen_ai.operation.name": "invoke_agent"},
        {"gen_ai.operation.name": "execute_task", "gen_ai.provider.name": "langchain"},
        {"gen_ai.operation.name": "vector_db_retrieve"},
        {"gen_ai.operation.name": "UNKNOWN"},
        {"gen_ai.operation.name": "a word of the future"},
        {"openinference.span.kind": "EMBEDDING"},
        {"openinference.span.kind": "CHAIN", "input.value": "x"},
        {"langfuse.observation.type": "span"},
        {"mlflow.spanType": '"RETRIEVER"'},
        {"ai.operationId": "ai.generateText", "ai.response.text": "x"},
        {"ai.operationId": "ai.embed.doEmbed"},
        {"llm.request.type": "embedding"},
        {"gen_ai.operation.name": True},
        {"llm.openai.messages": "[{'role': 'user'}]"},
    ],
)
def test_other_operations_are_no_calls_and_no_errors(attributes: dict[str, Any]) -> None:
    assert calls(WireSpan(attributes=attributes)) == []


def test_an_application_span_alone_gives_no_call() -> None:
    assert calls(WireSpan(scope="app", name="agent-turn")) == []


def test_the_raw_request_under_a_litellm_call_is_not_a_second_one() -> None:
    raw = WireSpan(
        scope="litellm",
        name="raw_gen_ai_request",
        span=2,
        parent=1,
        attributes={"llm.openai.messages": "[{'role': 'user', 'content': 'x'}]", "llm.openai.id": "resp-1"},
    )

    assert call(raw, SPELLINGS["litellm"]).span_id == f"{1:016x}"


def test_litellm_without_its_content_is_still_a_call() -> None:
    found = call(
        WireSpan(scope="litellm", attributes={"llm.request.type": "completion", "gen_ai.system": "openai", **MODELS})
    )

    assert (found.content, found.outputs, found.last_user_text) == (Content.NONE, (), None)


def test_pydantic_ai_without_content_has_messages_without_text() -> None:
    hidden = json.dumps([{"role": "user", "parts": [{"type": "text"}]}])

    found = call(CHAT.but(scope="pydantic-ai", attributes=CHAT.attributes | _both(hidden)))

    assert found.content is Content.NONE
    assert found.last_user_text is None
    assert all(output.text is None for output in found.outputs)


def test_pydantic_ai_writes_arguments_as_a_json_string() -> None:
    messages = json.dumps(
        [{"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "sky", "arguments": '{"at": 3}'}]}]
    )

    found = call(CHAT.but(attributes=CHAT.attributes | {"gen_ai.output.messages": messages}))

    assert found.outputs[0].tool_calls == (ToolCall(name="sky", arguments='{"at": 3}'),)


def test_pydantic_ai_once_listed_its_events_in_one_attribute() -> None:
    listed = [
        {"event.name": "gen_ai.system.message", "content": SYSTEM, "role": "system"},
        {"event.name": "gen_ai.user.message", "content": QUESTION, "role": "user"},
        {"event.name": "gen_ai.choice", "index": 0, "message": {"role": "assistant", "content": ANSWER}},
    ]

    found = call(BARE.but(scope="pydantic-ai", attributes=BARE.attributes | {"events": json.dumps(listed)}))

    assert (found.system, found.last_user_text, found.outputs[0].text) == (SYSTEM, QUESTION, ANSWER)


def test_a_langfuse_generation_may_hold_a_plain_answer_and_tools() -> None:
    found = call(
        WireSpan(
            scope="langfuse-sdk",
            attributes={
                "langfuse.observation.type": "generation",
                "langfuse.observation.model.name": "gpt-4o-mini",
                "langfuse.observation.input": json.dumps({"messages": OPENAI_MESSAGES, "tools": []}),
                "langfuse.observation.output": json.dumps(
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [{"type": "function", "function": {"name": "sky", "arguments": "{}"}}],
                    }
                ),
                "langfuse.observation.level": "ERROR",
                "langfuse.observation.status_message": "RateLimitError: slow down",
                "session.id": "s-1",
            },
        )
    )

    assert found.outputs == (Output(text=None, tool_calls=(ToolCall(name="sky", arguments="{}"),)),)
    assert (found.error, found.conversation_id, found.last_user_text) == ("rate_limit", "s-1", QUESTION)


def test_langfuse_tells_the_first_token_as_an_instant() -> None:
    span = SPELLINGS["langfuse"]
    at = json.dumps("2023-11-14T22:13:20.250000Z")

    found = call(span.but(attributes=span.attributes | {"langfuse.observation.completion_start_time": at}))

    assert found.ttft_seconds == pytest.approx(0.25)


def test_openlit_sets_time_to_first_token_always_but_it_counts_only_for_streams() -> None:
    span = SPELLINGS["openlit"]

    found = call(span.but(attributes=span.attributes | {"gen_ai.request.is_stream": True}))

    assert (found.stream, found.ttft_seconds) == (True, 0.9)


def test_older_traceloop_writes_content_blocks_as_json_and_thinking_as_an_answer() -> None:
    found = call(
        WireSpan(
            scope="opentelemetry.instrumentation.anthropic",
            attributes={
                "llm.request.type": "completion",
                "gen_ai.system": "Anthropic",
                "gen_ai.request.model": "claude-sonnet-4-5",
                "gen_ai.prompt.0.role": "user",
                "gen_ai.prompt.0.content": json.dumps([{"type": "text", "text": QUESTION}]),
                "gen_ai.prompt.1.role": "assistant",
                "gen_ai.prompt.1.content": json.dumps([{"type": "tool_use", "name": "sky", "input": {}}]),
                "gen_ai.prompt.2.role": "user",
                "gen_ai.prompt.2.content": json.dumps([{"type": "tool_result", "content": "18C sunny"}]),
                "gen_ai.completion.0.role": "thinking",
                "gen_ai.completion.0.content": "hmm",
                "gen_ai.completion.1.role": "assistant",
                "gen_ai.completion.1.content": ANSWER,
                "gen_ai.completion.1.finish_reason": "end_turn",
                "gen_ai.usage.input_tokens": 22,
            },
        )
    )

    assert found.outputs == (Output(text=ANSWER, finish_reason="stop"),)
    assert [message.role for message in found.input_messages] == ["user", "assistant", "tool"]
    assert found.last_user_text == "18C sunny"  # Anthropic's API has no tool role: the result is the user's turn
    assert (found.provider, found.input_tokens, found.dialect) == ("anthropic", 22, "traceloop")


def test_mlflow_in_its_genai_mode_requests_what_its_own_attribute_says() -> None:
    found = call(
        CHAT.but(
            scope="mlflow.tracing.provider",
            attributes=CHAT.attributes | {"model": '"gpt-4o-mini"', "gen_ai.request.model": "gpt-4o-mini-2026-01-01"},
        )
    )

    assert (found.request_model, found.dialect) == ("gpt-4o-mini", "mlflow")


@pytest.mark.parametrize(
    ("named", "provider"),
    [
        ("OpenAI", "openai"),
        ("openai.chat", "openai"),
        ("azure.ai.openai", "azure.ai.openai"),
        ("aws.bedrock", "aws.bedrock"),
        ("langchain", "openai"),
        ("anthropic.messages", "anthropic"),
    ],
)
def test_providers_have_one_spelling(named: str, provider: str) -> None:
    assert call(CHAT.but(attributes=CHAT.attributes | {"gen_ai.provider.name": named})).provider == provider


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("openai.RateLimitError", "rate_limit"),
        ("RateLimitError", "rate_limit"),
        ("rate_limit_error", "rate_limit"),
        ("openai.APITimeoutError", "timeout"),
        ("client_timeout_error", "timeout"),
        ("openai.InternalServerError", "server"),
        ("529", "server"),
        ("openai.BadRequestError", "BadRequestError"),
    ],
)
def test_errors_have_classes(kind: str, error: str) -> None:
    assert call(BARE.but(failed=True, attributes=BARE.attributes | {"error.type": kind})).error == error


def test_an_error_may_be_told_by_its_exception_its_message_or_nothing() -> None:
    exception = ("exception", 0.5, {"exception.type": "langchain_openai.OpenAIRateLimitError"})
    vague = ("exception", 0.5, {"exception.type": "AI_APICallError"})

    assert call(BARE.but(failed=True, events=[exception])).error == "rate_limit"
    assert call(BARE.but(failed=True, message="APITimeoutError: Request timed out.")).error == "timeout"
    assert call(BARE.but(failed=True, message="Rate limit reached", events=[vague])).error == "rate_limit"
    assert call(BARE.but(failed=True)).error == "error"


def test_structured_values_are_read_like_their_json() -> None:
    structured = CHAT.attributes | {
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": QUESTION}]}],
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": ANSWER}], "finish_reason": "stop"}
        ],
    }

    found = call(CHAT.but(attributes=structured))

    assert (found.last_user_text, found.outputs) == (QUESTION, (Output(text=ANSWER, finish_reason="stop"),))


def test_message_events_of_both_spellings_make_the_call() -> None:
    for as_attribute in (False, True):
        events = [
            WireEvent(name="gen_ai.system.message", body={"content": SYSTEM}, at=0.1, name_as_attribute=as_attribute),
            WireEvent(name="gen_ai.user.message", body={"content": QUESTION}, at=0.2, name_as_attribute=as_attribute),
            WireEvent(
                name="gen_ai.choice",
                body={"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}},
                at=0.9,
                name_as_attribute=as_attribute,
            ),
        ]

        found = call(BARE, events=events)

        assert (found.system, found.last_user_text) == (SYSTEM, QUESTION)
        assert found.outputs == (Output(text=ANSWER, finish_reason="stop"),)


def test_empty_message_events_are_content_that_was_switched_off() -> None:
    events = [
        WireEvent(name="gen_ai.user.message"),
        WireEvent(name="gen_ai.choice", body={"index": 0, "finish_reason": "stop", "message": {"role": "assistant"}}),
    ]

    found = call(BARE, events=events)

    assert (found.content, found.unjoined) == (Content.NONE, False)
    assert found.outputs == (Output(text=None, finish_reason="stop"),)


def test_old_span_events_carry_the_prompt() -> None:
    events = [
        ("gen_ai.content.prompt", 0.1, {"gen_ai.prompt": json.dumps(OPENAI_MESSAGES)}),
        ("gen_ai.content.completion", 0.9, {"gen_ai.completion": ANSWER}),
    ]

    found = call(BARE.but(events=events))

    assert (found.system, found.last_user_text, found.outputs[0].text) == (SYSTEM, QUESTION, ANSWER)


def test_the_services_fields_come_from_the_resource() -> None:
    resource = {
        "service.name": "shop",
        "service.version": "1.2",
        "deployment.environment": "prod",
        "tenant.id": "acme",
    }

    found = call(CHAT.but(resource=resource))

    assert (found.service, found.service_version, found.environment, found.tenant) == ("shop", "1.2", "prod", "acme")
    assert call(CHAT.but(resource={})).service == "unknown_service"


def test_prompt_templates_are_named_with_their_version() -> None:
    found = call(CHAT.but(attributes=CHAT.attributes | {"gen_ai.prompt.name": "greet", "gen_ai.prompt.version": "3"}))

    assert found.prompt == "greet:3"


def test_evicted_first_messages_make_the_text_truncated() -> None:
    span = SPELLINGS["openinference"]
    kept = {key: value for key, value in span.attributes.items() if ".input_messages.0." not in key}

    assert call(span.but(attributes=kept, dropped=7)).content is Content.TRUNCATED
    assert call(span.but(attributes=kept, dropped=7)).dropped_attributes == 7
    assert call(span.but(attributes=kept)).content is Content.CAPTURED


def test_hidden_answers_are_redacted_never_empty() -> None:
    span = SPELLINGS["openinference"]
    kept = {key: value for key, value in span.attributes.items() if "output" not in key}

    found = call(span.but(attributes=kept | {"output.value": "__REDACTED__"}))

    assert (found.content, found.last_user_text, found.outputs) == (Content.REDACTED, QUESTION, ())


def _both(messages: str) -> dict[str, Any]:
    return {"gen_ai.input.messages": messages, "gen_ai.output.messages": messages}
