"""The analysts' desk: a query over the newest snapshot of a configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from collector.config import Config
from collector.store.sandbox import Answer, Format, SqlError, run_sql
from collector.store.snapshot import Snapshots


def calls_folder(config: Config) -> Path:
    """Where the objects of the calls lie."""
    return config.data / "calls" if "://" in config.chain_url else Path(config.chain_url)


class Desk:
    """Takes queries while a daemon publishes snapshots."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._snapshots = Snapshots(config.data, config.store.snapshots_kept)

    def ask(
        self, query: str, fmt: Format, started: Callable[[Callable[[], None]], None] | None = None
    ) -> Answer | SqlError | None:
        """The answer (see run_sql); None: there is no snapshot yet."""
        newest = self._snapshots.newest()
        if newest is None:
            return None
        return run_sql(newest, calls_folder(self._config), query, self._config.sql, fmt, started)
