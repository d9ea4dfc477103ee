"""`assay score`: files in, the same suite, files out; a bad line is explained and left out."""

from __future__ import annotations

import argparse
import csv
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from collector.cli import main
from collector.commands._models import add_models, options_of
from signals.offline import BATCH_ROWS, Tally, score_file
from signals.suite import Suite, SuiteOptions, load_suite
from signals.tables import LINE_BYTES_MAX, TableError
from tests.fakes.suite import HashSuite

ROWS: list[dict[str, Any]] = [
    {"id": 1, "input": "Where is it?", "output": "It was sent on Monday.", "context": "Sent on Monday."},
    {"id": 2, "input": "And now?", "output": "", "tags": ["a", "b"]},
    {"id": 3, "output": "Yes. " * 100, "context": ["one", "two"], "finish_reason": "length", "score": 0.5},
]


def write(path: Path, *lines: object) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def cheap() -> Suite:
    return load_suite(SuiteOptions(enabled=("context_novelty", "degeneration")))


def score(source: Path, output: Path) -> tuple[Tally, list[tuple[int, str]]]:
    problems: list[tuple[int, str]] = []
    return score_file(source, output, cheap(), lambda number, text: problems.append((number, text))), problems


def test_a_row_keeps_its_fields_and_gains_scores_or_reasons(tmp_path: Path) -> None:
    tally, problems = score(write(tmp_path / "in.jsonl", *ROWS), tmp_path / "out.jsonl")

    rows = read(tmp_path / "out.jsonl")
    assert (tally.rows, tally.bad, problems) == (3, 0, [])
    assert [{name: row[name] for name in source} for row, source in zip(rows, ROWS, strict=True)] == ROWS
    assert [row["degeneration_output"] for row in rows] == [0, 1, 1]
    assert [row["degeneration_output_reason"] for row in rows] == [None, None, None]
    assert [row["context_novelty_output_reason"] for row in rows] == [None, "no_text", "not_applicable"]
    assert rows[1]["context_novelty_output"] is None


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_parquet_and_csv_say_what_jsonl_says(tmp_path: Path, suffix: str) -> None:
    source = write(tmp_path / "in.jsonl", *ROWS)
    if suffix == ".parquet":
        source = tmp_path / "in.parquet"
        pq.write_table(pa.Table.from_pylist([{"context": None} | row | {"context": None} for row in ROWS]), source)
    for name in ("out.jsonl", "out.parquet", "out.csv"):
        score(source, tmp_path / name)

    lines = read(tmp_path / "out.jsonl")
    table = pq.read_table(tmp_path / "out.parquet")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    assert [row["id"] for row in table.to_pylist()] == [1, 2, 3] == [int(row["id"]) for row in cells]
    for column in ("degeneration_output", "context_novelty_output"):
        for line, value, cell in zip(lines, table[column].to_pylist(), cells, strict=True):
            assert (line[column] is None) == (value is None) == (cell[column] == "")
            assert line[column] is None or math.isclose(line[column], value, abs_tol=1e-6)
            assert line[column] is None or math.isclose(line[column], float(cell[column]), abs_tol=1e-6)
    assert {row["column"] for row in json.loads(table.schema.metadata[b"assay.suite"])} == {
        "context_novelty_output",
        "degeneration_output",
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "not an object"),
        ('{"output": 5}', "output must be text, not int"),
        ('{"context": [1]}', "context must be text or a list of texts"),
        ('{"output": "a", "failed": "yes"}', "failed true or false"),
        ('{"output": "a", "tool_calls": "many"}', "tool_calls must be"),
        ("[" * 100_000, "JSON"),
        ('{"id": ' + "9" * 5_000 + "}", "JSON beyond all measure"),
        ('{"output": "a", "logprobs": [' + "9" * 400 + "]}", "each of logprobs must be a number"),
    ],
)
def test_a_bad_line_is_explained_with_its_number_and_its_neighbours_are_scored(
    tmp_path: Path, line: str, reason: str
) -> None:
    tally, problems = score(write(tmp_path / "in.jsonl", ROWS[0], line, "", ROWS[1]), tmp_path / "out.jsonl")

    assert (tally.rows, tally.bad) == (2, 1)
    assert problems[0][0] == 2
    assert reason in problems[0][1]
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == [1, 2]


def test_bytes_that_are_no_text_and_lines_without_end_are_bad_lines(tmp_path: Path) -> None:
    giant = b'{"output": "' + b"a" * LINE_BYTES_MAX + b'"}'
    (tmp_path / "in.jsonl").write_bytes(b'{"output": "\xff"}\n' + giant + b'\n{"output": "fine"}')

    tally, problems = score(tmp_path / "in.jsonl", tmp_path / "out.jsonl")

    assert (tally.rows, [number for number, _ in problems]) == (1, [1, 2])
    assert "UTF-8" in problems[0][1]
    assert "longer than" in problems[1][1]


def test_lone_surrogates_and_nan_pass_every_format(tmp_path: Path) -> None:
    source = write(
        tmp_path / "in.jsonl", '{"output": "\\ud800 tail", "note": NaN, "n": 123456789012345678901234567890}'
    )

    for name in ("out.jsonl", "out.parquet", "out.csv"):
        assert score(source, tmp_path / name)[0].rows == 1


def test_many_batches_are_written_in_order(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", *({"id": number, "output": "a b"} for number in range(2 * BATCH_ROWS + 3)))

    for name in ("out.jsonl", "out.parquet"):
        score_file(source, tmp_path / name, HashSuite(), print)

    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == list(range(2 * BATCH_ROWS + 3))
    assert pq.read_table(tmp_path / "out.parquet")["id"].to_pylist() == list(range(2 * BATCH_ROWS + 3))


def test_documents_are_what_an_answer_cites_and_the_context_where_there_is_none(tmp_path: Path) -> None:
    documents = ["Kettles last two years.", {"id": 7, "text": "Lids are covered.", "url": None}]
    source = write(
        tmp_path / "in.jsonl",
        {"output": "Kettles last two years. Lids are covered [7]. Cables burn [9].", "documents": documents},
        {"output": "Yes", "documents": "a text"},
    )
    suite = load_suite(SuiteOptions(enabled=("context_novelty", "citations")))
    bad: list[tuple[int, str]] = []

    score_file(source, tmp_path / "out.jsonl", suite, lambda number, problem: bad.append((number, problem)))

    (row,) = read(tmp_path / "out.jsonl")
    assert row["citation_missing_output"] == 0.5
    assert 0 < row["context_novelty_output"] < 0.5
    assert bad == [(2, "documents must be a list of texts or objects")]


def test_an_answer_cites_documents_by_their_names(tmp_path: Path) -> None:
    documents = [
        {"id": "kb-1", "title": "Warranty", "text": "Kettles last two years.", "score": 0.4},
        {"id": "kb-2", "url": "https://shop.example/lids", "text": "Lids are covered.", "score": 1},
        {"id": "kb-3"},
    ]
    answer = "Kettles last two years [Warranty]. Lids are covered (https://shop.example/lids). See [kb-3] and [kb-9]."
    source = write(tmp_path / "in.jsonl", {"output": answer, "documents": documents})
    suite = load_suite(SuiteOptions(enabled=("citations",)))

    score_file(source, tmp_path / "out.jsonl", suite, print)

    (row,) = read(tmp_path / "out.jsonl")
    assert (row["citation_missing_output"], row["citation_unsupported_output"]) == (0.25, 0)
    assert row["documents_unused_output"] == 0


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"score": 1}, "documents[1] must have a text, or at least an id, a title or a url"),
        ({"text": ["a"]}, "documents[1].text must be text, not list"),
        ({"text": "a", "title": {}}, "documents[1].title must be text, not dict"),
        ({"text": "a", "url": True}, "documents[1].url must be text, not bool"),
        ({"text": "a", "score": "near"}, "documents[1].score must be a number"),
        ({"text": "a", "score": 10**400}, "documents[1].score must be a number"),
        (7, "documents must be a list of texts or objects"),
    ],
)
def test_a_document_of_another_shape_is_explained(tmp_path: Path, document: object, reason: str) -> None:
    source = write(tmp_path / "in.jsonl", {"output": "Yes", "documents": ["fine", document]})
    bad: list[tuple[int, str]] = []

    score_file(source, tmp_path / "out.jsonl", HashSuite(), lambda number, problem: bad.append((number, problem)))

    assert bad == [(1, reason)]


def test_a_run_that_breaks_leaves_no_output_behind(tmp_path: Path) -> None:
    class Breaking(HashSuite):
        def score(self, exchanges, shed=None):
            raise MemoryError

    with pytest.raises(MemoryError):
        score_file(write(tmp_path / "in.jsonl", *ROWS), tmp_path / "out.jsonl", Breaking(), print)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("source", "output", "sentence"),
    [
        ("absent.jsonl", "out.jsonl", "No such file"),
        ("in.txt", "out.jsonl", "input must be"),
        ("in.jsonl", "out.xlsx", "output must be"),
        ("in.jsonl", "in.jsonl", "overwrite the input"),
        ("in.jsonl", "absent/out.csv", "No such file"),
        ("fake.parquet", "out.csv", "not Parquet"),
        ("fake.parquet", "out.jsonl", "not Parquet"),
    ],
)
def test_a_file_that_can_not_be_used_is_a_sentence(tmp_path: Path, source: str, output: str, sentence: str) -> None:
    for name in ("in.jsonl", "in.txt", "fake.parquet"):
        write(tmp_path / name, *ROWS)

    with pytest.raises(TableError, match=sentence):
        score(tmp_path / source, tmp_path / output)


def test_the_command_scores_and_its_status_says_how_it_went(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(tmp_path / "good.jsonl", *ROWS)
    bad = write(tmp_path / "bad.jsonl", ROWS[0], "{")
    blind = write(tmp_path / "blind.jsonl", {"prompt": "a", "answer": "b"})
    more = ["--output", str(tmp_path / "out.jsonl"), "--signals", "degeneration"]

    assert main(["score", str(good), *more]) == 0
    assert main(["score", str(bad), *more]) == 1
    assert main(["score", str(blind), *more]) == 1
    assert main(["score", str(good), *more[:2], "--signals", "nothing"]) == 2
    assert main(["score", str(tmp_path / "absent.jsonl"), *more]) == 2
    printed = capsys.readouterr().err
    assert "bad.jsonl:2: not JSON" in printed
    assert "no row has a field input or output" in printed


def test_the_command_says_the_versions_and_takes_the_words_of_the_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write(tmp_path / "good.jsonl", ROWS[0])
    daemon = write(tmp_path / "assay.yaml", f"source: {{otlp: {{}}}}\ndata: {tmp_path}\nsignals: {{precision: fp32}}")
    more = ["--output", str(tmp_path / "out.jsonl"), "--signals", "relevance", "--workers", "1", "--backend", "torch"]

    assert main(["score", str(good), *more, "--config", str(daemon)]) == 0
    configured = capsys.readouterr().err
    assert main(["score", str(good), *more, "--config", str(daemon), "--precision", "bf16"]) == 0
    said = capsys.readouterr().err

    assert "models ran on fp32 (as set)" in configured
    assert "models ran on bf16 (as set)" in said
    versions = [
        next(line for line in told.splitlines() if line.startswith("versions: ")) for told in (configured, said)
    ]
    assert "-fp32" in versions[0]
    assert versions[1] == versions[0].replace("-fp32", "-bf16")


def test_what_a_daemon_measured_decides_for_the_command_and_stays_the_daemons_to_write(tmp_path: Path) -> None:
    daemon = write(tmp_path / "assay.yaml", f"source: {{otlp: {{}}}}\ndata: {tmp_path}")
    args = argparse.ArgumentParser()
    add_models(args)
    before = options_of(args.parse_args(["--config", str(daemon)]))
    write(tmp_path / "backend.json", {"backend": "torch", "precision": "fp32"})

    after = options_of(args.parse_args(["--config", str(daemon)]))

    assert before.backend_file is None
    assert after.backend_file == tmp_path / "backend.json"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--device", "cuda"], "no GPU"),
        (["--config", "absent.yaml"], "absent.yaml"),
        (["--config", "broken.yaml"], "signals.backend"),
    ],
)
def test_models_that_cannot_run_are_one_message_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, more: list[str], sentence: str
) -> None:
    if "cuda" in more and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    monkeypatch.chdir(tmp_path)
    good = write(tmp_path / "good.jsonl", ROWS[0])
    write(tmp_path / "broken.yaml", "source: {otlp: {}}\nsignals: {backend: tensorflow}")

    assert main(["score", str(good), "--output", "out.jsonl", "--signals", "relevance", *more]) == 2
    assert main(["drift", "--baseline", str(good), "--current", str(good), *more]) == 2

    told = capsys.readouterr().err
    assert told.count("assay score: ") == told.count("assay drift: ") == 1
    assert told.count(sentence) == 2
