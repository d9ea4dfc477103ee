"""Excerpts on the evidence page: readable, marked for eyes and ears, and whatever they hold does nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from html import unescape
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.config import AccessConfig, MetricsConfig, SnippetsConfig
from collector.evidence import Named, Said
from collector.export.prometheus import Exporter
from collector.export.web.evidence import evidence_routes
from collector.export.web.health import Health
from collector.export.web.server import MetricsServer
from collector.export.web.texts import Kept, Piece, pieces
from signals.excerpts import Excerpt, Redacted
from signals.marks import NOT_HELD, Mark, Of
from tests.export.test_evidence import HOSTILE, NOW, Made, Tags
from tests.signals.texts import LANGUAGES, ODD

CALL = ("ab" * 16, "cd" * 8)  # the ids that Made makes
ANSWER = Excerpt(
    text="Write to [EMAIL] about theft in Antarctica",
    marks=(Mark(23, 28, NOT_HELD), Mark(32, 42, NOT_HELD)),
    taken=(Mark(9, 16, "EMAIL"),),
    cut_after=True,
)
RTL = "\u0627\u0643\u062a\u0628 \u0625\u0644\u064a \u0639\u0646 \u0627\u0644\u0637\u0631\u062f"


class Texts:
    """Has these texts for every call."""

    def __init__(self, *said: Said) -> None:
        self.said_of = said
        self.asked: list[str] = []

    def said(self, calls: Sequence[Named], column: str) -> dict[tuple[str, str], tuple[Said, ...]]:
        self.asked.append(column)
        return {(call.trace_id, call.span_id): self.said_of for call in calls}


class Away(Texts):
    """Does not answer."""

    def said(self, calls: Sequence[Named], column: str) -> dict[tuple[str, str], tuple[Said, ...]]:
        raise RuntimeError("secret words")


def said(*texts: str) -> Texts:
    """What is kept of these texts, as question, answer and context."""
    return Texts(*(Said(of=of, excerpt=Excerpt(text=text)) for of, text in zip(Of, texts, strict=False)))


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    running: list[MetricsServer] = []

    def start(texts: Texts | None, **options: Any) -> str:
        kept = Kept(of=lambda: texts, config=SnippetsConfig(enabled=True))
        routes = evidence_routes(Made, NOW.replace(tzinfo=UTC).timestamp, None, kept=kept)
        server = MetricsServer(Exporter(), Health(), MetricsConfig(port=0), routes=routes, **options)
        server.start()
        running.append(server)
        return f"{server.url}/evidence?signal=toxicity&side=output"

    yield start
    for server in running:
        server.close()


def test_the_page_shows_what_is_kept_with_its_marks_and_what_was_taken_out(serve: Callable[..., str]) -> None:
    texts = Texts(Said(of=Of.QUESTION, excerpt=Excerpt(text="Whom?")), Said(of=Of.ANSWER, excerpt=ANSWER))

    page = httpx.get(serve(texts)).text

    assert texts.asked == ["toxicity_output"]
    (shown,) = re.findall(r'<dl class="said">.*?</dl>', page, re.DOTALL)
    assert re.findall(r"<dt>(\w+)</dt>", shown) == ["Question", "Answer"]
    words = unescape(re.sub(r'<span class="aloud".*?</span>|<[^>]+>', "", shown)).split()
    assert " ".join(words) == "Question Whom? Answer Write to [EMAIL] about theft in Antarctica…"
    assert "kept for 72 hours" in page
    assert "No text of a call is shown here" not in page


def test_marks_are_told_to_ears_as_to_eyes(serve: Callable[..., str]) -> None:
    page = httpx.get(serve(Texts(Said(of=Of.ANSWER, excerpt=ANSWER)))).text

    marks = re.findall(r"<mark[^>]*>([^<]*)<span class=\"aloud\" dir=\"ltr\"> \(([^<]*)\)</span></mark>", page)
    assert marks == [
        ("[EMAIL]", "taken out: a mail address"),
        ("theft", NOT_HELD),
        ("Antarctica", NOT_HELD),
    ]
    assert ("dd", {"dir": "auto", "tabindex": "0"}) in Tags(page).tags  # scrolls by keyboard, runs its own way


def test_hostile_words_are_shown_and_do_nothing(serve: Callable[..., str]) -> None:
    mark = (Mark(0, len(HOSTILE), HOSTILE),)
    texts = Texts(Said(of=Of.ANSWER, excerpt=Excerpt(text=HOSTILE, marks=mark)), *said(HOSTILE).said_of)

    page = httpx.get(serve(texts)).text

    assert HOSTILE in unescape(page)
    assert not [tag for tag, _ in Tags(page).tags if tag in {"script", "img", "textarea", "iframe"}]
    assert not [name for _, attributes in Tags(page).tags for name in attributes if name.startswith("on")]


def test_a_call_that_nothing_is_kept_of_is_a_row_without_words(serve: Callable[..., str]) -> None:
    class Empty(Texts):
        def said(self, calls: Sequence[Named], column: str) -> dict[tuple[str, str], tuple[Said, ...]]:
            return {}

    page = httpx.get(serve(Empty())).text

    assert CALL[0] in page
    assert '<dl class="said">' not in page


@pytest.mark.parametrize("texts", [Away(), None])
def test_a_store_that_is_away_costs_the_words_and_not_the_page(serve: Callable[..., str], texts: Texts | None) -> None:
    page = httpx.get(serve(texts))

    assert page.status_code == 200
    assert CALL[0] in page.text
    assert "cannot be read now" in page.text
    assert "secret words" not in page.text


def test_words_are_for_those_who_may_see_evidence(serve: Callable[..., str], tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "token").write_text("let-me-in-please-0123")
    access = AccessConfig.model_validate({"bearer_token": {"file": tmp_path / "token"}})
    url = serve(said("Whom?", "You idiot."), own={"evidence": access})

    stranger = httpx.get(url)
    friend = httpx.get(url, headers={"authorization": "Bearer let-me-in-please-0123"})

    assert (stranger.status_code, "idiot" in stranger.text) == (401, False)
    assert (friend.status_code, "idiot" in friend.text) == (200, True)
    assert friend.headers["cache-control"] == "no-store"


@given(st.one_of(st.text(max_size=200), st.sampled_from(ODD + LANGUAGES)), st.data())
def test_pieces_are_the_excerpt_and_nothing_else(text: str, data: st.DataObject) -> None:
    places = st.integers(0, len(text))
    drawn = data.draw(st.lists(st.tuples(places, places), max_size=5))
    excerpt = Redacted(text).excerpt([Mark(min(pair), max(pair), "x") for pair in drawn], 120)

    if excerpt is not None:
        assert "".join(piece.text for piece in pieces(excerpt)) == excerpt.text
        assert sum(bool(piece.why) for piece in pieces(excerpt)) == len(excerpt.marks) + len(excerpt.taken)


def test_what_was_taken_out_is_no_mark_of_the_signal() -> None:
    assert pieces(ANSWER)[1] == Piece("[EMAIL]", "taken out: a mail address", taken=True)


@pytest.mark.server("chromium")
def test_a_browser_shows_any_words_and_runs_none(serve: Callable[..., str], chromium, tmp_path) -> None:  # type: ignore[no-untyped-def]
    wild = Redacted(f"{HOSTILE}\u202e{RTL} ana@shop.io e{chr(0x301) * 50} {'x' * 600}").excerpt(
        (Mark(8, 13, NOT_HELD),), 400
    )
    assert wild is not None
    url = serve(Texts(Said(of=Of.QUESTION, excerpt=wild), *said("", RTL, "word " * 80).said_of[1:]))

    document = chromium.dom(url)
    picture = chromium.screenshot(url, tmp_path / "page.png", size=(1280, 1600))

    assert not re.search(r"<script|<img", document)
    assert RTL in document
    assert "[EMAIL]" in document
    assert picture.stat().st_size > 10_000
