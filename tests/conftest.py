"""What every test may ask for: real servers, one of each kind a session, and the same quiet environment everywhere."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests.servers import installed

if TYPE_CHECKING:
    from obstore.store import S3Store

    from tests.servers.alertmanager import Alertmanager
    from tests.servers.chromium import Chromium
    from tests.servers.collector import OtelCollector
    from tests.servers.kafka import KafkaBroker
    from tests.servers.prometheus import Prometheus
    from tests.servers.s3 import S3Server

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # no test has imported numpy or torch yet, and two cores are shared by all
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

REQUIRED = os.environ.get("ASSAY_REQUIRE_SERVERS") == "1"
SERVER_OF_FIXTURE = {
    "kafka_broker": "kafka",
    "otel_collector": "collector",
    "prometheus": "prometheus",
    "alertmanager": "alertmanager",
    "s3_server": "s3",
    "chromium": "chromium",
}
LONGEST = ("faults", "test_kill.py")
SKIPPED = "skipped although servers are required"  # the property of a report that says so, whichever process ran it

hypothesis.settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


class RequiredServers:
    """Where servers are required, a skipped test of theirs fails the session."""

    def __init__(self) -> None:
        self.skipped: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, reason in report.user_properties:
            if name == SKIPPED:
                self.skipped[report.nodeid] = str(reason)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.skipped and session.exitstatus in {0, 5}:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skipped:
            terminalreporter.section(SKIPPED, red=True)
            for test, reason in self.skipped.items():
                terminalreporter.line(f"{test}: {reason}")


def pytest_configure(config: pytest.Config) -> None:
    if REQUIRED:
        config.pluginmanager.register(RequiredServers())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file begins first, so that no worker waits for it alone at the end (with --no-loadscope-reorder)."""
    items.sort(key=lambda item: item.path.parts[-2:] != LONGEST)


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test that asks for a server's fixture is marked as needing that server."""
    for fixture in getattr(item, "fixturenames", ()):
        if fixture in SERVER_OF_FIXTURE:
            item.add_marker(pytest.mark.server(SERVER_OF_FIXTURE[fixture]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test whose server is absent is skipped with the reason, or fails where servers are required."""
    for name in [name for mark in item.iter_markers("server") for name in mark.args]:
        reason = installed.why_absent(name)
        if reason and REQUIRED:
            pytest.fail(f"{reason}, and ASSAY_REQUIRE_SERVERS=1", pytrace=False)
        if reason:
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note every skipped test that needs a server, whatever skipped it; ../shared alone may be absent in CI."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and any(item.iter_markers("server")):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if "../shared" not in reason:
            report.user_properties.append((SKIPPED, reason))
    return report


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """The session's Kafka broker. A test may restart it; it leaves it running, and uses topics of its own."""
    from tests.servers.kafka import KafkaBroker

    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def otel_collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., OtelCollector]]:
    """Starts Collectors, with the arguments of `OtelCollector` after its folder; all end with the test."""
    from tests.servers.collector import OtelCollector

    with ExitStack() as running:

        def start(kafka: str, **options: Any) -> OtelCollector:
            folder = tmp_path_factory.mktemp("collector")
            return running.enter_context(OtelCollector(folder, kafka, **options))

        yield start


@pytest.fixture
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Prometheus]]:
    """Starts servers of a major version, with the arguments of `Prometheus` after its folder; all end with the test.

    A test names the majors that it starts: `@pytest.mark.server("prometheus2", "prometheus3")`.
    """
    from tests.servers.prometheus import Prometheus

    with ExitStack() as running:

        def start(version: int, targets: list[str], **options: Any) -> Prometheus:
            folder = tmp_path_factory.mktemp(f"prometheus{version}")
            return running.enter_context(Prometheus(folder, version, targets, **options))

        yield start


@pytest.fixture
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Alertmanager]]:
    """Starts Alertmanagers, with the arguments of `Alertmanager` after its folder; all end with the test."""
    from tests.servers.alertmanager import Alertmanager

    with ExitStack() as running:

        def start(**options: Any) -> Alertmanager:
            return running.enter_context(Alertmanager(tmp_path_factory.mktemp("alertmanager"), **options))

        yield start


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The session's S3 server; each test makes buckets of its own."""
    from tests.servers.s3 import S3Server

    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_store(s3_server: S3Server) -> S3Store:
    """An obstore client of an empty bucket."""
    return s3_server.store(s3_server.make_bucket(f"test-{uuid.uuid4().hex}"))


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Chromium:
    """A headless browser."""
    from tests.servers.chromium import Chromium

    return Chromium(tmp_path_factory.mktemp("chromium"))
