"""The wheel is the product: it holds what it needs and nothing of the workshop, and runs away from the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from collector.cli import COMMANDS
from collector.config import MetricsConfig, OtlpConfig

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = ("collector", "signals", "dashboards", "alerts")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; it comes with the extra `test`")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content and console script; dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-index", "--no-deps"),
            *("--quiet", "--target", folder, wheel),
        ],
        check=True,
        capture_output=True,
    )
    return folder


def assay(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the console script outside the checkout."""
    environ = {"PYTHONPATH": str(installed), "PATH": "", "HOME": str(cwd), "OMP_NUM_THREADS": "1"}
    script = installed / "bin" / "assay"
    return subprocess.run(
        [sys.executable, script, *arguments], cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_file_of_its_packages(wheel: Path) -> None:
    wanted = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }

    assert wanted <= names(wheel)


def test_the_wheel_holds_weights_and_schema(wheel: Path) -> None:
    held = names(wheel)

    assert any(re.fullmatch(r"signals/heads/.*\.safetensors", name) for name in held)
    assert any(name.startswith("collector/store/") and name.endswith(".sql") for name in held)


def test_the_wheel_holds_nothing_of_the_workshop(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in names(wheel)}

    assert tops <= {*PACKAGES, f"llm_assay-{PROJECT['version']}.dist-info"}
    assert not any("/tests/" in name or name.endswith((".pyc", ".pt", ".pkl")) for name in names(wheel))


def test_the_wheel_carries_its_licence_and_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = f"llm_assay-{PROJECT['version']}.dist-info"
        metadata = archive.read(f"{info}/METADATA").decode()
        licence = archive.read(f"{info}/licenses/LICENSE").decode()

    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


@pytest.mark.slow
def test_the_console_script_runs_away_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    told = assay(installed, tmp_path, "--help")

    assert told.returncode == 0, told.stderr
    assert [command for command in COMMANDS if command not in told.stdout] == []


@pytest.mark.slow
def test_the_shipped_signals_score_away_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(
        json.dumps({"input": "Where is Paris?", "output": "In France.", "context": "Paris is in France."}) + "\n"
    )

    told = assay(installed, tmp_path, "score", "in.jsonl", "--output", "out.jsonl")

    assert told.returncode == 0, told.stderr
    (row,) = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert any("toxicity" in key for key in row)


def instructions(stage: int = -1) -> dict[str, list[str]]:
    """A stage of the Dockerfile, the last one, by instruction; continued lines are one."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", "", text).splitlines()
    stages: list[dict[str, list[str]]] = []
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            stages.append({})
        if stages and word.isupper() and word.isalpha():
            stages[-1].setdefault(word, []).append(rest.strip())
    assert len(stages) == 2
    return stages[stage]


def test_the_image_runs_as_nobody_special_and_writes_only_to_its_volume() -> None:
    image = instructions()

    assert [re.fullmatch(r"[1-9]\d{4}:[1-9]\d{4}", user) is not None for user in image["USER"]] == [True]
    assert image["VOLUME"] == image["WORKDIR"]
    assert "ADD" not in image


@pytest.mark.parametrize(
    ("asked", "extras"),
    [
        ({"TORCH": "cuda"}, ["fast"]),
        ({"TORCH": "cpu"}, ["fast", "openvino"]),
        ({"TORCH": "any"}, ["fast"]),
        ({"TORCH": "cuda", "EXTRAS": "openvino,fast"}, ["openvino", "fast"]),
        ({"TORCH": "cpu", "EXTRAS": ""}, []),
    ],
)
def test_the_image_installs_what_the_project_needs_before_it_sees_the_code(
    asked: dict[str, str], extras: list[str], tmp_path: Path
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    install, package = instructions(0)["RUN"]
    reading = " && ".join(step for step in install.split(" && ") if "EXTRAS" in step)
    subprocess.run(["sh", "-ec", reading], cwd=tmp_path, env={"PATH": os.environ["PATH"]} | asked, check=True)
    wanted = [*PROJECT["dependencies"], *(need for extra in extras for need in PROJECT["optional-dependencies"][extra])]

    assert (tmp_path / "requirements.txt").read_text(encoding="utf-8").splitlines() == wanted
    assert {"TORCH=cuda", 'PIP_ARGS=""', "EXTRAS"} == set(instructions(0)["ARG"])  # not said is not the same as empty
    assert instructions(0)["COPY"] == ["pyproject.toml ./", ". ."]
    assert "--no-deps" in package


@pytest.mark.parametrize(
    ("asked", "brought", "fits"),
    [("cuda", "12.8", True), ("cuda", None, False), ("cpu", None, True), ("cpu", "12.8", False), ("any", None, True)],
)
def test_the_image_is_not_built_with_another_pytorch_than_was_asked_for(
    asked: str, brought: str | None, fits: bool, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text(f"class version:\n    cuda = {brought!r}\n", encoding="utf-8")
    (check,) = [step for step in instructions(0)["RUN"][0].split(" && ") if "torch.version" in step]
    code = check.partition(' -c "')[2].rpartition('"')[0].replace("${TORCH}", asked)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (done.returncode == 0) == fits
    assert fits or "see PIP_ARGS" in done.stderr


def test_the_image_has_a_python_that_the_project_supports_and_starts_the_command() -> None:
    image = instructions()
    major, minor = map(int, re.findall(r"python:(\d+)\.(\d+)-slim", image["FROM"][0])[0])

    assert f"Programming Language :: Python :: {major}.{minor}" in PROJECT["classifiers"]
    assert json.loads(image["ENTRYPOINT"][0]) == list(PROJECT["scripts"])


def test_the_image_opens_and_checks_the_ports_that_the_daemon_listens_on() -> None:
    image = instructions()
    metrics, otlp = MetricsConfig().port, OtlpConfig().port

    assert image["EXPOSE"] == [f"{metrics} {otlp}"]
    assert f"127.0.0.1:{metrics}/healthz" in image["HEALTHCHECK"][0]


def test_the_image_gets_every_file_that_the_build_needs() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"}

    assert {*PACKAGES, "pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]} <= let_in


def test_the_changelog_knows_this_version() -> None:
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
