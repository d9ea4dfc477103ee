"""A real Alertmanager, alone, that keeps alerts or hands them to a webhook."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.servers import installed
from tests.servers.process import Server, ServerError, free_ports
from tests.servers.web import answers, get_json


class Alertmanager(Server):
    """An Alertmanager in a folder of its own.

    Every alert goes to `webhook` at once, resolved ones too. `configuration` replaces the whole configuration.
    """

    name = "alertmanager"

    def __init__(
        self,
        directory: Path,
        *,
        webhook: str | None = None,
        configuration: Mapping[str, Any] | None = None,
    ):
        super().__init__(directory)
        (self._port,) = free_ports(1)
        receiver: dict[str, Any] = {"name": "tests"}
        if webhook:
            receiver["webhook_configs"] = [{"url": webhook, "send_resolved": True}]
        route = {"receiver": "tests", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"}
        self._configuration = self.directory / "alertmanager.yml"
        self._configuration.write_text(
            json.dumps(configuration or {"route": route, "receivers": [receiver]}), encoding="utf-8"
        )

    @property
    def address(self) -> str:
        """Host and port, as Prometheus is told them."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://{self.address}"

    def start(self) -> None:
        """Start it; return once it takes alerts."""
        binary = installed.alertmanager()
        if binary is None:
            raise ServerError(installed.why_absent(self.name) or self.name)
        argv: list[str | Path] = [
            binary,
            f"--config.file={self._configuration}",
            f"--storage.path={self.directory / 'data'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        ]
        self._run(argv, lambda: answers(f"{self.url}/-/ready"))

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts it holds: `labels`, `annotations`, `status` of each."""
        return list(get_json(f"{self.url}/api/v2/alerts"))
