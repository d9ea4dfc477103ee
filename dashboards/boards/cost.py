"""Tokens, time and errors of counted calls."""

from __future__ import annotations

from collector.catalog import Board
from dashboards.boards.common import EVENTS, MODEL, SERVICE
from dashboards.panels import Kind, Page, Panel, Unit, Variable
from dashboards.promql import OF_MODEL, increase, quantiles, rate, share

_PRICES = (
    Variable(name="input_price", label="$ per million input tokens", text="0.15"),
    Variable(name="output_price", label="$ per million output tokens", text="0.60"),
)


def _of(direction: str) -> str:
    return f'{OF_MODEL},direction="{direction}"'


def page() -> Page:
    return Page(
        uid=Board.COST,
        title="Assay / Cost and latency",
        says=(
            "Tokens, time and errors of counted calls. The applications' own gen_ai_client_token_usage and "
            "gen_ai_client_operation_duration_seconds speak of the same from their side."
        ),
        variables=(SERVICE, MODEL, *_PRICES),
        events=EVENTS,
        content=(*_numbers(), *_courses()),
    )


def _numbers() -> tuple[Panel, ...]:
    calls = increase("assay_calls_total", OF_MODEL)
    spent = " + ".join(
        f"{increase('assay_tokens_total', _of(direction))} / 1e6 * ${direction}_price"
        for direction in ("input", "output")
    )
    return (
        Panel(
            title="Spent",
            says="In the time range, at the prices typed above: one price for all chosen models.",
            queries={"spent": spent},
            kind=Kind.STAT, width=8, height=4, unit=Unit.DOLLARS,
        ),
        Panel(
            title="Calls",
            says="Counted in the time range.",
            queries={"calls": calls},
            kind=Kind.STAT, width=8, height=4,
        ),
        Panel(
            title="Failed",
            says="Share of calls that ended in an error, in the time range.",
            queries={"failed": share(increase("assay_calls_failed_total", OF_MODEL), calls)},
            kind=Kind.STAT, width=8, height=4, unit=Unit.SHARE, warn=0.01, critical=0.05,
        ),
    )  # fmt: skip


def _courses() -> tuple[Panel, ...]:
    def tokens(direction: str) -> str:
        return rate("assay_tokens_total", _of(direction), "model")

    return (
        Panel(
            title="Input tokens",
            says="A second, by model.",
            queries={"{{model}}": tokens("input")},
            kind=Kind.STACK, unit=Unit.A_SECOND,
        ),
        Panel(
            title="Output tokens",
            says="A second, by model.",
            queries={"{{model}}": tokens("output")},
            kind=Kind.STACK, unit=Unit.A_SECOND,
        ),
        Panel(
            title="Latency",
            says="Duration of calls; each dot is an exemplar that leads to its trace.",
            queries=quantiles("assay_call_latency_seconds", OF_MODEL),
            unit=Unit.SECONDS, exemplars=True,
        ),
        Panel(
            title="Time to the first token",
            says="Of streamed calls.",
            queries=quantiles("assay_call_ttft_seconds", OF_MODEL),
            unit=Unit.SECONDS, exemplars=True, empty="no streamed calls",
        ),
        Panel(
            title="Errors",
            says="Failed calls a second, by class.",
            queries={"{{model}} {{error}}": rate("assay_calls_failed_total", OF_MODEL, "model, error")},
            kind=Kind.STACK, unit=Unit.A_SECOND, empty="no errors",
        ),
        Panel(
            title="Tokens from a cache",
            says="Share of input tokens that the provider read from its cache.",
            queries={"{{model}}": share(tokens("cache_read"), tokens("input"))},
            unit=Unit.SHARE, highest=1,
        ),
    )  # fmt: skip
