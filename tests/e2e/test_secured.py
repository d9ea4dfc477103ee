"""A whole daemon behind TLS and passwords: telemetry in; metrics to Prometheus, SQL and evaluation events out."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from collector.config import Config, LimitsConfig, OtlpConfig, load_config
from collector.daemon import Daemon
from collector.source.otlp import OtlpSource
from collector.source.receiver import PROTOBUF, Receiver
from tests.export.test_evaluations import told
from tests.fakes.otlp import FakeCall, traces
from tests.fakes.suite import HashSuite
from tests.listener.files import hashed, tls, write
from tests.servers.certificates import Certificates, make_certificates
from tests.source.test_otlp_receiver import MemoryLog

CALLS = 12
SCRAPER, APPLICATION = ("prometheus", "scrape-it"), ("shop", "send-it")
ENVIRON = {"ANALYSTS": "analysts-token-0123", "EVALUATIONS": "Basic YXNzYXk6ZXZhbHVhdGU="}
SECONDS_MAX = 60.0


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path / "certificates")


@pytest.fixture
def backend(tmp_path: Path, made: Certificates) -> Iterator[tuple[str, MemoryLog]]:
    """Who gets the evaluation events: a receiver with TLS and a password."""
    log = MemoryLog()
    web = write(tmp_path / "b.yml", {"tls_server_config": tls(made), "basic_auth_users": {"assay": hashed("evaluate")}})
    config = OtlpConfig(port=0, web_config_file=web)
    receiver = Receiver(log, {"/v1/logs": "logs"}, config=config, limits=LimitsConfig(), arrived=lambda: None)
    receiver.start()
    yield receiver.endpoint, log
    receiver.close()


@pytest.fixture
def daemon(tmp_path: Path, made: Certificates, backend: tuple[str, MemoryLog]) -> Iterator[Daemon]:
    def web(name: str, user: tuple[str, str]) -> str:
        tree = {"tls_server_config": tls(made), "basic_auth_users": {user[0]: hashed(user[1])}}
        return str(write(tmp_path / name, tree))

    tree = {
        "source": {"otlp": {"port": 0, "web_config_file": web("otlp.yml", APPLICATION)}},
        "data": str(tmp_path / "data"),
        "join": {"settle_seconds": 0.1, "window_seconds": 0.2},
        "chain": {"flush_seconds": 0.2},
        "store": {"snapshot_seconds": 0.5, "materialise_seconds": 0.2},
        "metrics": {"port": 0, "web_config_file": web("web.yml", SCRAPER)},
        "sql": {"access": {"bearer_token": {"env": "ANALYSTS"}}},
        "export": {
            "evaluations": {
                "endpoint": backend[0],
                "which": "all",
                "ca_file": str(made.ca),
                "authorization": {"env": "EVALUATIONS"},
            }
        },
    }
    config: Config = load_config(write(tmp_path / "assay.yml", tree), ENVIRON)
    running = Daemon(config, ENVIRON, suite=HashSuite())
    running.start()
    yield running
    running.stop()
    assert running.wait() == 0


def wait_until(what: str, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SECONDS_MAX
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return found


@pytest.mark.server("prometheus2", "prometheus3")
def test_everybody_gets_what_is_theirs_and_nothing_else(
    daemon: Daemon, backend: tuple[str, MemoryLog], made: Certificates, prometheus: Callable[..., Any]
) -> None:
    assert isinstance(daemon.source, OtlpSource)
    assert daemon.web is not None
    trusting = ssl.create_default_context(cafile=str(made.ca))
    scrape = {
        "scheme": "https",
        "tls_config": {"ca_file": str(made.ca)},
        "basic_auth": {"username": SCRAPER[0], "password": SCRAPER[1]},
    }
    address = daemon.web.url.removeprefix("https://")
    scrapers = [prometheus(major, [address], scrape=scrape) for major in (2, 3)]
    stranger = prometheus(3, [address], scrape={**scrape, "basic_auth": {"username": "x", "password": "y"}})
    with httpx.Client(verify=trusting) as client:
        body = traces(FakeCall(number=number) for number in range(CALLS))
        sent = client.post(
            f"{daemon.source.endpoint}/v1/traces", content=body, auth=APPLICATION, headers={"content-type": PROTOBUF}
        )
        assert sent.status_code == 200

        def rows() -> list[dict[str, Any]]:
            answer = client.post(
                f"{daemon.web.url}/sql",  # type: ignore[union-attr]
                content="SELECT trace_id, span_id, response_id, toxicity_output AS score FROM calls ORDER BY ALL",
                headers={"authorization": f"Bearer {ENVIRON['ANALYSTS']}"},
                timeout=30,
            )
            return answer.json()["rows"] if answer.status_code == 200 else []

        found = wait_until("every call in SQL", lambda: len(rows()) == CALLS and rows())
        assert client.post(f"{daemon.web.url}/sql", content="SELECT 1", auth=SCRAPER).status_code == 401
    for scraper in scrapers:
        counted = wait_until("the scraper counts", lambda s=scraper: s.query("sum(assay_calls_total) == 12"))
        assert float(counted[0]["value"][1]) == CALLS
    assert "401" in wait_until("the stranger is told", lambda: stranger.targets()[0]["lastError"])

    def events() -> dict[tuple[str, str], dict[str, Any]]:
        heard = told([value for _, value in backend[1].entries])
        outputs = [event for event in heard if event["gen_ai.evaluation.name"] == "toxicity_output"]
        return {(event["trace"], event["span"]): event for event in outputs}

    wait_until("every evaluation", lambda: len(events()) == CALLS)
    for row in found:
        event = events()[row["trace_id"], row["span_id"]]
        assert event["score"] == pytest.approx(row["score"])
        assert event.get("gen_ai.response.id") == row["response_id"]
    assert any(row["response_id"] for row in found)
