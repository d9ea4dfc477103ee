"""A trace's address: a template that is wrong is a fault of the configuration, and one that is right makes a link."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from collector.config import EvidenceConfig
from collector.config.traces import PLACEHOLDERS, TEMPLATES, check, fill

ROOT = Path(__file__).resolve().parents[1]
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "5aa1f8b8562d7ee8"
START, END = datetime(2026, 11, 27, 3, 40), datetime(2026, 11, 27, 4, 10)  # noqa: DTZ001 - UTC, naive, as the store has it


def link(template: str, *, trace_id: str = TRACE, span_id: str = SPAN) -> str | None:
    return fill(template, trace_id=trace_id, span_id=span_id, start=START, end=END)


LINKS = {
    "Jaeger": f"https://jaeger.example/trace/{TRACE}?uiFind={SPAN}",
    "Langfuse": f"https://langfuse.example/project/PROJECT_ID/traces/{TRACE}?observation={SPAN}",
    "Phoenix": f"https://phoenix.example/redirects/traces/{TRACE}",
    "LangSmith": (
        "https://smith.langchain.com/o/ORGANISATION_ID/projects/p/PROJECT_ID/r/"
        "00000000-0000-0000-5aa1-f8b8562d7ee8?poll=true"
    ),
}


@pytest.mark.parametrize("backend", LINKS)
def test_a_backends_template_makes_its_address(backend: str) -> None:
    assert link(check(TEMPLATES[backend])) == LINKS[backend]


def test_tempo_is_asked_for_the_trace_in_explores_own_form() -> None:
    url = urlsplit(link(check(TEMPLATES["Grafana Tempo"])) or "")

    asked = parse_qs(url.query)
    assert (url.path, asked["schemaVersion"]) == ("/explore", ["1"])
    (pane,) = msgspec.json.decode(asked["panes"][0]).values()
    assert pane["queries"][0]["query"] == TRACE
    assert pane["queries"][0]["queryType"] == "traceql"
    assert pane["datasource"] == pane["queries"][0]["datasource"]["uid"]
    assert pane["range"] == {"from": "1795750800000", "to": "1795752600000"}


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_an_address_needs_no_further_encoding(template: str) -> None:
    found = link(template) or ""

    assert found.isascii()
    assert not set(found) & set(' "<>\\^`{}|')
    assert "{" not in unquote(urlsplit(found).path)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_the_manual_has_every_template_as_it_is(template: str) -> None:
    assert f"`{template}`" in (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")


def test_the_manual_has_every_placeholder() -> None:
    manual = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")

    assert [name for name, meaning in PLACEHOLDERS.items() if f"| `{{{name}}}` | {meaning} |" not in manual] == []


def test_the_manuals_example_of_alertmanager_is_taken() -> None:
    manual = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    (example,) = [
        found
        for text in re.findall(r"^```yaml\n(.*?)^```$", manual, re.DOTALL | re.MULTILINE)
        if "evidence" in (found := yaml.safe_load(text))
    ]

    assert EvidenceConfig.model_validate(example["evidence"]).alertmanager


FAULTS = {
    "jaeger/trace/{trace_id}": "begins with http",
    "javascript:alert({trace_id})": "begins with http",
    "https://jaeger.example/trace/": "names no trace",
    "https://jaeger.example/?from={start_ms}": "names no trace",
    "https://jaeger.example/{traceID}": "no placeholder is called {traceID}",
    "https://jaeger.example/{trace_id}/{}": "no placeholder is called {}",
    "https://jaeger.example/{trace_id}/{x": "%7B",
    'https://grafana.example/?panes={"a":"{trace_id}"}': "spaces nor quotes",
    "https://jaeger.example/{trace_id} x": "spaces nor quotes",
    "https:///{trace_id}": "begins with http",
}


@pytest.mark.parametrize("template", FAULTS)
def test_a_wrong_template_is_told_before_anybody_clicks(template: str) -> None:
    with pytest.raises(ValidationError) as raised:
        EvidenceConfig(trace_url=template)

    assert FAULTS[template] in str(raised.value)


def test_an_unknown_placeholder_is_told_with_those_there_are() -> None:
    with pytest.raises(ValidationError, match=r"there are \{trace_id\}, \{span_id\}"):
        EvidenceConfig(trace_url="https://a/{trace}")


def test_where_the_span_is_not_known_a_link_that_needs_it_is_not_made() -> None:
    assert link(TEMPLATES["LangSmith"], span_id="") is None
    assert link(TEMPLATES["Jaeger"], span_id="") == f"https://jaeger.example/trace/{TRACE}?uiFind="


@given(trace_id=st.text(max_size=40), span_id=st.text(max_size=20))
def test_nothing_but_ids_gets_into_an_address(trace_id: str, span_id: str) -> None:
    assert link("https://a/{trace_id}", trace_id=trace_id) in (None, f"https://a/{trace_id}")
    found = link("https://a/{trace_id}/{span_id}", span_id=span_id) or ""

    assert set(found.removeprefix("https://a/")) <= set("0123456789abcdef/")
