"""The traffic as the built-in receiver gets it from the real SDK, and as the decode room understands it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.config import JoinConfig, LimitsConfig, OtlpConfig
from collector.decode.assemble import Assembler
from collector.decode.otlp import decode_traces
from collector.decode.spans import Undecodable
from collector.demo.script import Request, Script, Service
from collector.demo.texts import load_texts
from collector.demo.traffic import Emitter, Traffic
from collector.records import Anchor, Content, LLMCall
from collector.source.otlp import LOGS, TRACES, OtlpSource


@pytest.fixture
def source(tmp_path: Path) -> Iterator[OtlpSource]:
    made = OtlpSource(OtlpConfig(port=0), tmp_path, LimitsConfig())
    made.start()
    made.poll(0)
    made.seek(TRACES, 0)
    made.seek(LOGS, 0)
    yield made
    made.close()


def calls(source: OtlpSource) -> list[LLMCall]:
    assembler = Assembler(JoinConfig(), LimitsConfig())
    while polled := source.poll(0.05).records:
        for record in polled:
            spans = decode_traces(record.value, LimitsConfig())
            assert not isinstance(spans, Undecodable)
            assembler.add_spans(spans, anchor=Anchor(record.partition, record.offset), now=record.timestamp)
    return [settled.verdict for settled in assembler.flush() if isinstance(settled.verdict, LLMCall)]


def emitted(source: OtlpSource, count: int, *, incident: bool = False) -> list[tuple[Request, LLMCall]]:
    """Requests with the calls that became of them."""
    script = Script(load_texts(), random.Random(3))
    requests = [script.request(incident=incident) for _ in range(count)]
    emitter = Emitter(source.endpoint)
    now = 1_750_000_000.0
    for number, request in enumerate(requests):
        emitter.emit(request, now + number)
    emitter.close()
    found = {call.ended_at // 1_000_000_000: call for call in calls(source)}
    assert len(found) == count
    return [(request, found[int(now) + number]) for number, request in enumerate(requests)]


def test_each_request_becomes_exactly_one_call_that_says_what_was_said(source: OtlpSource) -> None:
    for request, call in emitted(source, 200, incident=True):
        assert (call.service, call.request_model) == (request.service, request.model)
        assert call.provider == request.provider
        assert call.conversation_id == request.conversation
        assert (call.prompt, call.tenant) == (f"{request.prompt}:{request.prompt_version}", request.tenant)
        assert call.latency_seconds == pytest.approx(request.latency_seconds, abs=1e-6)
        if request.error is None:
            assert call.response_model == request.answered_by
            assert (call.input_tokens, call.output_tokens) == (request.input_tokens, request.output_tokens)
        else:
            assert call.error == request.error
        if request.captured:
            question = next(message for message in request.messages if message["role"] == "user")
            assert question["parts"] == [{"type": "text", "content": call.last_user_text}]
            assert [output.text for output in call.outputs] == ([request.output] if request.output else [])


def test_the_service_without_content_capture_sends_no_text(source: OtlpSource) -> None:
    contents = {request.service: set[Content]() for request, _ in emitted(source, 1)} | {s: set() for s in Service}
    for request, call in emitted(source, 200):
        if request.error is None:
            contents[request.service].add(call.content)
        if not request.captured:
            assert call.last_user_text is None
            assert not any(output.text for output in call.outputs)

    assert contents.pop(Service.CLAIMS) == {Content.NONE}
    assert all(seen == {Content.CAPTURED} for seen in contents.values())


def test_the_thread_sends_earlier_traffic_first_and_the_incident_when_it_is_due(source: OtlpSource) -> None:
    traffic = Traffic(endpoint=source.endpoint, rate=200, incident_after_seconds=0.2, earlier=50)
    started = time.time()
    traffic.start()
    while not (traffic.incident and traffic.sent > 150):
        time.sleep(0.02)
    traffic.stop()
    traffic.stop()

    found = calls(source)

    assert len(found) == traffic.sent
    earlier = [call for call in found if call.ended_at / 1e9 < started - 600]
    assert len(earlier) == 50
    assert len({call.service for call in found}) == len(Service)
    assert len({call.call_id for call in found}) == len(found)


def test_the_command_sends_traffic_to_a_receiver_that_is_not_its_own(source: OtlpSource) -> None:
    arguments = ("--send-to", f"{source.endpoint}/", "--rate", "50", "--duration", "1", "--incident-after", "0")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "collector.cli", "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert f"stopped: {len(calls(source))} calls sent" in done.stdout


def test_two_runs_never_share_a_call_id(source: OtlpSource) -> None:
    ids = [call.call_id for _ in range(2) for _, call in emitted(source, 20)]

    assert len(set(ids)) == 40


def test_stopping_traffic_that_never_started_is_safe() -> None:
    Traffic(endpoint="http://127.0.0.1:1", rate=1, incident_after_seconds=1).stop()
