"""Scores of a delta as ``gen_ai.evaluation.result`` log events of OpenTelemetry's GenAI conventions, in OTLP protobuf.

An event belongs to the span that it judges: trace and span id are the call's. The name is signal and side, as the
columns of ``calls`` are named; the label is ``pass``, ``warn`` or ``critical``; the explanation says which threshold
was passed and what 1 means. No text of the call is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from collector import catalog
from collector.delta import SCORE_SCALE, Delta

EVENT = "gen_ai.evaluation.result"
SCOPE = "assay"
REQUEST_EVENTS_MAX = 500  # some 300 KiB: below every broker's and receiver's default
_HELP = {entry.name: entry.help for entry in catalog.SIGNALS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Scores above count as a warning, as critical (signals.warn_at and critical_at)."""

    warn: float
    critical: float

    def label(self, score: float) -> str:
        return "critical" if score > self.critical else "warn" if score > self.warn else "pass"

    def explanation(self, signal: str, score: float) -> str:
        label = self.label(score)
        passed = {
            "critical": f"above critical_at {self.critical:g}",
            "warn": f"above warn_at {self.warn:g}",
            "pass": f"not above warn_at {self.warn:g}",
        }[label]
        return f"{score:.3f} is {passed}. {_HELP.get(signal, '')}".rstrip()


@dataclass(frozen=True, slots=True)
class Request:
    """One export request."""

    body: bytes
    events: int


def requests(delta: Delta, thresholds: Thresholds, *, everything: bool, now_ns: int) -> Iterator[Request]:
    """The events of a delta, some hundreds a request; ``everything``: also those of scores that passed."""
    versions = {
        (suite, entry.signal, entry.side): f"{entry.version}+{entry.weights}" if entry.weights else entry.version
        for suite, entries in delta.footer.suites.items()
        for entry in entries
    }
    found = [
        (column, row, score)
        for column in delta.calls.column_names
        if column.startswith("s_")
        for row, score in _chosen(delta.calls.column(column), -1 if everything else thresholds.warn * SCORE_SCALE)
    ]
    if not found:
        return
    found.sort(key=lambda item: item[1])
    rows = sorted({row for _, row, _ in found})
    calls = dict(zip(rows, delta.calls.take(pa.array(rows)).to_pylist(), strict=True))
    for at in range(0, len(found), REQUEST_EVENTS_MAX):
        part = found[at : at + REQUEST_EVENTS_MAX]
        request = ExportLogsServiceRequest()
        group = request.resource_logs.add()
        _put(group.resource.attributes, "service.name", SCOPE)
        scoped = group.scope_logs.add()
        scoped.scope.name = SCOPE
        for column, row, score in part:
            signal, _, side = column.removeprefix("s_").rpartition("_")
            version = versions.get((calls[row]["suite"], signal, side), "")
            _fill(scoped.log_records.add(), calls[row], (signal, side, version), score / SCORE_SCALE, thresholds)
            scoped.log_records[-1].observed_time_unix_nano = now_ns
        yield Request(request.SerializeToString(), len(part))


def _chosen(column: pa.ChunkedArray, above: float) -> list[tuple[int, int]]:
    """Row and score, in millionths, of what is above; a negative number is a reason and no score."""
    values = pc.fill_null(column.cast(pa.int64()), -1).to_numpy()
    rows = np.flatnonzero((values > above) & (values >= 0))
    return list(zip(rows.tolist(), values[rows].tolist(), strict=True))


def _fill(
    record: LogRecord, call: dict[str, Any], judged: tuple[str, str, str], score: float, thresholds: Thresholds
) -> None:
    signal, side, version = judged
    label = thresholds.label(score)
    record.event_name = EVENT
    record.time_unix_nano = int(np.datetime64(call["time"], "us").astype(np.int64)) * 1_000
    record.trace_id, record.span_id = call["trace_id"], call["span_id"]
    flagged = label != "pass"
    record.severity_number = SeverityNumber.SEVERITY_NUMBER_WARN if flagged else SeverityNumber.SEVERITY_NUMBER_INFO
    record.severity_text = "WARN" if flagged else "INFO"
    _put(record.attributes, "gen_ai.evaluation.name", f"{signal}_{side}")
    record.attributes.add(key="gen_ai.evaluation.score.value").value.double_value = score
    _put(record.attributes, "gen_ai.evaluation.score.label", label)
    _put(record.attributes, "gen_ai.evaluation.explanation", thresholds.explanation(signal, score))
    for key, value in (
        ("gen_ai.response.id", call.get("response_id")),
        ("gen_ai.request.model", call["model"]),
        ("gen_ai.response.model", call["model_version"]),
        ("gen_ai.conversation.id", call["conversation_id"]),
        ("assay.evaluated.service.name", call["service"]),
        ("assay.signal.version", version),
    ):
        if value:
            _put(record.attributes, key, value)


def _put(attributes: Any, key: str, value: str) -> None:
    attributes.add(key=key).value.string_value = value
