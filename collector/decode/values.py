"""What the values of attributes mean, whatever dialect writes them: reasons to stop, errors, providers; as data."""

from __future__ import annotations

from typing import Final

FINISH: Final = {
    "tool_calls": "tool_call",
    "tool-calls": "tool_call",
    "tool_use": "tool_call",
    "function_call": "tool_call",
    "tool_call": "tool_call",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "completed": "stop",
    "complete": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "content-filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
}
ERROR_CLASSES: Final = (  # part of the lower-case type, without "_"
    ("ratelimit", "rate_limit"),
    ("toomanyrequests", "rate_limit"),
    ("throttl", "rate_limit"),
    ("timeout", "timeout"),
    ("deadlineexceeded", "timeout"),
    ("internal", "server"),
    ("servererror", "server"),
    ("serviceunavailable", "server"),
    ("overloaded", "server"),
)
VAGUE_ERRORS: Final = frozenset(  # types that say only that the API refused; the message says more
    {"AI_APICallError", "AI_RetryError", "APICallError", "APIError", "APIStatusError", "Exception", "_OTHER", "error"}
)
ERROR_PHRASES: Final = (
    ("rate limit", "rate_limit"),
    ("error code: 429", "rate_limit"),
    ("too many requests", "rate_limit"),
    ("timed out", "timeout"),
    ("timeout", "timeout"),
    ("error code: 5", "server"),
    ("internal server error", "server"),
    ("overloaded", "server"),
)

PROVIDERS: Final = frozenset(  # well-known names that contain a dot
    {
        *("azure.ai.openai", "azure.ai.inference", "aws.bedrock", "gcp.gen_ai", "gcp.vertex_ai", "gcp.gemini"),
        *("ibm.watsonx.ai", "az.ai.openai", "az.ai.inference"),
    }
)
PROVIDER_ALIASES: Final = {
    "az.ai.openai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference",
    "xai": "x_ai",
    "mistralai": "mistral_ai",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
}
TOOL_RESULTS_ARE_USER_TEXT: Final = frozenset({"anthropic"})  # its API has no tool role: results are the user's turn
NOT_PROVIDERS: Final = frozenset({"langchain", "llama_index", "unknown", "", "litellm"})
MODEL_PROVIDERS: Final = (  # prefix of the model's name, where nobody names the provider
    ("gpt-", "openai"),
    ("chatgpt", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("claude", "anthropic"),
    ("gemini", "gcp.gemini"),
    ("mistral", "mistral_ai"),
    ("command", "cohere"),
    ("deepseek", "deepseek"),
    ("grok", "x_ai"),
)
