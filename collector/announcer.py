"""Follows the chain and announces scores as events: at least once, after they are durable, never in the pipeline's way.

What waits to be announced waits in the chain, so nothing is queued in memory but one delta, and an outage of the
receiver costs neither memory nor scores. How far each stream was announced is kept in a file, written after the
receiver has acknowledged; a crash in between announces one delta again.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import msgspec
import pyarrow.compute as pc

from collector.chain import Chain, ChainError
from collector.delta import Delta, DeltaError, Stream
from collector.export.evaluations import Thresholds, requests
from collector.export.otlphttp import AwayError
from collector.source import SourceError
from collector.telemetry import Telemetry

log = logging.getLogger(__name__)

FILE = "evaluations.json"
LAST_SECONDS_MAX = 5.0  # for what was committed last, once the end has come
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)


class Sink(Protocol):
    """Where requests go: True acknowledged, False refused for good; AwayError or SourceError: send it again."""

    def send(self, body: bytes) -> bool: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class Announcer:
    """A thread of its own. A stream that is there at the very first start is announced from its end on, later ones
    from their begin. ``close`` tries what was committed last, for seconds; it is safe twice and before ``start``.
    """

    chain: Chain
    sink: Sink
    thresholds: Thresholds
    everything: bool
    file: Path
    telemetry: Telemetry
    clock: Callable[[], float]
    follow_seconds: float = 1.0
    failure: BaseException | None = None
    _cursors: dict[str, int] | None = None
    _away: int = 0
    _last_until: float | None = None
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Raises ChainError where it cannot be found out what is there already."""
        self._begin()  # before anything of this process is committed, or that would count as old
        self._thread = threading.Thread(target=self._run, name="assay-announcer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        if self._last_until is None:
            self._last_until = time.monotonic() + LAST_SECONDS_MAX
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
        self.sink.close()

    def step(self) -> None:
        """Announce what the chain has by now; raises what the sink and the chain raise."""
        cursors = self._begin()
        for stream in self.chain.streams():
            at = cursors.get(stream.path)
            for link in self.chain.walk(stream, self._place(stream, at)):
                if self._overdue():
                    return
                self._announce(_after(link.delta, at))
                cursors[stream.path] = link.next
                self._keep(cursors)

    def _begin(self) -> dict[str, int]:
        if self._cursors is None:
            try:
                self._cursors = msgspec.json.decode(self.file.read_bytes(), type=dict[str, int])
            except FileNotFoundError:
                self._cursors = {s.path: links[-1].next for s in self.chain.streams() if (links := self.chain.head(s))}
                self._keep(self._cursors)
            except msgspec.DecodeError:
                log.warning("%s is damaged: everything that the chain holds is announced again", self.file)
                self._cursors = {}
        return self._cursors

    def _place(self, stream: Stream, at: int | None) -> int | None:
        """Where to go on; an object around or after the cursor where compaction or retention took the one at it."""
        if at is None:
            return None
        objects = self.chain.objects(stream, at)
        if not objects or any(item.start == at for item in objects):
            return at
        around = [item.start for item in objects if item.start < at < (item.next or 0)]
        after = [item.start for item in objects if item.start > at]
        if around:
            return max(around)
        if after:
            log.warning("%s: the chain has lost what was to be announced from %d on", stream.path, at)
            self.telemetry.add("assay_evaluation_gaps_total")
            return min(after)
        return at

    def _announce(self, delta: Delta) -> None:
        now_ns = int(self.clock() * 1e9)
        for request in requests(delta, self.thresholds, everything=self.everything, now_ns=now_ns):
            outcome = "sent" if self.sink.send(request.body) else "refused"
            self.telemetry.add("assay_evaluations_total", request.events, outcome=outcome)

    def _keep(self, cursors: dict[str, int]) -> None:
        part = self.file.with_name(f"{self.file.name}.part")
        with part.open("wb") as written:
            written.write(msgspec.json.encode(cursors))
            written.flush()
            os.fsync(written.fileno())
        part.replace(self.file)

    def _run(self) -> None:
        try:
            while True:
                ended = self._ending.is_set()
                pause = self._turn()
                if ended:
                    return
                self._ending.wait(pause)
        except BaseException as error:  # the thread's last word, which must reach the daemon
            self.failure = error

    def _overdue(self) -> bool:
        return self._last_until is not None and time.monotonic() > self._last_until

    def _turn(self) -> float:
        """One step; the seconds until the next."""
        try:
            self.step()
        except (AwayError, SourceError, ChainError, DeltaError, OSError) as error:
            if not self._away:  # the first of a run of failures
                log.warning("evaluations wait in the chain: %s", error)
            self._away += 1
            self.telemetry.add("assay_evaluation_retries_total")
            return RETRY_SECONDS[min(self._away, len(RETRY_SECONDS)) - 1]
        self._away = 0
        return self.follow_seconds


def _after(delta: Delta, at: int | None) -> Delta:
    """Without the calls before the cursor, which compaction has put into one object with those behind it."""
    if at is None or delta.footer.start >= at:
        return delta
    return replace(delta, calls=delta.calls.filter(pc.greater_equal(delta.calls.column("offset"), at)))
