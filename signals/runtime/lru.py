"""A bounded memory of results by exact text; equal texts are common in traffic and a hash costs nothing."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Any

import numpy as np
import numpy.typing as npt

ENTRY_OVERHEAD_BYTES = 256  # key, dictionary slot and array header, roughly


class Lru:
    """Arrays by the hash of a text and the model's name; the least recently used leave when the bytes run out."""

    def __init__(self, model: str, bytes_max: int) -> None:
        self._salt = hashlib.blake2b(model.encode(), digest_size=16).digest()
        self._bytes_max = bytes_max
        self._bytes = 0
        self._entries: OrderedDict[bytes, npt.NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def key(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=self._salt).digest()

    def get(self, key: bytes) -> npt.NDArray[Any] | None:
        with self._lock:
            value = self._entries.get(key)
            if value is not None:
                self._entries.move_to_end(key)
            return value

    def put(self, key: bytes, value: npt.NDArray[Any]) -> None:
        value = np.ascontiguousarray(value)
        value.flags.writeable = False  # many callers share it
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = value
            self._bytes += value.nbytes + ENTRY_OVERHEAD_BYTES
            while self._bytes > self._bytes_max:
                _, gone = self._entries.popitem(last=False)
                self._bytes -= gone.nbytes + ENTRY_OVERHEAD_BYTES

    @property
    def size_bytes(self) -> int:
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)
