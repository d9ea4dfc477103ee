"""Where records come from: one protocol for Kafka, the built-in receiver's log and replayed files.

The lifecycle, for every implementation:

* ``start`` connects and returns; it raises ``SourceError`` with a sentence an operator can act on.
* ``poll`` is the only call that delivers. It runs in one thread, never blocks longer than its timeout, and an
  outage is an empty answer plus ``healthy`` turning False, never an exception.
* A partition that ``poll`` reports as assigned is silent until ``seek`` says where it begins; one that it reports as
  revoked delivers nothing more. Both are reported before any record of the same poll.
* Offsets may have holes (transaction markers, compaction); they only rise within a partition.
* ``commit`` is a hint for lag exporters and never raises.
* ``close`` is safe twice and without ``start``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from collector.records import Kind, Partition, RawRecord, Rejected


class SourceError(Exception):
    """The source cannot start; the message is for the operator."""


class Bounds(NamedTuple):
    """Offsets that the log still holds: ``first`` is the oldest, ``end`` is one past the newest."""

    first: int
    end: int


class Polled(msgspec.Struct, frozen=True, kw_only=True):
    """What one poll brought."""

    records: Sequence[RawRecord] = ()
    rejected: Sequence[Rejected] = ()  # records the client itself could not read (a corrupt batch)
    assigned: Sequence[Partition] = ()
    revoked: Sequence[Partition] = ()


class Source(Protocol):
    """A set of partitions that this process reads; see the module's text for the contract."""

    def start(self) -> None: ...
    def poll(self, timeout_seconds: float) -> Polled: ...
    def seek(self, partition: Partition, offset: int) -> None:
        """Deliver ``partition`` from ``offset`` on; also ends the silence after an assignment."""
        ...

    def bounds(self, partition: Partition) -> Bounds: ...
    def offset_at(self, partition: Partition, timestamp: float) -> int:
        """The first offset whose record is not older than ``timestamp`` (seconds); ``end`` if there is none."""
        ...

    def kind(self, partition: Partition) -> Kind: ...
    def epoch(self, topic: str) -> str:
        """A name for this incarnation of the topic; a deleted and recreated topic has another one."""
        ...

    def pause(self, partitions: Collection[Partition]) -> None: ...
    def resume(self, partitions: Collection[Partition]) -> None: ...
    def commit(self, offsets: Mapping[Partition, int]) -> None: ...
    def lag(self) -> Mapping[Partition, int]:
        """Records between what was delivered and the end, per assigned partition; never blocks."""
        ...

    @property
    def healthy(self) -> bool: ...
    def close(self) -> None: ...


class Publisher(Protocol):
    """Writes whole records to a topic."""

    def send(self, body: bytes) -> bool:
        """True: durable; False: refused for good. SourceError: neither, yet."""
        ...

    def close(self) -> None: ...


class DeadLetters(Protocol):
    """Where rejected records go, whole, with the reason; at least once."""

    def send(self, rejected: Sequence[Rejected]) -> None:
        """Returns when the letters are safe; raises ``SourceError`` if they cannot be made so."""
        ...

    def close(self) -> None: ...
