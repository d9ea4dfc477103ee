"""The house stays tidy: short modules that say what they are, nothing half done, nothing of one machine."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("collector", "signals", "dashboards", "alerts")
LINES_MAX = 400
TEST_LINES_MAX = 600  # a suite is read a sentence at a time
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".sql", ".json", ".html", ".css", ".js", ".sh", ""}

MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
TESTS = sorted(path for folder in ("tests", "bench", "tools") for path in (ROOT / folder).rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def committed() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout: what is committed is unknown")
    paths = (ROOT / entry.decode() for entry in listed.stdout.split(b"\0") if entry)
    return [path for path in paths if path.is_file()]


def texts() -> Iterator[tuple[str, int, str]]:
    """Every line of every text file that is or would be committed."""
    for path in committed():
        if path.suffix in TEXT and path != Path(__file__):
            try:
                lines = path.read_text(encoding="utf-8").splitlines()
            except UnicodeDecodeError:
                continue
            for number, line in enumerate(lines, 1):
                yield name(path), number, line


def test_there_is_something_to_look_at() -> None:
    assert len(MODULES) > 20


@pytest.mark.parametrize("path", MODULES + TESTS, ids=name)
def test_a_module_is_short_enough_to_read(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())

    assert lines <= (LINES_MAX if path in MODULES else TEST_LINES_MAX)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_says_what_room_it_is(path: Path) -> None:
    module = tree(path)

    assert ast.get_docstring(module) or not module.body


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_only_commands_print(path: Path) -> None:
    if path.is_relative_to(ROOT / "collector" / "commands") or path.is_relative_to(ROOT / "collector" / "demo"):
        return
    prints = [
        node.lineno
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and not any(keyword.arg == "file" for keyword in node.keywords)
    ]

    assert not prints


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_handler_swallows_whatever_comes(path: Path) -> None:
    swallowed = [
        handler.lineno
        for handler in ast.walk(tree(path))
        if isinstance(handler, ast.ExceptHandler) and _catches_all(handler) and not _answers(handler)
    ]

    assert not swallowed


def _catches_all(handler: ast.ExceptHandler) -> bool:
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else set()
    return handler.type is None or bool(names & {"Exception", "BaseException"})


def _answers(handler: ast.ExceptHandler) -> bool:
    """Raises again, or does something with the error it caught."""
    body = [node for statement in handler.body for node in ast.walk(statement)]
    raises = any(isinstance(node, ast.Raise) for node in body)
    uses = any(isinstance(node, ast.Name) and node.id == handler.name for node in body)
    return raises or uses


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b|NotImplementedError\(\)")

    assert [f"{path}:{number}" for path, number, line in texts() if later.search(line)] == []


def test_no_path_of_one_machine_and_no_address_of_a_registry() -> None:
    machine = re.compile(
        r"(?<![\w.])/(?:work|home|root|Users)/\w|/tmp/\w|"
        r"\b(?:pypi\.org|pythonhosted\.org|registry\.npmjs\.org|download\.pytorch\.org|proxy\.golang\.org)\b"
    )

    assert [f"{path}:{number}: {line.strip()[:80]}" for path, number, line in texts() if machine.search(line)] == []
