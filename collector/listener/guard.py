"""The door in front of an ASGI application: rates, credentials and headers, before any page sees the request.

A realm is a part of the pages with credentials of its own. The users of the web-config file open the realm ``metrics``
and nothing else: whoever may scrape may not ask SQL. A realm without any credentials is open only on the loopback.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from collector.listener.buckets import Buckets
from collector.listener.passwords import Passwords, TooManyLoginsError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

USER = "assay.user"  # key of the ASGI scope: who came in; None: nobody had to say
TRUSTED = "assay.trusted"  # key of the ASGI scope: may see details
FAILED_LOGINS_BURST = 10  # of one address
FAILED_LOGINS_PER_SECOND = 0.2
HEAD_BYTES_MAX = 32 << 10  # of a request's headers
AUTHORIZATION_BYTES_MAX = 4_096
HSTS = "max-age=31536000"
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Of every answer that does not say otherwise itself."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Realm:
    """Pages below ``paths``, and who may see them.

    All is asked at every request, because files change. Where it is not ``guarded`` everybody may come in, unless
    ``closed`` says why nobody may. ``optional``: pages that show less to who says nothing.
    """

    name: str
    paths: tuple[str, ...] = ("/",)
    users: Callable[[], Mapping[str, SecretStr]] = dict
    token: Callable[[], SecretStr | None] = lambda: None
    guarded: Callable[[], bool] = bool
    closed: Callable[[], str] = str
    local: bool = False  # open because only this machine can ask: a web page of another origin may not
    optional: bool = False
    rate: Buckets | None = None  # by user, or by address where there is none

    def holds(self, path: str) -> bool:
        return any(path == below or path.startswith(below.rstrip("/") + "/") for below in self.paths)


def realm_of(realms: Iterable[Realm], path: str) -> Realm:
    """Of the realms that hold ``path`` that with the longest one of its own."""
    return max(
        (realm for realm in realms if realm.holds(path)),
        key=lambda realm: max(len(below) for below in realm.paths),
    )


class RefusedError(Exception):
    """An answer instead of the page's."""

    def __init__(self, status: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.reason, self.message, self.headers = status, reason, message, headers or {}


@dataclass(slots=True)
class Guard:
    """ASGI middleware; ``refused`` counts by reason. One event loop uses it.

    ``addresses`` limits requests of one client address; ``overall`` those of all together (None: no limit).
    """

    app: App
    realms: tuple[Realm, ...]
    clock: Callable[[], float]
    addresses: Buckets | None = None
    overall: Callable[[], Buckets | None] = lambda: None
    headers: Callable[[], Mapping[str, str]] = dict
    tls: bool = False
    passwords: Passwords = field(default_factory=Passwords)
    refused: Counter[str] = field(default_factory=Counter)
    _failed: Buckets = field(init=False)

    def __post_init__(self) -> None:
        self._failed = Buckets(per_second=FAILED_LOGINS_PER_SECOND, burst=FAILED_LOGINS_BURST, clock=self.clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        dressed = self._dress(send)
        try:
            await self._admit(scope)
        except RefusedError as refusal:
            self.refused[refusal.reason] += 1
            await _answer(dressed, refusal)
            return
        await self.app(scope, receive, dressed)

    async def _admit(self, scope: Scope) -> None:
        address = (scope.get("client") or ("unknown",))[0]
        _take(self.overall(), "", "rate", "too many requests to this server")
        _take(self.addresses, address, "rate", "too many requests from this address")
        realm = realm_of(self.realms, scope["path"])
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEAD_BYTES_MAX:
            raise RefusedError(431, "headers", f"headers may have {HEAD_BYTES_MAX} bytes")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        _same_origin(headers)
        closed = realm.closed()
        if closed:
            raise RefusedError(403, "closed", closed)
        scope[USER], scope[TRUSTED] = None, True
        if realm.guarded():
            scope[USER] = await self._user(realm, headers.get("authorization", ""), address)
            scope[TRUSTED] = scope[USER] is not None
        elif realm.local:
            _loopback(headers)
        _take(realm.rate, scope[USER] or f"@{address}", "rate", "too many requests with these credentials")

    async def _user(self, realm: Realm, authorization: str, address: str) -> str | None:
        if not authorization:
            if realm.optional:
                return None
            raise _unauthorized(realm, "say who you are")
        wait = self._failed.wait(address)
        if wait:
            raise RefusedError(429, "logins", "too many failed logins from this address", _after(wait))
        try:
            user = await self._known(realm, authorization)
        except TooManyLoginsError:
            raise RefusedError(503, "logins", "too many logins are being checked", _after(1)) from None
        if user is None:
            self._failed.take(address)
            raise _unauthorized(realm, "wrong credentials")
        return user

    async def _known(self, realm: Realm, authorization: str) -> str | None:
        scheme, _, given = authorization.partition(" ")
        if len(authorization) > AUTHORIZATION_BYTES_MAX:
            return None
        if scheme.lower() == "bearer":
            token = realm.token()
            same = token is not None and hmac.compare_digest(_digest(token.get_secret_value()), _digest(given.strip()))
            return "token" if same else None
        if scheme.lower() != "basic":
            return None
        try:
            user, colon, password = base64.b64decode(given.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        users = realm.users()
        return user if colon and users and await self.passwords.right(users, user, password) else None

    def _dress(self, send: Send) -> Send:
        added = {**HEADERS, **({"strict-transport-security": HSTS} if self.tls else {}), **self.headers()}

        async def dressed(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", ()))
                names = {name.lower() for name, _ in own}
                own += [
                    (name.encode(), value.encode())
                    for name, value in added.items()
                    if value and name.encode() not in names
                ]
                message = {**message, "headers": own}
            await send(message)

        return dressed


def _take(buckets: Buckets | None, key: str, reason: str, message: str) -> None:
    wait = buckets.take(key) if buckets is not None else 0.0
    if wait:
        raise RefusedError(429, reason, message, _after(wait))


def _after(seconds: float) -> dict[str, str]:
    return {"retry-after": str(max(1, math.ceil(seconds)))}


def _unauthorized(realm: Realm, message: str) -> RefusedError:
    return RefusedError(401, "unauthorized", message, {"www-authenticate": f'Basic realm="assay {realm.name}"'})


def _same_origin(headers: Mapping[str, str]) -> None:
    """A web page of somebody else may not use a reader's credentials or address."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise RefusedError(403, "origin", "requests of pages from another origin are not answered")


def _loopback(headers: Mapping[str, str]) -> None:
    """A name of somebody else's that resolves to this machine makes a page of his ours."""
    if (urlsplit(f"//{headers.get('host', '')}").hostname or "") not in _LOOPBACK:
        raise RefusedError(403, "origin", "without credentials only the loopback is answered, under its own name")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


async def _answer(send: Send, refusal: RefusedError) -> None:
    body = f'{{"error":"{refusal.message}"}}\n'.encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",  # a body may still be on its way; nobody will read it
        **refusal.headers,
    }
    raw: Iterable[tuple[bytes, bytes]] = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": list(raw)})
    await send({"type": "http.response.body", "body": body})
