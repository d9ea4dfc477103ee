"""What Alertmanager says is heard without waiting for it, believed only in its shape, and never taken for the present
when it is not."""

from __future__ import annotations

import base64
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.rules import alerts
from collector.config import AlertmanagerConfig, Secret
from collector.export.alertmanager import AlertWatch, AwayError, Client, Heard
from collector.export.current import ALERTS_MAX, LABELS_MAX, TEXT_CHARS_MAX, CurrentAlerts, State, read
from collector.telemetry import Silent

COLLAPSE = {
    "labels": {
        "alertname": "AssayQualityCollapse",
        "severity": "critical",
        "service": "bot",
        "signal": "toxicity",
        "side": "output",
    },
    "annotations": {
        "summary": "bot: toxicity of the output broke down within a minute",
        "evidence_url": "http://old.test/evidence?service=bot&signal=toxicity&side=output&from=1&to=2&x=y",
        "dashboard_url": "https://grafana.test/d/assay-quality?var-service=bot",
    },
    "startsAt": "2026-11-27T03:58:12.123Z",
    "status": {"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": []},
}
WATCHDOG = {
    "labels": {"alertname": "AssayWatchdog", "severity": "none"},
    "annotations": {},
    "startsAt": "2026-11-27T00:00:00Z",
    "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
}


def body(*every: dict[str, Any]) -> bytes:
    return json.dumps(every).encode()


def changed(alert: dict[str, Any], **parts: dict[str, Any]) -> dict[str, Any]:
    return {**alert, **{name: {**alert[name], **values} for name, values in parts.items()}}


def test_an_alert_says_what_where_since_when_and_leads_on() -> None:
    (alert,) = read(body(COLLAPSE, WATCHDOG)).alerts

    assert (alert.name, alert.severity, alert.state) == ("AssayQualityCollapse", "critical", State.FIRING)
    assert alert.since.isoformat(sep=" ", timespec="seconds") == "2026-11-27 03:58:12"
    assert alert.slice == (("service", "bot"), ("signal", "toxicity"), ("side", "output"))
    assert alert.runbook == "assayqualitycollapse"
    assert alert.evidence == "signal=toxicity&side=output&service=bot&from=1&to=2"
    assert alert.board == "https://grafana.test/d/assay-quality?var-service=bot"


def test_a_rule_that_grafana_evaluates_has_the_same_runbook() -> None:
    (alert,) = read(body(changed(COLLAPSE, labels={"alertname": "AssayQualityBudgetBurn 1h"}))).alerts

    assert (alert.name, alert.runbook) == ("AssayQualityBudgetBurn 1h", "assayqualitybudgetburn")


def test_the_watchdog_is_no_alert_but_a_sign_of_life() -> None:
    assert read(body(WATCHDOG)) == CurrentAlerts(watchdog=True)
    assert read(body()) == CurrentAlerts(watchdog=False)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({"silencedBy": ["a"], "inhibitedBy": ["b"]}, State.SILENCED),
        ({"inhibitedBy": ["b"]}, State.INHIBITED),
        ({"mutedBy": ["nights"]}, State.MUTED),
        ({"mutedBy": None, "state": "unprocessed"}, State.FIRING),
    ],
)
def test_who_is_not_told_is_known_with_the_reason(status: dict[str, Any], state: State) -> None:
    (alert,) = read(body(changed(COLLAPSE, status=status))).alerts

    assert alert.state is state


def test_who_is_told_comes_first_then_the_graver_then_the_newer() -> None:
    def alert(service: str, severity: str, minute: int, silenced: bool = False) -> dict[str, Any]:
        made = changed(
            COLLAPSE,
            labels={"service": service, "severity": severity},
            status={"silencedBy": ["x"] if silenced else []},
        )
        return {**made, "startsAt": f"2026-11-27T03:{minute:02}:00Z"}

    found = read(
        body(
            alert("silenced", "critical", 9, silenced=True),
            alert("minor", "warning", 8),
            alert("older", "critical", 1),
            alert("newer", "critical", 2),
            alert("odd", "page!", 3),
        )
    )

    assert [dict(each.slice)["service"] for each in found.alerts] == ["newer", "older", "minor", "odd", "silenced"]


def test_every_alert_of_ours_is_recognised_and_nobody_elses() -> None:
    others = [{"labels": {"alertname": name}, "startsAt": COLLAPSE["startsAt"]} for name in ("KubeDown", "xAssayDown")]
    ours = [changed(COLLAPSE, labels={"alertname": each.name}) for each in alerts() if each.name != "AssayWatchdog"]

    found = read(body(*others, *ours, {"labels": {}, "startsAt": COLLAPSE["startsAt"]}))

    assert [each.name for each in found.alerts] == [each["labels"]["alertname"] for each in ours]


def test_whatever_is_said_stays_bounded() -> None:
    long = "x" * 10_000
    labels = {f"label{number}": long for number in range(40)}
    url = {"summary": long, "evidence_url": f"http://a/?service={long}", "dashboard_url": f"https://b/{long}"}

    found = read(body(*[changed(COLLAPSE, labels=labels, annotations=url)] * (ALERTS_MAX + 7)))

    assert (len(found.alerts), found.left_out) == (ALERTS_MAX, 7)
    alert = found.alerts[0]
    assert len(alert.slice) == LABELS_MAX
    assert max(len(text) for pair in alert.slice for text in pair) == TEXT_CHARS_MAX == len(alert.summary)
    assert len(alert.evidence) < 2 * TEXT_CHARS_MAX
    assert alert.board == ""


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "//evil.test", "https://a b", "data:text/html,x", "ftp://a"]
)
def test_only_addresses_of_the_web_become_links(address: str) -> None:
    (alert,) = read(body(changed(COLLAPSE, annotations={"dashboard_url": address, "evidence_url": address}))).alerts

    assert alert.board == ""
    assert alert.evidence == ""


NO_LISTS = [b"", b"{}", b"null", b"[1]", b"<html>", b'[{"labels":{}}]', b'[{"labels":{"a":1},"startsAt":"x"}]', b"\xff",
            b"[" * 100_000, b'[{"labels":{},"startsAt":"2026-11-27T03:58:12Z","x":' + b"[" * 100_000]  # fmt: skip


@pytest.mark.parametrize("answer", NO_LISTS, ids=range(len(NO_LISTS)))
def test_what_is_no_list_of_alerts_is_told_as_such(answer: bytes) -> None:
    with pytest.raises(ValueError, match="no list of alerts"):
        read(answer)


@given(
    labels=st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=20),
    texts=st.dictionaries(st.sampled_from(["summary", "evidence_url", "dashboard_url"]), st.text(max_size=80)),
    since=st.datetimes(timezones=st.sampled_from([UTC, None])),
)
def test_any_labels_and_texts_are_an_alert(labels: dict[str, str], texts: dict[str, str], since: datetime) -> None:
    wire = {"labels": {**labels, "alertname": "AssayDown"}, "annotations": texts, "startsAt": since.isoformat()}

    (alert,) = read(body(wire)).alerts

    assert alert.since == since.replace(tzinfo=None)


class Fake:
    """An Alertmanager that answers as a test says: bytes at once, or whatever it does with the connection."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.answer: bytes | Callable[[BaseHTTPRequestHandler], None] = body(WATCHDOG)
        self.status = 200
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.requests.append((self.path, dict(self.headers)))
                if not isinstance(fake.answer, bytes):
                    fake.answer(self)
                    return
                self.send_response(fake.status)
                self.send_header("location", "http://127.0.0.1:1/elsewhere")
                self.send_header("content-length", str(len(fake.answer)))
                self.end_headers()
                self.wfile.write(fake.answer)

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base class's name

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def fake() -> Iterator[Fake]:
    server = Fake()
    yield server
    server.close()


def test_only_our_alerts_are_asked_for(fake: Fake) -> None:
    Client(AlertmanagerConfig(url=f"{fake.url}/prefix/", matchers=('cluster="eu"',)), {}).get()

    ((path, headers),) = fake.requests
    url = httpx.URL(path)
    assert url.path == "/prefix/api/v2/alerts"
    assert url.params.get_list("filter") == ['alertname=~"Assay.+"', 'cluster="eu"']
    assert "Authorization" not in headers


def test_a_login_is_read_from_its_file_at_every_request(fake: Fake, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    basic = Client(AlertmanagerConfig(url=fake.url, username="on-call", password=Secret(file=secret)))
    bearer = Client(AlertmanagerConfig(url=fake.url, bearer_token=Secret(file=secret)))

    for word in ("first", "second"):
        secret.write_text(f"{word}\n", encoding="utf-8")
        basic.get()
        bearer.get()

    sent = [headers["Authorization"] for _, headers in fake.requests]
    assert [base64.b64decode(each.removeprefix("Basic ")) for each in sent[::2]] == [
        b"on-call:first",
        b"on-call:second",
    ]
    assert sent[1::2] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("word", ["two\nlines", "naïve", "a b"])
def test_a_token_that_cannot_be_sent_is_refused_without_being_told(fake: Fake, word: str) -> None:
    config = AlertmanagerConfig(url=fake.url, bearer_token=Secret(env="WORD"))

    with pytest.raises(AwayError, match="characters") as raised:
        Client(config, {"WORD": word}).get()

    assert word not in str(raised.value)
    assert fake.requests == []


def test_a_password_is_in_no_text_about_it(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fake.status = 401
    config = AlertmanagerConfig(url=fake.url, username="on-call", password=Secret(env="WORD"))
    watch = AlertWatch(config, Silent(), time.time, {"WORD": "hush-hush"})

    watch.look()

    assert watch.heard.problem == "it answers 401"
    assert "hush-hush" not in f"{watch!r} {config!r} {caplog.text} {watch.heard}"


@pytest.mark.parametrize("status", [301, 307, 401, 404, 500])
def test_a_redirect_is_not_followed_and_an_error_is_told(fake: Fake, status: int) -> None:
    fake.status = status

    with pytest.raises(AwayError, match=f"it answers {status}"):
        Client(AlertmanagerConfig(url=fake.url), {}).get()

    assert len(fake.requests) == 1


def test_an_answer_without_end_is_cut_off(fake: Fake) -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n[")
        try:
            while True:
                handler.wfile.write(b" " * 65_536)
        except OSError:
            handler.close_connection = True

    fake.answer = flood

    with pytest.raises(AwayError, match="longer than 4 MiB"):
        Client(AlertmanagerConfig(url=fake.url), {}).get()


TRICKLES = {
    "of a body": b"HTTP/1.0 200 OK\r\n\r\n[",
    "of headers": b"HTTP/1.0 200 OK\r\nX-Slow: ",
    "of a whole answer": b"",
}


@pytest.mark.parametrize("start", TRICKLES.values(), ids=TRICKLES)
def test_a_trickle_ends_in_its_time(fake: Fake, start: bytes) -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(start)
        try:
            while True:
                handler.wfile.write(b" ")
                time.sleep(0.1)
        except OSError:
            handler.close_connection = True

    fake.answer = trickle
    began = time.monotonic()

    with pytest.raises(AwayError, match="longer than 1 s"):
        Client(AlertmanagerConfig(url=fake.url), {}, seconds_max=1.0).get()

    assert time.monotonic() - began < 5


def test_nobody_at_the_address_is_told(fake: Fake) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        config = AlertmanagerConfig(url=f"http://127.0.0.1:{nobody.getsockname()[1]}")

        with pytest.raises(AwayError, match="does not answer"):
            Client(config, {}).get()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/straße", f"http://{'a' * 70}.test"])
def test_an_address_that_nobody_can_have_is_told_as_silence(url: str) -> None:
    with pytest.raises(AwayError, match="does not answer"):
        Client(AlertmanagerConfig(url=url), {}).get()


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_what_was_heard_is_the_present_only_for_a_while(fake: Fake) -> None:
    clock = Clock()
    watch = AlertWatch(AlertmanagerConfig(url=fake.url, refresh_seconds=15), Silent(), clock, {})
    assert not watch.heard.is_now(clock.now)

    watch.look()

    assert watch.heard.is_now(clock.now)
    assert watch.heard.is_now(clock.now + 55)
    assert not watch.heard.is_now(clock.now + 56)  # nobody has asked since, for whatever reason


def test_when_it_stops_answering_what_it_said_stays_with_its_time(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    fake.answer = body(COLLAPSE, WATCHDOG)
    watch = AlertWatch(AlertmanagerConfig(url=fake.url), Silent(), clock, {})
    watch.look()
    fake.answer = b"nonsense"

    for _ in range(3):
        clock.now += 1
        watch.look()

    assert watch.heard.at == 1_000.0
    assert watch.heard.problem == "its answer is no list of alerts"
    assert not watch.heard.is_now(clock.now)
    assert len(watch.heard.current.alerts) == 1
    assert len(caplog.records) == 1  # the first of a run of failures


def test_a_watch_asks_by_itself_and_its_end_waits_for_nobody(fake: Fake) -> None:
    release = threading.Event()
    watch = AlertWatch(AlertmanagerConfig(url=fake.url, refresh_seconds=1), Silent(), time.time, {})
    watch.start()
    wait_until(lambda: watch.heard.at is not None)
    fake.answer = lambda _: release.wait(30) and None
    wait_until(lambda: len(fake.requests) > 1)

    began = time.monotonic()
    watch.close()

    assert time.monotonic() - began < 1
    release.set()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


FAULTS = {
    "alertmanager:9093": "begins with http",
    "http://user:word@am:9093": "without a password",
    "http://am:9093/?x=y": "without a password, query",
    "http://am:port": "begins with http",
    "http://am:99999": "Port out of range",
}


@pytest.mark.parametrize("url", FAULTS)
def test_an_address_that_cannot_be_asked_is_a_fault_of_the_configuration(url: str) -> None:
    with pytest.raises(ValidationError, match=FAULTS[url]):
        AlertmanagerConfig(url=url)


def test_logins_are_whole_and_matchers_match() -> None:
    word = {"env": "WORD"}
    for values, told in (
        ({"username": "a"}, "go together"),
        ({"username": "a", "password": word, "bearer_token": word}, "choose"),
        ({"matchers": ["cluster"]}, "no matcher"),
        ({"password": "written here"}, "not written here"),
    ):
        with pytest.raises(ValidationError, match=told):
            AlertmanagerConfig.model_validate({"url": "http://am:9093", **values})


@pytest.mark.server("alertmanager")
def test_the_real_one_is_understood(alertmanager: Callable[..., Any]) -> None:
    server = alertmanager()
    now = datetime.now(UTC).replace(microsecond=0)
    posted = [
        {"labels": each["labels"], "annotations": each["annotations"], "startsAt": (now - age).isoformat()}
        for each, age in ((COLLAPSE, timedelta(minutes=7)), (WATCHDOG, timedelta(hours=1)))
    ]
    other = {"labels": {"alertname": "KubeDown"}, "startsAt": now.isoformat()}
    silenced = changed(posted[0], labels={"service": "quiet"})
    silence = {
        "matchers": [{"name": "service", "value": "quiet", "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "test", "comment": "known",
    }  # fmt: skip
    assert httpx.post(f"{server.url}/api/v2/silences", json=silence).status_code == 200
    assert httpx.post(f"{server.url}/api/v2/alerts", json=[*posted, other, silenced]).status_code == 200
    client = Client(AlertmanagerConfig(url=server.url), {})
    wait_until(lambda: State.SILENCED in {each.state for each in read(client.get()).alerts})

    found = read(client.get())

    assert [(dict(each.slice)["service"], each.state) for each in found.alerts] == [
        ("bot", State.FIRING),
        ("quiet", State.SILENCED),
    ]
    assert found.alerts[0].since == (now - timedelta(minutes=7)).replace(tzinfo=None)
    assert found.watchdog
    assert read(Client(AlertmanagerConfig(url=server.url, matchers=('service="no"',)), {}).get()) == CurrentAlerts()


def test_nothing_is_heard_before_something_is() -> None:
    heard = Heard(asked_since=5.0, fresh_seconds=60.0)

    assert not heard.is_now(5.0)
