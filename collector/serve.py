"""Role serve: follows the chain into DuckDB in a thread of its own; snapshots, compaction and retention are jobs."""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from apscheduler.schedulers.background import BackgroundScheduler

from collector.chain import Chain, ChainError
from collector.compaction import DAY
from collector.config import Config
from collector.delta import DeltaError
from collector.drift.log import DriftLog
from collector.drift.telling import Gauges, count
from collector.drift.watch import Watch
from collector.snippets.shelf import Shelf
from collector.store.changes import recent_changes
from collector.store.database import StoreError
from collector.store.drift import current_drift
from collector.store.driftlog import apply_records, drift_files, drift_position
from collector.store.housekeeping import Housekeeper
from collector.store.materialise import Materialiser, Step
from collector.store.snapshot import Snapshots
from collector.store.store import Store
from collector.telemetry import Telemetry

log = logging.getLogger(__name__)

COMPACT_SECONDS = 60
SWEEP_SECONDS = 600  # longer than any query over an older snapshot
RETIRE_SECONDS = 3_600
EXPIRE_SECONDS = 60
DRIFT_SECONDS_MAX = 10.0  # between two looks whether a window has ended
DRIFT_WINDOWS_MAX = 32  # of one turn, so that following the chain goes on


@dataclass(slots=True)
class Server:
    """Keeps the view at the head of the chain. ``failure`` is set when following ended for good.

    ``start`` opens the store and returns; ``finish`` follows the chain to its end once more and publishes that;
    ``close`` ends thread and jobs. Both are safe twice and before ``start``.
    """

    chain: Chain
    config: Config
    telemetry: Telemetry
    clock: Callable[[], float]
    shelf: Shelf | None = None  # of snippets; None: there are none
    failure: BaseException | None = None
    healthy: bool = False
    detail: str = "not followed yet"
    store: Store = field(init=False)
    materialiser: Materialiser = field(init=False)
    housekeeper: Housekeeper = field(init=False)
    snapshots: Snapshots = field(init=False)
    _left: int = 0  # bytes of snippets after the last sweep
    _changes: frozenset[tuple[str, ...]] = frozenset()
    watch: Watch = field(init=False)
    _gauges: Gauges = field(init=False)
    _jobs: BackgroundScheduler = field(init=False)
    _thread: threading.Thread | None = None
    _followed_at: float = 0.0  # by the clock
    _failing: set[str] = field(default_factory=set)  # jobs whose last run failed
    _ending: threading.Event = field(default_factory=threading.Event)
    _turn: threading.Lock = field(default_factory=threading.Lock)  # one step or job at a time

    def __post_init__(self) -> None:
        self.store = Store(self.config, self.chain.root)
        self.materialiser = Materialiser(self.chain, self.store)
        self.housekeeper = Housekeeper(self.chain, self.store)
        self.snapshots = Snapshots(self.config.data, self.config.store.snapshots_kept)
        self._gauges = Gauges(self.telemetry)
        snippets = self.config.evidence.snippets
        self.watch = Watch(
            log=DriftLog(self.chain),
            base=self.store.files.base,
            config=self.config.drift,
            written_by=f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
            kept_max=snippets.drift_calls_per_minute_max if snippets.enabled else 0,
        )
        self._jobs = BackgroundScheduler(timezone="UTC", daemon=True)

    def start(self) -> None:
        if self.shelf is not None:
            self._told("expire", self.expire)  # however long nobody looked after them
            if self.config.evidence.snippets.enabled or self._left:
                self._every(EXPIRE_SECONDS, self._told, "expire", self.expire)
        for name, job, seconds in (
            ("snapshot", self.snapshot, self.config.store.snapshot_seconds),
            ("compact", lambda: self.housekeeper.compact(self.clock()), COMPACT_SECONDS),
            ("sweep", self.housekeeper.sweep, SWEEP_SECONDS),
            ("retire", self.retire, RETIRE_SECONDS),
            ("drift", self.examine, min(DRIFT_SECONDS_MAX, self.config.drift.window_seconds / 2)),
        ):
            self._every(seconds, self._guarded, name, job)
        self._jobs.add_listener(self._skipped, EVENT_JOB_MAX_INSTANCES)
        self._jobs.start()
        self._thread = threading.Thread(target=self._run, name="assay-serve", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Follow to the end once more, so that what was committed last is in view and snapshot."""
        if self._jobs.running:
            self._jobs.shutdown(wait=True)
        self._ending.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()
            self._guarded("drift", self.examine)
            self._guarded("snapshot", self.snapshot)

    def close(self) -> None:
        self.finish()
        self.store.close()

    def snapshot(self) -> None:
        """Publish what analysts see, and the drift that was computed for it."""
        published = self.snapshots.publish(self.store)
        self.telemetry.set("assay_last_snapshot_timestamp_seconds", self.clock())
        if published is None:
            return
        self.telemetry.add("assay_snapshots_total")
        self.telemetry.set("assay_store_bytes", published.bytes)
        self._tell_changes()
        for drift in current_drift(self.store):
            place = {"service": drift.service, "model": drift.model, "side": drift.side}
            self.telemetry.set("assay_embedding_centroid_distance", drift.distance, **place)

    def _tell_changes(self) -> None:
        found = {change[1:]: change.time for change in recent_changes(self.store)}
        for gone in self._changes - found.keys():
            self._tell_change(gone, math.nan)
        for change, at in found.items():
            self._tell_change(change, at)
        self._changes = frozenset(found)

    def _tell_change(self, change: tuple[str, ...], at: float) -> None:
        labels = dict(zip(("service", "kind", "subject", "before", "after"), change, strict=True))
        self.telemetry.set("assay_version_change_timestamp_seconds", at, **labels)

    def examine(self) -> None:
        """Show the view what was decided about drift, and decide about the windows that have ended."""
        apply_records(self.store, list(self.watch.log.records(drift_position(self.store))))
        if not self.config.drift.enabled:
            return
        for _ in range(DRIFT_WINDOWS_MAX):
            record = self.watch.step(drift_files(self.store), self.clock())
            if record is None:
                break
            apply_records(self.store, [record])
            count(record, self.telemetry)
        self._gauges.show(self.watch.head or self.watch.catch_up(), self.config.drift.alpha)

    def retire(self) -> None:
        """Drop what is too old, in the view and among the decisions about drift."""
        retired = self.housekeeper.retire(self.clock())
        self.watch.log.compact(retired.at - (self.config.store.minute_days + 1) * DAY)

    def expire(self) -> None:
        """Delete the snippets whose time is over."""
        if self.shelf is None:
            return
        swept = self.shelf.sweep()
        self._left = swept.bytes
        self.telemetry.add("assay_snippets_deleted_total", swept.expired, reason="expired")
        self.telemetry.add("assay_snippets_deleted_total", swept.crowded, reason="bytes_max")
        self.telemetry.set("assay_snippet_bytes", swept.bytes)
        age = 0.0 if swept.oldest_at is None else max(0.0, self.clock() - swept.oldest_at)
        self.telemetry.set("assay_snippet_oldest_age_seconds", age)

    def _every(self, seconds: float, run: Callable[..., None], name: str, job: Callable[[], object]) -> None:
        """Due in turns, one at a time; however late its time is noticed, it runs then, and once for all it missed."""
        self._jobs.add_job(
            run, "interval", (name, job), seconds=seconds, id=name, max_instances=1, coalesce=True,
            misfire_grace_time=None,
        )  # fmt: skip

    def _skipped(self, event: JobSubmissionEvent) -> None:
        """Due again while it still runs: nothing is missed, unless it never ends, which the timestamps show."""
        self.telemetry.add("assay_tasks_total", task=event.job_id, outcome="skipped")

    def _guarded(self, name: str, job: Callable[[], object]) -> None:
        """A job that touches the store waits for its turn."""
        with self._turn:
            self._told(name, job)

    def _told(self, name: str, job: Callable[[], object]) -> None:
        """A job that fails is counted and tried again at its next time; what the chain holds is safe.

        The first of a run of failures is told.
        """
        outcome, first = "failed", name not in self._failing
        self._failing.add(name)
        try:
            job()
            outcome = "done"
            self._failing.remove(name)
        except (ChainError, StoreError, DeltaError, OSError) as error:
            if first:
                log.warning("job %s: %s", name, error)
        except Exception as error:  # a broken promise: it has changed nothing, and the rest of the daemon can go on
            if first:
                log.error("job %s: %s", name, type(error).__name__, exc_info=error)
        self.telemetry.add("assay_tasks_total", task=name, outcome=outcome)

    def _run(self) -> None:
        try:
            while True:
                ended = self._ending.is_set()
                self._follow()
                if ended:
                    return
                self._ending.wait(self.config.store.materialise_seconds)
        except BaseException as error:  # the thread's last word, which must reach the daemon
            self.failure = error

    def _follow(self) -> None:
        self._keep_jobs_due()
        try:
            with self._turn:
                step = self.materialiser.step()
        except ChainError as error:
            self._report(Step(failure=str(error)))
            return
        self._report(step)
        if step.calls and self.snapshots.newest() is None:
            self._guarded("snapshot", self.snapshot)  # whoever has just installed it need not wait for the job

    def _keep_jobs_due(self) -> None:
        """Jobs are due by the wall clock: where it was turned back, now, and not when it has caught up."""
        followed_at, self._followed_at = self._followed_at, self.clock()
        if self._followed_at < followed_at and self._jobs.running:
            for job in self._jobs.get_jobs():
                job.modify(next_run_time=datetime.now(UTC))

    def _report(self, step: Step) -> None:
        if step.rebuilt:
            log.warning("the view is built again: %s", step.rebuilt)
            self.telemetry.add("assay_store_rebuilds_total", reason="damaged")
        if step.deleted:
            self.telemetry.add("assay_store_files_deleted_total", step.deleted)
        if step.calls:
            self.telemetry.add("assay_materialised_calls_total", step.calls)
        if step.failure and self.healthy:
            log.warning("the view does not follow: %s", step.failure)
        self.healthy, self.detail = not step.failure, step.failure or "at the head of the chain"
        if self.healthy:
            self.telemetry.set("assay_last_materialised_timestamp_seconds", self.clock())
            for stream, at in self.store.cursors().items():
                place = {"topic": stream.topic, "partition": str(stream.partition)}
                self.telemetry.set("assay_materialised_next_offset", at, **place)
