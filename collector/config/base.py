"""What every section of the settings is made of: strict models, paths that exist, secrets that are not written down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, model_validator

from collector.config.webfile import WebFileError, read_web_file


class ConfigError(Exception):
    """The configuration cannot be used; the message lists every problem."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _file_exists(path: Path, info: ValidationInfo) -> Path:
    """Only ``load_config`` looks at the disk (it passes a context); a section built in code is a plain value."""
    if info.context is not None and (path.is_dir() or not os.access(path, os.R_OK)):
        raise ValueError(f"there is no readable file {path}")
    return path


def _directory_exists(path: Path, info: ValidationInfo) -> Path:
    if info.context is not None and not path.is_dir():
        raise ValueError(f"there is no directory {path}")
    return path


def _is_web_file(path: Path, info: ValidationInfo) -> Path:
    if info.context is not None:
        try:
            read_web_file(path)
        except WebFileError as error:
            raise ValueError(f"{path}: {error}") from None
    return path


def _holds_users(path: Path, info: ValidationInfo) -> Path:
    if info.context is not None:
        _is_web_file(path, info)
        file = read_web_file(path)
        if not file.users or file.model_fields_set != {"basic_auth_users"}:
            raise ValueError(f"{path}: holds `basic_auth_users`, at least one, and nothing else")
    return path


ExistingFile = Annotated[Path, AfterValidator(_file_exists)]
ExistingDirectory = Annotated[Path, AfterValidator(_directory_exists)]
WebConfigFile = Annotated[Path, AfterValidator(_is_web_file)]
UsersFile = Annotated[Path, AfterValidator(_holds_users)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Count = Annotated[int, Field(ge=1)]


class Secret(Section):
    """A secret from a file or an environment variable, never from the configuration's own text."""

    file: ExistingFile | None = None
    env: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _not_written_here(cls, value: Any) -> Any:
        if isinstance(value, str | int | float):
            raise ValueError("a secret is not written here: say `{file: PATH}` or `{env: NAME}`")
        return value

    @model_validator(mode="after")
    def _one_place(self, info: ValidationInfo) -> Secret:
        if (self.file is None) == (self.env is None):
            raise ValueError("a secret names either `file` or `env`")
        if self.env is not None and info.context is not None and self.env not in info.context["environ"]:
            raise ValueError(f"the environment variable {self.env} is not set")
        return self

    def read(self, environ: Mapping[str, str] = os.environ) -> SecretStr:
        """The secret's value; raises ConfigError when it is not there."""
        if self.file is not None:
            try:
                return SecretStr(self.file.read_text(encoding="utf-8").strip())
            except OSError as error:
                raise ConfigError(f"secret file {self.file}: {error.strerror}") from None
        value = environ.get(self.env or "")
        if value is None:
            raise ConfigError(f"secret environment variable {self.env} is not set")
        return SecretStr(value)
