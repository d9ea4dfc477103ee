"""`assay drift`: two files in, what changed out, and an exit status that a script can branch on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collector.cli import main
from signals.drift.offline import Report, _time, compare_files
from signals.sketch import SOURCE_DIMENSIONS
from signals.tables import BadLine, TableError
from signals.types import Bools, Embeddings, Exchange, Side, SuiteScores

WORDS = ("rain", "bread", "train", "music", "river", "stone", "cloud", "light")
NEW = ("invoice", "refund", "dispute")


class WordSuite:
    """Embeds a text as the sum of its words' directions: no model, but the same geometry."""

    specs = ()

    def score(self, exchanges: Sequence[Exchange], shed: Bools | None = None) -> SuiteScores:
        sides = {side: [getattr(exchange, side.value) for exchange in exchanges] for side in Side}
        return SuiteScores(
            columns=(),
            embeddings=tuple(
                Embeddings(
                    side=side,
                    version="words",
                    vectors=np.array([self._vector(text) for text in texts], dtype=np.float32),
                    present=np.array([bool(text) for text in texts]),
                )
                for side, texts in sides.items()
            ),
        )

    def _vector(self, text: str | None) -> np.ndarray:
        seeds = [int.from_bytes(word.encode()[:7], "big") for word in (text or "").split()]
        total = sum((np.random.default_rng(seed).normal(size=SOURCE_DIMENSIONS) for seed in seeds), start=np.zeros(1))
        return np.broadcast_to(total / max(float(np.linalg.norm(total)), 1e-9), (SOURCE_DIMENSIONS,))


def rows(seed: int, n: int, *, new_share: float = 0.0, **fields: Any) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    texts = [
        " ".join(rng.choice(NEW if rng.random() < new_share else WORDS, 2)) + f" {rng.integers(1_000)}"
        for _ in range(n)
    ]
    return [{"input": text, "output": "yes it is", **fields} for text in texts]


def write(path: Path, lines: Sequence[object]) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return path


def compare(folder: Path, before: Sequence[object], after: Sequence[object], **options: Any) -> Report:
    old, new = write(folder / "before.jsonl", before), write(folder / "after.jsonl", after)
    return compare_files(old, new, WordSuite(), lambda *_: None, **options)


def test_equal_traffic_has_not_drifted(tmp_path: Path) -> None:
    report = compare(tmp_path, rows(1, 400), rows(2, 400))

    assert not report.drifted
    assert [side.side for side in report.sides] == [Side.INPUT, Side.OUTPUT]
    assert not any(topic.share.significant for side in report.sides for topic in side.topics)


def test_a_shift_of_one_side_is_an_alarm_of_that_side_with_the_lines_to_look_at(tmp_path: Path) -> None:
    report = compare(tmp_path, rows(1, 400), rows(2, 400, new_share=0.6))

    asked, answered = report.sides
    assert asked.alarm_after is not None
    assert asked.alarm_after <= 200
    assert answered.alarm_after is None
    grown = max(range(len(asked.topics)), key=lambda at: asked.topics[at].share.change)
    lines = (tmp_path / "after.jsonl").read_text().splitlines()
    for example in asked.examples[grown][1]:
        assert json.loads(lines[example.line - 1])["input"] == example.excerpt
        assert example.excerpt.split()[0] in NEW


def test_the_order_of_the_lines_does_not_make_a_drift(tmp_path: Path) -> None:
    """Files sorted by topic hold the same calls as files that are not."""
    report = compare(tmp_path, rows(1, 500), sorted(rows(2, 500), key=lambda row: row["input"]))

    assert not report.timed
    assert not report.drifted


def test_calls_with_times_are_taken_in_order_and_paired_in_phase(tmp_path: Path) -> None:
    before = [row | {"time": 60 * at} for at, row in enumerate(rows(1, 1_440))]
    after = [row | {"time": f"1970-01-02T{at // 60:02}:{at % 60:02}:00"} for at, row in enumerate(rows(2, 1_440))]

    report = compare(tmp_path, before, after[::-1])

    assert report.timed
    assert {(side.phase, side.pairs) for side in report.sides} == {("hour_of_day", 1_440)}


def test_a_longer_baseline_gives_each_call_several_to_compare_with(tmp_path: Path) -> None:
    side = compare(tmp_path, rows(1, 640), rows(2, 200)).sides[0]

    assert (side.pairs, side.per_call) == (200, 3)


def test_a_conversation_takes_part_once(tmp_path: Path) -> None:
    side = compare(tmp_path, rows(1, 90, conversation="a"), rows(2, 90)).sides[0]

    assert (side.baseline_n, side.current_n, side.pairs) == (1, 90, 1)


def test_slices_say_which_value_carries_the_change(tmp_path: Path) -> None:
    before = rows(1, 200, model="x") + rows(2, 200, model="y")
    after = rows(3, 200, model="x") + rows(4, 200, model="y", new_share=0.8)

    asked = compare(tmp_path, before, after, by="model").sides[0]

    assert asked.slices[0].label == "y"
    assert asked.slices[0].part > 0.8


def test_labels_beyond_the_bound_are_one_slice(tmp_path: Path) -> None:
    many = [row | {"user": at} for at, row in enumerate(rows(1, 120))]

    assert len(compare(tmp_path, many, many, by="user").sides[0].slices) == 51


def test_bad_lines_are_counted_and_left_out(tmp_path: Path) -> None:
    report = compare(tmp_path, [*rows(1, 30), "{", {"input": 5}, {"input": "a", "time": "noon"}], rows(2, 30))

    assert report.left_out == 3
    assert report.sides[0].baseline_n == 30


def test_a_side_that_only_one_file_has_is_not_compared(tmp_path: Path) -> None:
    report = compare(tmp_path, [{"input": "rain 1"}] * 5, rows(1, 5))

    assert [side.side for side in report.sides] == [Side.INPUT]


@pytest.mark.parametrize(
    ("before", "after", "options", "problem"),
    [
        ([{"input": "rain"}], [{"output": "rain"}], {}, "no side in common"),
        ([], [{"output": "rain"}], {}, "no side in common"),
        (rows(1, 3), rows(2, 3), {"by": "planet"}, "no row has a field 'planet'"),
    ],
)
def test_what_cannot_be_compared_is_said(
    tmp_path: Path, before: list[Any], after: list[Any], options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(TableError, match=problem):
        compare(tmp_path, before, after, **options)


def test_a_file_beyond_the_bound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="more than 10 rows"):
        compare(tmp_path, rows(1, 11), rows(2, 5), rows_max=10)


@pytest.mark.parametrize("value", ["yesterday", True, [1], 1e300, "9" * 40])
def test_no_time_is_a_bad_line(value: object) -> None:
    with pytest.raises(BadLine, match="time"):
        _time(value)


@pytest.mark.parametrize("value", [3600, 3600.0, "1970-01-01T01:00:00", "1970-01-01T02:00:00+01:00"])
def test_times_may_be_written_in_several_ways(value: object) -> None:
    assert _time(value) == 3600


def test_the_command_says_what_changed_and_exits_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the real encoder, from Parquet, as JSON."""
    before = [{"input": f"How do I bake bread with {n} grams of flour?", "m": "x"} for n in range(120)]
    after = [{"input": f"Cancel my order number {n} and refund me.", "m": "x"} for n in range(120)]
    for name, found in (("before", before), ("after", after)):
        pq.write_table(pa.Table.from_pylist(found), tmp_path / f"{name}.parquet")
    files = ["--baseline", str(tmp_path / "before.parquet"), "--current", str(tmp_path / "after.parquet")]

    assert main(["drift", *files, "--json", "--workers", "1", "--precision", "fp32", "--backend", "torch"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert report["drifted"]
    assert report["encoder"].endswith("-fp32")
    assert report["sides"][0]["alarm_after"] <= 100
    assert main(["drift", *files, "--by", "m", "--workers", "1"]) == 3
    text = capsys.readouterr().out
    assert "input: DRIFT after" in text
    assert "Cancel my order" in text
    assert "one in 20,000 calls" in text
    assert "Vectors of minilm" in text


def test_the_command_exits_0_on_equal_files_and_1_where_lines_were_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fine = write(tmp_path / "fine.jsonl", [{"output": "Some text."}] * 3)
    torn = write(tmp_path / "torn.jsonl", [{"output": "Some text."}, "{"])

    assert main(["drift", "--baseline", str(fine), "--current", str(fine)]) == 0
    assert "too few calls to tell" in capsys.readouterr().out
    assert main(["drift", "--baseline", str(fine), "--current", str(torn)]) == 1
    assert f"{torn}:2: not JSON" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--alpha", "2"]])
def test_the_command_exits_2_where_nothing_can_be_compared(
    tmp_path: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    fine = write(tmp_path / "fine.jsonl", [{"output": "Some text."}])
    other = fine if more else tmp_path / "absent.jsonl"

    assert main(["drift", "--baseline", str(fine), "--current", str(other), *more]) == 2
    assert ("alpha" if more else "absent.jsonl") in capsys.readouterr().err
