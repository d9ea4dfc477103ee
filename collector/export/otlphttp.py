"""OTLP over HTTP as a client: one request, acknowledged, refused for good or to be sent again."""

from __future__ import annotations

import gzip
import os
import ssl
from collections.abc import Mapping
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from collector.config import ConfigError, EvaluationsConfig

SECONDS_MAX = 10.0
_AGAIN = frozenset({408, 429, 502, 503, 504})  # as OTLP/HTTP has it; a 401 or 403 is an operator's to mend, so again
_OPERATOR = frozenset({401, 403, 404})


class AwayError(Exception):
    """Nobody took it now; the same request may be sent again."""


class _NoRedirect(HTTPRedirectHandler):
    """An Authorization header goes where the configuration says and nowhere else."""

    def redirect_request(self, *_: object) -> None:
        return None


class OtlpHttp:
    """Posts requests to ``<endpoint>/v1/logs``. Raises ConfigError where its authorities cannot be read."""

    def __init__(self, config: EvaluationsConfig, environ: Mapping[str, str] = os.environ) -> None:
        self._url = f"{(config.endpoint or '').rstrip('/')}/v1/logs"
        self._authorization = config.authorization
        self._environ = environ
        try:
            context = ssl.create_default_context(cafile=config.ca_file)
        except ssl.SSLError:
            raise ConfigError(f"export.evaluations.ca_file: {config.ca_file} holds no certificate") from None
        self._opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context), _NoRedirect)

    def send(self, body: bytes) -> bool:
        """True: acknowledged; False: refused for good. AwayError: neither, yet."""
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "User-Agent": "assay"}
        if self._authorization is not None:
            try:
                headers["Authorization"] = self._authorization.read(self._environ).get_secret_value()
            except ConfigError as error:
                raise AwayError(str(error)) from None
        request = Request(self._url, gzip.compress(body, 1, mtime=0), headers, method="POST")  # noqa: S310 - config checks it
        try:
            with self._opener.open(request, timeout=SECONDS_MAX):
                return True
        except HTTPError as error:
            error.close()
            if error.code in _AGAIN | _OPERATOR:
                raise AwayError(f"{self._url} answers {error.code}") from None
            return False
        except (OSError, HTTPException) as error:
            raise AwayError(f"{self._url}: {getattr(error, 'reason', None) or type(error).__name__}") from None

    def close(self) -> None:
        """Nothing is kept open."""
