"""What a sample of records says of each service, as counts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from collector.config import JoinConfig, LimitsConfig
from collector.decode.assemble import Assembler
from collector.decode.dialects import CALL_RULES, RETRIEVAL_RULES
from collector.decode.documents import retrieval_of
from collector.decode.fields import dialect_of
from collector.decode.otlp import decode_logs, decode_traces
from collector.decode.spans import LogEvent, Span, Undecodable
from collector.records import Anchor, Content, DropReason, Kind, LLMCall, Partition, RawRecord

UNKNOWN_OPERATIONS_MAX = 20
_KNOWN_OPERATIONS = frozenset(
    word
    for rule in (*CALL_RULES, *RETRIEVAL_RULES)
    if rule.key == "gen_ai.operation.name"
    for word in (*rule.calls, *rule.others)
)


@dataclass(slots=True)
class ServiceFacts:
    """Counts of one service's calls in one dialect; ``missing`` counts calls by what they lack."""

    service: str
    dialect: str
    instrumentations: Counter[str] = field(default_factory=Counter)  # "scope version" -> candidate spans
    calls: int = 0
    content: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    dropped_attributes: int = 0  # calls that lost attributes
    unjoined: int = 0  # calls whose promised events are not in the sample
    events: int = 0
    events_without_span: int = 0
    events_without_ids: int = 0
    retrievals_without_text: int = 0
    unknown_operations: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class TopicFacts:
    """How the records of one topic lie on its partitions."""

    topic: str
    kind: Kind
    records: int = 0
    keyed: int = 0
    partitions: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Facts:
    """Everything that the findings look at."""

    records: int = 0
    services: dict[tuple[str, str], ServiceFacts] = field(default_factory=dict)
    topics: dict[str, TopicFacts] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    drops: Counter[str] = field(default_factory=Counter)  # twins, wrappers, duplicates
    traces_across_partitions: int = 0  # traces whose spans lie on several partitions
    events_across_partitions: int = 0  # calls whose span and events lie on partitions of different numbers
    spans: int = 0

    def of(self, service: str, dialect: str) -> ServiceFacts:
        return self.services.setdefault((service, dialect), ServiceFacts(service, dialect))


def examine(records: Iterable[RawRecord], limits: LimitsConfig, join: JoinConfig | None = None) -> Facts:
    """Decode and assemble a sample as one moment, and count what is there and what is not."""
    facts = Facts()
    assembler = Assembler(join or JoinConfig(), limits)
    places: dict[str, set[Partition]] = defaultdict(set)  # trace -> partitions of its spans
    span_places: dict[tuple[str, str], Partition] = {}
    spans: list[Span] = []
    events: list[tuple[Partition, LogEvent]] = []
    dialects: dict[str, str] = {}  # scope -> dialect, for the events
    for record in records:
        facts.records += 1
        _count_topic(facts, record)
        decoded = (decode_traces if record.kind is Kind.TRACES else decode_logs)(record.value, limits)
        if isinstance(decoded, Undecodable):
            facts.rejected[decoded.reason.value] += 1
            continue
        for item in decoded:
            if isinstance(item, Span):
                spans.append(item)
                places[item.trace_id].add(record.partition)
                span_places[item.trace_id, item.span_id] = record.partition
                dialects.setdefault(item.source.scope, dialect_of(item))
            else:
                events.append((record.partition, item))
        if record.kind is Kind.TRACES:
            found = [item for item in decoded if isinstance(item, Span)]
            assembler.add_spans(found, anchor=Anchor(record.partition, record.offset), now=0.0)
    assembler.add_events([event for _, event in events], now=0.0)
    facts.spans = len(spans)
    scopes: dict[str, str] = {}
    for span in spans:
        scopes[f"{span.trace_id}:{span.span_id}"] = f"{span.source.scope} {span.source.scope_version}".strip()
    for settled in assembler.flush():
        if isinstance(settled.verdict, LLMCall):
            _count_call(facts, settled.verdict, scopes.get(settled.verdict.call_id, ""))
        else:
            facts.drops[DropReason(settled.verdict).value] += 1
    _count_spans(facts, spans)
    _count_events(facts, events, span_places, dialects)
    facts.traces_across_partitions = sum(len(partitions) > 1 for partitions in places.values())
    return facts


def _count_topic(facts: Facts, record: RawRecord) -> None:
    topic = facts.topics.setdefault(record.partition.topic, TopicFacts(record.partition.topic, record.kind))
    topic.records += 1
    topic.keyed += bool(record.key)
    topic.partitions.add(record.partition.number)


def _count_call(facts: Facts, call: LLMCall, instrumentation: str) -> None:
    service = facts.of(call.service, call.dialect)
    service.calls += 1
    service.instrumentations[instrumentation or "?"] += 1
    service.content[call.content.value] += 1
    service.dropped_attributes += call.dropped_attributes > 0
    service.unjoined += call.unjoined
    seen = call.content not in (Content.NONE, Content.REDACTED, Content.BY_REFERENCE)
    answered = any(output.text or output.tool_calls for output in call.outputs)
    lacks = {
        "input": seen and not any(message.text for message in call.input_messages),
        "output": seen and call.error is None and not answered and not call.outputs,
        "system": seen and call.system is None,
        "tokens": call.error is None and (call.input_tokens is None or call.output_tokens is None),
        "model": call.request_model is None and call.response_model is None,
        "conversation id": call.conversation_id is None,
        "response id": call.error is None and call.response_id is None,
    }
    service.missing.update(name for name, lacking in lacks.items() if lacking)


def _count_spans(facts: Facts, spans: Sequence[Span]) -> None:
    for span in spans:
        operation = span.attributes.get("gen_ai.operation.name")
        unknown = isinstance(operation, str) and operation not in _KNOWN_OPERATIONS
        silent = bool(span.shape.retrieval_rules) and _retrieves(span) and not _tells_texts(span)
        if not (unknown or silent):
            continue
        service = facts.of(span.source.service, dialect_of(span))
        service.retrievals_without_text += silent
        if unknown and len(service.unknown_operations) < UNKNOWN_OPERATIONS_MAX:
            service.unknown_operations[str(operation)[:60]] += 1


def _retrieves(span: Span) -> bool:
    values = ((rule, span.attributes.get(rule.key)) for rule in span.shape.retrieval_rules)
    return any(isinstance(value, str) and value.strip('"') in rule.calls for rule, value in values)


def _tells_texts(span: Span) -> bool:
    found = retrieval_of(span)
    return found is not None and found.has_text


def _count_events(
    facts: Facts,
    events: Sequence[tuple[Partition, LogEvent]],
    span_places: dict[tuple[str, str], Partition],
    dialects: dict[str, str],
) -> None:
    apart: set[tuple[str, str]] = set()
    for partition, event in events:
        service = facts.of(event.source.service, dialects.get(event.source.scope, "otel_genai"))
        service.events += 1
        key = (event.trace_id, event.span_id)
        if not all(key):
            service.events_without_ids += 1
        elif key not in span_places:
            service.events_without_span += 1
        elif span_places[key].number != partition.number:
            apart.add(key)
    facts.events_across_partitions = len(apart)


def add_partitions(facts: Facts, partitions: Mapping[Partition, Kind]) -> None:
    """Partitions of the topics that held no record, too: their number is a fact."""
    for partition, kind in partitions.items():
        topic = facts.topics.setdefault(partition.topic, TopicFacts(partition.topic, kind))
        topic.partitions.add(partition.number)
