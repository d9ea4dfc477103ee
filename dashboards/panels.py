"""The only module that speaks to Grafana's SDK: panels, variables and links in the house's terms.

The SDK's API is not stable between its releases (pinned in pyproject.toml); what changes in it changes here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models import prometheus as queries

WIDTH = 24
SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")


class Unit(StrEnum):
    """Grafana's names of units."""

    SHARE = "percentunit"
    A_SECOND = "suffix:/s"  # the title says of what
    SECONDS = "s"
    COUNT = "short"
    BYTES = "bytes"
    DOLLARS = "currencyUSD"
    SCORE = "none"


class Kind(StrEnum):
    """How a panel shows its series."""

    LINES = "timeseries"
    STACK = "stack"
    STAT = "stat"
    TABLE = "table"
    HEATMAP = "heatmap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel: queries by the legend of their series, in one unit.

    ``warn`` and ``critical`` draw thresholds; with ``falling`` what lies below them is bad. ``bounds`` are series that
    others are held to. ``link`` opens for a point or row, with Grafana's variables in it.

    In a table the legends name the columns, ``""`` one that is not shown, and ``by`` the labels that make a row.
    The first query has a row wherever another has one: alone, Grafana gives its column another name. ``sort`` is the
    column that puts the worst row first.
    """

    title: str
    says: str  # what it shows and what to look for
    queries: Mapping[str, str]
    unit: Unit = Unit.COUNT
    kind: Kind = Kind.LINES
    width: int = 12
    height: int = 8
    warn: float | None = None
    critical: float | None = None
    falling: bool = False
    highest: float | None = None  # of the axis
    by: tuple[str, ...] = ()
    units: Mapping[str, Unit] = field(default_factory=dict)  # of a table's columns
    exemplars: bool = False
    named: bool = False  # a number with the name of its series
    words: Mapping[str, str] = field(default_factory=dict)  # in the place of numbers
    bounds: tuple[str, ...] = ()
    sort: str = ""
    link: tuple[str, str] | None = None  # title, URL
    empty: str = "no data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A choice at the top of a board: ``query`` asks Prometheus, ``values`` are fixed, ``text`` is typed."""

    name: str
    label: str
    query: str = ""
    values: Sequence[str] = ()
    text: str = ""
    several: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Vertical lines in every panel: where ``expr`` has a series or, if ``stamped``, at its value in milliseconds."""

    expr: str
    text: str
    stamped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A board."""

    uid: str
    title: str
    says: str
    content: Sequence[Panel]
    variables: Sequence[Variable] = ()
    since: str = "now-6h"
    events: Mapping[str, Event] = field(default_factory=dict)  # by title


def build(page: Page, tag: str) -> dashboard.Dashboard:
    """The SDK's dashboard; every panel has an id of its own, and every board links to the others of ``tag``."""
    made = (
        dashboards.Dashboard(page.title)
        .uid(page.uid)
        .description(page.says)
        .tags([tag])
        .readonly()
        .time(page.since, "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboards.DashboardLink("Assay")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([tag])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(dashboards.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for variable in page.variables:
        made = made.with_variable(_variable(variable))
    made = made.annotation(_builtin())
    for title, event in page.events.items():
        made = made.annotation(_event(title, event))
    for number, panel in enumerate(page.content, 1):
        made = made.with_panel(_panel(panel).id(number))
    return made.build()


def _variable(variable: Variable) -> Any:
    every = dashboard.VariableOption(selected=True, text="All", value="$__all")
    if variable.text:
        chosen = dashboard.VariableOption(selected=True, text=variable.text, value=variable.text)
        typed = dashboards.TextBoxVariable(variable.name).label(variable.label)
        return typed.default_value(variable.text).current(chosen)
    if variable.values:
        first = dashboard.VariableOption(selected=True, text=variable.values[0], value=variable.values[0])
        fixed = dashboards.CustomVariable(variable.name).label(variable.label)
        return fixed.values(",".join(variable.values)).current(first)
    return (
        dashboards.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(SOURCE)
        .query({"query": variable.query, "refId": variable.name})
        .definition(variable.query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(variable.several)
        .include_all(variable.several)
        .all_value(".*")
        .current(every)
    )


def _builtin() -> Any:
    return (
        dashboards.AnnotationQuery()
        .name("Annotations & Alerts")
        .built_in(1)
        .datasource(common.DataSourceRef(type_val="grafana", uid="-- Grafana --"))
        .enable(True)
        .hide(True)
        .icon_color("rgba(0, 211, 255, 1)")
        .type("dashboard")
    )


def _event(title: str, event: Event) -> Any:
    return (
        dashboards.AnnotationQuery()
        .name(title)
        .datasource(SOURCE)
        .enable(True)
        .icon_color("orange")
        .expr(event.expr)
        .step("60s")
        .title_format(title)
        .text_format(event.text)
        .use_value_for_time(event.stamped)
    )


def _panel(panel: Panel) -> Any:
    make = {
        Kind.LINES: _lines,
        Kind.STACK: _lines,
        Kind.STAT: _stat,
        Kind.TABLE: _table,
        Kind.HEATMAP: _heatmap,
    }[panel.kind]
    made = (
        make(panel)
        .title(panel.title)
        .description(panel.says)
        .datasource(SOURCE)
        .unit(panel.unit.value)
        .no_value(panel.empty)
        .span(panel.width)
        .height(panel.height)
    )
    for number, (legend, expression) in enumerate(panel.queries.items()):
        made = made.with_target(_query(panel, chr(ord("A") + number), legend, expression))
    if panel.unit is Unit.SCORE:
        made = made.decimals(3)
    if panel.words:
        words = {number: dashboard.ValueMappingResult(text=word) for number, word in panel.words.items()}
        made = made.mappings([dashboard.ValueMap(options=words)])
    if panel.link is not None:
        title, url = panel.link
        link = dashboards.DashboardLink(title).url(url).target_blank(True)
        made = made.data_links([link])
    return made


def _query(panel: Panel, ref: str, legend: str, expression: str) -> Any:
    query = prometheus.Dataquery().ref_id(ref).expr(expression).datasource(SOURCE)
    if panel.kind is Kind.TABLE:
        return query.instant().format(queries.PromQueryFormat.TABLE)
    if panel.kind is Kind.STAT:
        return query.instant().legend_format(legend)
    if panel.kind is Kind.HEATMAP:
        return query.range().format(queries.PromQueryFormat.HEATMAP).legend_format("{{le}}")
    return query.range().legend_format(legend).exemplar(panel.exemplars)


def _legend(panel: Panel) -> Any:
    """The greatest first, since a panel has room for a few; one series is named by the panel's title."""
    alone = len(panel.queries) == 1 and not any("{{" in legend for legend in panel.queries)
    return (
        options.VizLegendOptions()
        .show_legend(not alone)
        .display_mode(common.LegendDisplayMode.TABLE)
        .placement(common.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull", "max"])
        .sort_by("Last *")
        .sort_desc(True)
    )


def _lines(panel: Panel) -> Any:
    made = (
        timeseries.Panel()
        .legend(_legend(panel))
        .tooltip(options.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
        .line_width(1)
        .fill_opacity(0)  # colours over each other hide which series is which
        .show_points(common.VisibilityMode.NEVER)
        .min(0)
    )
    for name in panel.bounds:
        made = made.override_by_name(
            name,
            [
                dashboard.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 8]}),
                dashboard.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": "red"}),
            ],
        )
    if panel.kind is Kind.STACK:
        made = made.stacking(options.StackingConfig().mode(common.StackingMode.NORMAL)).fill_opacity(40)
    if panel.highest is not None:
        made = made.max(panel.highest)
    if panel.warn is not None or panel.critical is not None:
        style = options.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        made = made.thresholds(_thresholds(panel)).thresholds_style(style)
    return made


def _stat(panel: Panel) -> Any:
    return (
        stat.Panel()
        .thresholds(_thresholds(panel))
        .color_mode(common.BigValueColorMode.VALUE)
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME if panel.named else common.BigValueTextMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(options.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def _table(panel: Panel) -> Any:
    names = {f"Value #{chr(ord('A') + number)}": legend for number, legend in enumerate(panel.queries)}
    names["Value"] = next(iter(panel.queries))
    order = [*panel.by, *names]
    made = (
        table.Panel()
        .with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            dashboard.DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {"Time": True} | {name: True for name, legend in names.items() if not legend},
                    "indexByName": {name: place for place, name in enumerate(order)},
                    "renameByName": {name: legend for name, legend in names.items() if legend},
                },
            )
        )
        .thresholds(_thresholds(panel))
    )
    if panel.sort:
        first = options.TableSortByFieldState().display_name(panel.sort).desc(not panel.falling)
        made = made.sort_by([first])
    coloured = panel.warn is not None or panel.critical is not None
    for legend, unit in panel.units.items():
        settings = [dashboard.DynamicConfigValue(id_val="unit", value=unit.value)]
        if coloured and unit is Unit.SHARE:
            settings += [
                dashboard.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
                dashboard.DynamicConfigValue(id_val="mappings", value=[_unknown(panel)]),
            ]
        made = made.override_by_name(legend, settings)
    return made


def _unknown(panel: Panel) -> Any:
    """What is not there is not good, so it has no colour of the good."""
    nothing = dashboard.ValueMappingResult(text=panel.empty, color="text")
    match = dashboard.SpecialValueMatch.NULL_AND_NAN
    return dashboard.SpecialValueMap(dashboard.DashboardSpecialValueMapOptions(match=match, result=nothing))


def _heatmap(_: Panel) -> Any:
    return heatmap.Panel().show_legend()


def _thresholds(panel: Panel) -> Any:
    good, bad = ("red", "green") if panel.falling else ("green", "red")
    steps = [dashboard.Threshold(value=None, color=good)]
    if panel.falling:
        if panel.critical is not None:
            steps.append(dashboard.Threshold(value=panel.critical, color="orange" if panel.warn is not None else bad))
        if panel.warn is not None:
            steps.append(dashboard.Threshold(value=panel.warn, color=bad))
    else:
        if panel.warn is not None:
            steps.append(dashboard.Threshold(value=panel.warn, color="orange"))
        if panel.critical is not None:
            steps.append(dashboard.Threshold(value=panel.critical, color=bad))
    if len(steps) == 1:
        steps = [dashboard.Threshold(value=None, color="text")]
    return dashboards.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)
