"""How each instrumentation spells a call, as data: one priority list a field, first present wins.

A new dialect is a few rows here. ``Alias(key)`` is a span attribute; ``Alias(key, path)`` looks inside the JSON that
the attribute holds (``()``: the attribute is one JSON scalar, as MLflow quotes its strings).
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Alias(NamedTuple):
    """One place where a field may stand."""

    key: str
    path: tuple[str | int, ...] | None = None


def _plain(*keys: str) -> tuple[Alias, ...]:
    return tuple(Alias(key) for key in keys)


# ── which span is a call ──────────────────────────────────────────────────────────────────────────────────────────
# Keys in order; the first whose value is listed decides, an unlisted value (traceloop's "execute_task", MLflow's
# "UNKNOWN") decides nothing.
_CALL_OPERATIONS = ("chat", "text_completion", "generate_content", "completion", "acompletion", "atext_completion")
_OTHER_OPERATIONS = (
    *("embeddings", "retrieval", "create_agent", "invoke_agent", "execute_tool", "invoke_workflow", "plan"),
    *("search_memory", "create_memory", "update_memory", "upsert_memory", "delete_memory"),
    *("create_memory_store", "delete_memory_store"),
)


class Rule(NamedTuple):
    """Values of one attribute that say what a span is; others say nothing."""

    key: str
    calls: frozenset[str]
    others: frozenset[str]


CALL_RULES: Final = (
    Rule(
        "ai.operationId",
        frozenset(
            f"ai.{name}"
            for name in (
                *("generateText.doGenerate", "streamText.doStream"),
                *("generateObject.doGenerate", "streamObject.doStream"),
            )
        ),
        frozenset(
            f"ai.{name}"
            for name in (
                *("generateText", "streamText", "generateObject", "streamObject", "toolCall", "rerank"),
                *("embed", "embedMany", "embed.doEmbed", "embedMany.doEmbed", "rerank.doRerank"),
            )
        ),
    ),
    Rule("gen_ai.operation.name", frozenset(_CALL_OPERATIONS), frozenset(_OTHER_OPERATIONS)),
    Rule(
        "openinference.span.kind",
        frozenset({"LLM"}),
        frozenset({"CHAIN", "RETRIEVER", "RERANKER", "TOOL", "AGENT", "EMBEDDING", "GUARDRAIL", "EVALUATOR", "PROMPT"}),
    ),
    Rule(
        "langfuse.observation.type",
        frozenset({"generation"}),
        frozenset({"span", "event", "agent", "tool", "chain", "retriever", "evaluator", "embedding", "guardrail"}),
    ),
    Rule("mlflow.spanType", frozenset({"CHAT_MODEL", "LLM"}), frozenset({"RETRIEVER", "CHAIN", "TOOL", "AGENT"})),
    Rule("llm.request.type", frozenset({"chat", *_CALL_OPERATIONS}), frozenset({"embedding", "rerank"})),
)
CALL_SUFFIXES: Final = {"ai.operationId": (".doGenerate", ".doStream")}  # operations that a later SDK may add
NEVER_CALLS: Final = frozenset({"raw_gen_ai_request"})  # LiteLLM: the raw request under litellm_request
NATIVE_SCOPES: Final = ("com.anthropic.sdk.",)  # SDKs that report their own requests beside every instrumentation

# ── who speaks ────────────────────────────────────────────────────────────────────────────────────────────────────
# Longest matching scope prefix; else the first marker attribute; else otel_genai.
SCOPES: Final = {
    "opentelemetry.instrumentation.genai": "otel_genai",
    "opentelemetry.instrumentation.openai_v2": "otel_genai",
    "opentelemetry.instrumentation.openai_agents": "traceloop",
    "opentelemetry.instrumentation.google_genai": "otel_genai",
    "opentelemetry.instrumentation.vertexai": "otel_genai",
    "opentelemetry.instrumentation.botocore": "otel_genai",
    "com.anthropic.sdk": "otel_genai",
    "opentelemetry.instrumentation.": "traceloop",  # OpenLLMetry names its packages so
    "traceloop": "traceloop",
    "openinference.": "openinference",
    "@arizeai/openinference": "openinference",
    "openlit": "openlit",
    "langfuse": "langfuse",
    "mlflow": "mlflow",
    "litellm": "litellm",
    "pydantic-ai": "pydantic_ai",
    "pydantic_ai": "pydantic_ai",
}
MARKERS: Final = {
    "ai.operationId": "vercel",
    "openinference.span.kind": "openinference",
    "mlflow.spanType": "mlflow",
    "langfuse.observation.type": "langfuse",
    "traceloop.workflow.name": "traceloop",
    "gen_ai.is_streaming": "traceloop",
    "llm.request.type": "traceloop",
    "gen_ai.application_name": "openlit",
}
# MLflow in its GenAI mode and the Vercel SDK are told by resource and scope, too.
SCOPE_NAMES: Final = {"ai": "vercel", "gcp.vertex.agent": "otel_genai"}

# ── scalar fields ─────────────────────────────────────────────────────────────────────────────────────────────────
OPERATION: Final = _plain("gen_ai.operation.name", "llm.request.type")
PROVIDER: Final = (
    *_plain("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider"),
    Alias("metadata", ("ls_provider",)),
)
REQUEST_MODEL: Final = (
    Alias("model", ()),  # MLflow: the only place that still has it in its GenAI mode
    *_plain("gen_ai.request.model", "llm.request.model_name", "ai.model.id"),
    Alias("llm.invocation_parameters", ("model",)),
    Alias("llm.invocation_parameters", ("model_name",)),
    Alias("mlflow.spanInputs", ("model",)),
    Alias("input.value", ("model",)),
)
_LANGCHAIN_MODEL = ("generations", 0, 0, "message", "kwargs", "response_metadata", "model_name")
RESPONSE_MODEL: Final = (
    *_plain("gen_ai.response.model", "llm.response.model_name", "ai.response.model"),
    Alias("output.value", ("model",)),
    Alias("output.value", _LANGCHAIN_MODEL),
    Alias("mlflow.llm.model", ()),
    Alias("mlflow.spanOutputs", ("model",)),
    Alias("langfuse.observation.output", ("model",)),
)
ANY_MODEL: Final = _plain("llm.model_name", "langfuse.observation.model.name")  # the answer's, or where none came the
# request's. A request model that only this tells is reported without its snapshot date, as requests name it.
RESPONSE_ID: Final = (
    *_plain("gen_ai.response.id", "ai.response.id"),
    Alias("mlflow.spanOutputs", ("id",)),
    Alias("langfuse.observation.output", ("id",)),
    Alias("output.value", ("id",)),
    Alias("output.value", ("generations", 0, 0, "message", "kwargs", "response_metadata", "id")),
    Alias("output.value", ("llm_output", "id")),
    Alias("output.value", ("raw", "id")),
)
CHEAP_RESPONSE_ID: Final = ("gen_ai.response.id", "ai.response.id")
CONVERSATION: Final = (
    *_plain("gen_ai.conversation.id", "session.id", "langfuse.session.id", "langfuse.trace.session_id"),
    *_plain("traceloop.association.properties.session_id", "traceloop.association.properties.thread_id"),
    *_plain("ai.telemetry.metadata.sessionId", "mlflow.trace.session"),
    Alias("metadata", ("thread_id",)),
    Alias("metadata", ("session_id",)),
)
TENANT: Final = _plain(
    *("tenant.id", "tenant_id", "tenant", "organization.id"),
    *("traceloop.association.properties.tenant_id", "ai.telemetry.metadata.tenantId"),
    *("langfuse.observation.metadata.tenant_id", "langfuse.trace.metadata.tenant_id"),
)
PROMPT_NAME: Final = _plain(
    *("gen_ai.prompt.name", "traceloop.prompt.key", "langfuse.observation.prompt.name", "llm.prompt_template.name"),
)
PROMPT_VERSION: Final = _plain(
    *("gen_ai.prompt.version", "traceloop.prompt.version", "langfuse.observation.prompt.version"),
    "llm.prompt_template.version",
)
INPUT_TOKENS: Final = (
    *_plain("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"),
    *_plain("ai.usage.inputTokens", "ai.usage.promptTokens", "llm.usage.prompt_tokens"),
    Alias("langfuse.observation.usage_details", ("prompt_tokens",)),
    Alias("langfuse.observation.usage_details", ("input_tokens",)),
    Alias("langfuse.observation.usage_details", ("input",)),
    Alias("mlflow.chat.tokenUsage", ("input_tokens",)),
)
OUTPUT_TOKENS: Final = (
    *_plain("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"),
    *_plain("ai.usage.outputTokens", "ai.usage.completionTokens", "llm.usage.completion_tokens"),
    Alias("langfuse.observation.usage_details", ("completion_tokens",)),
    Alias("langfuse.observation.usage_details", ("output_tokens",)),
    Alias("langfuse.observation.usage_details", ("output",)),
    Alias("mlflow.chat.tokenUsage", ("output_tokens",)),
)
CACHE_READ_TOKENS: Final = (
    *_plain("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
    *_plain("llm.token_count.prompt_details.cache_read", "ai.usage.cachedInputTokens"),
    *_plain("ai.usage.inputTokenDetails.cacheReadTokens", "gen_ai.usage.details.cache_read_tokens"),
    Alias("langfuse.observation.usage_details", ("prompt_tokens_details", "cached_tokens")),
    Alias("langfuse.observation.usage_details", ("input_cached_tokens",)),
    Alias("langfuse.observation.usage_details", ("cache_read_input_tokens",)),
    Alias("langfuse.observation.usage_details", ("prompt_details.cached_tokens",)),
    Alias("mlflow.chat.tokenUsage", ("cache_read_input_tokens",)),
    Alias("mlflow.spanOutputs", ("usage", "prompt_tokens_details", "cached_tokens")),
)
STREAM: Final = (
    *_plain("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming", "gen_ai.request.is_stream"),
    Alias("llm.invocation_parameters", ("stream",)),
    Alias("stream"),
    Alias("mlflow.spanInputs", ("stream",)),
)
STREAM_OPERATIONS: Final = {"ai.operationId": ".doStream"}
TTFT_SECONDS: Final = _plain("gen_ai.response.time_to_first_chunk")
TTFT_SECONDS_IF_STREAM: Final = _plain("gen_ai.server.time_to_first_token", "gen_ai.server.ttft")  # set always
TTFT_MILLISECONDS: Final = _plain("ai.response.msToFirstChunk")
TTFT_AT: Final = (Alias("langfuse.observation.completion_start_time", ()),)  # an ISO 8601 instant
FIRST_CHUNK_EVENTS: Final = frozenset(
    {
        "First Token Stream Event",
        "gen_ai.content.completion.chunk",
        "llm.content.completion.chunk",
        "ai.stream.firstChunk",
        "mlflow.chunk.item.0",
    }
)
FINISH_REASONS: Final = (
    *_plain("gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "llm.finish_reason"),
    *_plain("ai.response.finishReason", "llm.response.finish_reason", "llm.response.stop_reason"),
    *_plain("anthropic.message.stop_reason"),
)
ERROR_TYPE: Final = _plain("error.type", "exception.type")
ERROR_LEVEL: Final = "langfuse.observation.level"
ERROR_MESSAGE: Final = "langfuse.observation.status_message"
HTTP_STATUS: Final = _plain("http.response.status_code", "http.status_code")

# ── text ──────────────────────────────────────────────────────────────────────────────────────────────────────────
# Attributes with all messages of one side, in any shape that collector.decode.messages reads.
INPUT_MESSAGES: Final = (
    *("gen_ai.input.messages", "ai.prompt.messages", "langfuse.observation.input", "mlflow.spanInputs"),
    *("gen_ai.prompt", "ai.prompt"),
)
OUTPUT_MESSAGES: Final = (
    *("gen_ai.output.messages", "langfuse.observation.output", "mlflow.spanOutputs", "gen_ai.completion"),
)
RAW_INPUT: Final = "input.value"  # OpenInference: the request as the framework saw it, when no messages are there
RAW_OUTPUT: Final = "output.value"
MIME_TYPES: Final = {RAW_INPUT: "input.mime_type", RAW_OUTPUT: "output.mime_type"}
RESPONSE_TEXT: Final = ("ai.response.text", "ai.response.object")
RESPONSE_TOOL_CALLS: Final = ("ai.response.toolCalls", "gen_ai.response.tool_calls")
SYSTEM: Final = "gen_ai.system_instructions"
MESSAGE_LIST: Final = "events"  # pydantic-ai before its message attributes: the events as one JSON attribute
REFERENCES: Final = ("gen_ai.input.messages_ref", "gen_ai.output.messages_ref", "gen_ai.system_instructions_ref")
REDACTED: Final = "__REDACTED__"
MESSAGE_KEYS: Final = frozenset(
    {*INPUT_MESSAGES, *OUTPUT_MESSAGES, *RESPONSE_TEXT, *RESPONSE_TOOL_CALLS, SYSTEM, MESSAGE_LIST}
)
RAW_KEYS: Final = frozenset({RAW_INPUT, RAW_OUTPUT})

# ── what was asked of the answer ──────────────────────────────────────────────────────────────────────────────────────
TOOL_DEFINITIONS: Final = ("gen_ai.tool.definitions", "ai.prompt.tools")
RESPONSE_FORMATS: Final = (
    *("gen_ai.request.structured_output_schema", "gen_ai.request.response_format"),
    *("gen_ai.openai.request.response_format", "gen_ai.output.type"),
)
OBJECT_OPERATIONS: Final = ("ai.generateObject.doGenerate", "ai.streamObject.doStream")
REQUEST_PARAMETERS: Final = ("llm.invocation_parameters", "mlflow.spanInputs", "langfuse.observation.input")
RAW_RESPONSES: Final = (RAW_OUTPUT, "mlflow.spanOutputs", "langfuse.observation.output")
ASKED_KEYS: Final = frozenset(
    {*TOOL_DEFINITIONS, *RESPONSE_FORMATS, *REQUEST_PARAMETERS, *RAW_RESPONSES, "ai.operationId"}
)

# ── what the answer should have been ──────────────────────────────────────────────────────────────────────────────────
# Neither OpenTelemetry nor OpenInference has a gold answer, and MLflow keeps its expectations beside the trace. Assay's
# own attribute is for golden traffic and corrections. Langfuse and Braintrust put what an experiment's item expects on
# the item's own span, which is the call where that is all it does, and else stands above it. Langfuse's spans name it.
REFERENCE: Final = (
    Alias("assay.reference"),
    Alias("langfuse.experiment.item.expected_output", ()),
    Alias("langfuse.experiment.item.expected_output"),
    Alias("braintrust.expected_json", ()),
    Alias("braintrust.expected", ()),
    Alias("braintrust.expected"),
)
ITEM: Final = _plain("langfuse.experiment.item.root_observation_id")
ITEM_OUTPUTS: Final = (
    *("langfuse.observation.output", "braintrust.output_json", "braintrust.output"),
    *("output.value", "langfuse.trace.output"),
)

# ── log events and span events ────────────────────────────────────────────────────────────────────────────────────
DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
MESSAGE_EVENTS: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.content.prompt": "user",
}
CHOICE_EVENTS: Final = frozenset({"gen_ai.choice", "gen_ai.content.completion"})
EVENTS: Final = frozenset({DETAILS_EVENT, *MESSAGE_EVENTS, *CHOICE_EVENTS})
EVENT_NAME_KEYS: Final = ("event.name", "event_name")
SPAN_EVENTS: Final = frozenset({"exception", *FIRST_CHUNK_EVENTS, *EVENTS})
SPAN_EVENT_KEYS: Final = frozenset(
    {"exception.type", "gen_ai.prompt", "gen_ai.completion", "gen_ai.event.content", "content", "role", "index"}
)
# Scopes that send their events always, with or without text: where none came, none could be joined.
EVENTS_PROMISED: Final = (("opentelemetry.instrumentation.openai_v2", "gen_ai.system"),)

# ── retrieval ─────────────────────────────────────────────────────────────────────────────────────────────────────
RETRIEVAL_RULES: Final = (
    Rule("openinference.span.kind", frozenset({"RETRIEVER", "RERANKER"}), frozenset()),
    Rule("gen_ai.operation.name", frozenset({"retrieval", "vector_db_retrieve"}), frozenset()),
    Rule("mlflow.spanType", frozenset({"RETRIEVER", "RERANKER"}), frozenset()),
    Rule("langfuse.observation.type", frozenset({"retriever"}), frozenset()),
)
RETRIEVAL_NAMES: Final = ("Retriever.task",)  # suffixes; traceloop-llamaindex has no attribute that says it
RERANKERS: Final = {"openinference.span.kind": "RERANKER", "mlflow.spanType": "RERANKER"}
DOCUMENTS: Final = (
    *("gen_ai.retrieval.documents", "mlflow.spanOutputs", "langfuse.observation.output"),
    *("traceloop.entity.output", RAW_OUTPUT),
)
DOCUMENT_LISTS: Final = ("documents", "nodes", "source_nodes", "results", "chunks", "matches", "output")
DOCUMENT_TEXTS: Final = ("page_content", "content", "text", "node", "document", "chunk", "passage", "kwargs")
# What a document is called, in it or in its metadata; the first that is there.
DOCUMENT_IDS: Final = ("id", "doc_id", "document_id", "id_", "node_id", "chunk_id", "_id")
DOCUMENT_TITLES: Final = ("title", "document_title", "doc_title", "name", "file_name", "filename")
DOCUMENT_URLS: Final = ("url", "uri", "link", "source_url", "doc_uri", "source", "file_path", "path")
DOCUMENT_SCORES: Final = ("score", "relevance_score", "similarity", "similarity_score", "_score")
DOCUMENT_METADATA: Final = ("metadata", "extra_info", "payload", "meta", "_source", "fields")
PROMPT_VARIABLES: Final = frozenset(
    {"context", "contexts", "document", "documents", "docs", "sources", "passages", "knowledge", "context_str"}
)
VARIABLE_SETS: Final = ("llm.prompt_template.variables",)  # JSON objects of such variables

# ── who and where ─────────────────────────────────────────────────────────────────────────────────────────────────
SERVICE_VERSION: Final = ("service.version",)
ENVIRONMENT: Final = ("deployment.environment.name", "deployment.environment", "langfuse.environment")
SPAN_ENVIRONMENT: Final = (*ENVIRONMENT, "gen_ai.environment")  # OpenLIT repeats them on the span
SPAN_SERVICE: Final = ("service.name", "gen_ai.application_name")
PROCESS: Final = ("service.name", "k8s.pod.uid", "k8s.pod.name", "host.id", "host.name", "process.pid")
RESOURCE_KEYS: Final = frozenset(
    {"service.name", "service.instance.id", *SERVICE_VERSION, *ENVIRONMENT, *PROCESS, *(key for key, _ in TENANT)}
)


# ── which attributes are read at all ──────────────────────────────────────────────────────────────────────────────
FAMILIES: Final = {
    "llm.input_messages.": "input",
    "llm.output_messages.": "output",
    "gen_ai.prompt.": "input",
    "gen_ai.completion.": "output",
    "llm.prompts.": "input",
    "llm.choices.": "output",
    "retrieval.documents.": "documents",
    "reranker.output_documents.": "reranked",
    "llm.tools.": "tools",
    "llm.request.functions.": "functions",
}
VARIABLES: Final = "gen_ai.prompt.variable."

FIELDS: Final = {
    "operation": OPERATION,
    "provider": PROVIDER,
    "request_model": REQUEST_MODEL,
    "response_model": RESPONSE_MODEL,
    "any_model": ANY_MODEL,
    "response_id": RESPONSE_ID,
    "conversation": CONVERSATION,
    "tenant": TENANT,
    "prompt_name": PROMPT_NAME,
    "prompt_version": PROMPT_VERSION,
    "input_tokens": INPUT_TOKENS,
    "output_tokens": OUTPUT_TOKENS,
    "cache_read_tokens": CACHE_READ_TOKENS,
    "stream": STREAM,
    "ttft_seconds": TTFT_SECONDS,
    "ttft_seconds_if_stream": TTFT_SECONDS_IF_STREAM,
    "ttft_milliseconds": TTFT_MILLISECONDS,
    "ttft_at": TTFT_AT,
    "finish_reasons": FINISH_REASONS,
    "reference": REFERENCE,
    "item": ITEM,
    "error_type": ERROR_TYPE,
    "http_status": HTTP_STATUS,
    "error_level": _plain(ERROR_LEVEL),
    "error_message": _plain(ERROR_MESSAGE),
}
WANTED: Final = frozenset(
    {
        *(alias.key for aliases in FIELDS.values() for alias in aliases),
        *(rule.key for rules in (CALL_RULES, RETRIEVAL_RULES) for rule in rules),
        *(*MESSAGE_KEYS, *RAW_KEYS, *MIME_TYPES.values(), *REFERENCES, *DOCUMENTS, *VARIABLE_SETS, *MARKERS),
        *ITEM_OUTPUTS,
        *(*SPAN_ENVIRONMENT, *SPAN_SERVICE, *EVENT_NAME_KEYS, *ASKED_KEYS),
    }
)
