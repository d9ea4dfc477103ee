"""The night shift: an incident, the page it brings, the link in the page, and what is said when Assay itself dies."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml

from alerts.alertmanager import configuration
from alerts.model import Site
from alerts.render import files
from dashboards.render import files as boards
from tests.servers.process import free_ports

RATE = 60
INCIDENT_AFTER_SECONDS = 25
WAIT_SECONDS_MAX = 240.0


class Webhook:
    """Whoever is paged: keeps each notification with its time, by the receiver's path."""

    def __init__(self) -> None:
        self.pages: list[tuple[float, str, dict[str, Any]]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                hook.pages.append((time.time(), self.path, body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base class's name

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def alerts(self, name: str, status: str = "firing") -> list[tuple[float, str, dict[str, Any]]]:
        return [
            (at, path, alert)
            for at, path, body in self.pages
            for alert in body["alerts"]
            if alert["labels"]["alertname"] == name and alert["status"] == status
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    yield hook
    hook.close()


def wait_until(what: str, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.3)
    raise AssertionError(f"not within {WAIT_SECONDS_MAX:.0f} s: {what}")


@pytest.mark.server("prometheus3", "alertmanager")
def test_from_the_incident_to_the_page_to_the_calls(
    prometheus: Callable[..., Any], alertmanager: Callable[..., Any], webhook: Webhook, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    assay = f"http://127.0.0.1:{port}"
    rules = tmp_path / "assay-rules.yaml"
    rules.write_text(_sooner(files(Site(assay_url=assay))["assay-rules.yaml"], "AssayDown"), encoding="utf-8")
    routes = configuration(*(f"{webhook.url}/{name}" for name in ("page", "ticket", "watchdog")))
    routes["route"]["group_wait"] = "1s"
    manager = alertmanager(configuration=yaml.safe_load(yaml.safe_dump(routes)))
    log = (tmp_path / "demo.log").open("w", encoding="utf-8")
    demo = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "collector.cli",
                "demo",
                "--plain",
                "--data",
                str(tmp_path / "data"),
                "--port",
                "0",
            ),
            *("--metrics-port", str(port), "--rate", str(RATE), "--incident-after", str(INCIDENT_AFTER_SECONDS)),
        ],
        cwd=Path(__file__).parents[2],
        env={
            **os.environ,
            "ASSAY_EVIDENCE__TRACE_URL": "https://traces.test/{trace_id}",
            "ASSAY_EVIDENCE__ALERTMANAGER__URL": manager.url,
            "ASSAY_EVIDENCE__ALERTMANAGER__REFRESH_SECONDS": "1",
        },
        stdout=log,
        stderr=log,
    )
    try:
        wait_until("ready", lambda: demo.poll() is None and _status(f"{assay}/readyz") == 200)
        server = prometheus(
            3, [f"127.0.0.1:{port}"], scrape_interval="2s", rules=[rules], alertmanagers=[manager.address]
        )
        wait_until("the incident began", lambda: "INCIDENT" in (tmp_path / "demo.log").read_text(encoding="utf-8"))
        began = time.time()

        paged = wait_until("somebody is paged", lambda: webhook.alerts("AssayQualityCollapse"))

        print(f"paged {paged[0][0] - began:.0f} s after the incident at {RATE} calls/s")  # noqa: T201 - not asserted
        _, path, alert = paged[0]
        assert path == "/page"
        assert alert["labels"]["service"] in CAUSES
        evidence = httpx.get(alert["annotations"]["evidence_url"])
        assert evidence.status_code == 200
        assert CAUSES[alert["labels"]["service"]] in evidence.text
        assert re.search(r"https://traces\.test/[0-9a-f]{32}", evidence.text)
        runbook = httpx.get(alert["annotations"]["runbook_url"])
        assert 'id="assayqualitycollapse"' in runbook.text
        assert all(page[1] == "/watchdog" for page in webhook.alerts("AssayWatchdog"))
        shown = wait_until("the overview shows it", lambda: _shown(f"{assay}/evidence", "AssayQualityCollapse"))
        asked = urlsplit(alert["annotations"]["evidence_url"]).query
        assert parse_qs(asked) in [parse_qs(urlsplit(unescape(link)).query) for link in LINK.findall(shown)]

        wait_until("drift is examined", lambda: server.query("assay_drift_log_evalue"))
        assert empty_panels(server) - NOTHING_TO_SHOW == set()

        demo.kill()
        demo.wait()

        wait_until("the death of Assay is told", lambda: webhook.alerts("AssayDown"))
    finally:
        demo.kill()
        demo.wait()
        log.close()


CAUSES = {"docs-assistant": "lumen-rag-8b", "support-bot": "aurora-chat-2.2"}
"""The services that answer badly in the incident, and the model that does it."""
LINK = re.compile(r'href="(/evidence\?[^"]+)"')
NOTHING_TO_SHOW = {
    "assay-compare.json: Models by signal A",  # six hours are recorded every two minutes only
    "assay-compare.json: Models by signal B",
    "assay-compare.json: Models by signal C",  # … and there were none before
    "assay-pipeline.json: Rejected and dropped, by reason A",
    "assay-pipeline.json: Rejected and dropped, by reason B",
    "assay-pipeline.json: Rejected and dropped, by reason C",
    "assay-signals.json: Batches in which a signal raised A",
    "assay-signals.json: Left out for overload A",
    *(f"assay-signals.json: Recall of the cascade {query}" for query in "ABC"),  # which the demo does without
    "assay-signals.json: Trouble of the models C",
    "assay-signals.json: Names counted together B",
}
"""Panels about trouble that this incident is not, and about times before it; every other panel has data."""
CHOSEN = {
    "$service": ".*", "$model": ".*", "${signal}": "toxicity", "$signal": "toxicity", "$side": "output",
    "$input_price": "1", "$output_price": "1", "$__rate_interval": "30s", "$__range": "1m",
}  # fmt: skip


def empty_panels(server: Any) -> set[str]:
    """Runs every query of every board; those of the panels that return no series."""
    found = set()
    for board, text in boards().items():
        for panel in json.loads(text)["panels"]:
            for target in panel["targets"]:
                query = target["expr"]
                for name, value in CHOSEN.items():
                    query = query.replace(name, value)
                if not server.query(query):
                    found.add(f"{board}: {panel['title']} {target['refId']}")
    return found


def _sooner(rules: str, name: str) -> str:
    """The rules with an alert that waits ten seconds; how long it really waits, the rules' tests show."""
    found = yaml.safe_load(rules)
    (alert,) = [rule for group in found["groups"] for rule in group["rules"] if rule.get("alert") == name]
    alert["for"] = "10s"
    return yaml.safe_dump(found, sort_keys=False)


def _shown(url: str, text: str) -> str | None:
    page = httpx.get(url).text
    return page if text in page else None


def _status(url: str) -> int:
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.HTTPError:
        return 0
