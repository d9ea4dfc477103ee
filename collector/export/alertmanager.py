"""Asks Alertmanager for Assay's alerts, in a thread of its own: however slow or dead it is, no page waits for it."""

from __future__ import annotations

import base64
import logging
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlencode, urlsplit

from collector.config import AlertmanagerConfig, ConfigError
from collector.export.current import CurrentAlerts, read
from collector.telemetry import Telemetry

log = logging.getLogger(__name__)

CONNECT_SECONDS_MAX = 5.0
SECONDS_MAX = 10.0  # of a request, however slowly its answer trickles
BYTES_MAX = 4 << 20
SILENT_REFRESHES = 3  # without an answer for longer, what was heard is no longer now
OURS = 'alertname=~"Assay.+"'  # in a form that every version reads; what comes is looked at again
TASK = "alertmanager"


class AwayError(Exception):
    """It gave no answer that can be used; the message says why, and holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What Alertmanager said last, and when (Unix time; None: it has said nothing yet, since ``asked_since``)."""

    asked_since: float
    fresh_seconds: float
    current: CurrentAlerts = field(default_factory=CurrentAlerts)
    at: float | None = None
    problem: str = ""  # why the last request failed; "": it did not

    def is_now(self, now: float) -> bool:
        """Whether what was said can be taken for the present."""
        return self.at is not None and not self.problem and now - self.at <= self.fresh_seconds


@dataclass(slots=True)
class AlertWatch:
    """Keeps what was heard up to date between ``start`` and ``close``, which does not wait for a request in flight.

    Raises ConfigError where the authorities cannot be read.
    """

    config: AlertmanagerConfig
    telemetry: Telemetry
    clock: Callable[[], float]
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    heard: Heard = field(init=False)
    _client: Client = field(init=False)
    _ending: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._client = Client(self.config, self.environ)
        fresh = SILENT_REFRESHES * self.config.refresh_seconds + SECONDS_MAX
        self.heard = Heard(asked_since=self.clock(), fresh_seconds=fresh)

    def start(self) -> None:
        threading.Thread(target=self._run, name="assay-alertmanager", daemon=True).start()

    def close(self) -> None:
        self._ending.set()

    def look(self) -> None:
        """Ask once."""
        try:
            current = read(self._client.get())
        except (AwayError, ValueError) as error:
            if not self.heard.problem:  # the first of a run of failures
                log.warning("alertmanager: %s", error)
            self.heard = replace(self.heard, problem=str(error))
            self.telemetry.add("assay_tasks_total", task=TASK, outcome="failed")
        else:
            self.heard = replace(self.heard, current=current, at=self.clock(), problem="")
            self.telemetry.add("assay_tasks_total", task=TASK, outcome="done")

    def _run(self) -> None:
        while not self._ending.is_set():
            self.look()
            self._ending.wait(self.config.refresh_seconds)


class Client:
    """``GET <url>/api/v2/alerts``, once a call. Follows no redirect, knows no proxy: a password goes there alone."""

    def __init__(
        self,
        config: AlertmanagerConfig,
        environ: Mapping[str, str] = os.environ,
        seconds_max: float = SECONDS_MAX,
    ) -> None:
        self._config = config
        self._seconds_max = seconds_max
        self._environ = environ
        address = urlsplit(config.url)
        self._host, self._port = address.hostname or "", address.port
        matchers = (OURS, *config.matchers)
        self._path = f"{address.path}/api/v2/alerts?{urlencode([('filter', each) for each in matchers])}"
        self._context: ssl.SSLContext | None = None
        if address.scheme == "https":
            try:
                self._context = ssl.create_default_context(cafile=config.ca_file)
            except ssl.SSLError:
                raise ConfigError(f"evidence.alertmanager.ca_file: {config.ca_file} holds no certificate") from None

    def get(self) -> bytes:
        """The body of its answer; AwayError where there is none within ``seconds_max`` and BYTES_MAX."""
        connection = self._connection()
        late = threading.Event()
        try:
            connection.connect()
            timer = threading.Timer(self._seconds_max, _cut, (connection.sock, late))
            timer.daemon = True
            timer.start()
            try:
                body = self._exchange(connection)
            finally:
                timer.cancel()
        except (OSError, HTTPException, UnicodeError) as error:
            if not late.is_set():
                raise AwayError(f"it does not answer: {_why(error)}") from None
        finally:
            connection.close()
        if late.is_set():  # then the body is cut off, and may not look it
            raise AwayError(f"it took longer than {self._seconds_max:g} s")
        return body

    def _connection(self) -> HTTPConnection:
        if self._context is None:
            return HTTPConnection(self._host, self._port, timeout=CONNECT_SECONDS_MAX)
        return HTTPSConnection(self._host, self._port, timeout=CONNECT_SECONDS_MAX, context=self._context)

    def _exchange(self, connection: HTTPConnection) -> bytes:
        connection.request("GET", self._path, headers={"Accept": "application/json", **self._login()})
        response = connection.getresponse()
        if response.status != 200:
            raise AwayError(f"it answers {response.status}")
        body = response.read(BYTES_MAX + 1)
        if len(body) > BYTES_MAX:
            raise AwayError(f"its answer is longer than {BYTES_MAX >> 20} MiB")
        return body

    def _login(self) -> dict[str, str]:
        config = self._config
        try:
            if config.bearer_token is not None:
                token = config.bearer_token.read(self._environ).get_secret_value()
                if not re.fullmatch(r"[!-~]+", token):  # http.client would name it in its complaint
                    raise AwayError("the bearer token holds characters that no header carries")
                return {"Authorization": f"Bearer {token}"}
            if config.username is not None and config.password is not None:
                pair = f"{config.username}:{config.password.read(self._environ).get_secret_value()}"
                return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        except ConfigError as error:
            raise AwayError(str(error)) from None
        return {}


def _cut(connection: socket.socket, late: threading.Event) -> None:
    """End an exchange from outside: whoever reads finds the end of the stream."""
    late.set()
    try:
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # TLS has nothing to say any more
    except OSError as error:
        log.debug("alertmanager: ended by itself: %s", error)


def _why(error: Exception) -> str:
    """Kind and reason, never what was sent or received."""
    return getattr(error, "strerror", None) or type(error).__name__
