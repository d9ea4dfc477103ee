"""The chart as real Helm renders it, each values file once a session, and what tests ask of the objects."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.servers import installed

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "assay"
NAMESPACE = "llm"
KUBERNETES = "1.33.0"  # a helm that is built by `go install` takes itself for 1.20
VALUES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))

Object = Mapping[str, Any]


def values_file(name: str) -> Path:
    return CHART / "ci" / f"{name}-values.yaml"


def helm(
    command: str, *arguments: str | Path, chart: Path = CHART, release: str = "assay"
) -> subprocess.CompletedProcess[str]:
    named = (release,) if command == "template" else ()
    argv = [str(installed.helm()), command, *named, chart, "--kube-version", KUBERNETES, "-n", NAMESPACE, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def parse(done: subprocess.CompletedProcess[str]) -> list[Object]:
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@cache
def render(name: str) -> tuple[Object, ...]:
    """The objects of one file of ci/. Shared: nobody changes them."""
    return tuple(parse(helm("template", "-f", values_file(name))))


def changed(name: str, *settings: str) -> list[Object]:
    """The objects of one file of ci/ with `--set` over it."""
    return parse(helm("template", "-f", values_file(name), *sets(settings)))


def sets(settings: Iterable[str]) -> list[str]:
    """Arguments that lay `key=value` settings over a values file."""
    return [part for setting in settings for part in ("--set", setting)]


def kinds(objects: list[Object] | tuple[Object, ...], *wanted: str) -> list[Object]:
    return [document for document in objects if document["kind"] in wanted]


def one(objects: list[Object] | tuple[Object, ...], kind: str, name: str | None = None) -> Object:
    (found,) = [item for item in kinds(objects, kind) if name in (None, item["metadata"]["name"])]
    return found


def workloads(objects: list[Object] | tuple[Object, ...]) -> list[Object]:
    return kinds(objects, "Deployment", "StatefulSet")


def pods(objects: list[Object] | tuple[Object, ...]) -> Iterator[Object]:
    """The spec of each pod, that of the test included."""
    for document in workloads(objects):
        yield document["spec"]["template"]["spec"]
    for document in kinds(objects, "Pod"):
        yield document["spec"]


def assay_container(workload: Object) -> Object:
    (found,) = [item for item in workload["spec"]["template"]["spec"]["containers"] if item["name"] == "assay"]
    return found


def component(workload: Object) -> str:
    return str(workload["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"])
