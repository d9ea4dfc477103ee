"""The embedded source: a built-in OTLP/HTTP receiver in front of a durable local log, read like any other log.

Two topics with one partition each. Nothing that was acknowledged is lost by a restart, because the daemon reads what
the receiver has *stored*, never what it just received.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

from collector.config import LimitsConfig, OtlpConfig
from collector.records import Kind, Partition, RawRecord, Rejected, RejectReason
from collector.source import Bounds, Polled, SourceError
from collector.source.locallog import TRIM_RECORDS_MAX, LocalLog, LogError
from collector.source.receiver import Receiver

TRACES, LOGS = Partition("otlp_spans", 0), Partition("otlp_logs", 0)
KINDS = {TRACES: Kind.TRACES, LOGS: Kind.LOGS}
POLL_RECORDS_MAX = 500  # a partition
POLL_BYTES_MAX = 8 << 20  # a partition
TRIM_SECONDS = 60.0
FULL_RATIO = 0.9  # from here on, records that the chain already holds make room before their time

_Answer = TypeVar("_Answer")


class OtlpSource:
    """Source of ``otlp_spans`` and ``otlp_logs``; see collector.source for the contract.

    The log keeps records for ``keep_hours``. When it is nearly full, the oldest ones that were committed go earlier;
    records that nobody has committed are never dropped for room: then senders get 503 until there is some.
    """

    def __init__(
        self, config: OtlpConfig, data: Path, limits: LimitsConfig, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._config = config
        self._path = config.log_file or data / "otlp.sqlite"
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._log: LocalLog | None = None
        self._receiver: Receiver | None = None
        self._announced = False
        self._positions: dict[Partition, int] = {}
        self._paused: frozenset[Partition] = frozenset()
        self._committed: dict[Partition, int] = {}
        self._readable = False
        self._trim_at = 0.0
        self._told: Mapping[int, int] = {}

    @property
    def endpoint(self) -> str:
        """What to give an exporter as OTEL_EXPORTER_OTLP_ENDPOINT; raises SourceError before ``start``."""
        if self._receiver is None:
            raise SourceError("the OTLP receiver has not started")
        return self._receiver.endpoint

    @property
    def replaced(self) -> Path | None:
        """Where a damaged log was put aside at start, if it was."""
        return self._log.replaced if self._log else None

    @property
    def refused(self) -> Mapping[int, int]:
        """Requests that were refused so far, by HTTP status (499: the client went away)."""
        return dict(self._receiver.refused) if self._receiver else {}

    def take_refused(self) -> Mapping[int, int]:
        """Requests that were refused since the last time this was asked, by HTTP status; for a counter."""
        now = self.refused
        new = {status: count - self._told.get(status, 0) for status, count in now.items()}
        self._told = now
        return {status: count for status, count in new.items() if count}

    @property
    def turned_away(self) -> Mapping[str, int]:
        """Requests that the receiver's door did not let in so far, by reason."""
        return dict(self._receiver.turned_away) if self._receiver else {}

    @property
    def stale(self) -> bool:
        """The receiver's web-config file on disk cannot be used; an older one is in force."""
        return self._receiver is not None and self._receiver.stale

    def start(self) -> None:
        topics = {partition.topic: partition for partition in KINDS}
        try:
            self._log = LocalLog(self._path, tuple(topics), bytes_max=self._config.keep_bytes_max, clock=self._clock)
        except LogError as error:
            raise SourceError(str(error)) from None
        try:
            self._receiver = Receiver(
                self._log,
                {"/v1/traces": TRACES.topic, "/v1/logs": LOGS.topic},
                config=self._config,
                limits=self._limits,
                arrived=self._arrived.set,
            )
        except SourceError:
            self._log.close()
            raise
        self._receiver.start()
        self._readable = True

    def poll(self, timeout_seconds: float) -> Polled:
        if self._log is None:
            return Polled()
        if not self._announced:
            self._announced = True
            return Polled(assigned=tuple(KINDS))
        deadline = time.monotonic() + timeout_seconds
        while True:
            self._arrived.clear()  # before reading: what arrives meanwhile ends the wait below
            polled = self._take(self._log)
            left = deadline - time.monotonic()
            if polled.records or polled.rejected or left <= 0:
                return polled
            self._arrived.wait(left)

    def seek(self, partition: Partition, offset: int) -> None:
        if self._announced and partition in KINDS:
            with self._lock:
                self._positions[partition] = offset
            self._arrived.set()

    def bounds(self, partition: Partition) -> Bounds:
        return self._ask(lambda log: log.bounds(partition.topic))

    def offset_at(self, partition: Partition, timestamp: float) -> int:
        return self._ask(lambda log: log.offset_at(partition.topic, timestamp))

    def kind(self, partition: Partition) -> Kind:
        return KINDS[partition]

    def epoch(self, topic: str) -> str:  # noqa: ARG002  (one file, one incarnation of both topics)
        return self._ask(lambda log: log.epoch)

    def pause(self, partitions: Collection[Partition]) -> None:
        with self._lock:
            self._paused |= frozenset(partitions)

    def resume(self, partitions: Collection[Partition]) -> None:
        with self._lock:
            self._paused -= frozenset(partitions)
        self._arrived.set()

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        with self._lock:
            self._committed |= offsets

    def lag(self) -> Mapping[Partition, int]:
        log = self._log
        if log is None or not self._announced:
            return {}
        lag = {}
        for partition in KINDS:
            first, end = log.bounds(partition.topic)
            lag[partition] = max(0, end - max(first, self._positions.get(partition, first)))
        return lag

    @property
    def healthy(self) -> bool:
        """The receiver serves, the log takes appends and gives records."""
        return self._readable and self._receiver is not None and self._receiver.healthy

    def close(self) -> None:
        """Stop serving, then close the log; a request in flight is answered first."""
        self._readable = False
        if self._receiver is not None:
            self._receiver.close()
        log, self._log = self._log, None
        if log is not None:
            log.close()
        self._arrived.set()

    def _take(self, log: LocalLog) -> Polled:
        records: list[RawRecord] = []
        rejected: list[Rejected] = []
        with self._lock:
            wanted = [at for at in self._positions.items() if at[0] not in self._paused]
        try:
            self._make_room(log)
            for partition, position in wanted:
                entries = log.read(partition.topic, position, records_max=POLL_RECORDS_MAX, bytes_max=POLL_BYTES_MAX)
                for entry in entries:
                    record = RawRecord(
                        partition=partition,
                        offset=entry.offset,
                        timestamp=entry.timestamp,
                        kind=KINDS[partition],
                        value=entry.value,
                    )
                    if entry.value is not None:
                        records.append(record)
                        continue
                    reason = RejectReason.CORRUPT_BATCH
                    rejected.append(Rejected(record=record, reason=reason, detail="damaged in the local log"))
                if entries:
                    with self._lock:
                        if self._positions.get(partition) == position:  # nobody sought meanwhile
                            self._positions[partition] = entries[-1].offset + 1
            self._readable = True
        except LogError:
            self._readable = False
        return Polled(records=records, rejected=rejected)

    def _make_room(self, log: LocalLog) -> None:
        """Let old records go: a bounded piece now, the rest with the next polls."""
        now = self._clock()
        if now < self._trim_at <= now + TRIM_SECONDS:
            return
        self._trim_at = now + TRIM_SECONDS
        crowded = log.used_ratio() > FULL_RATIO
        for partition in KINDS:
            before = log.offset_at(partition.topic, now - self._config.keep_hours * 3_600)
            if crowded:
                before = max(before, self._committed.get(partition, 0))
            if log.trim(partition.topic, before) == TRIM_RECORDS_MAX:
                self._trim_at = now

    def _ask(self, question: Callable[[LocalLog], _Answer]) -> _Answer:
        log = self._log
        if log is None:
            raise SourceError("the local log is not open")
        try:
            return question(log)
        except LogError as error:
            raise SourceError(str(error)) from None
