"""Where a trace is shown: the template of its address, what may stand in it, and the templates of usual backends.

Only digits, hexadecimal and dashes are ever filled in, so that nothing in a template needs to be encoded again; a brace
that belongs to the address itself is written as ``%7B`` or ``%7D``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator

PLACEHOLDERS = {
    "trace_id": "32 hexadecimal digits",
    "span_id": "16 hexadecimal digits; empty where only the trace is known",
    "langsmith_run_id": "the run that LangSmith makes of an OTLP span; no link where only the trace is known",
    "start_ms": "Unix time in milliseconds, some time before the call",
    "end_ms": "… and some time after it",
}
_NAMING = {"trace_id", "span_id", "langsmith_run_id"}  # one of these, or every link would lead to the same page

TEMPLATES = {
    "Grafana Tempo": (
        "https://grafana.example/explore?schemaVersion=1&orgId=1&panes=%7B%22a%22:%7B%22datasource%22:%22TEMPO_UID%22,"
        "%22queries%22:%5B%7B%22refId%22:%22A%22,%22datasource%22:%7B%22type%22:%22tempo%22,%22uid%22:%22TEMPO_UID%22"
        "%7D,%22queryType%22:%22traceql%22,%22query%22:%22{trace_id}%22%7D%5D,%22range%22:%7B%22from%22:%22{start_ms}"
        "%22,%22to%22:%22{end_ms}%22%7D%7D%7D"
    ),
    "Jaeger": "https://jaeger.example/trace/{trace_id}?uiFind={span_id}",
    "Langfuse": "https://langfuse.example/project/PROJECT_ID/traces/{trace_id}?observation={span_id}",
    "Phoenix": "https://phoenix.example/redirects/traces/{trace_id}",
    "LangSmith": "https://smith.langchain.com/o/ORGANISATION_ID/projects/p/PROJECT_ID/r/{langsmith_run_id}?poll=true",
}
"""By backend. What is in capitals, and the host, is yours to fill in."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_ADDRESS = re.compile(r"https?://[^/?#]+[!-~]*")
_TRACE_ID, _SPAN_ID = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{16}")


def check(template: str) -> str:
    """The template itself; ValueError says what is wrong with it."""
    named = _PLACEHOLDER.findall(template)
    bare = _PLACEHOLDER.sub("", template)
    if not _ADDRESS.fullmatch(bare) or set(bare) & set('"<>\\^`'):
        raise ValueError("an address that begins with http:// or https:// and holds neither spaces nor quotes")
    if "{" in bare or "}" in bare:
        raise ValueError("a brace of the address itself is written as %7B or %7D")
    if unknown := [name for name in named if name not in PLACEHOLDERS]:
        raise ValueError(f"no placeholder is called {{{unknown[0]}}}; there are {_listed(PLACEHOLDERS)}")
    if not _NAMING & set(named):
        raise ValueError("it names no trace: put {trace_id} into it")
    return template


def fill(template: str, *, trace_id: str, span_id: str, start: datetime, end: datetime) -> str | None:
    """The address of a trace, or None where there is none to give. ``start`` and ``end`` are UTC, naive."""
    if not _TRACE_ID.fullmatch(trace_id):
        return None
    span_id = span_id if _SPAN_ID.fullmatch(span_id) else ""
    if not span_id and "{langsmith_run_id}" in template:
        return None
    values = {
        "trace_id": trace_id,
        "span_id": span_id,
        "langsmith_run_id": f"00000000-0000-0000-{span_id[:4]}-{span_id[4:]}",  # as langsmith.integrations.otel has it
        "start_ms": _milliseconds(start),
        "end_ms": _milliseconds(end),
    }
    return _PLACEHOLDER.sub(lambda found: values[found[1]], template)


def _milliseconds(at: datetime) -> str:
    return f"{at.replace(tzinfo=UTC).timestamp() * 1_000:.0f}"


def _listed(names: dict[str, str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)


TraceUrl = Annotated[str, AfterValidator(check)]
