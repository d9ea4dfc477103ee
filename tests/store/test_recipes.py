"""The README's recipes for analysts, run as they stand: what `assay snapshot` writes, read by DuckDB and by pandas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from collector.cli import main
from collector.store.snapshot import Snapshots
from tests.store.build import fill, view

SQL = """SELECT service, model_version, sum(calls) AS calls, sum(errors) / sum(calls) AS error_share
FROM traffic_day GROUP BY ALL ORDER BY ALL"""

PANDAS = """
import duckdb

with duckdb.connect("assay.duckdb", read_only=True) as snapshot:
    worst = snapshot.sql("SELECT time, service, trace_id, toxicity_output FROM calls ORDER BY ALL DESC").df()
print(worst.groupby("service").toxicity_output.agg(["count", "mean"]))
"""

PARQUET = """
import pandas

calls = pandas.read_parquet("views/calls.parquet", columns=["service", "toxicity_output"])
print(calls.groupby("service").toxicity_output.agg(["count", "mean"]))
"""


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
        for recipe in (PANDAS, PARQUET)
    ]

    assert printed[0].splitlines()[0].split() == ["count", "mean"]
    assert printed[0] == printed[1]
