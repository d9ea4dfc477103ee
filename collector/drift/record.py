"""What was decided about one window of calls: immutable, put if absent, and all that the view of drift is made of.

A record says how far the calls of every stream were taken in, what that meant for each slice, and what its detectors
remember afterwards. Numbers follow each other without gaps. What a detector remembers is only in recent records:
each tells those that changed, every FULL_EVERY-th tells all, and merging leaves them out.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from collector.delta import DeltaError
from collector.records import DriftSkip
from signals.drift.pairing import Phase

FORMAT = 1
FULL_EVERY = 32
SKIPS = tuple(reason.value for reason in DriftSkip)
"""Why a call with a sketch was not paired."""
PHASES = tuple(phase.value for phase in Phase)
"""What the two calls of a pair have in common."""

_MAGIC = b"assay-drift-1\n"
_DIGEST = 16


class Slice(NamedTuple):
    """What has a detector of its own; vectors of two versions are never compared."""

    service: str
    model: str
    side: str
    version: str  # encoder and sketch


class Place(NamedTuple):
    """A call within its hour, in the order in which calls are used as reference."""

    minute: int
    id: int  # its hash


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One slice in one window."""

    slice: Slice
    calls: int  # with a sketch: pairs and all that was skipped
    pairs: int
    skipped: dict[str, int] = {}  # one of SKIPS -> calls
    phases: dict[str, int] = {}  # one of PHASES -> pairs
    log_increment: float  # what the window added to the logarithm of the e-process; windows add up
    log_e: float  # natural logarithm of the detector after the window
    pairs_total: int  # since the detector began
    alarm_since: float | None = None  # end of the window that raised it, seconds since the epoch; None: no alarm


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A group of texts that are alike, and how common it was and is."""

    share_before: float  # of the baseline
    share_after: float  # of the current calls
    change_low: float  # interval of share_after - share_before, 95 % for all topics of a slice together
    change_high: float
    examples_before: tuple[str, ...]  # trace ids, hex
    examples_after: tuple[str, ...]
    spans_before: tuple[str, ...] = ()  # … and span ids, hex; of older records nobody knows them
    spans_after: tuple[str, ...] = ()
    times_before: tuple[int, ...] = ()  # … and when these calls ended, microseconds since the epoch
    times_after: tuple[int, ...] = ()


class Topics(msgspec.Struct, frozen=True, kw_only=True):
    """The topics of one slice, by how much they changed."""

    slice: Slice
    topics: tuple[Topic, ...]
    n_before: int
    n_after: int


class Detector(msgspec.Struct, frozen=True, kw_only=True):
    """All that is remembered of a slice."""

    slice: Slice
    state: bytes = b""  # signals.drift.detector.State; empty before the first pair
    log_e: float = 0.0  # its natural logarithm of the evidence
    used: dict[int, Place] = {}  # hour since the epoch -> the last of its calls that was used as reference
    alarm_since: float | None = None
    seen: float = 0.0  # end of the last window with a call, seconds since the epoch
    topics_at: float = 0.0  # end of the window whose topics were looked up last


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One decision. Times are the log's, in seconds since the epoch."""

    number: int
    begin: float
    end: float
    alpha: float
    positions: dict[str, int]  # path of a stream -> its calls before this offset are taken in
    rows: tuple[Row, ...] = ()
    topics: tuple[Topics, ...] = ()
    detectors: tuple[Detector, ...] = ()
    full: bool = False  # whether ``detectors`` are all
    written_by: str = ""


def encode(records: Sequence[Record]) -> bytes:
    """The object of one record, or of a merged run."""
    packed = zlib.compress(msgspec.msgpack.encode((FORMAT, list(records))), 6)
    return _MAGIC + hashlib.blake2b(packed, digest_size=_DIGEST).digest() + packed


def decode(data: bytes) -> list[Record]:
    """The records of an object; DeltaError when it is damaged or of a newer version."""
    packed = data[len(_MAGIC) + _DIGEST :]
    digest = hashlib.blake2b(packed, digest_size=_DIGEST).digest()
    if data[: len(_MAGIC)] != _MAGIC or data[len(_MAGIC) : len(_MAGIC) + _DIGEST] != digest:
        raise DeltaError("not a record of drift, or damaged")
    try:
        version, records = msgspec.msgpack.decode(zlib.decompress(packed), type=tuple[int, list[Record]])
    except (zlib.error, msgspec.DecodeError) as error:
        raise DeltaError(f"not a record of drift: {error}") from error
    if version != FORMAT:
        raise DeltaError(f"drift record format {version}, this version reads {FORMAT}")
    return records
