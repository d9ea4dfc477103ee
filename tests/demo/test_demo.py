"""The demo as a user starts it: a process of its own, an incident, a clean end, and a second start."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ENDED = re.compile(r"stopped: (\d+) calls sent, (\d+) counted by this run; (.*)\.")


def command(data: Path, *arguments: str) -> list[str]:
    ports = ("--port", "0", "--metrics-port", "0", "--plain")
    return [sys.executable, "-W", "error", "-m", "collector.cli", "demo", "--data", str(data), *ports, *arguments]


def ended(output: str) -> tuple[int, int, str]:
    found = ENDED.search(output)
    assert found, output
    return int(found[1]), int(found[2]), found[3]


@pytest.mark.slow
def test_every_call_that_was_sent_is_counted_once_over_several_starts(tmp_path: Path) -> None:
    sent = counted = 0
    waits = True
    starts = [["--duration", "6"], ["--duration", "4"], *[["--duration", "5", "--no-traffic"]] * 6]
    for number, arguments in enumerate(starts):
        if number > 1 and not waits:
            break
        done = subprocess.run(
            command(tmp_path, *arguments, "--rate", "15", "--incident-after", "0"),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("a new state begins" if number == 0 else "goes on from the state kept there") in done.stdout
        assert number > 0 or "INCIDENT" in done.stdout
        now_sent, now_counted, rest = ended(done.stdout)
        sent, counted, waits = sent + now_sent, counted + now_counted, rest != "nothing waits"
    assert not waits
    assert counted == sent > 600

    asked = subprocess.run(
        [sys.executable, "-m", "collector.cli", "sql", "--data", str(tmp_path), "--format", "csv",
         "SELECT count(*) AS n, count(DISTINCT service) AS services FROM calls"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert asked.stdout.split() == ["n,services", f"{counted},5"], asked.stderr


@pytest.mark.slow
def test_an_interrupt_stops_it_cleanly_and_the_pages_answer_until_then(tmp_path: Path) -> None:
    with subprocess.Popen(
        command(tmp_path, "--no-traffic"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("pages"):
                break
        metrics = next(word for word in lines[-1].split() if word.endswith("/metrics"))
        with urllib.request.urlopen(metrics, timeout=30) as answer:
            assert b"assay_calls_total" in answer.read()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()

    assert process.returncode == 0, rest
    assert ended(rest)[0] == 0


def test_a_rate_of_zero_is_bad_usage(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path, "--rate", "0"), capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 2
    assert "a rate is above 0" in done.stderr


@pytest.mark.parametrize("option", ["--port", "--metrics-port"])
def test_a_taken_port_is_one_sentence_and_exit_2(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(command(tmp_path, option, port), capture_output=True, text=True, timeout=240, check=False)

    assert done.returncode == 2
    assert f"{port} is already in use" in done.stderr
    assert "Traceback" not in done.stderr
