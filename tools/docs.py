"""Writes the tables of the README and of docs/ from the code: ``python -m tools.docs`` from the root of a checkout.

A table stands between ``<!-- table:NAME -->`` and ``<!-- end -->``; tests/test_docs.py compares them with the code.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from collector import catalog
from collector.cli import COMMANDS
from collector.config import Config, Secret
from collector.store.views import VIEWS, View, column_table

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_PLACE = re.compile(r"(<!-- table:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(text: str) -> str:
    """A page with every table as the code says it; KeyError for a table that nobody makes."""
    return _PLACE.sub(lambda place: f"{place[1]}{TABLES[place[2]]()}\n{place[3]}", text)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells)


def commands() -> str:
    return table(("command", "what it does"), ((f"`assay {name}`", text) for name, text in COMMANDS.items()))


def signals() -> str:
    return table(
        ("signal", "of", "1 means", "metric"),
        ((f"`{entry.name}`", ", ".join(entry.sides), entry.help, f"`{entry.metric}`") for entry in catalog.SIGNALS),
    )


def metrics() -> str:
    return table(
        ("metric", "type", "labels", "meaning"),
        (
            (
                f"`{metric.name}`{' ✓' if metric.durable else ''}",
                metric.type.value,
                ", ".join(f"`{label}`" for label in metric.labels) or "–",
                metric.help,
            )
            for metric in catalog.metrics().values()
        ),
    )


def labels() -> str:
    return table(
        ("label", "meaning", "values"),
        (
            (f"`{name}`", meaning, "open, bounded" if name in catalog.OPEN_LABELS else "a closed set")
            for name, meaning in catalog.LABELS.items()
        ),
    )


def views() -> str:
    """A list of views that folds out; the resolutions of a rollup have the same columns, so they share one entry."""
    entries = []
    by_columns: dict[tuple[str, ...], list[View]] = {}
    for view in VIEWS.values():
        by_columns.setdefault(tuple(f"{column.name} {column.type}" for column in view.columns), []).append(view)
    for same in by_columns.values():
        names = ", ".join(f"<code>{view.name}</code>" for view in same)
        meaning = same[0].meaning + (" The others by their name." if len(same) > 1 else "")
        example = f"```sql\n{same[0].example}\n```"
        body = f"{column_table(same[0])}\n\n{example}"
        entries.append(f"<details><summary>{names}: {meaning}</summary>\n\n{body}\n\n</details>\n")
    return "\n".join(entries)


def settings() -> str:
    return table(("setting", "default", "meaning"), _settings(Config, ""))


def _settings(section: type[BaseModel], prefix: str) -> Iterable[tuple[str, str, str]]:
    for name, field in section.model_fields.items():
        below = next((kind for kind in _kinds(field.annotation) if _is_section(kind)), None)
        if below is None:
            yield f"`{prefix}{name}`", _default(field), _meaning(field)
        else:
            yield from _settings(below, f"{prefix}{name}.")


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not Secret


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the one type."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "**needed**"
    if value is None:
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


def _meaning(field: FieldInfo) -> str:
    choices = [choice for kind in _kinds(field.annotation) if typing.get_origin(kind) is Literal
               for choice in typing.get_args(kind)]  # fmt: skip
    told = field.description or ""
    if choices:
        told += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
    if any(kind is Secret for kind in _kinds(field.annotation)):
        told += " A secret: `{file: PATH}` or `{env: NAME}`."
    return told.strip()


TABLES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "signals": signals,
    "metrics": metrics,
    "labels": labels,
    "views": views,
    "settings": settings,
}


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(fill(page.read_text(encoding="utf-8")), encoding="utf-8")
