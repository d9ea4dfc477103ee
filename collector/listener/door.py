"""What protects one listener, from its settings: TLS, who is who, and how often."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from collector.config import AccessConfig, ConfigError, Secret
from collector.config.webfile import RateLimit, WebFileError, read_web_file
from collector.listener.buckets import Buckets
from collector.listener.guard import App, Guard, Realm
from collector.listener.protocol import Admits
from collector.listener.tls import WebConfig, names_of
from collector.listener.watched import Watched

TOKEN_CHARS_MIN = 16


class Door:
    """The web-config file of a listener in force, or none. Raises ConfigError where it cannot be used."""

    def __init__(self, web_config_file: Path | None, setting: str, clock: Callable[[], float]) -> None:
        self._config = WebConfig(web_config_file, setting) if web_config_file is not None else None
        self._clock = clock
        self._had_users = False
        self._limit: tuple[RateLimit, Buckets] | None = None

    @property
    def tls(self) -> ssl.SSLContext | None:
        return self._config.context if self._config else None

    @property
    def admits(self) -> Admits | None:
        """The judge of client certificates, where their names matter at all."""
        return self._admits if self._config and self._config.file.tls_server_config else None

    @property
    def stale(self) -> bool:
        return self._config is not None and self._config.stale

    def users(self) -> Mapping[str, SecretStr]:
        return self._config.file.users if self._config else {}

    def guarded(self) -> bool:
        """Does this listener have users? Once it had, a file without any leaves nobody in, and not everybody."""
        self._had_users = self._had_users or bool(self.users())
        return self._had_users

    def headers(self) -> Mapping[str, str]:
        return self._config.file.headers if self._config else {}

    def overall(self) -> Buckets | None:
        """The toolkit's ``rate_limit``; its level survives whatever else changes in the file."""
        limit = self._config.file.rate_limit if self._config else RateLimit()
        if not limit.interval:
            return None
        if self._limit is None or self._limit[0] != limit:
            buckets = Buckets(per_second=1 / limit.interval, burst=max(1, limit.burst), clock=self._clock)
            self._limit = (limit, buckets)
        return self._limit[1]

    def guard(self, app: App, realms: tuple[Realm, ...], *, per_second_max: int | None = None) -> Guard:
        """``app`` behind this door; ``per_second_max`` requests of one address, four times as many at once."""
        limit = per_second_max and Buckets(per_second=per_second_max, burst=4 * per_second_max, clock=self._clock)
        return Guard(
            app,
            realms=realms,
            clock=self._clock,
            addresses=limit or None,
            overall=self.overall,
            headers=self.headers,
            tls=self.tls is not None,
        )

    def _admits(self, certificate: Mapping[str, Any] | None) -> bool:
        tls = self._config.file.tls_server_config if self._config else None
        allowed = tls.client_allowed_sans if tls else ()
        return not allowed or not names_of(certificate).isdisjoint(allowed)


class Credentials:
    """Users and token of one realm, read again when their files change. Raises ConfigError where they are no use."""

    def __init__(self, access: AccessConfig, setting: str, environ: Mapping[str, str] = os.environ) -> None:
        self._users: Watched[Mapping[str, SecretStr]] | None = None
        self._token: Watched[SecretStr] | None = None
        file, secret = access.users_file, access.bearer_token
        try:
            if file is not None:
                name = f"{setting}.users_file {file}"
                self._users = Watched(name, lambda: (read_web_file(file).users, [file]), (WebFileError,))
            if secret is not None:
                name = f"{setting}.bearer_token"
                self._token = Watched(name, lambda: _token(secret, environ), (ConfigError,))
        except (WebFileError, ConfigError) as error:
            raise ConfigError(f"{name}: {error}") from None

    def given(self) -> bool:
        return self._users is not None or self._token is not None

    @property
    def stale(self) -> bool:
        return any(watched.stale for watched in (self._users, self._token) if watched is not None)

    def users(self) -> Mapping[str, SecretStr]:
        return self._users.current() if self._users is not None else {}

    def token(self) -> SecretStr | None:
        return self._token.current() if self._token is not None else None


def _token(secret: Secret, environ: Mapping[str, str]) -> tuple[SecretStr, list[Path]]:
    token = secret.read(environ)
    if len(token.get_secret_value()) < TOKEN_CHARS_MIN:
        raise ConfigError(f"a token has at least {TOKEN_CHARS_MIN} characters")
    return token, [secret.file] if secret.file is not None else []
