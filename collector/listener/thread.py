"""Serves an ASGI application from a thread of its own, on a socket that is bound before the thread starts."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import threading
import time
from typing import Any

import uvicorn

from collector.config import ConfigError
from collector.listener.guard import HEAD_BYTES_MAX
from collector.listener.protocol import Admits, protocol

GRACE_SECONDS = 2
BACKLOG = 512
CONNECTIONS_MAX = 1_024  # beyond: 503
HANDSHAKE_SECONDS = 10.0


class ListenError(ConfigError):
    """The address cannot be listened on; the message is for the operator."""


class HttpThread:
    """An HTTP server in a daemon thread.

    The constructor binds and raises ``ListenError``; port 0 takes a free one, ``url`` has the real one. ``start``
    returns when requests are answered. ``close`` ends within seconds; it is safe twice and without ``start``.
    """

    def __init__(
        self,
        app: Any,
        *,
        host: str,
        port: int,
        name: str,
        setting: str,
        tls: ssl.SSLContext | None = None,
        admits: Admits | None = None,
    ) -> None:
        """``setting`` is the configuration's name of the port, for the message; ``admits`` judges certificates."""
        self._socket = _listen(host, port, setting)
        address, self.port = self._socket.getsockname()[:2]
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://[{address}]:{self.port}" if ":" in address else f"{scheme}://{address}:{self.port}"
        config = uvicorn.Config(
            app,
            http=protocol(admits),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS_MAX,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        config.load()
        config.ssl = tls
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        """Serve; returns when requests are answered."""
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)

    def close(self) -> None:
        """Stop: running requests are answered, idle connections are cut."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(2 * GRACE_SECONDS)
            self._server.force_exit = True
            self._thread.join(2 * GRACE_SECONDS)
        self._socket.close()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(self._server.serve(sockets=[self._socket]))


class _Loop(asyncio.SelectorEventLoop):
    async def create_server(self, *args: Any, **options: Any) -> asyncio.Server:
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = HANDSHAKE_SECONDS  # uvicorn has no setting for it, asyncio waits 60
        return await super().create_server(*args, **options)


def _listen(host: str, port: int, setting: str) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ListenError(
                f"{host}:{port} is already in use; stop what listens there, or choose another port ({setting})"
            ) from None
        raise ListenError(f"cannot listen on {host}:{port} ({setting}): {error.strerror or error}") from None
