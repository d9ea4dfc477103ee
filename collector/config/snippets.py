"""The settings of what is kept of texts: nothing, unless asked for."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import Field

from collector.config.base import Section as _Section


class SnippetsConfig(_Section):
    enabled: bool = False
    """Keep redacted excerpts of the worst flagged calls for the evidence pages; off: none, and old ones are deleted."""
    url: str | None = None
    """Directory, s3://bucket/prefix, gs:// or az://, reached as the chain is; default: `<chain.url>-snippets`."""
    ttl_hours: Annotated[float, Field(gt=0, le=2_160)] = 72.0
    """How long after its call an excerpt is kept; from then on it is not shown, and within minutes deleted."""
    signals: tuple[str, ...] | None = None
    """Names of the signals whose flagged calls (above signals.warn_at) get one; none: all."""
    chars_max: Annotated[int, Field(ge=80, le=4_000)] = 400
    """Characters of one text that are kept."""
    calls_per_minute_max: Annotated[int, Field(ge=1, le=100)] = 5
    """So many of a minute's worst calls, for each signal, side, service and model."""
    drift_calls_per_minute_max: Annotated[int, Field(ge=0, le=20)] = 0
    """So many of a minute's calls of each service and model for the drift page, flagged or not; 0: none."""
    per_minute_max: Annotated[int, Field(ge=1, le=10_000)] = 240
    """Excerpts that one process keeps in a minute; further calls get none."""
    bytes_max: Annotated[int, Field(ge=1 << 20)] = 1 << 30
    """Of all that is kept; beyond, the oldest hours go before their time."""


def have_readers(host: str, *, given: bool) -> None:
    """ValueError where others than this machine can ask ``host``, and without credentials nobody is let in."""
    if not given:
        raise ValueError(
            f"evidence.snippets keeps text that nobody may see: with metrics.host {host} others than this machine can "
            "ask, so set evidence.access.users_file or .bearer_token"
        )


def lie_apart(chain: str, snippets: str) -> None:
    """ValueError where snippets lie below the chain."""
    outer, inner = (url.rstrip("/") if "://" in url else str(Path(url).absolute()) for url in (chain, snippets))
    if f"{inner}/".startswith(f"{outer}/"):
        raise ValueError("evidence.snippets.url: not below chain.url, where analysts' SQL may read")


def is_local(host: str) -> bool:
    """Whether what listens there can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
