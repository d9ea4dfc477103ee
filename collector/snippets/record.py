"""A snippet as it is stored: named by its call, so that a page asks for it by name and no list is ever read for one.

``<hour>/<microseconds>-<trace>-<span>-<signal>_<side>.json``, the hour and the microseconds being those of the call's
end, UTC. So names sort by age, whole hours can be deleted, and the same call never has two.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from collector.evidence import Said

FORMAT = 1
HOUR = re.compile(r"\d{8}T\d{2}")
_PATH = re.compile(r"\d{8}T\d{2}/(?P<at>\d{16})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<column>\w+)\.json")


class Key(NamedTuple):
    """A call, and the signal and side that a snippet of it is kept for."""

    at: int  # end of the call, microseconds since the epoch
    trace_id: str
    span_id: str
    column: str  # as ScoreSpec has it: toxicity_output; or evidence.DRIFT

    @property
    def path(self) -> str:
        hour = datetime.fromtimestamp(self.at // 1_000_000, UTC)
        return f"{hour:%Y%m%dT%H}/{self.at:016d}-{self.trace_id}-{self.span_id}-{self.column}.json"

    @classmethod
    def of(cls, path: str) -> Key | None:
        """The key of a path; None: it is not a snippet's."""
        found = _PATH.fullmatch(path)
        return cls(int(found["at"]), found["trace"], found["span"], found["column"]) if found else None


class Snippet(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a call for one signal: question and answer, and the context where that was judged."""

    said: tuple[Said, ...]
    format: int = FORMAT


def hour_begin(hour: str) -> float:
    """When an hour begins, seconds since the epoch."""
    return datetime.strptime(hour, "%Y%m%dT%H").replace(tzinfo=UTC).timestamp()


def encode(snippet: Snippet) -> bytes:
    return msgspec.json.encode(snippet)


def decode(data: bytes) -> Snippet | None:
    """None: it is damaged, or of a later version."""
    try:
        snippet = msgspec.json.decode(data, type=Snippet)
    except msgspec.DecodeError:
        return None
    return snippet if snippet.format == FORMAT else None
