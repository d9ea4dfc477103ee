"""The recipes of docs/sql.md, run as they stand: what `assay snapshot` writes, read by DuckDB and by pandas."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from collector.cli import main
from collector.store.snapshot import Snapshots
from tests.store.build import fill, view

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")
RECIPES = PAGE[PAGE.index("## In DuckDB and in pandas") : PAGE.index("## The views")]
(SQL,) = re.findall(r"^```sql\n(.*?)^```$", RECIPES, re.DOTALL | re.MULTILINE)
PYTHON = re.findall(r"^```python\n(.*?)^```$", RECIPES, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipes")
    chain, materialiser = view(folder / "data")
    fill(chain, deltas=6)
    materialiser.step()
    assert Snapshots(folder / "data", 2).publish(materialiser.store) is not None
    materialiser.store.close()
    for output in ("assay.duckdb", "views"):
        assert main(["snapshot", "--data", str(folder / "data"), "--output", str(folder / output)]) == 0
    return folder


def test_the_query_of_the_command_line_runs_over_the_exported_file(exported: Path) -> None:
    with duckdb.connect(str(exported / "assay.duckdb"), read_only=True) as connection:
        rows = connection.execute(SQL).fetchall()

    assert {row[0] for row in rows} == {"desk", "shop"}


def test_both_python_recipes_print_the_same_table(exported: Path) -> None:
    pytest.importorskip("pandas")

    printed = [
        subprocess.run([sys.executable, "-c", recipe], cwd=exported, capture_output=True, text=True, check=True).stdout
        for recipe in PYTHON
    ]

    assert len(printed) == 2
    assert printed[0].splitlines()[0].split() == ["count", "mean"]
    assert printed[0] == printed[1]
