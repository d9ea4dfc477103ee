"""The few shapes of PromQL that the boards are made of."""

from __future__ import annotations

from collections.abc import Sequence

STEP = "$__rate_interval"  # enough scrapes for a rate at the panel's resolution
RANGE = "$__range"  # the whole time range of the board
OF_SERVICE = 'service=~"$service"'
OF_MODEL = f'{OF_SERVICE},model=~"$model"'
ELIGIBLE = "not_captured|redacted|by_reference|shed|failed"  # it should have been scored: coverage's definition


def rate(metric: str, of: str = "", by: str = "", window: str = STEP) -> str:
    """Sum of a counter's rate."""
    return f"{_sum(by)} (rate({metric}{_braces(of)}[{window}]))"


def increase(metric: str, of: str = "", by: str = "", window: str = RANGE, offset: str = "") -> str:
    """Sum of what a counter rose by."""
    back = f" offset {offset}" if offset else ""
    return f"{_sum(by)} (increase({metric}{_braces(of)}[{window}]{back}))"


def share(part: str, whole: str) -> str:
    """``part`` over ``whole``: 0 where there is none of the part, nothing where there is none of the whole."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def quantile(q: float, metric: str, of: str = "", by: str = "") -> str:
    """A quantile of a histogram; nothing, instead of NaN, where nothing was observed."""
    return f"histogram_quantile({q:g}, {rate(f'{metric}_bucket', of, f'{by}, le' if by else 'le')}) >= 0"


def quantiles(metric: str, of: str = "", of_all: Sequence[float] = (0.5, 0.95, 0.99)) -> dict[str, str]:
    """Quantiles by their usual names."""
    return {f"p{round(100 * q)}": quantile(q, metric, of) for q in of_all}


def bad(by: str, window: str, of: str = "", offset: str = "") -> str:
    """Share of scores that their objective calls bad, of every signal at once, by ``by`` and signal."""
    return f"{scores(by, window, of, 'scores_bad', offset)} / ({scores(by, window, of, offset=offset)} > 0)"


def scores(by: str, window: str, of: str = "", which: str = "scores", offset: str = "") -> str:
    """Scores of a window by ``by`` and signal, as the rules of alerts/ record them: a signal is a label there."""
    back = f" offset {offset}" if offset else ""
    return f"{_sum(f'{by}, signal' if by else 'signal')} (assay:{which}:increase{window}{_braces(of)}{back})"


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"


def _braces(of: str) -> str:
    return f"{{{of}}}" if of else ""
