"""Stores snippets in a thread of its own: whoever counts calls hands them over and waits for nothing."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from collector.chain import ChainError
from collector.records import SnippetDrop
from collector.snippets.making import Pending
from collector.snippets.shelf import Shelf
from collector.telemetry import Telemetry

log = logging.getLogger(__name__)

QUEUE_MAX = 1_000
LAST_SECONDS_MAX = 5.0  # for what was counted last, once the end has come


@dataclass(slots=True)
class Writer:
    """``keep`` is for calls that are durable, and never blocks; what the store does not take is dropped and counted.

    ``close`` stores what waits, for seconds; it is safe twice and before ``start``.
    """

    shelf: Shelf
    telemetry: Telemetry
    _waiting: queue.Queue[Pending | None] = field(default_factory=lambda: queue.Queue(QUEUE_MAX))
    _last_until: float | None = None
    _away: bool = False
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="assay-snippets", daemon=True)
        self._thread.start()

    def keep(self, snippets: Iterable[Pending]) -> None:
        for snippet in snippets:
            try:
                self._waiting.put_nowait(snippet)
            except queue.Full:
                self._drop(SnippetDrop.QUEUE)

    def close(self) -> None:
        if self._thread is not None and self._last_until is None:
            self._last_until = time.monotonic() + LAST_SECONDS_MAX
            try:
                self._waiting.put(None, timeout=LAST_SECONDS_MAX)
            except queue.Full:
                log.warning("the store does not take the last snippets")
            self._thread.join(LAST_SECONDS_MAX)

    def _run(self) -> None:
        while (pending := self._waiting.get()) is not None:
            if self._last_until is not None and time.monotonic() > self._last_until:
                self._drop(SnippetDrop.QUEUE)
            else:
                self._store(pending)

    def _store(self, pending: Pending) -> None:
        try:
            dropped = self.shelf.put(pending.key, pending.snippet)
        except ChainError as error:
            if not self._away:  # the first of a run of failures
                log.warning("snippets are lost: %s", error)
            self._away = True
            self._drop(SnippetDrop.STORE)
            return
        self._away = False
        if dropped is None:
            self.telemetry.add("assay_snippets_written_total")
        else:
            self._drop(dropped)

    def _drop(self, reason: SnippetDrop) -> None:
        self.telemetry.add("assay_snippets_dropped_total", reason=reason)
