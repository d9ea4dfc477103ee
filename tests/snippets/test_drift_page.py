"""Excerpts on the drift page: what the examples of a topic said, or why nothing is shown; and nothing of it runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, timedelta
from html import unescape

import httpx
import pytest

from collector.config import MetricsConfig, SnippetsConfig
from collector.evidence import DRIFT, DriftReport, Example, Named, Question, Said, Topic
from collector.export.prometheus import Exporter
from collector.export.web.evidence import evidence_routes
from collector.export.web.health import Health
from collector.export.web.server import MetricsServer
from collector.export.web.texts import Kept
from signals.excerpts import Excerpt, Redacted
from signals.marks import Of
from tests.export.test_evidence import HOSTILE, NOW, Made, Tags
from tests.snippets.test_page import RTL

THEN = NOW - timedelta(days=1)
OLD = Example(trace_id="01" * 16, span_id="02" * 8, time=THEN)
NEW = Example(trace_id="03" * 16, span_id="04" * 8, time=NOW, flagged=("toxicity_output", "pii_input"))
UNKNOWN = Example(trace_id="05" * 16)


class Drifted(Made):
    """One topic, with a call before, one after, and one of which an earlier version told no time."""

    def drift(self, question: Question) -> DriftReport:
        found = super().drift(question)
        topic = Topic(
            service=self.name, model=self.name, side="input", share_before=0.1, share_after=0.6, change_low=0.3,
            change_high=0.7, examples_before=(OLD, UNKNOWN), examples_after=(NEW,),
        )  # fmt: skip
        return DriftReport(alarms=found.alarms, course=found.course, topics=(topic,), sql=found.sql)


class Texts:
    """Has these texts, by column and trace."""

    def __init__(self, texts: Mapping[tuple[str, str], str | Excerpt] | None = None) -> None:
        self.texts = texts or {}
        self.asked: list[tuple[str, Named]] = []

    def said(self, calls: Sequence[Named], column: str) -> dict[tuple[str, str], tuple[Said, ...]]:
        self.asked += [(column, call) for call in calls]
        found = {}
        for call in calls:
            if (text := self.texts.get((column, call.trace_id))) is not None:
                excerpt = text if isinstance(text, Excerpt) else Excerpt(text=text)
                found[call.trace_id, call.span_id] = (Said(of=Of.QUESTION, excerpt=excerpt),)
        return found


class Away(Texts):
    """Does not answer."""

    def said(self, calls: Sequence[Named], column: str) -> dict[tuple[str, str], tuple[Said, ...]]:
        raise RuntimeError("secret words")


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    running: list[MetricsServer] = []

    def start(texts: Texts | None, *, name: str = "support-bot", on: bool = True, **settings: object) -> str:
        config = SnippetsConfig(enabled=True, **settings)  # type: ignore[arg-type]
        routes = evidence_routes(
            lambda: Drifted(name),
            NOW.replace(tzinfo=UTC).timestamp,
            "https://traces.test/{trace_id}?s={span_id}&at={start_ms}",
            kept=Kept(of=lambda: texts, config=config) if on else None,
        )
        server = MetricsServer(Exporter(), Health(), MetricsConfig(port=0), routes=routes)
        server.start()
        running.append(server)
        return f"{server.url}/evidence?signal=drift"

    yield start
    for server in running:
        server.close()


def shown(page: str) -> list[str]:
    """What the excerpts of a page say, in order."""
    found = re.findall(r'<dl class="said">.*?</dl>', page, re.DOTALL)
    return [" ".join(unescape(re.sub(r"<[^>]+>", " ", one)).split()) for one in found]


def test_a_topic_shows_what_its_examples_said_before_and_after(serve: Callable[..., str]) -> None:
    texts = Texts({(DRIFT, OLD.trace_id): "Where is my parcel?", (DRIFT, NEW.trace_id): "What is a mitochondrion?"})

    page = httpx.get(serve(texts)).text

    assert shown(page) == ["Question Where is my parcel?", "Question What is a mitochondrion?"]
    assert page.index("Before ·") < page.index("my parcel") < page.index("After ·") < page.index("mitochondrion")
    assert "No text of a call is shown here" not in page
    assert (DRIFT, Named(THEN, OLD.trace_id, OLD.span_id)) in texts.asked
    assert UNKNOWN.trace_id in page
    assert UNKNOWN.trace_id not in [call.trace_id for _, call in texts.asked]


def test_of_a_call_that_was_kept_because_it_was_flagged_that_is_shown(serve: Callable[..., str]) -> None:
    flagged = {("toxicity_output", NEW.trace_id): "You idiot.", ("pii_input", NEW.trace_id): "Mail [EMAIL]"}

    page = httpx.get(serve(Texts(flagged))).text
    both = httpx.get(serve(Texts({**flagged, (DRIFT, NEW.trace_id): "As it came."}))).text

    assert shown(page) == ["Question You idiot."]
    assert "flagged by toxicity output, pii input" in page
    assert shown(both) == ["Question As it came."]


REASONS = {
    "off": ({"texts": None, "on": False}, "No text is kept (evidence.snippets is off)"),
    "away": ({"texts": Away()}, "cannot be read now"),
    "not open": ({"texts": None}, "cannot be read now"),
    "flagged alone": ({"texts": Texts()}, "flagged calls alone have one"),
    "not among them": (
        {"texts": Texts(), "drift_calls_per_minute_max": 2, "ttl_hours": 5},
        "older than 5 hours, or were none of the 2 a minute",
    ),
}


@pytest.mark.parametrize("case", REASONS)
def test_a_page_without_a_text_says_why(serve: Callable[..., str], case: str) -> None:
    options, reason = REASONS[case]

    page = httpx.get(serve(**options))

    assert page.status_code == 200
    assert reason in unescape(re.sub(r"</?code>", "", page.text))
    assert shown(page.text) == []
    assert "No text of a call is shown here" in page.text
    assert "secret words" not in page.text


def test_an_example_leads_to_its_trace_at_the_time_of_its_call(serve: Callable[..., str]) -> None:
    page = Tags(httpx.get(serve(Texts())).text)

    links = [attributes.get("href") or "" for _, attributes in page.tags]
    around = int((THEN - timedelta(minutes=15)).replace(tzinfo=UTC).timestamp() * 1_000)
    assert f"https://traces.test/{OLD.trace_id}?s={OLD.span_id}&at={around}" in links


def test_hostile_words_of_a_topic_are_shown_and_do_nothing(serve: Callable[..., str]) -> None:
    page = httpx.get(serve(Texts({(DRIFT, OLD.trace_id): HOSTILE, (DRIFT, NEW.trace_id): HOSTILE}), name=HOSTILE)).text

    assert unescape(page).count(f">{HOSTILE}</dd>") == 2
    assert not [tag for tag, _ in Tags(page).tags if tag in {"script", "img", "textarea", "iframe"}]
    assert not [name for _, attributes in Tags(page).tags for name in attributes if name.startswith("on")]


@pytest.mark.server("chromium")
def test_a_browser_shows_the_words_of_a_topic_and_runs_none(serve: Callable[..., str], chromium, tmp_path) -> None:  # type: ignore[no-untyped-def]
    wild = Redacted(f"{HOSTILE}\u202e{RTL} ana@shop.io e{chr(0x301) * 50} {'x' * 600}").excerpt((), 400)
    assert wild is not None
    url = serve(Texts({(DRIFT, OLD.trace_id): wild, (DRIFT, NEW.trace_id): "word " * 80}))

    document = chromium.dom(url)
    picture = chromium.screenshot(url, tmp_path / "page.png", size=(390, 1600))

    assert not re.search(r"<script|<img", document)
    assert RTL in document
    assert "[EMAIL]" in document
    assert picture.stat().st_size > 10_000
