"""Where snippets are kept: put if absent, read by name, deleted by age; an expired one is not there, deleted or not."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from collector.chain import ChainError, open_beside
from collector.config import Config
from collector.evidence import Named, Said
from collector.records import SnippetDrop
from collector.snippets.record import HOUR, Key, Snippet, decode, encode, hour_begin

NOTHING = -math.inf
HOUR_SECONDS = 3_600.0
READERS = 8
READ_SECONDS_MAX = 3.0
HOURS_MAX = 24  # deleted in one sweep
DELETED_MAX = 10_000  # … and so many of the hour that is expiring
RECOUNT_SECONDS = 3_600.0  # late calls make old hours grow


class Objects(Protocol):
    """A root with nothing but snippets below it; collector.chain.Chain is one. Every method may raise ChainError."""

    def create(self, path: str, data: bytes) -> bool: ...
    def read(self, path: str) -> bytes: ...
    def folders(self) -> Sequence[str]: ...
    def sizes(self, folder: str) -> dict[str, int]: ...
    def delete(self, paths: Sequence[str]) -> None: ...
    def drop(self, folder: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep deleted, and what is left."""

    expired: int
    crowded: int  # deleted for room, before their time
    bytes: int
    oldest_at: float | None  # end of the oldest call, seconds since the epoch; None: nothing is left


@dataclass(slots=True)
class Shelf:
    """Thread-safe, but for ``sweep``, which has one caller. With a ``ttl_seconds`` of NOTHING all has expired."""

    objects: Objects
    ttl_seconds: float
    bytes_max: int
    clock: Callable[[], float]
    _hours: dict[str, int] = field(default_factory=dict)  # bytes of the hours that are over
    _counted_at: float = float("-inf")
    _readers: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="assay-snippets")

    def put(self, key: Key, snippet: Snippet) -> SnippetDrop | None:
        """Keep a snippet; safe to repeat. None: it is kept, else why it is not. Raises ChainError."""
        if self._expired(key.at / 1e6):
            return SnippetDrop.EXPIRED
        return None if self.objects.create(key.path, encode(snippet)) else SnippetDrop.TAKEN

    def read(self, keys: Iterable[Key]) -> dict[Key, Snippet]:
        """Those of the snippets that are kept. Raises ChainError, also where the store takes READ_SECONDS_MAX."""
        wanted = [key for key in keys if not self._expired(key.at / 1e6)]
        try:
            found = list(self._readers.map(self._one, wanted, timeout=READ_SECONDS_MAX))
        except TimeoutError:
            raise ChainError(f"snippets were not read within {READ_SECONDS_MAX:g} s") from None
        return {key: snippet for key, snippet in zip(wanted, found, strict=True) if snippet is not None}

    def said(self, calls: Sequence[Named], column: str) -> dict[tuple[str, str], tuple[Said, ...]]:
        """What is kept of some calls, by trace and span id, for a signal's side. Raises ChainError, as ``read``."""
        found = self.read(Key(_microseconds(call.time), call.trace_id, call.span_id, column) for call in calls)
        return {(key.trace_id, key.span_id): snippet.said for key, snippet in found.items()}

    def sweep(self) -> Swept:
        """Delete what has expired, then the oldest hours beyond ``bytes_max``. Raises ChainError; then repeat it."""
        now = self.clock()
        expired = 0
        hours = [hour for hour in self.objects.folders() if HOUR.fullmatch(hour)]
        for hour in hours[:HOURS_MAX]:
            if self._expired(hour_begin(hour) + HOUR_SECONDS):
                expired += self._drop(hours.pop(0))
        if hours and self._expired(hour_begin(hours[0])):  # some of it
            due = [path for path in self.objects.sizes(hours[0]) if self._due(path)][:DELETED_MAX]
            self.objects.delete(due)
            expired += len(due)
        sizes = self._sizes(hours, now)
        crowded = 0
        while hours and sum(sizes.values()) > self.bytes_max:
            crowded += self._drop(hours[0])
            del sizes[hours.pop(0)]
        return Swept(expired=expired, crowded=crowded, bytes=sum(sizes.values()), oldest_at=self._oldest(hours))

    def paths(self) -> list[str]:
        """Every snippet that is there. Raises ChainError."""
        return [path for hour in self.objects.folders() for path in sorted(self.objects.sizes(hour))]

    def close(self) -> None:
        self._readers.shutdown(wait=False, cancel_futures=True)

    def _one(self, key: Key) -> Snippet | None:
        try:
            return decode(self.objects.read(key.path))
        except FileNotFoundError:
            return None

    def _expired(self, ended: float) -> bool:
        return ended + self.ttl_seconds <= self.clock()

    def _due(self, path: str) -> bool:
        key = Key.of(path)
        return key is None or self._expired(key.at / 1e6)

    def _drop(self, hour: str) -> int:
        count = len(self.objects.sizes(hour))
        self.objects.drop(hour)
        return count

    def _sizes(self, hours: Sequence[str], now: float) -> dict[str, int]:
        """Bytes by hour. Hours that are over are counted again from time to time only."""
        if now - self._counted_at >= RECOUNT_SECONDS:
            self._hours, self._counted_at = {}, now
        sizes = {}
        for hour in hours:
            size = self._hours.get(hour)
            if size is None:
                size = sum(self.objects.sizes(hour).values())
                if hour_begin(hour) + HOUR_SECONDS < now:
                    self._hours[hour] = size
            sizes[hour] = size
        return sizes

    def _oldest(self, hours: Sequence[str]) -> float | None:
        for hour in hours:
            for path in sorted(self.objects.sizes(hour)):
                if key := Key.of(path):
                    return key.at / 1e6
        return None


def open_shelf(config: Config, clock: Callable[[], float], environ: Mapping[str, str] = os.environ) -> Shelf | None:
    """The shelf of the configuration. Where snippets are off, one on which all has expired; None: there is none at all.

    Raises ConfigError for what can never work.
    """
    snippets, url = config.evidence.snippets, config.snippets_url
    if not snippets.enabled and "://" not in url and not Path(url).is_dir():
        return None
    return Shelf(
        objects=open_beside(config, environ),
        ttl_seconds=snippets.ttl_hours * 3_600 if snippets.enabled else NOTHING,
        bytes_max=snippets.bytes_max,
        clock=clock,
    )


def _microseconds(at: datetime) -> int:
    return (at.replace(tzinfo=UTC) - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
