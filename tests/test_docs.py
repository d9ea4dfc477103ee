"""README and docs/ say what the code does: tables are the code's, examples run, links lead somewhere."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import yaml
from pydantic import BaseModel

from collector import catalog
from collector.cli import COMMANDS
from collector.config import Config
from collector.store.database import FILE
from collector.store.session import make_views
from collector.store.store import Store
from tools.docs import PAGES, ROOT, TABLES, fill, settings

TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
ALL = "\n".join(TEXTS.values())
PLACES = re.findall(r"<!-- table:(\w+) -->", ALL)


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", ALL, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", TEXTS)
def test_every_table_is_as_the_code_says_it(page: str) -> None:
    assert fill(TEXTS[page]) == TEXTS[page], "run `python -m tools.docs`"


def test_every_table_has_its_place_once() -> None:
    assert sorted(PLACES) == sorted(TABLES)


def test_every_setting_says_what_it_is_for() -> None:
    silent = [line for line in settings().splitlines()[2:] if line.rstrip("| ").endswith(("–", "`", "**needed**"))]

    assert silent == []


def test_every_label_of_a_metric_has_a_meaning_and_every_meaning_a_label() -> None:
    used = {label for metric in catalog.metrics().values() for label in metric.labels}

    assert used == set(catalog.LABELS)


def test_names_of_metrics_follow_prometheus() -> None:
    for name, metric in catalog.metrics().items():
        assert re.fullmatch(r"assay_[a-z][a-z0-9_]*[a-z0-9]", name)
        assert name.endswith("_total") == (metric.type is catalog.MetricType.COUNTER), name
        assert (metric.type is catalog.MetricType.HISTOGRAM) == bool(metric.buckets), name
        assert list(metric.buckets) == sorted(set(metric.buckets)), name
        assert metric.help.endswith("."), name
        assert not {"trace_id", "span_id", "user", "prompt", "conversation_id"} & set(metric.labels)


def test_thresholds_lie_on_edges_of_every_score_histogram() -> None:
    for signal in catalog.SIGNALS:
        assert {0.33, 0.77} <= set(catalog.metrics(0.33, 0.77)[signal.metric].buckets)


def test_yaml_examples_for_assay_are_valid() -> None:
    examples = [yaml.safe_load(text) for text in fences("yaml")]
    ours = [example for example in examples if "source" in example]

    assert ours
    for example in ours:
        assert isinstance(Config.model_validate(example), BaseModel)


def examples() -> Iterator[str]:
    """Lines of shell examples that call assay."""
    for text in fences("sh"):
        for line in text.replace("\\\n", " ").splitlines():
            if line.startswith("assay "):
                yield line.partition("  #")[0].strip()


@pytest.mark.parametrize("line", sorted(set(examples())))
def test_command_examples_have_arguments_that_exist(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    parser = argparse.ArgumentParser(exit_on_error=False)
    importlib.import_module(f"collector.commands.{name.replace('-', '_')}").add_arguments(parser)

    assert name in COMMANDS
    parser.parse_args(arguments)


def queries() -> list[str]:
    """SQL of the pages, alone and as the last argument of `assay sql`."""
    return fences("sql") + [shlex.split(line)[-1] for line in examples() if line.startswith("assay sql ")]


@pytest.mark.parametrize("query", queries())
def test_sql_examples_run_over_the_views(query: str, tmp_path: Path) -> None:
    store = Store(Config.model_validate({"source": {"otlp": {}}, "data": tmp_path}))
    store.cursors()
    store.close()
    with duckdb.connect(str(tmp_path / FILE)) as connection:
        for signal in catalog.SIGNALS:
            for side in signal.sides:
                connection.execute("INSERT INTO data.suites VALUES ('s', ?, ?, '1', '')", [signal.name, side])
        make_views(connection)

        assert connection.execute(query).fetchall() == []


def test_every_command_has_an_example() -> None:
    assert {line.split()[1] for line in examples()} == set(COMMANDS)


@pytest.mark.parametrize("page", TEXTS)
def test_links_inside_the_repository_lead_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", TEXTS[page]):
        file = (ROOT / page).parent / target if target else ROOT / page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), anchor


def anchors(file: Path) -> set[str]:
    """What the headings of a Markdown file are called in links."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
