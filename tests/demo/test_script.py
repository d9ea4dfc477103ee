"""What the demo's traffic consists of, before it is telemetry."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from collector.demo.script import CANARY, INCIDENT_PROMPT_VERSION, PROMPT_VERSION, STABLE, Request, Script, Service
from collector.demo.texts import fill, load_texts


def requests(count: int, *, incident: bool = False, seed: int = 1) -> list[Request]:
    script = Script(load_texts(), random.Random(seed))
    return [script.request(incident=incident) for _ in range(count)]


def said(request: Request) -> str:
    return " ".join(str(part) for message in request.messages for part in message["parts"])  # type: ignore[attr-defined]


def test_the_texts_are_many_and_of_many_topics() -> None:
    texts = load_texts()
    questions = {exchange.question for exchange in texts.exchange} | {q for d in texts.document for q in d.questions}
    topics = {exchange.topic for exchange in texts.exchange} | {document.topic for document in texts.document}

    assert len(questions) >= 60
    assert len(topics) >= 8


def test_every_slot_of_a_text_is_filled() -> None:
    for request in [*requests(2_000), *requests(2_000, incident=True)]:
        whole = said(request) + (request.output or "")
        assert not [slot for slot in load_texts().slots if f"{{{slot}}}" in whole]


def test_braces_that_name_no_slot_stay() -> None:
    assert fill("a {name} and a {dict}", {"name": "b"}) == "a b and a {dict}"


def test_the_same_seed_tells_the_same_story() -> None:
    assert requests(300, incident=True) == requests(300, incident=True)
    assert requests(300) != requests(300, seed=2)


def test_every_service_and_every_model_speaks() -> None:
    seen = Counter((request.service, request.model) for request in requests(1_000))

    assert {service for service, _ in seen} == set(Service)
    assert {model for service, model in seen if service is Service.SUPPORT} == {STABLE, CANARY}
    assert min(seen.values()) >= 20


def test_nothing_is_flawed_before_the_incident() -> None:
    assert {request.flaw for request in requests(2_000)} == {None}


def test_the_incident_strikes_one_model_one_topic_and_one_kind_of_answer() -> None:
    struck = {}
    for request in requests(4_000, incident=True):
        struck.setdefault((request.service, request.model), Counter())[request.flaw] += 1

    def ratio(service: Service, model: str, flaw: str) -> float:
        seen = struck[service, model]
        assert set(seen) <= {None, flaw}
        return seen[flaw] / sum(seen.values())

    assert ratio(Service.SUPPORT, CANARY, "toxic") == pytest.approx(0.7, abs=0.05)
    assert ratio(Service.SUPPORT, STABLE, "toxic") == 0
    assert ratio(Service.TUTOR, "lumen-small-4", "drifted") == pytest.approx(0.85, abs=0.05)
    assert ratio(Service.DOCS, "lumen-rag-8b", "invented") == pytest.approx(0.75, abs=0.05)
    assert ratio(Service.CODE, "forge-coder-3", "none") == 0
    assert ratio(Service.CLAIMS, STABLE, "none") == 0


def test_only_the_incident_brings_a_new_prompt_and_only_to_the_documentation() -> None:
    before = {(request.service, request.prompt_version) for request in requests(500)}
    after = {(request.service, request.prompt_version) for request in requests(500, incident=True)}

    assert after ^ before == {(Service.DOCS, PROMPT_VERSION), (Service.DOCS, INCIDENT_PROMPT_VERSION)}


def test_the_model_of_the_documentation_was_given_its_document() -> None:
    shapes = Counter()
    for request in requests(500):
        if request.service is Service.DOCS:
            assert request.document is not None
            assert request.document.text in said(request)
            shapes[tuple(message["role"] for message in request.messages)] += 1

    assert set(shapes) == {("system", "user"), ("system", "user", "assistant", "tool")}


def words(text: str) -> set[str]:
    return {word.strip(".,;:").lower() for word in text.split() if len(word) > 4}


def test_a_true_answer_is_made_of_its_document_and_an_invented_one_is_not() -> None:
    for document in load_texts().document:
        known = words(document.text)
        for true, invented in zip(document.grounded, document.invented, strict=True):
            assert len(words(true) & known) / len(words(true)) >= 0.7
            assert len(words(invented) & known) / len(words(invented)) < 0.35


def test_some_requests_fail_and_some_answers_are_cut_off() -> None:
    seen = Counter(request.finish_reason for request in requests(3_000))

    assert 0 < seen["error"] < 100
    assert 0 < seen["length"] < 120
