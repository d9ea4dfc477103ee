"""Real daemons as processes that a test may kill, freeze and start again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

LIGHT_SIGNALS = ("context_novelty", "degeneration")  # no model to load: a killed process is back in a second
WAIT_SECONDS = 180.0


@dataclass
class Member:
    """One ``assay run`` process. ``overlapping``: a consumer group of its own, so that it owns every partition too."""

    name: str
    role: str
    folder: Path
    bootstrap: str
    topics: tuple[str, str]
    chain: Path
    overlapping: bool = True
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    frozen: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        self.starts += 1
        group = f"{self.name}-{self.starts}" if self.overlapping else "fleet"
        config = {
            "role": self.role,
            "data": str(self.folder / self.name),
            "source": {
                "kafka": {
                    "brokers": [self.bootstrap],
                    "traces_topics": [self.topics[0]],
                    "logs_topics": [self.topics[1]],
                    "group": group,
                    "session_timeout_seconds": 6,
                }
            },
            "join": {"settle_seconds": 0.3, "window_seconds": 3, "memory_seconds": 40},
            "signals": {"enabled": list(LIGHT_SIGNALS)},
            "chain": {"url": str(self.chain), "flush_seconds": 0.4},
            "store": {"materialise_seconds": 0.2, "snapshot_seconds": 1},
            "metrics": {"port": 0},
            **self.settings,
        }
        path = self.folder / f"{self.name}.yaml"
        path.write_text(yaml.safe_dump(config))
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "collector.cli", "run", "--config", str(path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    @property
    def config(self) -> Path:
        return self.folder / f"{self.name}.yaml"

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process, self.frozen = None, False

    def freeze(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)
            self.frozen = True

    def thaw(self) -> None:
        if self.process is not None and self.frozen:
            self.process.send_signal(signal.SIGCONT)
            self.frozen = False

    def stop(self) -> int:
        """An orderly end; the exit status."""
        assert self.process is not None
        self.thaw()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self.process = None
        return status

    def assay(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command of the same installation, on this member's configuration."""
        command, *rest = arguments
        return subprocess.run(
            [sys.executable, "-m", "collector.cli", command, "--config", str(self.config), *rest],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def sql(self, query: str) -> list[dict[str, Any]]:
        done = self.assay("sql", "--format", "json", query)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text(errors="replace")


def wait_until(what: str, condition: Any, members: list[Member], seconds: float = WAIT_SECONDS) -> None:
    """Until ``condition()`` holds; the logs' ends if it never does, at once if a member ended by itself."""
    deadline = time.monotonic() + seconds
    while not condition():
        dead = [member.name for member in members if member.process is not None and member.process.poll() is not None]
        if dead or time.monotonic() > deadline:
            ends = "\n".join(f"--- {member.name}\n{member.log()[-3000:]}" for member in members)
            why = f"{', '.join(dead)} ended" if dead else f"not within {seconds:.0f} s"
            raise AssertionError(f"{why}: {what}\n{ends}")
        time.sleep(0.5)
