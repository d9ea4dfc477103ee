"""The daemon's pages answer over real sockets, and say why when they must say no."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from collector.config import MetricsConfig
from collector.export.prometheus import Exporter
from collector.export.web.health import Health
from collector.export.web.server import MetricsServer
from collector.listener.thread import ListenError
from tests.export.fakes import delta, trace_id


async def worst(_: Request) -> PlainTextResponse:
    """The <worst> calls.

    More than the index needs.
    """
    return PlainTextResponse("none")


@pytest.fixture
def health() -> Health:
    return Health(["models", "chain"])


@pytest.fixture
def exporter() -> Exporter:
    return Exporter()


@pytest.fixture
def url(exporter: Exporter, health: Health) -> Iterator[str]:
    routes = [Route("/worst", worst), Route("/call/{id}", worst), Route("/asked", worst, methods=["POST"])]
    server = MetricsServer(exporter, health, MetricsConfig(port=0), routes=routes)
    server.start()
    yield server.url
    server.close()


def test_metrics_speaks_the_format_that_was_asked_for(url: str, exporter: Exporter) -> None:
    exporter.count_delta(delta([{"s_toxicity_output": 1}]))

    text = httpx.get(f"{url}/metrics")
    openmetrics = httpx.get(f"{url}/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"})

    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert trace_id(0) in openmetrics.text
    assert openmetrics.text.endswith("# EOF\n")


def test_metrics_is_compressed_for_who_asks(url: str) -> None:
    with httpx.stream("GET", f"{url}/metrics", headers={"accept-encoding": "gzip"}) as response:
        raw = b"".join(response.iter_raw())

    assert response.headers["content-encoding"] == "gzip"
    assert b"assay_calls_total" in gzip.decompress(raw)


def test_not_ready_lists_every_reason(url: str, health: Health) -> None:
    health.set("chain", False, "bucket does not answer")

    answer = httpx.get(f"{url}/readyz")

    assert answer.status_code == 503
    assert answer.json()["conditions"] == {
        "models": {"ok": False, "detail": "not reported yet"},
        "chain": {"ok": False, "detail": "bucket does not answer"},
    }


def test_ready_once_every_condition_holds_and_metrics_say_so(url: str, health: Health) -> None:
    health.set("models", True)
    health.set("chain", True)

    assert httpx.get(f"{url}/readyz").json()["ready"] is True
    assert 'assay_ready{condition="models"} 1.0' in httpx.get(f"{url}/metrics").text


def test_a_daemon_that_reported_nothing_is_not_ready() -> None:
    assert not Health().ready


def test_a_store_that_is_away_is_no_reason_to_restart_but_a_dead_stage_is(url: str, health: Health) -> None:
    health.set("chain", False, "away")
    assert httpx.get(f"{url}/healthz").status_code == 200

    health.died("scoring", "MemoryError")

    answer = httpx.get(f"{url}/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"alive": False, "dead": {"scoring": "MemoryError"}}


def test_the_index_lists_every_page_and_escapes_what_it_shows(url: str, health: Health) -> None:
    health.set("models", True, "<toxicity>")

    page = httpx.get(url)

    assert page.headers["content-type"].startswith("text/html")
    assert 'href="/metrics"' in page.text
    assert 'href="/worst"' in page.text
    assert "The &lt;worst&gt; calls.<" in page.text
    assert "/call/" not in page.text
    assert "&lt;toxicity&gt;" in page.text
    assert httpx.get(f"{url}/worst").text == "none"


def test_the_index_says_of_a_page_that_is_not_opened_how_it_is_asked(url: str) -> None:
    page = httpx.get(url)

    assert "<dt>POST /asked</dt><dd>The &lt;worst&gt; calls.</dd>" in page.text
    assert 'href="/asked"' not in page.text


def test_a_page_that_nobody_brought_is_not_found(url: str) -> None:
    assert httpx.get(f"{url}/nothing").status_code == 404


def test_a_taken_port_is_named_with_the_setting_that_moves_it(exporter: Exporter, health: Health) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{port} is already in use.*metrics\.port"):
            MetricsServer(exporter, health, MetricsConfig(port=port))


def test_an_address_of_nobody_is_told_plainly(exporter: Exporter, health: Health) -> None:
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:0"):
        MetricsServer(exporter, health, MetricsConfig(host="192.0.2.1", port=0))


def test_closing_is_safe_twice_and_before_the_start(exporter: Exporter, health: Health) -> None:
    unstarted = MetricsServer(exporter, health, MetricsConfig(port=0))
    unstarted.close()
    unstarted.close()

    started = MetricsServer(exporter, health, MetricsConfig(port=0))
    started.start()
    started.close()
    started.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(started.url)
