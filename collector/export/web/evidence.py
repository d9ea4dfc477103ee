"""The evidence pages, which alerts link to: HTML from templates that escape everything; no script, no outside asset."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from collector import catalog
from collector.config.traces import fill
from collector.evidence import Coverage, Evidence, Question, Topic
from collector.export.alertmanager import Heard
from collector.export.current import CurrentAlerts
from collector.export.web import asked, charts
from collector.export.web.texts import Kept, pieces
from signals.cards import card

log = logging.getLogger(__name__)

HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "referrer-policy": "no-referrer",
}
RANGES = (
    ("15 minutes", "now-15m"),
    ("1 hour", "now-1h"),
    ("6 hours", "now-6h"),
    ("1 day", "now-1d"),
    ("7 days", "now-7d"),
)
COVERAGE_LOW = 0.9
COVERAGE_DROP = 0.1
_AROUND = timedelta(minutes=15)  # of a call, where a tracing backend wants to know when
_EXEMPLARS = timedelta(days=7)


def evidence_routes(
    evidence: Callable[[], Evidence | None],
    clock: Callable[[], float],
    trace_url: str | None,
    heard: Callable[[], Heard] | None = None,
    kept: Kept | None = None,
) -> Sequence[BaseRoute]:
    """``evidence`` is None until the store is open.

    ``trace_url`` is a template as in collector.config.traces; None: ids without a link. ``heard`` is what Alertmanager
    said last, at once; None: none is configured. ``kept`` are excerpts of the calls' texts; None: there are none.
    """
    pages = _Pages(evidence, clock, trace_url, heard, kept)
    return [
        Route(catalog.EVIDENCE_PATH, pages.evidence),
        Route(catalog.RUNBOOKS_PATH, pages.runbooks),
        Route(f"{catalog.EVIDENCE_PATH}/traces/{{trace_id}}", pages.trace),
        Route("/evidence/cards/{signal}", pages.card),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the overview says of Alertmanager; ``since`` is when it was heard last, or first asked."""

    is_now: bool
    since: datetime
    problem: str
    current: CurrentAlerts


class _Pages:
    def __init__(
        self,
        evidence: Callable[[], Evidence | None],
        clock: Callable[[], float],
        trace_url: str | None,
        heard: Callable[[], Heard] | None,
        kept: Kept | None,
    ) -> None:
        self._evidence = evidence
        self._clock = clock
        self._trace_url = trace_url
        self._heard = heard
        self._kept = kept

    async def evidence(self, request: Request) -> Response:
        """Worst calls, the slice to blame, before and after: for one signal, or all at a glance."""
        return await run_in_threadpool(self._answer, dict(request.query_params))

    def runbooks(self, _: Request) -> Response:
        """What each alert means, where to look and what to do."""
        return _page("text.html", title="Runbooks", body=_runbooks())

    def card(self, request: Request) -> Response:
        found = card(request.path_params["signal"])
        if found is None:
            return _page("message.html", status=404, title="No such signal", message="No signal has that name.")
        return _page("card.html", title=request.path_params["signal"], text=found)

    def trace(self, request: Request) -> Response:
        """Where a trace is shown: boards lead here, so that one setting says it for all."""
        now = datetime.fromtimestamp(self._clock(), UTC).replace(tzinfo=None)
        span_id = request.query_params.get("span_id", "")
        found = self._address(request.path_params["trace_id"], span_id, now - _EXEMPLARS, now)
        if found is None:
            message = "No page shows this trace: evidence.trace_url is not set, or the id is none."
            return _page("message.html", status=404, title="No such trace", message=message)
        return RedirectResponse(found, status_code=302, headers=HEADERS)

    def _answer(self, query: dict[str, str]) -> Response:
        now = datetime.fromtimestamp(self._clock(), UTC).replace(tzinfo=None, microsecond=0)
        question = asked.read(query, now)
        evidence = self._evidence()
        if evidence is None:
            return _page("message.html", status=503, title="Not yet", message="The store is being opened.")
        try:
            shared = {"asked": question, "names": evidence.names(), "ranges": RANGES, "faults": question.faults}
            if question.question.signal == asked.DRIFT:
                return self._drift(evidence, question, shared)
            if question.named:
                return self._report(evidence, question, shared)
            return self._overview(evidence, now, shared)
        except Exception as error:  # the store may be away, or being rebuilt: the reader is told, the log once
            log.warning("evidence: %s: %s", type(error).__name__, error)
            message = "The store does not answer now; it may be starting or being rebuilt. Try again in a moment."
            return _page("message.html", status=503, title="Not now", message=message)

    def _overview(self, evidence: Evidence, now: datetime, shared: dict[str, Any]) -> Response:
        question = shared["asked"].question
        cells = evidence.overview(now, question.service)
        highest = max((share for cell in cells for share in cell.course if share is not None), default=0.0)
        return _page(
            "overview.html",
            title="Evidence",
            cells=[(cell, charts.spark(cell.course, max(highest, 0.05))) for cell in cells],
            told=self._told(),
            now=now,
            drift=evidence.drift(question).alarms,
            coverage=evidence.coverage(now, question.service),
            latest=evidence.latest(),
            **shared,
        )

    def _report(self, evidence: Evidence, question: asked.Asked, shared: dict[str, Any]) -> Response:
        report = evidence.report(question.question)
        start = report.question.before[0]
        course = [(point.at, point.bad / point.scored if point.scored else None) for point in report.course]
        entry = next(signal for signal in catalog.SIGNALS if signal.name == report.question.signal)
        return _page(
            "report.html",
            title=f"{report.question.signal} of the {report.question.side}",
            report=report,
            entry=entry,
            course=charts.line(course, start=start, end=report.question.end, since=report.question.start, least=0.05),
            start=start,
            bars=charts.bars(report.distribution, report.distribution_before),
            trace=self._links(question.question),
            shown=self._kept.of_worst(report) if self._kept else None,
            **shared,
        )

    def _drift(self, evidence: Evidence, question: asked.Asked, shared: dict[str, Any]) -> Response:
        report = evidence.drift(question.question)
        threshold = report.alarms[0].threshold if report.alarms else None
        return _page(
            "drift.html",
            title="Drift",
            report=report,
            course=charts.line(
                report.course,
                start=question.question.start,
                end=question.question.end,
                bound=threshold,
                least=1.0,
            ),
            threshold=threshold,
            trace=self._links(question.question),
            shown=self._kept.of_topics(report) if self._kept and report.topics else None,
            **shared,
        )

    def _told(self) -> _Told | None:
        if self._heard is None:
            return None
        heard = self._heard()
        since = heard.asked_since if heard.at is None else heard.at
        return _Told(
            is_now=heard.is_now(self._clock()),
            since=datetime.fromtimestamp(since, UTC).replace(tzinfo=None),
            problem=heard.problem,
            current=heard.current,
        )

    def _links(self, question: Question) -> Callable[..., str | None]:
        """Addresses of traces: around a call's time, or within the question's where that is not known."""

        def trace(trace_id: str, span_id: str = "", at: datetime | None = None) -> str | None:
            start, end = (question.start, question.end) if at is None else (at - _AROUND, at + _AROUND)
            return self._address(trace_id, span_id, start, end)

        return trace

    def _address(self, trace_id: str, span_id: str, start: datetime, end: datetime) -> str | None:
        if self._trace_url is None:
            return None
        return fill(self._trace_url, trace_id=trace_id, span_id=span_id, start=start, end=end)


def _is_blind(coverage: Coverage) -> bool:
    now, before = coverage.share, coverage.share_before
    return now is not None and (now < COVERAGE_LOW or now < (before or 0.0) - COVERAGE_DROP)


def _is_told(topic: Topic, said: Container[tuple[str, str]]) -> bool:
    """Whether there is a text of one of its examples."""
    return any((call.trace_id, call.span_id) in said for call in (*topic.examples_before, *topic.examples_after))


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("collector.export.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "share": _share,
        "number": _number,
        "utc": _utc,
        "known": _known,
        "lasting": _lasting,
        "pieces": pieces,
    }
    environment.tests |= {"blind": _is_blind, "told": _is_told}
    environment.globals |= {
        "box": (charts.WIDTH, charts.HEIGHT),
        "spark_box": (charts.SPARK_WIDTH, charts.SPARK_HEIGHT),
        "critical_at": catalog.CRITICAL_AT,
        "coverage_low": COVERAGE_LOW,
    }
    return environment


def _page(template: str, *, status: int = 200, **values: Any) -> Response:
    return HTMLResponse(_templates().get_template(template).render(**values), status_code=status, headers=HEADERS)


@cache
def _runbooks() -> str:
    """RUNBOOKS.md as HTML; each heading is an anchor, as the alerts link it."""
    text = (files("alerts") / "RUNBOOKS.md").read_text(encoding="utf-8")
    html = MarkdownIt("commonmark", {"html": False}).render(text)
    return re.sub(r"<h2>(\w+)</h2>", lambda found: f'<h2 id="{found[1].lower()}">{found[1]}</h2>', html)


def _share(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2%}" if 0 < abs(value) < 0.1 else f"{value:.1%}"


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _utc(at: datetime | None) -> str:
    return "–" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


def _known(value: str) -> str:
    return value or "(unknown)"


def _lasting(time: timedelta) -> str:
    minutes = max(0, int(time.total_seconds())) // 60
    if minutes < 120:
        return f"for {minutes} min"
    return f"for {minutes // 60} h" if minutes < 48 * 60 else f"for {minutes // 1_440} days"
