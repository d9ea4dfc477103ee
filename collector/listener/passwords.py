"""Passwords against bcrypt hashes: off the event loop, as slow for an unknown user as for a known one, and cached.

The cache knows what was right, by a keyed digest of user, hash and password: a changed hash is another entry, and the
key of this process is nobody else's. What was wrong is not cached: how often somebody may try is the guard's to say.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt
from pydantic import SecretStr

CACHED_MAX = 512
WAITING_MAX = 32  # guesses in the queue of the one thread that hashes
PASSWORD_BYTES = 72  # bcrypt reads no more

_NOBODY = "$2b$10$" + "." * 53  # has the form of a hash, and no password is known that fits


class TooManyLoginsError(Exception):
    """More passwords wait to be checked than are worth a queue."""


class Passwords:
    """One for a listener; used from its event loop. One guess is hashed at a time: no flood takes more than a core."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._hasher = ThreadPoolExecutor(1, thread_name_prefix="assay-bcrypt")
        self._waiting = 0

    async def right(self, users: Mapping[str, SecretStr], user: str, password: str) -> bool:
        """Is this the user's password? TooManyLoginsError when that cannot be found out now."""
        known = users.get(user)
        expected = known.get_secret_value() if known else next((h.get_secret_value() for h in users.values()), _NOBODY)
        digest = self._digest(user, expected, password)
        if known is not None and digest in self._right:
            self._right.move_to_end(digest)
            return True
        if self._waiting >= WAITING_MAX:
            raise TooManyLoginsError
        self._waiting += 1
        try:
            fits = await asyncio.get_running_loop().run_in_executor(self._hasher, _fits, password, expected)
        finally:
            self._waiting -= 1
        if not (fits and known is not None):
            return False
        self._right[digest] = None
        if len(self._right) > CACHED_MAX:
            self._right.popitem(last=False)
        return True

    def close(self) -> None:
        self._hasher.shutdown(wait=False, cancel_futures=True)

    def _digest(self, *parts: str) -> bytes:
        framed = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
        return hmac.digest(self._key, framed, hashlib.sha256)


def _fits(password: str, expected: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode()[:PASSWORD_BYTES], expected.encode())
    except ValueError:  # a hash of a form that only the toolkit knows, or a zero byte in the password
        return False
