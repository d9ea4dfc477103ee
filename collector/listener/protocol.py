"""HTTP/1.1 over one connection, with a deadline for whatever the other side has to do next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0  # for a whole request line with its headers, from the handshake or its first byte
WRITE_SECONDS = 30.0  # for a client to read on, once its buffers are full

Admits = Callable[[Mapping[str, Any] | None], bool]


def protocol(admits: Admits | None = None) -> type[H11Protocol]:
    """The protocol class of a listener; ``admits`` judges the certificate of a client (None: it showed none)."""
    return type("GuardedProtocol", (_Guarded,), {"admits": staticmethod(admits or _everybody)})


def _everybody(_: Mapping[str, Any] | None) -> bool:
    return True


class _Guarded(H11Protocol):
    admits: Admits
    _deadline: asyncio.TimerHandle | None = None
    _reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self.admits(transport.get_extra_info("peercert")):
            transport.abort()
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        if self._reader is not None:
            self._reader.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._expect_head()
        else:
            self._cancel()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
        super().resume_writing()

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
