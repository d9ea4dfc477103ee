"""Reads the configuration from a file, variables and arguments; every problem is reported in one message."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from collector.config.base import ConfigError
from collector.config.problems import explain
from collector.config.sections import Config

PREFIX = "ASSAY_"


def load_config(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Config:
    """Read YAML, lay ``ASSAY_A__B=value`` variables and ``overrides`` over it; ConfigError lists every problem.

    A variable is a setting when it has a double underscore or names a setting of the top level. Others are not ours:
    Kubernetes gives the pods of a Service called ``assay`` an ``ASSAY_PORT``.
    Files, directories and variables that the settings name must be there, and are looked for here.
    """
    tree = _read(path) if path is not None else {}
    problems: list[str] = []
    for name, value in environ.items():
        keys = name.removeprefix(PREFIX).lower().split("__")
        if not name.startswith(PREFIX) or (len(keys) == 1 and keys[0] not in Config.model_fields):
            continue
        try:
            _put(tree, keys, yaml.safe_load(value))
        except yaml.YAMLError:
            problems.append(f"  {name}: the value is not YAML")
    for name, value in (overrides or {}).items():
        _put(tree, name.split("."), value)
    try:
        config = Config.model_validate(tree, context={"environ": environ})
    except ValidationError as error:
        problems += [f"  {line}" for line in explain(error, Config)]
    if problems:
        raise ConfigError(
            "\n".join([f"{path or 'configuration'}: {len(problems)} problem{'s' * (len(problems) > 1)}", *problems])
        )
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    if loaded is not None and not isinstance(loaded, dict):
        raise ConfigError(f"{path}: the top level must be a mapping")
    return loaded or {}


def _put(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        below = tree.get(key)
        if below is None:  # absent, or a section that the file names and leaves empty
            below = tree[key] = {}
        if not isinstance(below, dict):
            return  # the validator names the wrong type above it
        tree = below
    tree[keys[-1]] = value
