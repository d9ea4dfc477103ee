"""The evidence pages: whatever is asked, whatever a name holds, a page comes back that runs nothing of it."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.rules import alerts
from collector import catalog
from collector.config import AlertmanagerConfig, MetricsConfig
from collector.evidence import (
    BINS,
    Cell,
    Coverage,
    DriftAlarm,
    DriftReport,
    Example,
    Point,
    Question,
    Report,
    Slice,
    Topic,
    Totals,
    WorstCall,
)
from collector.export.alertmanager import CONNECT_SECONDS_MAX, AlertWatch, Heard
from collector.export.current import CurrentAlert, CurrentAlerts, State
from collector.export.prometheus import Exporter
from collector.export.web import asked
from collector.export.web.evidence import evidence_routes
from collector.export.web.health import Health
from collector.export.web.server import MetricsServer
from collector.telemetry import Silent
from signals.cards import card


def utc(*parts: int) -> datetime:
    """As the store tells times: UTC, naive."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc]


NOW = utc(2026, 11, 24, 12)
HOSTILE = """<script>alert(1)</script>"><img src=x onerror=alert(1)>'{{7*7}}${7*7}</textarea>"""


class Made:
    """Evidence made up: every name in it is ``name``."""

    def __init__(self, name: str = "support-bot", *, empty: bool = False) -> None:
        self.name = name
        self.empty = empty
        self.asked: list[Question] = []

    def names(self) -> dict[str, tuple[str, ...]]:
        return {"service": (self.name,), "model": (self.name,), "signal": ("toxicity input", "toxicity output")}

    def latest(self) -> datetime | None:
        return None if self.empty else NOW

    def overview(self, end: datetime, service: str = "") -> tuple[Cell, ...]:
        cell = Cell(
            service=self.name, signal="toxicity", side="output", scored=100, bad=20, scored_before=100, bad_before=0,
            course=(0.0, None, 0.2, 0.3),
        )  # fmt: skip
        return () if self.empty or service not in ("", self.name) else (cell,)

    def coverage(self, end: datetime, service: str = "") -> tuple[Coverage, ...]:
        seen = Coverage(service="seen", scored=99, missed=1, scored_before=99, missed_before=1)
        blind = Coverage(service=self.name, scored=30, missed=70, scored_before=95, missed_before=5)
        return () if self.empty else tuple(each for each in (blind, seen) if service in ("", each.service))

    def report(self, question: Question) -> Report:
        self.asked.append(question)
        call = WorstCall(
            time=NOW, trace_id="ab" * 16, span_id="cd" * 8, service=self.name, model=self.name,
            model_version=self.name, prompt=self.name, tenant=self.name, score=0.97,
        )  # fmt: skip
        part = Slice(
            key="model", value=self.name, scored=100, bad=20, scored_before=50, bad_before=1, contribution=0.18
        )
        nothing = Totals()
        counts = (0,) * BINS
        return Report(
            question=question,
            now=nothing if self.empty else Totals(scored=100, missed=4, warned=30, bad=20, mean=0.25),
            before=nothing if self.empty else Totals(scored=50, bad=1, mean=0.02),
            course=() if self.empty else tuple(
                Point(at=question.before[0] + timedelta(minutes=10 * at), scored=10 * (at % 3), bad=at % 2)
                for at in range(8)
            ),
            distribution=counts if self.empty else (80, *counts[2:], 20),
            distribution_before=counts if self.empty else (50, *counts[1:]),
            slices=() if self.empty else (part, replace(part, key="topic", value="ab" * 16)),
            looked_at=(0, 0) if self.empty else (40, 80),
            worst=() if self.empty else (call,),
            missed=() if self.empty else (("shed", 4),),
            versions=() if self.empty else ((self.name, 100),),
            sql=f"SELECT '{self.name}'",
        )  # fmt: skip

    def drift(self, question: Question) -> DriftReport:
        self.asked.append(question)
        if self.empty:
            return DriftReport(alarms=(), course=(), topics=(), sql="SELECT 1")
        alarm = DriftAlarm(
            service=self.name, model=self.name, side="input", version="1", as_of=NOW, alarm_since=NOW,
            log_evalue=9.0, threshold=6.9, false_alarm_pairs=20_000, pairs=400, phase="any", distance=0.3,
        )  # fmt: skip
        topic = Topic(
            service=self.name, model=self.name, side="input", share_before=0.1, share_after=0.6, change_low=0.3,
            change_high=0.7, examples_before=(Example(trace_id="ab" * 16),),
            examples_after=(
                Example(trace_id="javascript:alert(1)"),
                Example(trace_id="ab" * 16, span_id="cd" * 8, time=NOW - timedelta(days=1), flagged=(self.name,)),
            ),
        )  # fmt: skip
        course = tuple((question.start + timedelta(minutes=at), float(at)) for at in range(10))
        return DriftReport(alarms=(alarm,), course=course, topics=(topic,), sql="SELECT 1")


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    running: list[MetricsServer] = []

    def start(
        evidence: object,
        trace_url: str | None = "https://traces.test/t/{trace_id}?s={span_id}",
        heard: Heard | Callable[[], Heard] | None = None,
    ) -> str:
        routes = evidence_routes(
            lambda: evidence,  # type: ignore[arg-type, return-value]
            NOW.replace(tzinfo=UTC).timestamp,
            trace_url,
            (lambda: heard) if isinstance(heard, Heard) else heard,
        )
        server = MetricsServer(Exporter(), Health(), MetricsConfig(port=0), routes=routes)
        server.start()
        running.append(server)
        return server.url

    yield start
    for server in running:
        server.close()


class Tags(HTMLParser):
    """What a browser would make of a page: its tags and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


PAGES = ("/evidence", "/evidence?signal=toxicity&side=output&service=x", "/evidence?signal=drift", "/evidence/runbooks")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_script_and_lets_none_in(serve: Callable[..., str], path: str) -> None:
    page = httpx.get(serve(Made()) + path)

    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "script" not in page.headers["content-security-policy"]
    for tag, attributes in Tags(page.text).tags:
        assert tag not in {"script", "iframe", "object", "embed"}
        assert not [name for name in attributes if name.startswith("on")]
        assert not (attributes.get("src") or "").startswith("http")


def alert(name: str = "support-bot", **changes: object) -> CurrentAlert:
    usual = CurrentAlert(
        name="AssayQualityCollapse", severity="critical", state=State.FIRING, since=NOW - timedelta(minutes=12),
        summary=f"{name}: toxicity broke down", slice=(("service", name), ("signal", "toxicity")),
        runbook="assayqualitycollapse",
        evidence="signal=toxicity&side=output&service=support-bot&from=1764000000&to=now",
        board="https://grafana.test/d/assay-quality",
    )  # fmt: skip
    return replace(usual, **changes)  # type: ignore[arg-type]


def heard(*alerts: CurrentAlert, age: float = 5.0, **changes: object) -> Heard:
    """Alertmanager has said this ``age`` seconds ago."""
    current = CurrentAlerts(alerts=alerts, watchdog=True)
    now = NOW.replace(tzinfo=UTC).timestamp()
    usual = Heard(asked_since=now - 3_600, fresh_seconds=55.0, current=current, at=now - age)
    return replace(usual, **changes)  # type: ignore[arg-type]


def test_an_alert_is_one_click_from_its_calls_its_runbook_and_its_board(serve: Callable[..., str]) -> None:
    page = httpx.get(f"{serve(Made(), heard=heard(alert()))}/evidence").text

    links = [attributes.get("href") or "" for _, attributes in Tags(page).tags]
    assert f"/evidence?{alert().evidence}" in links
    assert "/evidence/runbooks#assayqualitycollapse" in links
    assert "https://grafana.test/d/assay-quality" in links
    assert "since 2026-11-24 11:48:00, for 12 min" in page
    assert page.index("AssayQualityCollapse") < page.index("<form")


@pytest.mark.parametrize("state", [State.SILENCED, State.INHIBITED, State.MUTED])
def test_an_alert_that_nobody_is_told_of_says_so(serve: Callable[..., str], state: State) -> None:
    page = httpx.get(f"{serve(Made(), heard=heard(alert(state=state)))}/evidence").text

    assert f"{state}: nobody is told" in page


UNHEARD = {
    "never": (heard(at=None), "not reached since 2026-11-24 11:00:00"),
    "fails": (heard(alert(), age=5, problem="it answers 401"), "since 2026-11-24 11:59:55: it answers 401"),
    "hangs": (heard(alert(), age=600), "not reached since 2026-11-24 11:50:00"),
}


@pytest.mark.parametrize("case", UNHEARD)
def test_a_dead_alertmanager_is_no_calm(serve: Callable[..., str], case: str) -> None:
    last, told = UNHEARD[case]
    page = httpx.get(f"{serve(Made(), heard=last)}/evidence").text

    assert told in page
    assert "What fires now is unknown" in page
    assert "Nothing fires" not in page
    assert ("AssayQualityCollapse" in page) is bool(last.current.alerts)
    assert 'class="spark"' in page  # the rest of the page stands


def test_a_page_waits_for_no_alertmanager(serve: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes connections and says nothing
        config = AlertmanagerConfig(url=f"http://127.0.0.1:{deaf.getsockname()[1]}")
        watch = AlertWatch(config, Silent(), NOW.replace(tzinfo=UTC).timestamp, {})
        watch.start()

        page = httpx.get(f"{serve(Made(), heard=lambda: watch.heard)}/evidence", timeout=CONNECT_SECONDS_MAX / 2)

        watch.close()
    assert page.status_code == 200
    assert "not reached since 2026-11-24 12:00:00" in page.text


def test_silence_without_the_watchdog_is_no_calm(serve: Callable[..., str]) -> None:
    deaf = httpx.get(f"{serve(Made(), heard=heard(current=CurrentAlerts()))}/evidence").text
    calm = httpx.get(f"{serve(Made(), heard=heard())}/evidence").text

    assert "AssayWatchdog, which always fires, is not among its alerts" in deaf
    assert "Nothing fires" not in deaf
    assert "Nothing fires, as Alertmanager said at 2026-11-24 11:59:55" in calm


def test_without_an_alertmanager_the_page_says_what_assay_knows_and_what_not(serve: Callable[..., str]) -> None:
    page = unescape(httpx.get(f"{serve(Made())}/evidence").text)
    empty = unescape(httpx.get(f"{serve(Made(empty=True))}/evidence").text)

    assert "No Alertmanager is configured" in page
    assert "<b>support-bot</b>: 30.0% of what should be judged is judged in this hour; 95.0% in the hour before" in page
    assert "<b>seen</b>" not in page
    assert "no texts are watched, so the absence of alarms says nothing" in empty
    assert "nothing was there to judge, so coverage says nothing" in empty


def test_the_overview_of_one_service_says_whose_it_is_and_is_of_nobody_else(serve: Callable[..., str]) -> None:
    made = Made()
    page = unescape(httpx.get(f"{serve(made, heard=heard(alert()))}/evidence?service=seen").text)

    assert "the last hour of seen</h1>" in page
    assert "What Assay itself sees of seen" in page
    assert "of its texts at least" in page
    assert "<b>support-bot</b>: 30.0%" not in page
    assert 'class="spark"' not in page
    assert "Nothing of this service was scored in this hour" in page
    assert made.asked[-1].service == "seen"
    assert "AssayQualityCollapse" in page  # what fires is never narrowed down


def test_alerts_beyond_the_bound_are_counted(serve: Callable[..., str]) -> None:
    many = heard(current=CurrentAlerts(alerts=(alert(),), left_out=41, watchdog=True))

    assert "41 more are not shown" in httpx.get(f"{serve(Made(), heard=many)}/evidence").text


def test_a_hostile_alert_is_shown_and_does_nothing(serve: Callable[..., str]) -> None:
    bad = alert(summary=HOSTILE, severity=HOSTILE, slice=((HOSTILE, HOSTILE),), evidence=HOSTILE, board=HOSTILE)
    page = httpx.get(f"{serve(Made(), heard=heard(bad, problem=HOSTILE))}/evidence").text

    assert HOSTILE in unescape(page)
    assert not [tag for tag, _ in Tags(page).tags if tag in {"script", "img", "textarea"}]
    assert not [name for _, attributes in Tags(page).tags for name in attributes if name.startswith("on")]


def test_boards_find_a_trace_through_the_one_setting(serve: Callable[..., str]) -> None:
    found = httpx.get(f"{serve(Made())}/evidence/traces/{'ab' * 16}?span_id={'cd' * 8}")
    unset = httpx.get(f"{serve(Made(), None)}/evidence/traces/{'ab' * 16}")
    none = httpx.get(f"{serve(Made())}/evidence/traces/javascript:alert(1)")

    assert (found.status_code, found.headers["location"]) == (302, f"https://traces.test/t/{'ab' * 16}?s={'cd' * 8}")
    assert (unset.status_code, none.status_code) == (404, 404)


@pytest.mark.parametrize("path", ["/evidence", "/evidence?signal=toxicity", "/evidence?signal=drift"])
def test_a_hostile_name_is_shown_and_does_nothing(serve: Callable[..., str], path: str) -> None:
    page = httpx.get(serve(Made(HOSTILE)) + path)

    assert page.status_code == 200
    assert HOSTILE in unescape(page.text)
    assert not [tag for tag, _ in Tags(page.text).tags if tag in {"script", "img", "textarea"}]


def test_a_hostile_question_is_shown_and_does_nothing(serve: Callable[..., str]) -> None:
    page = httpx.get(
        f"{serve(Made())}/evidence",
        params={"signal": "toxicity", "service": HOSTILE, "model": HOSTILE, "from": HOSTILE, "to": HOSTILE},
    )

    assert page.status_code == 200
    assert not [tag for tag, _ in Tags(page.text).tags if tag in {"script", "img", "textarea"}]


def test_calls_lead_to_their_traces_and_only_ids_become_links(serve: Callable[..., str]) -> None:
    url = serve(Made())

    report = Tags(httpx.get(f"{url}/evidence?signal=toxicity").text)
    drift = Tags(httpx.get(f"{url}/evidence?signal=drift").text)

    link = f"https://traces.test/t/{'ab' * 16}?s={'cd' * 8}"
    assert link in [attributes.get("href") for _, attributes in report.tags]
    assert not [href for _, attributes in drift.tags if (href := attributes.get("href") or "").startswith("javascript")]


def test_without_a_template_ids_are_text(serve: Callable[..., str]) -> None:
    page = httpx.get(f"{serve(Made(), None)}/evidence?signal=toxicity").text

    assert "ab" * 16 in page
    assert not [True for _, attributes in Tags(page).tags if "ab" * 16 in (attributes.get("href") or "")]


@pytest.mark.parametrize("path", ["/evidence", "/evidence?signal=toxicity", "/evidence?signal=drift"])
def test_no_data_is_never_told_as_health(serve: Callable[..., str], path: str) -> None:
    page = httpx.get(serve(Made(empty=True)) + path).text

    assert 'role="status"' in page
    assert re.search(r"not (?:health|the same as nothing being wrong)|No texts of this choice are watched", page)


def test_a_page_asked_before_the_store_is_open_says_so(serve: Callable[..., str]) -> None:
    page = httpx.get(f"{serve(None)}/evidence")

    assert page.status_code == 503
    assert "being opened" in page.text


def test_a_store_that_fails_is_told_without_its_words(serve: Callable[..., str]) -> None:
    class Broken(Made):
        def names(self) -> dict[str, tuple[str, ...]]:
            raise RuntimeError("secret words")

    page = httpx.get(f"{serve(Broken())}/evidence")

    assert page.status_code == 503
    assert "secret words" not in page.text


def test_every_alert_finds_its_runbook(serve: Callable[..., str]) -> None:
    page = Tags(httpx.get(f"{serve(Made())}/evidence/runbooks").text)

    anchors = {attributes.get("id") for tag, attributes in page.tags if tag == "h2"}
    assert {alert.name.lower() for alert in alerts()} <= anchors


def test_every_signal_has_a_card_that_can_be_read(serve: Callable[..., str]) -> None:
    url = serve(Made())
    for signal in catalog.SIGNALS:
        assert card(signal.name), signal.name
        assert httpx.get(f"{url}/evidence/cards/{signal.name}").status_code == 200
    assert httpx.get(f"{url}/evidence/cards/no%20such").status_code == 404


def test_a_page_can_be_used_by_keyboard_and_screen_reader(serve: Callable[..., str]) -> None:
    page = Tags(httpx.get(f"{serve(Made())}/evidence?signal=toxicity").text)

    tags = [tag for tag, _ in page.tags]
    assert ("html", {"lang": "en"}) in page.tags
    assert page.tags[tags.index("a")][1] == {"class": "skip", "href": "#main"}
    assert all(attributes.get("aria-label") for tag, attributes in page.tags if tag == "svg")
    assert all(attributes.get("scope") == "col" for tag, attributes in page.tags if tag == "th")
    assert tags.count("h1") == 1


TIMES = {
    "1764000000": utc(2025, 11, 24, 16),
    "1764000000000": utc(2025, 11, 24, 16),
    "now": NOW,
    "now-6h": NOW - timedelta(hours=6),
    "2026-11-24T10:00": utc(2026, 11, 24, 10),
    "2026-11-24T10:00:00+02:00": utc(2026, 11, 24, 8),
}


@pytest.mark.parametrize("text", TIMES)
def test_times_are_read_as_people_and_grafana_write_them(text: str) -> None:
    found = asked.read({"from": text, "to": "now"} if text != "now" else {"to": text}, NOW)

    wanted = TIMES[text]
    if NOW - wanted > asked.RANGE_MAX:
        assert found.faults
    else:
        assert wanted in (found.question.start, found.question.end)
        assert found.faults == ()


@given(st.dictionaries(st.sampled_from(["signal", "side", "service", "model", "from", "to"]), st.text(max_size=30)))
def test_any_query_string_is_a_question(query: dict[str, str]) -> None:
    found = asked.read(query, NOW)

    question = found.question
    assert question.start < question.end
    assert question.signal in {"", asked.DRIFT, *(signal.name for signal in catalog.SIGNALS)}
    again = asked.read(dict(httpx.QueryParams(found.link())), NOW)
    assert again.question.signal == question.signal
    assert again.faults == ()


@pytest.mark.server("chromium")
@pytest.mark.parametrize("path", PAGES)
def test_a_browser_shows_the_page_and_runs_nothing(serve: Callable[..., str], chromium, path: str) -> None:  # type: ignore[no-untyped-def]
    told = heard(alert(HOSTILE, slice=((HOSTILE, HOSTILE),), summary=HOSTILE), problem=HOSTILE)

    document = chromium.dom(serve(Made(HOSTILE), heard=told) + path)

    assert "<main" in document
    assert not re.search(r"<script|<img", document)
