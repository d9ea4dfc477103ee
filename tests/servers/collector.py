"""A real OpenTelemetry Collector: OTLP/HTTP in, batched, out to Kafka."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.servers import installed
from tests.servers.process import Server, ServerError, free_ports, listens

TOPICS = ("otlp_spans", "otlp_logs")


class OtelCollector(Server):
    """A Collector that writes to the Kafka at `kafka`, in a folder of its own.

    Spans go to the first and log records to the second of `topics`, which must exist, as OTLP protobuf. With
    `partition_by_trace_id` a record holds one trace and its key is the trace id; without, a batch of `batch_seconds`
    becomes one record without a key. `exporter` adds to the Kafka exporter's section, such as `auth` and `tls`.
    """

    name = "collector"

    def __init__(
        self,
        directory: Path,
        kafka: str,
        *,
        topics: tuple[str, str] = TOPICS,
        partition_by_trace_id: bool = False,
        batch_seconds: float = 0.2,
        exporter: Mapping[str, Any] | None = None,
    ):
        super().__init__(directory)
        (self._port,) = free_ports(1)
        self._configuration = self.directory / "collector.yaml"
        self._configuration.write_text(
            json.dumps(
                {
                    "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{self._port}"}}}},
                    "processors": {"batch": {"timeout": f"{round(batch_seconds * 1000)}ms"}},
                    "exporters": {
                        "kafka": {
                            "brokers": [kafka],
                            "traces": {"topic": topics[0], "encoding": "otlp_proto"},
                            "logs": {"topic": topics[1], "encoding": "otlp_proto"},
                            "partition_traces_by_id": partition_by_trace_id,
                            "partition_logs_by_trace_id": partition_by_trace_id,
                            **(exporter or {}),
                        }
                    },
                    "service": {
                        "telemetry": {"metrics": {"level": "none"}},
                        "pipelines": {
                            kind: {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["kafka"]}
                            for kind in ("traces", "logs")
                        },
                    },
                },
                indent=1,
            ),
            encoding="utf-8",
        )

    @property
    def otlp_http_endpoint(self) -> str:
        """The base address: a sender posts to `/v1/traces` and `/v1/logs` of it."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it; return once it receives."""
        binary = installed.collector()
        if binary is None:
            raise ServerError(installed.why_absent(self.name) or self.name)
        self._run([binary, "--config", self._configuration], lambda: listens(self._port))
