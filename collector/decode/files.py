"""Telemetry in files, each one export request: read in order as one stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.config import JoinConfig, LimitsConfig
from collector.decode.assemble import Assembler
from collector.decode.otlp import decode_logs, decode_traces
from collector.decode.spans import Undecodable
from collector.records import Anchor, LLMCall, Partition

_FILES = Partition("files", 0)


@dataclass(frozen=True, slots=True)
class DecodedFiles:
    """The calls in order of their files, and a sentence for each file that could not be used."""

    calls: tuple[LLMCall, ...]
    problems: tuple[str, ...]


def decode_files(
    traces: Sequence[Path], logs: Sequence[Path], *, join: JoinConfig | None = None, limits: LimitsConfig | None = None
) -> DecodedFiles:
    """Assemble all files as one moment of one stream; a file that cannot be used is a problem, never an exception."""
    limits = limits or LimitsConfig()
    assembler = Assembler(join or JoinConfig(), limits)
    problems: list[str] = []
    for offset, path in enumerate(traces):
        spans = _value(path, problems, limits)
        if spans is not None:
            decoded = decode_traces(spans, limits)
            if isinstance(decoded, Undecodable):
                problems.append(_sentence(path, decoded))
            else:
                assembler.add_spans(decoded, anchor=Anchor(_FILES, offset), now=0.0)
    for path in logs:
        records = _value(path, problems, limits)
        if records is not None:
            events = decode_logs(records, limits)
            if isinstance(events, Undecodable):
                problems.append(_sentence(path, events))
            else:
                assembler.add_events(events, now=0.0)
    verdicts = (settled.verdict for settled in assembler.flush())
    return DecodedFiles(tuple(call for call in verdicts if isinstance(call, LLMCall)), tuple(problems))


def _value(path: Path, problems: list[str], limits: LimitsConfig) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(limits.record_bytes_max + 1)
    except OSError as error:
        problems.append(f"{path}: {error.strerror}")
        return None


def _sentence(path: Path, undecodable: Undecodable) -> str:
    return f"{path}: {undecodable.reason.value}" + (f" ({undecodable.detail})" if undecodable.detail else "")
