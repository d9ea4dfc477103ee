"""What the chart repeats of the code is what the code says."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from collector.config import Config
from tests.chart.chart import CHART, ROOT
from tools import chart

VALUES = (CHART / "values.yaml").read_text(encoding="utf-8")
SCHEMA = (CHART / "values.schema.json").read_text(encoding="utf-8")
README = (CHART / "README.md").read_text(encoding="utf-8")
HINT = "run `python -m tools.chart`"


def test_the_schema_knows_the_settings_of_the_daemon() -> None:
    assert chart.schema(SCHEMA) == SCHEMA, HINT


def test_the_table_of_values_is_that_of_the_values() -> None:
    assert chart.readme(README, VALUES) == README, HINT


def test_rules_and_boards_are_copies_of_the_generated_ones() -> None:
    copies = {path for path in (CHART / "generated").rglob("*") if path.is_file()}

    assert copies == set(chart.generated().values()), HINT
    for source, copy in chart.generated().items():
        assert source.read_bytes() == copy.read_bytes(), HINT


def test_every_value_says_what_it_is_for() -> None:
    rows = chart.values_table(VALUES).splitlines()[2:]

    assert len(rows) > 100
    assert all(row.rstrip(" |").endswith((".", "`")) for row in rows), rows


def test_a_value_without_a_comment_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"image\.tag has no comment"):
        chart.values_table("image:\n  # -- A name.\n  name: x\n  # Not for the table.\n  tag: y\n")


def test_a_mapping_with_a_comment_is_one_value() -> None:
    table = chart.values_table("# -- Bounds,\n# all of them.\nlimits:\n  cpu: 1\n")

    assert table.splitlines()[2:] == ['| `limits` | `{"cpu": 1}` | Bounds, all of them. |']


def test_every_value_has_a_schema_and_every_schema_a_value() -> None:
    schema = json.loads(SCHEMA)

    def names(part: dict[str, Any], prefix: str = "") -> set[str]:
        part = schema["definitions"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
        found: set[str] = set()
        for name, below in part.get("properties", {}).items():
            found |= {f"{prefix}{name}"} | names(below, f"{prefix}{name}.")
        return found

    documented = {row.split("`")[1] for row in chart.values_table(VALUES).splitlines()[2:]}
    leaves = {name for name in names(schema) if not any(name.startswith(f"{value}.") for value in documented)}
    sections = {name.rsplit(".", end)[0] for name in documented for end in range(1, name.count(".") + 1)}

    assert leaves - sections == documented | {"global"}


def test_the_schema_takes_any_part_of_a_configuration_but_what_the_chart_owns() -> None:
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA))
    example = yaml.safe_load((ROOT / "assay.example.yaml").read_text(encoding="utf-8"))
    faults = {
        f"{'.'.join(map(str, fault.path))}: {fault.message}" for fault in validator.iter_errors({"config": example})
    }

    assert {fault.partition(":")[0] for fault in faults} == {"config", "config.source.kafka", "config.metrics"}
    assert all("unexpected" in fault for fault in faults)
    assert not list(validator.iter_errors({"config": {"join": {"settle_seconds": 1}, "sql": {"rows_max": 5}}}))


def test_what_the_chart_owns_are_settings() -> None:
    for path in chart.OWNED:
        section: Any = Config
        for name in path.split("."):
            field = section.model_fields[name]
            kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
            section = next((kind for kind in kinds if hasattr(kind, "model_fields")), None)


def test_of_the_alerts_only_rule_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart, "ROOT", tmp_path)
    folder = tmp_path / "alerts" / "generated"
    folder.mkdir(parents=True)
    (folder / "rules.yaml").write_text("groups: [{name: a, rules: []}]\n", encoding="utf-8")
    (folder / "grafana.yaml").write_text("apiVersion: 1\ngroups: []\n", encoding="utf-8")
    (folder / "alertmanager.yaml").write_text("route: {receiver: a}\n", encoding="utf-8")

    assert [path.name for path in chart.generated()] == ["rules.yaml"]


def test_the_chart_carries_the_version_of_the_project() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert about["appVersion"] == project["version"]
    assert about["description"] == project["description"]
    assert (CHART / ".helmignore").is_file()
