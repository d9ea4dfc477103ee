"""What can be wrong with captured telemetry and which setting mends it: a table, a row a finding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from collector.doctor.facts import Facts, ServiceFacts
from collector.records import Kind


class Severity(StrEnum):
    """How much of the quality signals a finding costs."""

    BLIND = "blind"  # no text, no quality signal
    PARTIAL = "partial"  # some signals or some calls are missing
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row: when it applies (how many), what it means, and per dialect the setting ("" stands for any other)."""

    name: str
    severity: Severity
    count: Callable[[ServiceFacts], int]
    says: str
    settings: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRule:
    """One row about the topics as a whole."""

    name: str
    severity: Severity
    count: Callable[[Facts], int]
    says: str
    setting: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A row that applies; ``service`` and ``dialect`` are None for the topics."""

    name: str
    severity: Severity
    count: int
    says: str
    setting: str
    service: str | None = None
    dialect: str | None = None


_CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_COUNT_LIMIT = "OTEL_ATTRIBUTE_COUNT_LIMIT / OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT (default 128)"
_LENGTH_LIMIT = "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT / OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"
_NO_SETTING = "nothing to set: the instrumentation does not report it"

RULES: Final = (
    Rule(
        name="no text captured",
        severity=Severity.BLIND,
        count=lambda facts: facts.content["none"],
        says="calls arrive without any prompt or answer; they are counted, not scored",
        settings={
            "otel_genai": f"{_CAPTURE}=SPAN_ONLY (or SPAN_AND_EVENT; EVENT_ONLY needs the logs topic here). Mind the "
            "trap: `true` is no value of current instrumentations, which then log a warning and capture nothing; only "
            "the older openai-v2 and other v1.36 ones take `true`. Releases that still opt in also need "
            "OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental",
            "openinference": "OPENINFERENCE_HIDE_INPUTS, OPENINFERENCE_HIDE_OUTPUTS and their _TEXT and _MESSAGES "
            "variants unset or false",
            "traceloop": "TRACELOOP_TRACE_CONTENT=true (its default) and no per-request override; with "
            "use_legacy_attributes=False the text is in log events: consume the logs topic",
            "openlit": "openlit.init(capture_message_content=True)",
            "langfuse": "remove the mask function, and do not switch off input and output capture of @observe",
            "mlflow": "mlflow.<library>.autolog(log_traces=True) without a span processor that clears inputs",
            "litellm": "litellm.turn_off_message_logging = False and message_logging=True on the otel callback",
            "vercel": "experimental_telemetry: { isEnabled: true, recordInputs: true, recordOutputs: true }",
            "pydantic_ai": "InstrumentationSettings(include_content=True)",
        },
    ),
    Rule(
        name="text redacted at the source",
        severity=Severity.BLIND,
        count=lambda facts: facts.content["redacted"],
        says="the instrumentation replaced the text by a mark; such calls are counted with that reason",
        settings={"": "OPENINFERENCE_HIDE_INPUTS=false and OPENINFERENCE_HIDE_OUTPUTS=false"},
    ),
    Rule(
        name="text uploaded elsewhere",
        severity=Severity.BLIND,
        count=lambda facts: facts.content["by_reference"],
        says="spans carry only a reference to the text; Assay does not fetch it",
        settings={"": f"{_CAPTURE}=SPAN_ONLY beside the upload hook (the hook works with every value)"},
    ),
    Rule(
        name="text cut off",
        severity=Severity.PARTIAL,
        count=lambda facts: facts.content["truncated"],
        says="a limit of the SDK cut messages; they are read as far as they arrived",
        settings={"": f"raise {_LENGTH_LIMIT}, or {_COUNT_LIMIT} where attributes were dropped"},
    ),
    Rule(
        name="attributes dropped",
        severity=Severity.PARTIAL,
        count=lambda facts: facts.dropped_attributes,
        says="the SDK evicted the oldest attributes: system prompt and first messages go first",
        settings={
            "": f"raise {_COUNT_LIMIT}",
            "openinference": f"raise {_COUNT_LIMIT}: two attributes a message are spent here",
            "traceloop": f"raise {_COUNT_LIMIT}, or move to a release that writes gen_ai.input.messages",
        },
    ),
    Rule(
        name="streams broken off",
        severity=Severity.NOTE,
        count=lambda facts: facts.content["partial"],
        says="the client stopped reading; the answer is scored as far as it came",
        settings={"": "nothing to set"},
    ),
    Rule(
        name="prompts missing",
        severity=Severity.PARTIAL,
        count=lambda facts: facts.missing["input"],
        says="an answer arrived without what was asked: no input signals, no relevance",
        settings={
            "": "capture inputs as well as outputs",
            "openinference": "OPENINFERENCE_HIDE_INPUTS=false, OPENINFERENCE_HIDE_INPUT_MESSAGES=false",
            "vercel": "experimental_telemetry.recordInputs: true",
            "traceloop": "update: releases up to 0.62 drop the messages of requests that hold an image",
            "otel_genai": "update: openai-v2 up to 2.4 loses the text of messages that hold an image",
        },
    ),
    Rule(
        name="answers missing",
        severity=Severity.BLIND,
        count=lambda facts: facts.missing["output"],
        says="prompts arrived without answers: no output signals",
        settings={
            "": "capture outputs as well as inputs",
            "openinference": "OPENINFERENCE_HIDE_OUTPUTS=false, OPENINFERENCE_HIDE_OUTPUT_MESSAGES=false",
            "vercel": "experimental_telemetry.recordOutputs: true",
        },
    ),
    Rule(
        name="no token counts",
        severity=Severity.NOTE,
        count=lambda facts: facts.missing["tokens"],
        says="successful calls without token counts: tokens and cost are too low",
        settings={"": 'for streams ask the provider for them: stream_options={"include_usage": true}'},
    ),
    Rule(
        name="no model",
        severity=Severity.PARTIAL,
        count=lambda facts: facts.missing["model"],
        says="calls without any model name fall into one series",
        settings={"": _NO_SETTING},
    ),
    Rule(
        name="no conversation id",
        severity=Severity.NOTE,
        count=lambda facts: facts.missing["conversation id"],
        says="calls cannot be told apart by session",
        settings={
            "": "set gen_ai.conversation.id on the span, or session.id in the application's context",
            "openinference": "using_session(session_id=…) around the request",
            "traceloop": 'Traceloop.set_association_properties({"session_id": …})',
            "vercel": "experimental_telemetry.metadata: { sessionId: … }",
            "langfuse": "propagate_attributes(session_id=…)",
        },
    ),
    Rule(
        name="retrieval without text",
        severity=Severity.PARTIAL,
        count=lambda facts: facts.retrievals_without_text,
        says="retriever spans name documents but not what they say; context comes from prompts alone",
        settings={
            "": "put the retrieved text into the prompt (it usually is), or trace retrievers with OpenInference",
            "otel_genai": "the convention holds only ids and scores: name the prompt variable `context`, or trace "
            "retrievers with OpenInference",
            "mlflow": "use MLflow's native attributes: its GenAI mode leaves the documents out",
        },
    ),
    Rule(
        name="events without their span",
        severity=Severity.PARTIAL,
        count=lambda facts: facts.events_without_span,
        says="log events whose span is not in the sample: sampled away, on another topic, or not yet there",
        settings={"": "sample logs and spans alike, send both to Kafka, and key both topics by trace id"},
    ),
    Rule(
        name="calls without their events",
        severity=Severity.BLIND,
        count=lambda facts: facts.unjoined,
        says="this sender writes its text into log events, and they did not come",
        settings={"": f"consume the logs topic (kafka.logs_topics), or {_CAPTURE}=SPAN_ONLY / SPAN_AND_EVENT"},
    ),
    Rule(
        name="events without ids",
        severity=Severity.NOTE,
        count=lambda facts: facts.events_without_ids,
        says="log events of streams carry no ids and are matched by sender and time alone",
        settings={"": "update the instrumentation, or let it write attributes (use_legacy_attributes=True)"},
    ),
    Rule(
        name="unknown operations",
        severity=Severity.NOTE,
        count=lambda facts: sum(facts.unknown_operations.values()),
        says="spans whose gen_ai.operation.name no table knows; they are taken for no calls",
        settings={"": "nothing to set, unless one of them is a request to a model: then report the name"},
    ),
)

TOPIC_RULES: Final = (
    TopicRule(
        name="undecodable records",
        severity=Severity.PARTIAL,
        count=lambda facts: sum(facts.rejected.values()),
        says="records that are no export requests",
        setting="set the exporter's encoding to otlp_proto or otlp_json, and let no one else write to the topic",
    ),
    TopicRule(
        name="traces spread over partitions",
        severity=Severity.PARTIAL,
        count=lambda facts: facts.traces_across_partitions,
        says="spans of one trace lie on several partitions: twins, wrappers and documents meet only where one "
        "consumer owns them all",
        setting="kafkaexporter: partition_traces_by_id: true",
    ),
    TopicRule(
        name="spans and events on different partitions",
        severity=Severity.PARTIAL,
        count=lambda facts: facts.events_across_partitions,
        says="a call's span and its events lie on partitions of different numbers, which different workers may own",
        setting="kafkaexporter: partition_traces_by_id and partition_logs_by_trace_id: true, and the same number of "
        "partitions for both topics",
    ),
    TopicRule(
        name="records without keys",
        severity=Severity.NOTE,
        # the Collector leaves a few without, whatever is set: log records that belong to no trace
        count=lambda facts: sum(
            topic.records - topic.keyed
            for topic in facts.topics.values()
            if len(topic.partitions) > 1 and topic.keyed * 2 < topic.records
        ),
        says="records of a topic with several partitions carry no key: nothing keeps a trace together",
        setting="kafkaexporter: partition_traces_by_id: true; for the logs topic partition_logs_by_trace_id: true",
    ),
    TopicRule(
        name="partition counts differ",
        severity=Severity.PARTIAL,
        count=lambda facts: len(_partition_counts(facts)) - 1,
        says="the topics of traces and logs have different numbers of partitions: equal keys do not meet",
        setting="create both topics with the same number of partitions",
    ),
    TopicRule(
        name="reports told once",
        severity=Severity.NOTE,
        count=lambda facts: sum(facts.drops.values()),
        says="twins, wrappers and duplicates of calls that were counted once; stacked instrumentations cost twice the "
        "bytes",
        setting="switch off one of the instrumentations that report the same client",
    ),
)


def findings(facts: Facts) -> list[Finding]:
    """Every row that applies, worst first."""
    found = [
        Finding(
            name=rule.name,
            severity=rule.severity,
            count=count,
            says=rule.says,
            setting=rule.settings.get(service.dialect, rule.settings.get("", _NO_SETTING)),
            service=service.service,
            dialect=service.dialect,
        )
        for service in facts.services.values()
        for rule in RULES
        if (count := rule.count(service)) > 0
    ]
    found += [
        Finding(name=rule.name, severity=rule.severity, count=count, says=rule.says, setting=rule.setting)
        for rule in TOPIC_RULES
        if (count := rule.count(facts)) > 0
    ]
    order = list(Severity)
    return sorted(found, key=lambda each: (order.index(each.severity), each.service or "", -each.count, each.name))


def _partition_counts(facts: Facts) -> set[int]:
    """How many partitions the topics of each kind have, as far as it is known."""
    kinds: dict[Kind, set[int]] = {}
    for topic in facts.topics.values():
        kinds.setdefault(topic.kind, set()).update(topic.partitions)
    return {len(partitions) for partitions in kinds.values()} or {0}
