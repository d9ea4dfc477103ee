"""The OTLP/HTTP door of the built-in source: bounded bodies in, one durable record a request, then the answer.

A request is acknowledged only after its body is in the log, as it was sent but for its compression: plain, and packed
only where it would not fit a record. Whether the
body *is* an export request is for the decode room to say: it counts and dead-letters what is not, which leaves more
evidence than a 400 that only the sender would see. What is refused here, with a ``google.rpc.Status`` in the
request's own encoding: an unknown content type or encoding (415), a body past the limits (413), a compressed body
that is broken or a bomb (400), a body that does not arrive (408), and whatever cannot be made durable now (503 with
Retry-After, which every OTLP exporter retries). Metrics are accepted and dropped, because SDKs send them unasked.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from google.rpc import code_pb2, status_pb2
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from collector.config import LimitsConfig, OtlpConfig
from collector.listener.door import Door
from collector.listener.guard import Realm
from collector.listener.thread import HttpThread, ListenError
from collector.source import SourceError
from collector.source.locallog import LogError

PROTOBUF, JSON = "application/x-protobuf", "application/json"
IN_FLIGHT_BYTES_MAX = 64 << 20
READ_SECONDS_MAX = 30.0
PACK_LEVEL = 1  # a request that large is rare, and its sender waits
RETRY_AFTER_SECONDS = 2  # exporters give a request 10 seconds: a longer wait would make them give up

_log = logging.getLogger(__name__)


class Log(Protocol):
    """What the receiver needs of a log: all of the entries are durable when ``append`` returns, or none."""

    def append(self, entries: Sequence[tuple[str, bytes]]) -> list[int]: ...


class _RefusedError(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Receiver:
    """An OTLP/HTTP server in a thread of its own; ``topics`` says which path's bodies go to which topic."""

    def __init__(
        self,
        log: Log,
        topics: Mapping[str, str],
        *,
        config: OtlpConfig,
        limits: LimitsConfig,
        arrived: Callable[[], None],
    ) -> None:
        self.refused: Counter[int] = Counter()  # by HTTP status
        self._committer = _Committer(log, arrived)
        self._limits = limits
        self._budget = _Budget(IN_FLIGHT_BYTES_MAX)
        routes = [Route(path, self._handler(topic), methods=["POST"]) for path, topic in topics.items()]
        routes.append(Route("/v1/metrics", self._handler(None), methods=["POST"]))
        try:
            door = Door(config.web_config_file, "source.otlp.web_config_file", time.monotonic)
            realm = Realm(name="otlp", users=door.users, guarded=door.guarded)
            self._door, self._guard = door, door.guard(Starlette(routes=routes), (realm,))
            self._http = HttpThread(
                self._guard,
                host=config.host,
                port=config.port,
                name="otlp-receiver",
                setting="source.otlp.port",
                tls=door.tls,
                admits=door.admits,
            )
        except ListenError as error:
            raise SourceError(f"the OTLP receiver: {error}") from None
        self.endpoint = self._http.url  # the base URL that exporters are given, with the real port

    @property
    def healthy(self) -> bool:
        """The server runs, and the log took the last append."""
        return self._http.alive and not self._committer.failing

    @property
    def turned_away(self) -> Counter[str]:
        """Requests that the door did not let in, by reason."""
        return self._guard.refused

    @property
    def stale(self) -> bool:
        """The web-config file on disk cannot be used; an older one is in force."""
        return self._door.stale

    def start(self) -> None:
        """Serve; returns when requests are answered."""
        self._http.start()

    def close(self) -> None:
        """Stop within seconds: requests that wait for the log are answered, idle connections are cut."""
        self._http.close()
        self._guard.passwords.close()

    def _handler(self, topic: str | None) -> Callable[[Request], object]:
        async def handle(request: Request) -> Response:
            media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            try:
                await self._take(request, media_type, topic)
            except _RefusedError as error:
                self.refused[error.status] += 1
                return _refusal(error, media_type)
            except ClientDisconnect:
                self.refused[499] += 1
                return Response(status_code=499)  # nobody reads it
            return Response(b"{}" if media_type == JSON else b"", media_type=media_type)

        return handle

    async def _take(self, request: Request, media_type: str, topic: str | None) -> None:
        if media_type not in (PROTOBUF, JSON):
            raise _RefusedError(415, code_pb2.INVALID_ARGUMENT, f"content type must be {PROTOBUF} or {JSON}")
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", "deflate"):
            raise _RefusedError(415, code_pb2.INVALID_ARGUMENT, "content encoding must be gzip or deflate")
        with _Reservation(self._budget) as reservation:
            body = await self._body(request, reservation)
            value = body if encoding == "identity" else inflate(body, self._limits)
            reservation.grow(len(value))
            del body
            if topic is None or not value:  # an empty message is a valid request that says nothing
                return
            try:
                await self._committer.append(topic, to_record(value, self._limits))
            except LogError as error:
                raise _RefusedError(503, code_pb2.UNAVAILABLE, f"cannot store now: {error}") from None

    async def _body(self, request: Request, reservation: _Reservation) -> bytes:
        """The body as it came over the wire; bounded in size and in time."""
        limit = self._limits.decompressed_bytes_max
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > limit:
                        raise _RefusedError(413, code_pb2.RESOURCE_EXHAUSTED, f"a body may have {limit} bytes")
                    reservation.grow(len(chunk))
                    chunks.append(chunk)
        except TimeoutError:
            raise _RefusedError(408, code_pb2.DEADLINE_EXCEEDED, "the body did not arrive") from None
        return b"".join(chunks)


class _Budget:
    """Bytes that all requests together hold in memory; used from the event loop only."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.held = 0


class _Reservation:
    """One request's part of the budget, given back when the request ends."""

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self._held = 0

    def __enter__(self) -> _Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.held -= self._held

    def grow(self, size: int) -> None:
        if self._budget.held + size > self._budget.bytes_max:
            raise _RefusedError(503, code_pb2.UNAVAILABLE, "too many requests are in flight")
        self._budget.held += size
        self._held += size


class _Committer:
    """Gathers the requests that arrive while the disk is busy into the next append: one fsync for all of them."""

    def __init__(self, log: Log, arrived: Callable[[], None]) -> None:
        self.failing = False
        self._log = log
        self._arrived = arrived
        self._waiting: list[tuple[str, bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def append(self, topic: str, value: bytes) -> None:
        """Returns when the value is durable; raises LogError when it is not."""
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((topic, value, durable))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await durable

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            failure: Exception | None = None
            try:
                await asyncio.to_thread(self._log.append, [(topic, value) for topic, value, _ in batch])
            except LogError as error:
                failure = error
            if (failure is not None) != self.failing:
                self.failing = failure is not None
                _log.log(
                    logging.ERROR if failure else logging.INFO,
                    "the local log %s",
                    f"takes nothing: {failure}" if failure else "takes records again",
                )
            for _, _, durable in batch:
                if durable.done():  # its client went away
                    continue
                if failure is None:
                    durable.set_result(None)
                else:
                    durable.set_exception(failure)
            self._arrived()


def inflate(body: bytes, limits: LimitsConfig) -> bytes:
    """Decompress gzip (also of several members) or zlib data, never past the limits.

    Raises a refusal: 413 past ``decompressed_bytes_max``, 400 for broken data or a bomb. The ratio is asked only of
    what is larger than a record may be: a small batch of equal texts compresses well and harms nobody.
    """
    bytes_max = limits.decompressed_bytes_max
    bomb_bytes = max(limits.record_bytes_max, limits.decompression_ratio_max * len(body))
    made = bytearray()
    rest = body
    try:
        while rest:
            member = zlib.decompressobj(wbits=47)  # 32 + 15: gzip or zlib, as the header says
            made += member.decompress(rest, min(bytes_max, bomb_bytes) + 1 - len(made))
            if len(made) > bomb_bytes:
                raise _RefusedError(400, code_pb2.INVALID_ARGUMENT, "the body looks like a decompression bomb")
            if len(made) > bytes_max:
                message = f"a body may have {bytes_max} bytes when decompressed"
                raise _RefusedError(413, code_pb2.RESOURCE_EXHAUSTED, message)
            if not member.eof:
                raise _RefusedError(400, code_pb2.INVALID_ARGUMENT, "the compressed body is cut off")
            rest = member.unused_data
    except zlib.error:
        raise _RefusedError(400, code_pb2.INVALID_ARGUMENT, "the body is not gzip or zlib data") from None
    return bytes(made)


def to_record(value: bytes, limits: LimitsConfig) -> bytes:
    """``value``, or where that is larger than a record may be, its gzip, which the decode room unpacks.

    Raises a refusal (413) when that is too large as well: the sender has to make smaller batches.
    """
    if len(value) <= limits.record_bytes_max:
        return value
    packed = gzip.compress(value, PACK_LEVEL, mtime=0)
    if len(packed) > limits.record_bytes_max or len(value) > limits.decompression_ratio_max * len(packed):
        message = f"{len(value)} bytes do not fit a record of {limits.record_bytes_max}: send smaller batches"
        raise _RefusedError(413, code_pb2.RESOURCE_EXHAUSTED, message)
    return packed


def _refusal(error: _RefusedError, media_type: str) -> Response:
    headers = {"retry-after": str(RETRY_AFTER_SECONDS)} if error.status == 503 else {}
    if error.status in (408, 413):
        headers["connection"] = "close"  # the rest of the body is still on its way; nobody will read it
    if media_type == PROTOBUF:
        body = status_pb2.Status(code=error.code, message=error.message).SerializeToString()
    else:
        body, media_type = msgspec.json.encode({"code": error.code, "message": error.message}), JSON
    return Response(body, status_code=error.status, media_type=media_type, headers=headers)
