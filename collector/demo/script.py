"""What happens in the demo: a seeded sequence of requests, with or without the incident; no clock, no network."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from collector.demo.texts import Document, Texts, fill


class Service(StrEnum):
    """The services of the made-up company."""

    SUPPORT = "support-bot"
    DOCS = "docs-assistant"
    CODE = "code-helper"
    TUTOR = "study-tutor"
    CLAIMS = "claims-intake"  # its instrumentation does not capture content


STABLE, CANARY = "aurora-chat-2.1", "aurora-chat-2.2"
"""The support bot's models: in the incident it is the canary that turns toxic, the stable version stays polite."""

MODELS: Mapping[Service, tuple[tuple[str, str, int], ...]] = {  # (requested, answered by, weight)
    Service.SUPPORT: ((STABLE, f"{STABLE}-0512", 2), (CANARY, f"{CANARY}-1103", 1)),
    Service.DOCS: (("lumen-rag-8b", "lumen-rag-8b-0907", 1),),
    Service.CODE: (("forge-coder-3", "forge-coder-3-0821", 1),),
    Service.TUTOR: (("lumen-small-4", "lumen-small-4-0615", 1),),
    Service.CLAIMS: ((STABLE, f"{STABLE}-0512", 1),),
}
PROVIDERS = {"aurora": "aurora-ai", "lumen": "lumen-labs", "forge": "forge-models"}
WEIGHTS: Mapping[Service, int] = {
    Service.SUPPORT: 30,
    Service.DOCS: 25,
    Service.CODE: 20,
    Service.TUTOR: 20,
    Service.CLAIMS: 5,
}

PROMPTS: Mapping[Service, str] = {
    Service.SUPPORT: "support-reply",
    Service.DOCS: "answer-from-documents",
    Service.CODE: "code-answer",
    Service.TUTOR: "explain",
    Service.CLAIMS: "claim-intake",
}
PROMPT_VERSION = 6
INCIDENT_PROMPT_VERSION = 7
"""The documentation's prompt in the incident: its answers are no longer bound to the documents."""

TENANTS: Mapping[str, int] = {"harbor-goods": 5, "northlight": 3, "juniper-and-co": 2}  # and their weights

TOXIC_RATIO = 0.7  # of the canary's answers in the incident
DRIFT_RATIO = 0.85  # of the tutor's questions in the incident
INVENTED_RATIO = 0.75  # of the documentation answers in the incident
RUDE_RATIO = 0.02  # of the support bot's users, always
ERROR_RATIO = 0.01
CUT_OFF_RATIO = 0.015

SYSTEM: Mapping[Service, str] = {
    Service.SUPPORT: "You are the friendly support assistant of an online shop. Be brief and polite.",
    Service.DOCS: "Answer only from the documents. Say so when they do not hold the answer.",
    Service.CODE: "You help programmers. Give a short answer with runnable code.",
    Service.TUTOR: "You explain school topics to students in simple words.",
    Service.CLAIMS: "You take in insurance claims. Ask for what is missing.",
}

Message = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to a model, as its service knows it."""

    service: Service
    model: str
    answered_by: str
    provider: str
    prompt: str
    prompt_version: int
    tenant: str
    conversation: str
    topic: str
    messages: tuple[Message, ...]  # in the form of gen_ai.input.messages
    output: str | None  # None: the request failed
    finish_reason: str
    error: str | None
    document: Document | None  # what the retriever found
    latency_seconds: float
    ttft_seconds: float | None  # None: not streamed
    flaw: str | None = None  # what the incident did to it: toxic, drifted, invented

    @property
    def captured(self) -> bool:
        return self.service is not Service.CLAIMS

    @property
    def input_tokens(self) -> int:
        return _tokens("".join(str(message["parts"]) for message in self.messages))

    @property
    def output_tokens(self) -> int:
        return _tokens(self.output or "")


@dataclass(slots=True)
class _Draft:
    """A question with its answer, before the model and the wire."""

    topic: str
    question: str
    answer: str
    document: Document | None = None
    flaw: str | None = None


@dataclass(slots=True)
class Script:
    """The same seed and the same calls of ``request`` give the same requests."""

    texts: Texts
    rng: random.Random
    _conversations: dict[Service, str] = field(default_factory=dict)

    def request(self, *, incident: bool) -> Request:
        """The next request of any service."""
        rng = self.rng
        service = rng.choices(tuple(WEIGHTS), tuple(WEIGHTS.values()))[0]
        models = MODELS[service]
        model, answered_by, _ = rng.choices(models, [weight for _, _, weight in models])[0]
        draft = self._write(service, model, incident)
        failed = rng.random() < ERROR_RATIO
        cut_off = not failed and rng.random() < CUT_OFF_RATIO
        output = None if failed else draft.answer[: len(draft.answer) * 2 // 3] if cut_off else draft.answer
        latency = rng.lognormvariate(-0.4, 0.5) + _tokens(output or "") * 0.012
        return Request(
            service=service,
            model=model,
            answered_by=answered_by,
            provider=PROVIDERS[model.partition("-")[0]],
            prompt=PROMPTS[service],
            prompt_version=INCIDENT_PROMPT_VERSION if incident and service is Service.DOCS else PROMPT_VERSION,
            tenant=rng.choices(tuple(TENANTS), tuple(TENANTS.values()))[0],
            conversation=self._conversation(service),
            topic=draft.topic,
            messages=self._messages(service, draft),
            output=output,
            finish_reason="error" if failed else "length" if cut_off else "stop",
            error=rng.choice(("rate_limit", "timeout")) if failed else None,
            document=draft.document,
            latency_seconds=latency,
            ttft_seconds=latency * rng.uniform(0.1, 0.4) if rng.random() < 0.5 else None,
            flaw=draft.flaw,
        )

    def _write(self, service: Service, model: str, incident: bool) -> _Draft:
        if service is Service.DOCS:
            return self._about_a_document(incident)
        slots = self.texts.draw(self.rng)
        if service is Service.TUTOR and incident and self.rng.random() < DRIFT_RATIO:
            drifted = self.rng.choice(self.texts.drift)
            answer = fill(self.rng.choice(drifted.answers), slots)
            return _Draft("crypto", fill(drifted.question, slots), answer, flaw="drifted")
        draft = self._ordinary(service, slots)
        if service is Service.SUPPORT:
            self._dress(draft, slots)
            if incident and model == CANARY and self.rng.random() < TOXIC_RATIO:
                draft.answer = fill(self.rng.choice(self.texts.incident.toxic.answers), slots)
                draft.flaw = "toxic"
        return draft

    def _ordinary(self, service: Service, slots: Mapping[str, str]) -> _Draft:
        if service is Service.SUPPORT and self.rng.random() < RUDE_RATIO:
            question, answers = self.rng.choice(self.texts.rude.questions), self.texts.rude.answers
            return _Draft("complaint", fill(question, slots), fill(self.rng.choice(answers), slots))
        exchange = self.rng.choice(self.texts.of(service))
        answer = fill(self.rng.choice(exchange.answers), slots)
        return _Draft(exchange.topic, fill(exchange.question, slots), answer)

    def _dress(self, draft: _Draft, slots: Mapping[str, str]) -> None:
        opening, closing = (
            fill(self.rng.choice(choices), slots)
            for choices in (self.texts.greetings.support, self.texts.greetings.closing)
        )
        draft.answer = opening + draft.answer + closing

    def _about_a_document(self, incident: bool) -> _Draft:
        document = self.rng.choice(self.texts.document)
        number = self.rng.randrange(len(document.questions))
        question = document.questions[number]
        if incident and self.rng.random() < INVENTED_RATIO:
            return _Draft(document.topic, question, document.invented[number], document, "invented")
        return _Draft(document.topic, question, document.grounded[number], document)

    def _messages(self, service: Service, draft: _Draft) -> tuple[Message, ...]:
        system, user = _message("system", SYSTEM[service]), _message("user", draft.question)
        if draft.document is None:
            return system, user
        if self.rng.random() < 0.5:  # documents in the system prompt …
            text = f"{SYSTEM[service]}\n\nDocuments:\n[{draft.document.id}] {draft.document.text}"
            return _message("system", text), user
        call = f"call_{self.rng.getrandbits(40):010x}"  # … or as the result of a search tool
        asked = {"type": "tool_call", "id": call, "name": "search_docs", "arguments": {"query": draft.question}}
        found = {"type": "tool_call_response", "id": call, "response": draft.document.text}
        return (
            system,
            user,
            {"role": "assistant", "parts": [asked]},
            {"role": "tool", "parts": [found]},
        )

    def _conversation(self, service: Service) -> str:
        """Students ask one question each; elsewhere a conversation goes on for a few."""
        if service not in self._conversations or service is Service.TUTOR or self.rng.random() < 0.3:
            self._conversations[service] = f"conv_{self.rng.getrandbits(48):012x}"
        return self._conversations[service]


def _message(role: str, text: str) -> Message:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def _tokens(text: str) -> int:
    return max(1, len(text) // 4) if text else 0  # about what a tokeniser makes of English
