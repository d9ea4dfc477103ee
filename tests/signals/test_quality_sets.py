"""The quality table on a folder of one's own: sets are judged by their fields, and a bad one is explained."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.measures import SetError, read_set
from bench.quality import own

ROOT = Path(__file__).resolve().parents[2]


def put(data: Path, name: str, *rows: Any) -> Path:
    (data / name).mkdir(parents=True)
    text = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    (data / name / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    return data


GOOD = {"text": "a", "label": 1}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ((), "is empty"),
        (("{\n",), "line 1: "),
        (({"question": "a"},), "rows need the fields text, label (toxicity) or context, response, label"),
        ((GOOD, GOOD), "every label is the same"),
        ((GOOD, {"text": "b"}), "line 2 has no field label"),
        ((GOOD, {"text": 7, "label": 0}), "line 2: text must be text"),
        (
            ({"context": ["a"], "response": "b", "label": 0}, {"context": "a", "response": "b", "label": 1}),
            "line 2: context must be a list of passages",
        ),
    ],
)
def test_a_set_that_cannot_be_judged_is_explained(tmp_path: Path, rows: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(SetError, match=r"mine\.jsonl\.gz") as raised:
        list(own.measure(put(tmp_path, "mine", *rows)))

    assert reason in str(raised.value)


def test_a_file_that_is_no_gzip_and_a_folder_without_its_file_are_explained(tmp_path: Path) -> None:
    put(tmp_path, "mine", GOOD)
    (tmp_path / "mine" / "mine.jsonl.gz").write_bytes(b"plain")
    (tmp_path / "other").mkdir()

    with pytest.raises(SetError, match=r"mine\.jsonl\.gz: line 1: "):
        read_set("mine", tmp_path)
    with pytest.raises(SetError, match=r"other\.jsonl\.gz is not there"):
        read_set("other", tmp_path)


def test_every_bad_set_of_a_folder_is_told(tmp_path: Path) -> None:
    put(tmp_path, "first")
    put(tmp_path, "second", GOOD)

    with pytest.raises(SetError, match=r"(?s)first\.jsonl\.gz is empty.*second\.jsonl\.gz: every label"):
        list(own.measure(tmp_path))


def test_public_sets_are_none_of_one_s_own(tmp_path: Path) -> None:
    assert list(own.measure(put(tmp_path, "surge", "broken"))) == []


def test_a_section_whose_set_is_missing_ends_with_a_sentence_and_the_others_go_on(tmp_path: Path) -> None:
    answers = [
        {"context": ["The kettle lasts two years."], "response": "The kettle lasts two years.", "label": 0},
        {"context": ["The kettle lasts two years."], "response": "Penguins swim in Antarctica.", "label": 1},
    ]

    told = ["--data", str(put(tmp_path, "mine", *answers)), "--only", "citations", "own"]

    done = subprocess.run(
        [sys.executable, "-m", "bench.quality", *told], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1, done.stderr
    assert "| groundedness | `context_novelty` | mine | 2 | AUROC | 1.000 |" in done.stdout
    assert "1 sections ended early" in done.stdout
    assert "mtrag_human.jsonl.gz is not there" in done.stdout
    assert "Traceback" not in done.stderr
