"""The daemon: the real clock, environment, threads, jobs and shutdown; every other room gets these as arguments."""

from __future__ import annotations

import gc
import logging
import os
import platform
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from collector.about import own_version
from collector.announcer import FILE, Announcer
from collector.chain import Chain, ChainError, open_chain
from collector.committer import Committer
from collector.config import Config, ConfigError
from collector.export.alertmanager import AlertWatch, Heard
from collector.export.evaluations import Thresholds
from collector.export.otlphttp import OtlpHttp
from collector.export.prometheus import Exporter
from collector.export.web.evidence import evidence_routes
from collector.export.web.health import Health
from collector.export.web.server import MetricsServer, Page
from collector.export.web.sql import sql_routes
from collector.export.web.texts import Kept
from collector.gauges import Gauges
from collector.intake import Intake
from collector.labels import Labels
from collector.pipeline import Pipeline
from collector.rows import SuiteId
from collector.scoring import Scorer, suite_options
from collector.serve import Server
from collector.shedding import Shedding
from collector.snippets.making import open_maker
from collector.snippets.shelf import Shelf, open_shelf
from collector.snippets.writing import Writer
from collector.source import DeadLetters, Source
from collector.source.build import open_dead_letters, open_publisher, open_source
from collector.store.desk import Desk
from collector.store.evidence import Findings
from collector.store.sandbox import MEDIA_TYPES
from collector.telemetry import Telemetry
from signals.types import ScoringSuite

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
DRAIN_SECONDS_MAX = 20.0  # to score and commit what was read
CUT_SECONDS_MAX = 30.0  # then, to end the batch that is being scored and commit that
GARBAGE_OBJECTS = 20_000  # allocated before a collection; Python's 700 is one every few calls


@dataclass(slots=True)
class Daemon:
    """One process of role ``all``, ``score`` or ``serve``.

    ``start`` raises ConfigError or SourceError with a sentence for the operator, and leaves nothing running. ``stop``
    asks for an orderly end: what was read is scored and committed, within seconds; asked again, only what is scored
    already. It is safe before ``start``. ``wait`` returns the exit status once all has ended: 0 after ``stop`` or a
    finished replay, else 1.
    """

    config: Config
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)  # it may hold secrets
    suite: ScoringSuite | None = None  # None: the shipped one, as the configuration says
    exporter: Exporter = field(init=False)
    health: Health = field(init=False)
    gauges: Gauges = field(init=False)
    telemetry: Telemetry = field(init=False)  # the exporter, or what sends its numbers on as well
    source: Source | None = None
    pipeline: Pipeline | None = None
    server: Server | None = None
    announcer: Announcer | None = None
    shelf: Shelf | None = None  # of snippets
    web: MetricsServer | None = None
    failure: BaseException | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _closing: ExitStack = field(default_factory=ExitStack)  # what start opened, closed in reverse

    def __post_init__(self) -> None:
        self.exporter = Exporter(
            warn_at=self.config.signals.warn_at,
            critical_at=self.config.signals.critical_at,
            series_max=self.config.metrics.series_max,
        )
        self.health = Health()
        self.gauges = Gauges(self.exporter, self.health)
        self.telemetry = self.exporter

    def start(self) -> None:
        try:
            self._start()
        except ChainError as error:
            self._closing.close()
            raise ConfigError(f"chain {self.config.chain_url}: {error}") from error
        except BaseException:
            self._closing.close()
            raise

    def stop(self) -> None:
        if self._stopping.is_set() and self.pipeline is not None:
            self.pipeline.cut_short()
        self._stopping.set()

    def wait(self) -> int:
        """Watch until the end, then close everything in order."""
        try:
            while not self._stopping.wait(WATCH_SECONDS) and self._alive():
                self._tell()
        finally:
            self._drain()
            self._closing.close()
        if self.failure is not None:
            log.error("stopped: %s: %s", type(self.failure).__name__, self.failure, exc_info=self.failure)
            return 1
        log.info("stopped")
        return 0

    def _start(self) -> None:
        config = self.config
        scores, serves = config.role in ("all", "score"), config.role in ("all", "serve")
        config.data.mkdir(parents=True, exist_ok=True)
        _allow_temporary_files(config.data)
        if config.export.telemetry.endpoint is not None:
            self._send_own()
        for condition in ("chain", *(("models", "partitions") * scores), *(("store",) * serves)):
            self.health.set(condition, False, "starting")
        self.web = MetricsServer(
            self.exporter,
            self.health,
            config.metrics,
            routes=self._routes(),
            own={"sql": config.sql.access, "evidence": config.evidence.access},
            environ=self.environ,
        )
        self.web.start()
        self._closing.callback(self.web.close)
        chain = open_chain(config, self.environ)
        chain.probe()
        self.health.set("chain", True, config.chain_url)
        self.exporter.set(
            "assay_build_info", 1, version=own_version(), python=platform.python_version(), role=config.role
        )
        if serves or config.evidence.snippets.enabled:
            self.shelf = open_shelf(config, time.time, self.environ)
            if self.shelf is not None:
                self._closing.callback(self.shelf.close)
        if serves:
            self._serve(chain)
            if config.export.evaluations.enabled:
                self._announce(chain)
        if scores:
            self._score(chain)
        log.info("running as %s, chain %s, metrics %s", config.role, config.chain_url, self.web.url)

    def _routes(self) -> Sequence[Page]:
        """The pages that this role has to offer."""
        if self.config.role == "score":
            return []

        def findings() -> Findings | None:
            return None if self.server is None else Findings(self.server.store)

        evidence = self.config.evidence
        kept = Kept(of=lambda: self.shelf, config=evidence.snippets) if evidence.snippets.enabled else None
        return [
            *sql_routes(Desk(self.config).ask, MEDIA_TYPES, self.config.sql),
            *evidence_routes(findings, time.time, evidence.trace_url, self._alerts(), kept),
        ]

    def _alerts(self) -> Callable[[], Heard] | None:
        """What Alertmanager says, kept up to date from now on; None where none is configured."""
        where = self.config.evidence.alertmanager
        if where is None:
            return None
        watch = AlertWatch(where, self.telemetry, time.time, self.environ)
        self._closing.callback(watch.close)
        watch.start()
        return lambda: watch.heard

    def _serve(self, chain: Chain) -> None:
        self.server = Server(
            chain=chain, config=self.config, telemetry=self.telemetry, clock=time.time, shelf=self.shelf
        )
        self._closing.callback(self.server.close)
        self.server.start()

    def _send_own(self) -> None:
        """Assay's own metrics and spans, sent to whoever is configured."""
        from collector.export.otel import OwnTelemetry  # noqa: PLC0415 - the SDK takes a while, and few need it

        resource = {
            "service.version": own_version(),
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            "assay.role": self.config.role,
        }
        own = OwnTelemetry(self.config.export.telemetry, self.exporter, resource, self.environ)
        self._closing.callback(own.close)
        self.telemetry = own

    def _announce(self, chain: Chain) -> None:
        config, where = self.config, self.config.export.evaluations
        topic = where.topic
        self.announcer = Announcer(
            chain=chain,
            sink=OtlpHttp(where, self.environ) if topic is None else open_publisher(config, topic, self.environ),
            thresholds=Thresholds(warn=config.signals.warn_at, critical=config.signals.critical_at),
            everything=where.which == "all",
            file=config.data / FILE,
            telemetry=self.telemetry,
            clock=time.time,
        )
        self._closing.callback(self.announcer.close)
        self.announcer.start()

    def _score(self, chain: Chain) -> None:
        config = self.config
        suite = self.suite or _load_suite(config)
        maker = open_maker(config, self.telemetry, suite.judges)
        self.health.set("models", True, ", ".join(f"{spec.column} {spec.version}" for spec in suite.specs))
        self.source = open_source(config, self.environ)
        self._closing.callback(self.source.close)
        letters: DeadLetters = open_dead_letters(config, self.environ)
        self._closing.callback(letters.close)
        self.source.start()
        kafka = config.source.kafka
        intake = Intake(
            source=self.source,
            chain=chain,
            join=config.join,
            limits=config.limits,
            telemetry=self.telemetry,
            clock=time.time,
            start_at=kafka.start if kafka else "earliest",
        )
        committer = Committer(
            chain=chain,
            dead_letters=letters,
            telemetry=self.telemetry,
            config=config.chain,
            labels=Labels(values_max=config.limits.label_values_max, chars_max=config.limits.label_chars_max),
            suite=SuiteId.of(suite.specs),
            optional=config.export.evaluations.enabled,
            written_by=f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
            sketched=config.drift.enabled,
            keeper=self._keeper(),
        )
        self.pipeline = Pipeline(
            intake=intake,
            scorer=Scorer(suite, self.telemetry),
            committer=committer,
            telemetry=self.telemetry,
            clock=time.time,
            shedding=self._shedding(suite),
            snippets=maker,
            batch_calls_max=config.signals.batch_calls_max,
        )
        self.pipeline.start()

    def _keeper(self) -> Writer | None:
        if self.shelf is None or not self.config.evidence.snippets.enabled:
            return None
        writer = Writer(self.shelf, self.telemetry)
        self._closing.callback(writer.close)
        writer.start()
        return writer

    def _shedding(self, suite: ScoringSuite) -> Shedding | None:
        """None where nothing may be shed: it is off, or the source is a file that nobody waits for."""
        config = self.config
        if config.overload.lag_seconds_max is None or config.source.replay is not None:
            return None
        return Shedding(config=config.overload, steps=len(suite.shed_order))

    def _alive(self) -> bool:
        for part in (self.pipeline, self.server, self.announcer):
            if part is not None and part.failure is not None:
                self.failure = part.failure
                self.health.died(type(part).__name__.lower(), type(part.failure).__name__)
        return self.failure is None and (self.pipeline is None or self.pipeline.running)

    def _drain(self) -> None:
        """An orderly end: commit what is scored, then let the store catch up with it."""
        if self.pipeline is not None:
            self.pipeline.drain()
            if not self.pipeline.join(DRAIN_SECONDS_MAX):
                log.warning("did not drain within %g s: what is not scored yet will be read again", DRAIN_SECONDS_MAX)
                self.pipeline.cut_short()
            if not self.pipeline.join(CUT_SECONDS_MAX):
                log.warning("did not commit within %g s: what is not committed will be read again", CUT_SECONDS_MAX)
                self.pipeline.abort()
                self.pipeline.join(DRAIN_SECONDS_MAX)
            self._alive()
        if self.server is not None:
            self.server.finish()

    def _tell(self) -> None:
        self.gauges.room(self.config.data)
        if self.web is not None:
            self.gauges.door("web", self.web.refused, self.web.stale)
        if self.pipeline is not None and self.source is not None:
            self.gauges.path(self.pipeline, self.source, self.config.chain_url)
        if self.server is not None:
            self.health.set("store", self.server.healthy, self.server.detail)


def settle_heap() -> None:
    """For the owner of the process, once all is loaded: what lives for ever is not walked again by any collection.

    Calls make no cycles, but thousands of objects that are freed a moment later, so collections may be rare.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, 20, 50)


def _allow_temporary_files(data: Path) -> None:
    """Where the root is read-only and nobody has given a /tmp, libraries may use what is ours."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        tempfile.tempdir = str(data.absolute())


def _load_suite(config: Config) -> ScoringSuite:
    from signals.suite import SuiteError, load_suite  # noqa: PLC0415 - torch, and role serve needs none

    try:
        suite = load_suite(suite_options(config))
    except SuiteError as error:
        raise ConfigError(f"signals: {error}") from error
    if suite.runs_on:
        log.info("models run on %s", suite.runs_on)
    return suite
