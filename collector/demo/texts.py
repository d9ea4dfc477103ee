"""The demo's texts, read from texts.toml: data that a person can edit, with a type."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

import msgspec

_SLOT = re.compile(r"\{(\w+)\}")


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """A question that users of ``service`` ask, and what its model answers."""

    topic: str
    service: str
    question: str
    answers: tuple[str, ...]


class Drifted(msgspec.Struct, frozen=True, kw_only=True):
    """A question that nobody asked before the incident."""

    question: str
    answers: tuple[str, ...]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A page that the documentation assistant retrieves; answer n, true or invented, belongs to question n."""

    id: str
    topic: str
    text: str
    questions: tuple[str, ...]
    grounded: tuple[str, ...]
    invented: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.questions) == len(self.grounded) == len(self.invented):
            raise ValueError(f"document {self.id}: a question without its answers")


class Greetings(msgspec.Struct, frozen=True, kw_only=True):
    support: tuple[str, ...]
    closing: tuple[str, ...]


class Rude(msgspec.Struct, frozen=True, kw_only=True):
    questions: tuple[str, ...]
    answers: tuple[str, ...]


class Toxic(msgspec.Struct, frozen=True, kw_only=True):
    answers: tuple[str, ...]


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    toxic: Toxic


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is said in the demo."""

    slots: Mapping[str, tuple[str, ...]]
    greetings: Greetings
    exchange: tuple[Exchange, ...]
    rude: Rude
    drift: tuple[Drifted, ...]
    document: tuple[Document, ...]
    incident: Incident

    def of(self, service: str) -> tuple[Exchange, ...]:
        """The exchanges of one service."""
        return tuple(exchange for exchange in self.exchange if exchange.service == service)

    def draw(self, rng: random.Random) -> dict[str, str]:
        """One value for every slot, so that a question and its answer speak of the same order."""
        return {name: rng.choice(values) for name, values in self.slots.items()}


def fill(text: str, slots: Mapping[str, str]) -> str:
    """Put the drawn values into a text; braces that name no slot stay."""
    return _SLOT.sub(lambda match: slots.get(match[1], match[0]), text)


@cache
def load_texts() -> Texts:
    """The shipped texts."""
    raw = resources.files("collector.demo").joinpath("texts.toml").read_bytes()
    return msgspec.toml.decode(raw, type=Texts)
