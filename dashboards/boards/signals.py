"""Can the scores be trusted? What was judged, what was left out and why, what it costs."""

from __future__ import annotations

from collector.catalog import Board
from dashboards.boards.common import ADDRESS, EVENTS, SERVICE
from dashboards.panels import Kind, Page, Panel, Unit
from dashboards.promql import ELIGIBLE, OF_SERVICE, increase, quantiles, rate, scores, share

_MISSED = f'{OF_SERVICE},reason=~"{ELIGIBLE}"'


def page() -> Page:
    return Page(
        uid=Board.SIGNALS,
        title="Assay / Signal health",
        says="Can the scores be trusted? What was judged, what was left out and why, what it costs.",
        variables=(SERVICE, ADDRESS),
        events=EVENTS,
        content=(*_coverage(), *_work(), *_encoder(), *_bounds()),
    )


def _coverage() -> tuple[Panel, ...]:
    scored = scores("", "1h", OF_SERVICE)
    missed = increase("assay_signal_unscored_total", _MISSED, "signal", "1h")
    all_scored, all_missed = f"({scored} or 0 * {missed})", f"({missed} or 0 * {scored})"
    return (
        Panel(
            title="Coverage by signal",
            says="Over the last hour: judged over what should have been judged, the least first.",
            queries={
                "scored": all_scored,
                "left out": all_missed,
                "coverage": f"{all_scored} / ({all_scored} + {all_missed} > 0)",
            },
            kind=Kind.TABLE, height=10, by=("signal",), sort="coverage", warn=0.98, critical=0.9, falling=True,
            units={"scored": Unit.COUNT, "left out": Unit.COUNT, "coverage": Unit.SHARE},
        ),
        Panel(
            title="Left out, by reason",
            says="Texts a second that should have been judged and were not, of all signals.",
            queries={"{{reason}}": f"{rate('assay_signal_unscored_total', _MISSED, 'reason')} > 0"},
            kind=Kind.STACK, height=10, unit=Unit.A_SECOND, empty="nothing",
        ),
        Panel(
            title="Left out for overload",
            says="Share of the traces that a signal leaves out in the worker that is worst off; alerts speak of it.",
            queries={"{{signal}}": "max by (signal) (assay_shed_ratio) > 0"},
            width=8, height=7, unit=Unit.SHARE, highest=1, empty="nothing",
        ),
        Panel(
            title="Recall of the cascade",
            says="Share of toxic texts that its light first stage lets through to the full model, with its interval.",
            queries={
                "at most": "max(assay_cascade_recall_high)",
                "recall": "max(assay_cascade_recall)",
                "at least": "min(assay_cascade_recall_low)",
            },
            width=8, height=7, unit=Unit.SHARE, highest=1, empty="no cascade",
        ),
    )  # fmt: skip


def _work() -> tuple[Panel, ...]:
    return (
        Panel(
            title="Batches in which a signal raised",
            says="Anything here is a defect: the signal's scores are missing for those batches.",
            queries={"{{signal}} {{error}}": rate("assay_signal_failures_total", by="signal, error")},
            width=8, height=7, unit=Unit.A_SECOND, empty="none",
        ),
        Panel(
            title="Time by signal",
            says="Seconds of work a second; 100 % is one worker busy with it all the time.",
            queries={"{{signal}}": rate("assay_signal_seconds_total", by="signal")},
            kind=Kind.STACK, unit=Unit.SHARE,
        ),
    )  # fmt: skip


def _encoder() -> tuple[Panel, ...]:
    return (
        Panel(
            title="Texts known already",
            says="Share of texts whose embedding came from the memory of exact duplicates.",
            queries={"hits": share(rate("assay_encoder_cache_hits_total"), rate("assay_encoder_texts_total"))},
            unit=Unit.SHARE, highest=1,
        ),
        Panel(
            title="Tokens read",
            says="By the encoder, a second.",
            queries={"tokens": rate("assay_encoder_tokens_total")},
            width=8, unit=Unit.A_SECOND,
        ),
        Panel(
            title="Batch size",
            says="Calls scored together: small while there is time, large under load.",
            queries=quantiles("assay_batch_calls", of_all=(0.5, 0.95)),
            width=8,
        ),
        Panel(
            title="Trouble of the models",
            says="Packs halved for want of memory and GPUs lost, in an hour; cascades that are not trusted now.",
            queries={
                "halved": increase("assay_encoder_packs_halved_total", window="1h"),
                "lost": increase("assay_encoder_device_losses_total", window="1h"),
                "cascades": "sum(assay_cascade_fallen)",
            },
            kind=Kind.STAT, width=8, named=True, warn=1,
        ),
    )  # fmt: skip


def _bounds() -> tuple[Panel, ...]:
    """What limits scores from outside: calls without text, too few workers, too many names."""
    return (
        Panel(
            title="Text of the calls",
            says="Calls a second by what of their text arrived: without any, no signal sees them.",
            queries={"{{content}}": rate("assay_calls_content_total", OF_SERVICE, "content")},
            kind=Kind.STACK, width=8, unit=Unit.A_SECOND,
        ),
        Panel(
            title="Level of overload",
            says="Steps that a worker has gone through the order of what may be left out; 0 leaves out nothing.",
            queries={"{{instance}}": "max by (instance) (assay_shed_level)"},
            width=8, empty="no overload is configured",
        ),
        Panel(
            title="Names counted together",
            says="Services, models, tenants and series beyond their bound, counted as __other__ in an hour.",
            queries={
                "values": increase("assay_labels_overflowed_total", window="1h"),
                "series": increase("assay_series_overflowed_total", window="1h"),
            },
            width=8,
        ),
    )  # fmt: skip
