"""The boards are what Grafana loads: committed as generated, whole by its own rules, about metrics that exist."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from alerts.model import Record
from alerts.rules import groups
from collector import catalog
from dashboards.boards import pages
from dashboards.render import GENERATED, files

register_default_plugins()
BOARDS: dict[str, dict[str, Any]] = {name: json.loads(text) for name, text in files().items()}
PANELS = [
    pytest.param(board, panel, id=f"{name}-{panel['title']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
]
EVERY = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
RECORDED = {rule.name for group in groups() for rule in group.rules if isinstance(rule, Record)}
OTHERS = {"ALERTS", "process_resident_memory_bytes"}
BUILT_IN = re.compile(r"\$__\w+|\$\{__[\w.:]+\}")


def test_what_is_committed_is_what_the_code_says() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in GENERATED.glob("*.json")}

    assert committed == files(), "run `python -m dashboards.render`"


def test_there_is_a_board_for_each_link_and_no_other() -> None:
    assert [page.uid for page in pages()] == list(catalog.Board)


@EVERY
def test_grafanas_own_types_read_a_board_and_write_it_alike(board: dict[str, Any]) -> None:
    again = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(board)))

    assert again == board


@EVERY
def test_a_board_says_what_it_is_and_cannot_be_edited_in_place(board: dict[str, Any]) -> None:
    assert board["title"].startswith("Assay / ")
    assert board["description"]
    assert board["editable"] is False
    assert board["tags"] == ["assay"]
    assert board["links"][0]["tags"] == ["assay"]
    assert board["refresh"] == "30s"


@EVERY
def test_every_panel_has_an_id_of_its_own_and_a_place_of_its_own(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    cells = [
        (x, y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(set(ids)) == len(ids)
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


@EVERY
def test_the_data_source_is_the_readers_choice(board: dict[str, Any]) -> None:
    first = board["templating"]["list"][0]

    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    for variable in board["templating"]["list"][1:]:
        if variable["type"] == "query":
            assert variable["datasource"]["uid"] == "${datasource}"
            assert variable["refresh"] == 2, "on a change of the time range"


@EVERY
def test_boards_show_alerts_and_changes_as_events(board: dict[str, Any]) -> None:
    names = {event["name"] for event in board["annotations"]["list"]}

    assert {"Annotations & Alerts", "Alert"} <= names


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_a_panel_is_whole(board: dict[str, Any], panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith((".", "?"))
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["fieldConfig"]["defaults"]["noValue"]
    references = [target["refId"] for target in panel["targets"]]
    assert len(set(references)) == len(references) > 0
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        assert target["instant"] is not target["range"]


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_a_query_uses_only_what_there_is(board: dict[str, Any], panel: dict[str, Any]) -> None:
    variables = {variable["name"] for variable in board["templating"]["list"]}
    exported = catalog.metrics()
    for target in panel["targets"]:
        query = BUILT_IN.sub("1m", target["expr"])
        assert set(re.findall(r"\$\{?([a-z_]\w*)", query)) <= variables
        for signal in catalog.SIGNALS:
            of_signal = query.replace("${signal}", signal.name)
            for name in re.findall(r"\bassay[_:][a-z_:0-9]+(?=[{)\[ ,]|$)", of_signal):
                bare = re.sub(r"_(?:count|sum|bucket)$", "", name)
                assert name in exported or bare in exported or name in RECORDED, name


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_rates_look_back_as_far_as_the_resolution_needs(board: dict[str, Any], panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        for function, window in re.findall(r"\b(rate|increase)\([^\[]*\[([^\]]+)\]", target["expr"]):
            assert window in {"$__rate_interval", "$__range", "5m", "1h"}, (function, window)


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_links_carry_the_time_range_and_lead_to_the_evidence(board: dict[str, Any], panel: dict[str, Any]) -> None:
    for link in panel["fieldConfig"]["defaults"].get("links", []):
        assert link["url"].startswith("${assay}" + catalog.EVIDENCE_PATH)
        assert link["url"].endswith("from=${__from:date:seconds}&to=${__to:date:seconds}")
        slices = [part.split("=")[1] for part in link["url"].partition("?")[2].split("&")[:-2]]
        assert [value for value in slices if not re.fullmatch(r"\$\{[\w.]+:percentencode\}|drift", value)] == []
        assert "assay" in {variable["name"] for variable in board["templating"]["list"]}
