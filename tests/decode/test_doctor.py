"""The doctor: per service what is captured, what is not, and the exact setting that mends it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from collector import cli
from collector.config import Config, ConfigError
from collector.doctor.facts import add_partitions, examine
from collector.doctor.findings import RULES, Finding, findings
from collector.doctor.sample import for_sampling, from_source
from collector.records import Kind, Partition, RawRecord
from tests.decode.test_dialects import SPELLINGS
from tests.decode.test_twins import NATIVE, WITH_ID
from tests.decode.wire import BARE, CHAT, LIMITS, WireEvent, WireSpan, logs_message, traces_message
from tests.fakes.source import FakeLog, FakeSource


def traces(*spans: WireSpan, partition: int = 0, key: bytes | None = None) -> RawRecord:
    value = traces_message(spans).SerializeToString()
    place = Partition("otlp_spans", partition)
    return RawRecord(partition=place, offset=0, timestamp=0.0, kind=Kind.TRACES, value=value, key=key)


def logs(*events: WireEvent, partition: int = 0, key: bytes | None = None) -> RawRecord:
    value = logs_message(events).SerializeToString()
    place = Partition("otlp_logs", partition)
    return RawRecord(partition=place, offset=0, timestamp=0.0, kind=Kind.LOGS, value=value, key=key)


def diagnose(*records: RawRecord) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings(examine(records, LIMITS))}


def test_a_service_that_captures_everything_has_no_findings() -> None:
    complete = SPELLINGS["otel_genai"]
    complete = complete.but(attributes=complete.attributes | {"gen_ai.conversation.id": "c-1"})

    assert diagnose(traces(complete)) == {}


@pytest.mark.parametrize(
    ("dialect", "setting"),
    [
        ("otel_genai", "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY"),
        ("traceloop", "TRACELOOP_TRACE_CONTENT"),
        ("openlit", "capture_message_content"),
        ("litellm", "turn_off_message_logging"),
        ("vercel", "recordInputs"),
        ("pydantic_ai", "include_content"),
        ("openinference", "OPENINFERENCE_HIDE_INPUTS"),
    ],
)
def test_text_that_is_switched_off_names_the_switch_of_its_dialect(dialect: str, setting: str) -> None:
    span = SPELLINGS[dialect]
    kept = {
        key: value
        for key, value in span.attributes.items()
        if not any(
            part in key for part in ("messages", "prompt.", "completion.", "instructions", "output.", "ai.response.t")
        )
    }

    found = diagnose(traces(span.but(attributes=kept)))

    assert setting in found["no text captured"].setting
    assert found["no text captured"].dialect == dialect


def test_every_dialect_has_its_own_switch_for_text() -> None:
    (rule,) = (rule for rule in RULES if rule.name == "no text captured")

    assert set(rule.settings) == set(SPELLINGS)


def test_the_true_trap_is_explained() -> None:
    assert "`true` is no value" in diagnose(traces(BARE))["no text captured"].setting


@pytest.mark.parametrize(
    ("span", "name"),
    [
        (
            SPELLINGS["openinference"].but(
                attributes={"openinference.span.kind": "LLM", "input.value": "__REDACTED__"}
            ),
            "text redacted at the source",
        ),
        (BARE.but(attributes=BARE.attributes | {"gen_ai.input.messages_ref": "file:///x"}), "text uploaded elsewhere"),
        (
            CHAT.but(attributes=CHAT.attributes | {"gen_ai.input.messages": '[{"role":"user","parts":[{"type":"te'}),
            "text cut off",
        ),
        (CHAT.but(dropped=3), "attributes dropped"),
        (CHAT, "no token counts"),
        (CHAT, "no conversation id"),
        (WireSpan(attributes={"gen_ai.operation.name": "a new word"}), "unknown operations"),
        (
            WireSpan(attributes={"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": '[{"id":"1"}]'}),
            "retrieval without text",
        ),
        (BARE.but(attributes={"gen_ai.operation.name": "chat"}), "no model"),
    ],
)
def test_each_gap_has_its_finding_with_a_setting(span: WireSpan, name: str) -> None:
    found = diagnose(traces(span))[name]

    assert found.count == 1
    assert found.setting
    assert found.service == "shop"


def test_a_prompt_without_its_answer_and_an_answer_without_its_prompt_are_found() -> None:
    asked = {key: value for key, value in CHAT.attributes.items() if key != "gen_ai.output.messages"}
    told = {key: value for key, value in CHAT.attributes.items() if key != "gen_ai.input.messages"}

    assert "answers missing" in diagnose(traces(CHAT.but(attributes=asked)))
    assert "prompts missing" in diagnose(traces(CHAT.but(attributes=told)))


def test_events_without_their_span_and_calls_without_their_events_are_found() -> None:
    found = diagnose(traces(BARE), logs(WireEvent(name="gen_ai.choice", trace=9, body={"index": 0})))

    assert found["events without their span"].count == 1
    assert found["calls without their events"].count == 1
    assert diagnose(logs(WireEvent(name="gen_ai.choice", trace=0, span=0)))["events without ids"].count == 1


def test_a_span_and_its_events_on_different_partitions_are_found() -> None:
    event = WireEvent(name="gen_ai.choice", body={"message": {"content": "x"}})

    apart = diagnose(traces(BARE, partition=0, key=b"k"), logs(event, partition=3, key=b"k"))
    together = diagnose(traces(BARE, partition=3, key=b"k"), logs(event, partition=3, key=b"k"))

    assert "partition_logs_by_trace_id" in apart["spans and events on different partitions"].setting
    assert "spans and events on different partitions" not in together


def test_a_trace_spread_over_partitions_without_keys_is_found() -> None:
    found = diagnose(traces(CHAT), traces(CHAT.but(span=2), partition=1))

    assert "partition_traces_by_id" in found["traces spread over partitions"].setting
    assert found["records without keys"].count == 2
    assert "records without keys" not in diagnose(traces(CHAT, key=b"k"), traces(CHAT, key=b"k", partition=1))


def test_a_few_records_without_a_key_are_log_records_that_belong_to_no_trace() -> None:
    found = diagnose(traces(CHAT, key=b"k"), traces(CHAT, key=b"k", partition=1), traces(CHAT, partition=1))

    assert "records without keys" not in found


def test_topics_with_different_numbers_of_partitions_are_found() -> None:
    facts = examine([traces(CHAT), logs(WireEvent(name="gen_ai.choice"))], LIMITS)
    add_partitions(facts, {Partition("otlp_spans", number): Kind.TRACES for number in range(4)})

    assert "partition counts differ" in {finding.name for finding in findings(facts)}


def test_rejects_and_reports_told_once_are_counted() -> None:
    broken = RawRecord(partition=Partition("otlp_spans", 0), offset=0, timestamp=0.0, kind=Kind.TRACES, value=b"{")

    found = diagnose(broken, traces(WITH_ID, NATIVE))

    assert found["undecodable records"].count == 1
    assert found["reports told once"].count == 1


def test_the_sample_is_the_end_of_every_partition() -> None:
    log = FakeLog()
    first, second = log.create("otlp_spans", Kind.TRACES, 2)
    (events,) = log.create("otlp_logs", Kind.LOGS)
    for number in range(10):
        log.append(first, traces(CHAT.but(trace=number + 1)).value, timestamp=float(number))
    log.append(events, logs(WireEvent(name="gen_ai.choice")).value, timestamp=1.0)
    ticks = itertools.count()

    records, partitions = from_source(
        FakeSource(log, assigned=[first, second, events]), 3, lambda: float(next(ticks)), seconds_max=1_000.0
    )

    assert [record.offset for record in records if record.partition == first] == [7, 8, 9]
    assert {record.kind for record in records} == {Kind.TRACES, Kind.LOGS}
    assert set(partitions) == {first, second, events}
    assert log.committed == {}


def test_a_sample_that_never_ends_ends_in_time() -> None:
    log = FakeLog()
    ticks = itertools.count()

    assert from_source(FakeSource(log), 3, lambda: float(next(ticks)), seconds_max=5.0) == ([], {})


def test_sampling_joins_no_group_of_the_daemon() -> None:
    config = Config.model_validate({"source": {"kafka": {"brokers": ["localhost:9"], "group": "assay"}}})
    local = Config.model_validate({"source": {"otlp": {}}})

    sampled = for_sampling(config).source.kafka

    assert sampled is not None
    assert sampled.group == "assay-doctor"
    with pytest.raises(ConfigError, match="doctor samples Kafka topics"):
        for_sampling(local)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    written: dict[str, Any] = {
        "spans.pb": traces(BARE, CHAT.but(trace=2)).value,
        "events.pb": logs(WireEvent(name="gen_ai.choice", body={"message": {"content": "In France."}})).value,
        "broken.pb": b"{",
    }
    for name, value in written.items():
        (tmp_path / name).write_bytes(value)
    return {name.partition(".")[0]: str(tmp_path / name) for name in written}


def test_assay_doctor_prints_for_people_and_machines(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--traces", files["spans"], "--logs", files["events"]]) == 0
    assert "no conversation id" in capsys.readouterr().out

    assert cli.main(["doctor", "--traces", files["spans"], "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["services"][0]["calls"] == 2
    assert report["services"][0]["content"] == {"none": 1, "captured": 1}
    assert "In France." not in json.dumps(report)

    assert cli.main(["doctor", "--traces", "/nowhere"]) == 1
    assert cli.main(["doctor"]) == 2


def test_assay_decode_prints_one_object_a_call(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["decode", "--traces", files["spans"], "--logs", files["events"]]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())

    assert " ".join(first) == (
        "call_id trace_id span_id service operation provider request_model response_model response_id "
        "conversation_id system input_messages last_user_text outputs input_tokens output_tokens cache_read_tokens "
        "error stream latency_seconds ttft_seconds context_documents content dialect dropped_attributes"
    )
    assert first["outputs"] == [{"text": "In France.", "tool_calls": [], "finish_reason": None}]
    assert second["input_messages"] == [{"role": "user", "text": "Where is Paris?"}]
    assert (first["system"], first["context_documents"]) == (None, [])


def test_assay_decode_reports_a_broken_file_and_decodes_the_others(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["decode", "--traces", files["broken"], "/nowhere", files["spans"], "--logs", files["broken"]]) == 1
    captured = capsys.readouterr()

    assert len(captured.out.splitlines()) == 2
    assert "broken.pb: bad_json" in captured.err
    assert "/nowhere: No such file" in captured.err
    assert cli.main(["decode"]) == 2
