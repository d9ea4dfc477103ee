"""``POST /sql``: an analyst's query in, rows as JSON, CSV, Arrow or text out; how it is run is brought along.

The body is the SQL itself, or JSON ``{"query": …, "format": …}``. ``format`` in the body, else ``?format=``, else
``Accept`` chooses. Faults are JSON with one sentence: 400 a wrong query, 408 it took too long, 413 it or its answer is
too large, 429 too many requests, 503 no room or no snapshot now. An answer that was cut off says so in
``Assay-Truncated`` and, where the format can, in its body.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from collector.config import SqlConfig

BODY_BYTES_MAX = 512 << 10  # four bytes a character of the longest query, and its escapes
BODY_SECONDS_MAX = 10.0
WAITING_MAX = 16
RETRY_SECONDS = 2
_STATUS = {"query": 400, "time": 408, "size": 413, "room": 413, "server": 503}


class Rows(Protocol):
    """A query's answer; collector.store.sandbox.Answer is one."""

    @property
    def body(self) -> bytes: ...
    @property
    def rows(self) -> int: ...
    @property
    def truncated(self) -> bool: ...
    @property
    def media_type(self) -> str: ...


@runtime_checkable
class Failure(Protocol):
    """Why there is none; collector.store.sandbox.SqlError is one. ``fault`` is a key of the statuses above."""

    @property
    def message(self) -> str: ...
    @property
    def fault(self) -> str: ...


Started = Callable[[Callable[[], None]], None]
Run = Callable[[str, Any, Started], "Rows | Failure | None"]
"""Query, format and a receiver of what ends the query early -> its answer; None: there is no snapshot yet."""


class _FaultError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True, slots=True)
class _Asked:
    query: str
    format: str


def sql_routes(run: Run, formats: Mapping[Any, str], config: SqlConfig) -> list[Route]:
    """The endpoint's routes; ``formats`` are the media types by name."""
    return [Route("/sql", _SqlPage(run, formats, config).post, methods=["POST"])]


@dataclass(slots=True)
class _SqlPage:
    """Runs ``concurrent_max`` queries at once. A client that goes away takes its query with it."""

    run: Run
    formats: Mapping[Any, str]
    config: SqlConfig
    _running: asyncio.Semaphore = field(init=False)
    _waiting: int = 0

    def __post_init__(self) -> None:
        self._running = asyncio.Semaphore(self.config.concurrent_max)

    async def post(self, request: Request) -> Response:
        """Ask the newest snapshot: SQL in, rows as JSON, CSV, Arrow or text out."""
        try:
            asked = self._asked(request, await _body(request))
            return await self._answer(request, asked)
        except _FaultError as fault:
            headers = {"retry-after": str(RETRY_SECONDS)} if fault.status == 503 else {}
            return JSONResponse({"error": fault.message}, status_code=fault.status, headers=headers)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it

    def _asked(self, request: Request, body: bytes) -> _Asked:
        chosen = request.query_params.get("format") or self._accepted(request.headers.get("accept", ""))
        try:
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
                told: Any = msgspec.json.decode(body)
                if not isinstance(told, dict) or not isinstance(told.get("query"), str):
                    raise _FaultError(400, 'JSON is {"query": "SELECT …"}, and "format" where you like')
                query, chosen = told["query"], told.get("format") or chosen
            else:
                query = body.decode()
        except (UnicodeDecodeError, msgspec.DecodeError):
            raise _FaultError(400, "the body is neither UTF-8 text nor JSON") from None
        if chosen not in self.formats:
            raise _FaultError(400, f"a format is one of {', '.join(self.formats)}")
        return _Asked(query, chosen)

    def _accepted(self, accept: str) -> str:
        """The first format that ``Accept`` names, in its order; JSON where it names none."""
        named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
        plain = {media.partition(";")[0]: name for name, media in self.formats.items()}
        return next((plain[media] for media in named if media in plain), "json")

    async def _answer(self, request: Request, asked: _Asked) -> Response:
        if self._waiting >= WAITING_MAX:
            raise _FaultError(503, "too many queries wait")
        self._waiting += 1
        try:
            async with asyncio.timeout(self.config.seconds_max):
                await self._running.acquire()
        except TimeoutError:
            raise _FaultError(503, "too many queries run") from None
        finally:
            self._waiting -= 1
        try:
            found = await self._run(request, asked)
        finally:
            self._running.release()
        if found is None:
            raise _FaultError(503, "there is no snapshot yet")
        if isinstance(found, Failure):
            raise _FaultError(_STATUS[found.fault], found.message)
        cut = str(found.truncated).lower()
        headers = {"assay-rows": str(found.rows), "assay-truncated": cut}
        body = found.body
        if asked.format == "json":
            body = b'{"truncated":%b,"count":%d,"rows":%b}\n' % (cut.encode(), found.rows, body.rstrip())
        return Response(body, media_type=found.media_type, headers=headers)

    async def _run(self, request: Request, asked: _Asked) -> Rows | Failure | None:
        ending = _Ending()
        work = asyncio.create_task(asyncio.to_thread(self.run, asked.query, asked.format, ending.bind))
        gone = asyncio.create_task(_disconnected(request))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                ending()
                await work
                raise ClientDisconnect
            return work.result()
        finally:
            gone.cancel()
            ending()


class _Ending:
    """Ends a query, also one that has not begun; from any thread, any number of times."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._called = False
        self._end: Callable[[], None] | None = None

    def bind(self, end: Callable[[], None]) -> None:
        with self._lock:
            self._end = end
            if self._called:
                end()

    def __call__(self) -> None:
        with self._lock:
            self._called = True
            if self._end is not None:
                self._end()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    raise _FaultError(413, f"a body may have {BODY_BYTES_MAX} bytes")
    except TimeoutError:
        raise _FaultError(408, "the body did not arrive") from None
    return bytes(body)
