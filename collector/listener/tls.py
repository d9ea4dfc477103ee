"""TLS of a listener from its web-config file: the file and what it names are looked at again for every handshake."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.config import ConfigError
from collector.config.webfile import WebFile, WebFileError, read_web_file, tls_context
from collector.listener.watched import Watched


@dataclass(frozen=True, slots=True)
class Loaded:
    """A web-config file with the context that its handshakes use; None: it asks for no TLS."""

    file: WebFile
    context: ssl.SSLContext | None


class WebConfig:
    """A web-config file in force. Raises ConfigError where it cannot be used at the start."""

    def __init__(self, path: Path, setting: str) -> None:
        self._path = path
        self._tls: bool | None = None
        try:
            self._watched = Watched(f"{setting} {path}", self._load, (WebFileError,))
        except WebFileError as error:
            raise ConfigError(f"{setting}: {path}: {error}") from None

    @property
    def stale(self) -> bool:
        """The file on disk cannot be used, an older one is in force."""
        return self._watched.stale

    @property
    def file(self) -> WebFile:
        return self._watched.current().file

    @property
    def context(self) -> ssl.SSLContext | None:
        """What to listen with."""
        return RenewedContext(self) if self.latest is not None else None

    @property
    def latest(self) -> ssl.SSLContext | None:
        """What the next handshake uses."""
        return self._watched.current().context

    def _load(self) -> tuple[Loaded, list[Path]]:
        file = read_web_file(self._path)
        tls = file.tls_server_config
        if self._tls is not None and self._tls != (tls is not None):
            raise WebFileError(["TLS is turned on and off by a restart"])
        self._tls = tls is not None
        files = [self._path, *(tls.files if tls else ())]
        return Loaded(file, tls_context(tls) if tls else None), files


class RenewedContext(ssl.SSLContext):
    """Hands each new connection to the context that is in force; asyncio asks for nothing but ``wrap_bio``."""

    _config: WebConfig

    def __new__(cls, config: WebConfig) -> RenewedContext:
        made = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        made._config = config
        return made

    def __init__(self, config: WebConfig) -> None: ...

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        latest = self._config.latest
        assert latest is not None  # noqa: S101 - turning TLS off takes a restart
        return latest.wrap_bio(*args, **options)


def names_of(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """The subject alternative names of a verified client's certificate."""
    return frozenset(value for _, value in (certificate or {}).get("subjectAltName", ()))
