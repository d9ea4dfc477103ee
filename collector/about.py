"""What this installation calls itself."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """The version of the installed distribution; "unknown" where it runs from a checkout alone."""
    try:
        return version("llm-assay")
    except PackageNotFoundError:
        return "unknown"
