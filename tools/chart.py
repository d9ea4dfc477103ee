"""Writes what the Helm chart repeats of the code: ``python -m tools.chart`` from the root of a checkout.

The schema of the settings within values.schema.json, the table of values in the chart's README, and the copies of rules
and dashboards that the chart loads; tests/chart/test_generated.py compares them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from collector.config import Config
from tools.docs import table

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "helm" / "assay"
SOURCES = {"alerts": "*.yaml", "dashboards": "*.json"}  # of <room>/generated; the chart keeps them in generated/<room>
OWNED = (
    "role",
    "data",
    "metrics.host",
    "metrics.port",
    "source.replay",
    "source.otlp.host",
    "source.otlp.port",
    "source.kafka.brokers",
    "source.kafka.traces_topics",
    "source.kafka.logs_topics",
    "source.kafka.group",
    "source.kafka.start",
    "chain.url",
    "evidence.alertmanager.url",
)
"""Settings that other parts of the chart depend on, so that only their own value sets them; `config` may not."""
_PLACE = ("<!-- table:values -->\n", "<!-- end -->")


def settings_schema() -> dict[str, Any]:
    """JSON Schema (draft 7) of what `config` may hold, by name of the definition: nothing needed, nothing owned."""
    whole = Config.model_json_schema(ref_template="#/definitions/{model}")
    definitions: dict[str, Any] = {"settings": whole, **whole.pop("$defs")}
    for path in OWNED:
        *above, name = path.split(".")
        section = whole
        for key in above:
            section = definitions[_reference(section["properties"][key])]
        del section["properties"][name]
    return {name: _plain(definition) for name, definition in definitions.items()}


def _reference(schema: Mapping[str, Any]) -> str:
    """The definition that a property refers to, which may also be absent."""
    found = next(choice["$ref"] for choice in schema.get("anyOf", [schema]) if "$ref" in choice)
    return str(found).rpartition("/")[2]


def _plain(schema: Any) -> Any:
    """Without what a partial configuration lacks (defaults, needed settings) and Helm's user does not want to read."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key not in ("title", "default", "required", "format")}
    if "properties" in kept:  # a setting may be called `title`
        kept["properties"] = {name: _plain(value) for name, value in kept["properties"].items()}
        return kept
    kept = {key: _plain(value) for key, value in kept.items()}
    choices = [choice for choice in kept.pop("anyOf", []) if choice != {"type": "null"}]
    return {**kept, **(choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {})}


def schema(current: str) -> str:
    """values.schema.json with the settings as the code has them; what was written by hand stays."""
    values = json.loads(current)
    own = {name: value for name, value in values["definitions"].items() if name[0].islower() and name != "settings"}
    values["definitions"] = {**own, **settings_schema()}
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def values_table(text: str) -> str:
    """The values of a values.yaml as a table; ValueError for one whose `# --` comment is missing."""
    return table(("value", "default", "meaning"), _values(text.splitlines(), yaml.compose(text), ""))


def _values(lines: list[str], node: yaml.Node, prefix: str) -> Iterator[tuple[str, str, str]]:
    """A mapping with a comment is one value; without, its keys are."""
    for key, value in node.value:
        told = _comment(lines, key.start_mark.line)
        if told:
            default = yaml.SafeLoader("").construct_document(value)  # type: ignore[no-untyped-call]
            yield f"`{prefix}{key.value}`", f"`{json.dumps(default, ensure_ascii=False)}`", told
        elif isinstance(value, yaml.MappingNode):
            yield from _values(lines, value, f"{prefix}{key.value}.")
        else:
            raise ValueError(f"{prefix}{key.value} has no comment that begins with `# --`")


def _comment(lines: list[str], line: int) -> str:
    """The comment that ends above a line, from its `# --` on; empty: there is none."""
    told: list[str] = []
    for above in reversed(lines[:line]):
        text = above.strip()
        if not text.startswith("#"):
            return ""
        told.insert(0, text.removeprefix("#").strip())
        if text.startswith("# --"):
            return " ".join(told).removeprefix("--").strip()
    return ""


def readme(current: str, values: str) -> str:
    """The chart's README with the table of values."""
    before, _, rest = current.partition(_PLACE[0])
    _, _, after = rest.partition(_PLACE[1])
    return f"{before}{_PLACE[0]}{values_table(values)}\n{_PLACE[1]}{after}"


def generated() -> dict[Path, Path]:
    """The chart's copy of each generated file, by the file. Of the alerts, only Prometheus' rule files."""
    return {
        source: CHART / "generated" / room / source.name
        for room, pattern in SOURCES.items()
        for source in sorted((ROOT / room / "generated").glob(pattern))
        if room != "alerts" or list(yaml.safe_load(source.read_text(encoding="utf-8"))) == ["groups"]
    }


def copy_generated() -> None:
    """Make the chart's copies anew; what is not generated any more goes."""
    shutil.rmtree(CHART / "generated", ignore_errors=True)
    for source, copy in generated().items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)


def main() -> None:
    for path, write in (
        (CHART / "values.schema.json", schema),
        (CHART / "README.md", lambda text: readme(text, (CHART / "values.yaml").read_text(encoding="utf-8"))),
    ):
        path.write_text(write(path.read_text(encoding="utf-8")), encoding="utf-8")
    copy_generated()


if __name__ == "__main__":
    main()
