"""A real Prometheus of either major version, scraping quickly, and its query API."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.servers import installed
from tests.servers.process import Server, ServerError, free_ports
from tests.servers.web import answers, get_json


class Prometheus(Server):
    """Prometheus of major `version` 2 or 3 that scrapes `targets` (host:port), in a folder of its own.

    `rules` are rule files; `alertmanagers` (host:port) get the alerts. Exemplars are kept. Rules are evaluated as
    often as targets are scraped. `scrape` adds to the job's section, such as `scheme`, `tls_config` and `basic_auth`.
    """

    name = "prometheus"

    def __init__(
        self,
        directory: Path,
        version: int,
        targets: Sequence[str],
        *,
        scrape_interval: str = "1s",
        rules: Sequence[Path] = (),
        alertmanagers: Sequence[str] = (),
        metrics_path: str = "/metrics",
        job: str = "assay",
        scrape: Mapping[str, Any] | None = None,
    ):
        super().__init__(directory)
        self.version = version
        (self._port,) = free_ports(1)
        self._configuration = self.directory / "prometheus.yml"
        self._configuration.write_text(
            json.dumps(
                {
                    "global": {
                        "scrape_interval": scrape_interval,
                        "scrape_timeout": scrape_interval,
                        "evaluation_interval": scrape_interval,
                    },
                    "scrape_configs": [
                        {
                            "job_name": job,
                            "metrics_path": metrics_path,
                            "static_configs": [{"targets": list(targets)}],
                            **(scrape or {}),
                        }
                    ],
                    "rule_files": [str(path.resolve()) for path in rules],
                    "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
                },
                indent=1,
            ),
            encoding="utf-8",
        )

    @property
    def url(self) -> str:
        """The server's base address."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it; return once it can be queried."""
        binary = installed.prometheus(self.version)
        if binary is None:
            raise ServerError(installed.why_absent(f"prometheus{self.version}") or self.name)
        argv: list[str | Path] = [
            binary,
            f"--config.file={self._configuration}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ]
        self._run(argv, lambda: answers(f"{self.url}/-/ready"))

    def query(self, expression: str, *, at: float | None = None) -> list[dict[str, Any]]:
        """The result of an instant query: `metric` and `value` ([time, text]) of each series."""
        result = self._api("query", query=expression, **({} if at is None else {"time": at}))["result"]
        return list(result)

    def query_range(
        self, expression: str, start: float, end: float, *, step_seconds: float = 1.0
    ) -> list[dict[str, Any]]:
        """The result of a range query: `metric` and `values` of each series."""
        return list(self._api("query_range", query=expression, start=start, end=end, step=step_seconds)["result"])

    def exemplars(self, expression: str, *, since_seconds: float = 3600.0) -> list[dict[str, Any]]:
        """Stored exemplars of the series that an expression selects: `seriesLabels` and `exemplars` of each."""
        now = time.time()
        return list(self._api("query_exemplars", query=expression, start=now - since_seconds, end=now + 60) or [])

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are pending or firing."""
        return list(self._api("alerts")["alerts"])

    def targets(self) -> list[dict[str, Any]]:
        """The scraped targets: `health` is up, down or unknown, `lastError` says why."""
        return list(self._api("targets")["activeTargets"])

    def _api(self, path: str, **parameters: object) -> Any:
        answer = get_json(f"{self.url}/api/v1/{path}", **parameters)
        if answer["status"] != "success":
            raise ServerError(f"prometheus {path}: {answer}")
        return answer["data"]
