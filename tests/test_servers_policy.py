"""A test whose server is absent is skipped with the reason, and fails where servers are required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import installed

NEEDS_KAFKA = """
import pytest

@pytest.mark.server("kafka")
def test_it():
    pass
"""
ASKS_FOR_KAFKA = """
def test_it(kafka_broker):
    pass
"""
SKIPS_ITSELF = """
import pytest

@pytest.mark.server("s3")
def test_it():
    pytest.skip({reason!r})
"""


def run(folder: Path, test: str, *arguments: str, required: bool) -> subprocess.CompletedProcess[str]:
    """Run a test under the suite's own conftest, on a machine that has no server installed."""
    file = folder / "test_it.py"
    file.write_text(test, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = server(name)\n", encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if name != "ASSAY_REQUIRE_SERVERS"}
    environ |= {"ASSAY_SERVERS": str(folder / "none"), "PYTHONPATH": str(installed.REPOSITORY)}
    environ |= {"ASSAY_REQUIRE_SERVERS": "1"} if required else {}
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.conftest",
            "-p",
            "no:cacheprovider",
            "-rs",
            "-q",
            *arguments,
            str(file),
        ],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("test", [NEEDS_KAFKA, ASKS_FOR_KAFKA], ids=["marked", "by-fixture"])
def test_an_absent_server_skips_with_the_way_to_get_it(tmp_path: Path, test: str) -> None:
    done = run(tmp_path, test, required=False)

    assert done.returncode == 0, done.stdout
    assert "kafka is not installed (tools/install-servers)" in done.stdout
    assert "1 skipped" in done.stdout


@pytest.mark.parametrize("test", [NEEDS_KAFKA, ASKS_FOR_KAFKA], ids=["marked", "by-fixture"])
def test_an_absent_server_fails_where_servers_are_required(tmp_path: Path, test: str) -> None:
    done = run(tmp_path, test, required=True)

    assert done.returncode == 1, done.stdout
    assert "kafka is not installed (tools/install-servers)" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.parametrize("together", [(), ("-n", "1")], ids=["in-one-process", "in-workers"])
def test_a_servers_test_that_skips_itself_fails_the_session_where_servers_are_required(
    tmp_path: Path, together: tuple[str, ...]
) -> None:
    done = run(tmp_path, SKIPS_ITSELF.format(reason="not today"), *together, required=True)

    assert done.returncode == 1, done.stdout
    assert "skipped although servers are required" in done.stdout
    assert "not today" in done.stdout


@pytest.mark.parametrize(("reason", "required"), [("../shared is absent", True), ("not today", False)])
def test_other_skips_are_nobodys_fault(tmp_path: Path, reason: str, required: bool) -> None:
    done = run(tmp_path, SKIPS_ITSELF.format(reason=reason), required=required)

    assert done.returncode == 0, done.stdout


def test_an_unknown_server_is_a_mistake_of_the_test() -> None:
    with pytest.raises(ValueError, match="no server is called 'kafca'"):
        installed.why_absent("kafca")
