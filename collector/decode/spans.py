"""What the decoder hands to the assembler: spans and log events, reduced to the attributes that a dialect names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from collector.decode.dialects import ENVIRONMENT, PROCESS, SERVICE_VERSION, TENANT
from collector.decode.shapes import Shape
from collector.records import RejectReason

TIME_MAX = (1 << 63) - 1

Attributes = dict[str, Any]  # str, int, float, bool, bytes, None, list and dict of the same


class Undecodable(msgspec.Struct, frozen=True, gc=False):
    """Why a value could not be decoded; ``detail`` is for a person and never holds text of the payload."""

    reason: RejectReason
    detail: str


class Source(msgspec.Struct, frozen=True, gc=False):
    """Who sent a span: one per resource and scope of a request, shared by its spans."""

    service: str
    scope: str  # name of the instrumentation
    scope_version: str
    process: str  # names the sending process: service.instance.id, or what else the resource tells apart
    service_version: str | None
    environment: str | None
    tenant: str | None


class SpanEvent(msgspec.Struct, frozen=True, gc=False):
    """A timed note on a span; only the kinds that say something of a call are kept."""

    name: str
    at: int  # nanoseconds since the epoch
    attributes: Attributes


class Span(msgspec.Struct, frozen=True, gc=False):
    """One span; ids are lower-case hex and valid, ``attributes`` holds the wanted ones only."""

    trace_id: str
    span_id: str
    parent_id: str  # "" for a root
    name: str
    source: Source
    started_at: int  # nanoseconds since the epoch
    ended_at: int
    failed: bool
    status_message: str
    attributes: Attributes
    shape: Shape  # of the attributes
    events: tuple[SpanEvent, ...]
    dropped: int  # attributes that the SDK dropped


class LogEvent(msgspec.Struct, frozen=True, gc=False):
    """One log record that speaks of a call; the ids are "" where the sender left them out."""

    trace_id: str
    span_id: str
    name: str
    at: int  # nanoseconds since the epoch
    source: Source
    body: Any
    attributes: Attributes


class BadRecordError(Exception):
    """Raised inside the decoder only: its border turns it into an ``Undecodable``."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def source_of(resource: Attributes, scope: str, scope_version: str) -> Source:
    """The sender, from the attributes of a resource and the scope under it."""
    service = resource.get("service.name")
    instance = resource.get("service.instance.id")
    process = instance if instance else "|".join(str(resource.get(key, "")) for key in PROCESS)
    return Source(
        service=service if isinstance(service, str) and service else "unknown_service",
        scope=scope,
        scope_version=scope_version,
        process=str(process),
        service_version=first_text(resource, SERVICE_VERSION),
        environment=first_text(resource, ENVIRONMENT),
        tenant=first_text(resource, tuple(alias.key for alias in TENANT)),
    )


def first_text(attributes: Attributes, keys: Iterable[str]) -> str | None:
    """The first non-empty string among some attributes."""
    for key in keys:
        value = attributes.get(key)
        if isinstance(value, str) and value:
            return value
    return None


def nanoseconds(value: int) -> int:
    """A time that fits 63 bits: senders may write anything."""
    return min(max(value, 0), TIME_MAX)
