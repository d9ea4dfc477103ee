"""Which servers the tests use, in which version, and where each lies. Standard library only: the installer reads it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

VERSIONS = {
    "kafka": "4.1.0",
    "collector": "0.155.0",
    "alertmanager": "0.28.1",
    "helm": "3.22.0",
    "compose": "2.16.2",
    "grafana": "13.2.1",  # its packages of npm: there is no server
    "prometheus2": "bookworm",  # Debian moves the patch release: the suite is the pin
    "prometheus3": "forky",
}
PROMETHEUS_MAJORS = (2, 3)
NAMES = (
    "kafka",
    "collector",
    "prometheus2",
    "prometheus3",
    "prometheus",
    "alertmanager",
    "helm",
    "compose",
    "grafana",
    "chromium",
    "s3",
)


def folder() -> Path:
    """Where servers are installed: ASSAY_SERVERS, or an ignored folder of the checkout."""
    chosen = os.environ.get("ASSAY_SERVERS")
    return Path(chosen).resolve() if chosen else REPOSITORY / ".cache" / "servers"


def home(name: str) -> Path:
    """The folder of one server in its version; it exists only when the installation finished."""
    return folder() / f"{name}-{VERSIONS[name]}"


def kafka_libraries() -> Path | None:
    """The broker's jars, where they and a `java` to run them are present."""
    libraries = home("kafka") / "libs"
    return libraries if libraries.is_dir() and shutil.which("java") else None


def collector() -> Path | None:
    """The OpenTelemetry Collector built with the Kafka exporter."""
    return _file(home("collector") / "otelcol")


def prometheus(major: int) -> Path | None:
    """The `prometheus` of a major version: the installed one, else one on PATH."""
    return _of_major("prometheus", major)


def promtool(major: int) -> Path | None:
    """The `promtool` of a major version: the installed one, else one on PATH."""
    return _of_major("promtool", major)


def alertmanager() -> Path | None:
    """The installed Alertmanager, else the one on PATH."""
    return _file(home("alertmanager") / "alertmanager") or _on_path("alertmanager", "prometheus-alertmanager")


def amtool() -> Path | None:
    """The `amtool` of that Alertmanager."""
    return _file(home("alertmanager") / "amtool") or _on_path("amtool")


def helm() -> Path | None:
    """The installed helm 3, else the one on PATH."""
    return _file(home("helm") / "helm") or _on_path("helm")


def compose() -> Path | None:
    """The installed reader of compose files, the one that `docker compose config` is made of."""
    return _file(home("compose") / "cmd")  # as its module names it


def grafana() -> Path | None:
    """The npm modules with Grafana's own data transformations, where they and a `node` to run them are present."""
    modules = home("grafana") / "node_modules"
    return modules if (modules / "@grafana" / "data").is_dir() and shutil.which("node") else None


def chromium() -> Path | None:
    """A Chromium or Chrome on PATH."""
    return _on_path("chromium", "chromium-browser", "google-chrome")


def why_absent(name: str) -> str | None:
    """None where the server `name` can be started, else the reason a test gives for skipping."""
    present: dict[str, Callable[[], object]] = {
        "kafka": kafka_libraries,
        "collector": collector,
        "prometheus2": lambda: prometheus(2) and promtool(2),
        "prometheus3": lambda: prometheus(3) and promtool(3),
        "prometheus": lambda: any(prometheus(major) for major in PROMETHEUS_MAJORS),
        "alertmanager": alertmanager,
        "helm": helm,
        "compose": compose,
        "grafana": grafana,
        "chromium": chromium,
        "s3": lambda: True,  # pure Python, of the test extra
    }
    if name not in present:
        raise ValueError(f"no server is called {name!r}; there are {', '.join(NAMES)}")
    return None if present[name]() else f"{name} is not installed (tools/install-servers)"


def _file(path: Path) -> Path | None:
    return path if path.is_file() else None


def _on_path(*names: str) -> Path | None:
    found = next(filter(None, map(shutil.which, names)), None)
    return Path(found) if found else None


def _of_major(tool: str, major: int) -> Path | None:
    installed = _file(home(f"prometheus{major}") / "usr/bin" / tool)
    other = _on_path(tool)
    return installed or (other if other and version(other).startswith(f"{major}.") else None)


@cache
def version(tool: Path) -> str:
    """What a Prometheus tool prints as its version, such as `2.42.0+ds`; empty when it prints none."""
    done = subprocess.run([tool, "--version"], capture_output=True, text=True, timeout=30, check=False)
    found = re.search(r"version (\S+)", done.stdout + done.stderr)
    return found[1].rstrip(",") if found else ""
