"""How to reach the brokers: options for kafka-python's clients, and why they could not be reached."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeVar

from kafka import errors
from kafka.net.compat import KafkaNetClient
from kafka.net.sasl.oauth import AbstractTokenProvider

from collector.config import KafkaConfig, Secret, TlsConfig
from collector.source import SourceError, problems

CONNECT_SECONDS = 20.0
LOGIN_ATTEMPTS = 3

_Client = TypeVar("_Client")


class _Token(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python has no types
    """Reads the token again at every login."""

    def __init__(self, secret: Secret, environ: Mapping[str, str]) -> None:
        self._secret = secret
        self._environ = environ

    def token(self) -> str:
        return self._secret.read(self._environ).get_secret_value()


def options(config: KafkaConfig, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Options that a consumer and a producer share. They hold secrets: never log them.

    Raises ConfigError for a secret that is missing and SourceError for TLS files that cannot be used.
    """
    chosen: dict[str, Any] = {
        "bootstrap_servers": list(config.brokers),
        "client_id": "assay",
        "security_protocol": ("SASL_" if config.sasl else "") + ("SSL" if config.tls else "PLAINTEXT"),
        "reconnect_backoff_max_ms": 2_000,
    }
    if config.tls is not None:
        chosen["ssl_context"] = tls_context(config.tls, environ)
    if config.sasl is not None:
        chosen["sasl_mechanism"] = config.sasl.mechanism
        if config.sasl.token is not None:
            config.sasl.token.read(environ)  # say now that it is missing, not at the first login
            chosen["sasl_oauth_token_provider"] = _Token(config.sasl.token, environ)
        elif config.sasl.password is not None:
            chosen["sasl_plain_username"] = config.sasl.username
            chosen["sasl_plain_password"] = config.sasl.password.read(environ).get_secret_value()
    return chosen


def tls_context(config: TlsConfig, environ: Mapping[str, str]) -> ssl.SSLContext:
    """A verifying context; SourceError says which file is to blame."""
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SourceError(f"tls.ca_file {config.ca_file}: {_reason(error)}") from None
    context.check_hostname = config.verify_hostname
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.certificate_file is not None:
        password = config.key_password.read(environ).get_secret_value() if config.key_password else ""
        try:
            # a password is always given: without one, OpenSSL would ask on the terminal
            context.load_cert_chain(config.certificate_file, config.key_file, password=password)
        except (OSError, ssl.SSLError) as error:
            files = " and ".join(str(file) for file in (config.certificate_file, config.key_file) if file)
            raise SourceError(f"tls.certificate_file, tls.key_file: {files}: {_reason(error)}") from None
    return context


def connect(
    make: Callable[[dict[str, Any]], _Client],
    config: KafkaConfig,
    environ: Mapping[str, str] = os.environ,
    *,
    seconds: float = CONNECT_SECONDS,
) -> _Client:
    """A connected client from ``make(options)``; SourceError says what an operator has to mend."""
    quieten()
    shared = options(config, environ) | {"bootstrap_timeout_ms": int(seconds * 1000)}
    with _Causes(login=config.sasl is not None) as causes:
        try:
            return make(shared | {"kafka_client": causes.client})
        except (errors.KafkaError, OSError) as error:
            causes.close()
            raise SourceError(explain(causes.worst or error, config)) from None


def quieten() -> None:
    """kafka-python logs several errors a second while a broker is away, and values at DEBUG: the rooms here say enough.

    A level that somebody has set stays.
    """
    client = logging.getLogger("kafka")
    if client.level == logging.NOTSET:
        client.setLevel(logging.CRITICAL)
    producer = logging.getLogger("kafka.producer.kafka")
    if producer.getEffectiveLevel() < logging.INFO:
        producer.setLevel(logging.INFO)


def explain(error: BaseException, config: KafkaConfig) -> str:
    """What an operator has to mend."""
    detail = str(error)
    if isinstance(error, errors.SaslAuthenticationFailedError):
        return problems.authentication_failed(config)
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return problems.mechanism_refused(config)
    if "CERTIFICATE_VERIFY_FAILED" in detail:
        return problems.certificate_refused(config, detail.partition("_FAILED] ")[2].partition(" (_ssl")[0])
    if "Handshake failed" in detail:
        return problems.handshake_failed(config, detail)
    if isinstance(error, errors.AuthorizationError):
        return problems.not_authorised(config, detail)
    return problems.unreachable(config, detail)


def _definite(error: BaseException) -> bool:
    """Will another attempt fail in the same way?"""
    return isinstance(
        error, (errors.SaslAuthenticationFailedError, errors.UnsupportedSaslMechanismError, errors.AuthorizationError)
    ) or any(word in str(error) for word in ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER"))


def _reason(error: BaseException) -> str:
    strerror = getattr(error, "strerror", None)
    return str(strerror or error)


class _Causes(AbstractContextManager["_Causes"]):
    """Why a client cannot connect. It keeps the cause to itself and raises a bare timeout, but it logs exceptions.

    A cause that will not go away ends the attempt: the client would repeat a wrong password until its deadline.
    A broker that refuses a login says so and hangs up; the client often loses what was said, because it drops data
    that arrives together with the end of the connection. So a connection that ends after the broker told its version,
    and before the login was complete, is a refused login, if that happens ``LOGIN_ATTEMPTS`` times in a row.
    """

    def __init__(self, *, login: bool) -> None:
        self._login = login
        self._hung_up = 0
        self._seen: list[BaseException] = []
        self._clients: list[KafkaNetClient] = []
        self._logger = logging.getLogger("kafka.net.manager")
        self._handler = logging.Handler(logging.WARNING)
        self._handler.emit = self._take  # type: ignore[method-assign]
        self._was = (self._logger.level, self._logger.propagate)

    @property
    def worst(self) -> BaseException | None:
        """A cause that will not go away before any other, else the last."""
        return next((error for error in self._seen if _definite(error)), self._seen[-1] if self._seen else None)

    def client(self, **given: Any) -> KafkaNetClient:
        """What a consumer or producer makes its connections with."""
        self._clients.append(KafkaNetClient(**given))
        return self._clients[-1]

    def close(self) -> None:
        """A constructor that fails leaves its client's thread behind."""
        for client in self._clients:
            client.close()

    def __enter__(self) -> _Causes:
        if not self._logger.isEnabledFor(logging.WARNING):
            self._logger.setLevel(logging.WARNING)
            self._logger.propagate = False  # nobody else has asked for it
        self._logger.addHandler(self._handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._logger.removeHandler(self._handler)
        level, self._logger.propagate = self._was
        self._logger.setLevel(level)

    def _take(self, record: logging.LogRecord) -> None:
        arguments = record.args if isinstance(record.args, tuple) else ()
        for argument in arguments:
            error = argument
            if isinstance(error, BaseException) and not isinstance(error, errors.KafkaTimeoutError):
                if record.msg.startswith("Bootstrap connection"):
                    self._hung_up = self._hung_up + 1 if self._hangs_up(error) else 0
                if self._hung_up >= LOGIN_ATTEMPTS:
                    error = errors.SaslAuthenticationFailedError("connection closed during the login")
                self._seen.append(error)
                if _definite(error):
                    for client in self._clients:
                        client._manager.close()

    def _hangs_up(self, error: BaseException) -> bool:
        talked = any(client._manager.broker_version_data is not None for client in self._clients)
        return self._login and talked and "disconnected" in str(error)
