"""A value made of files, made again when one of them has changed; the last good one stays where a new one is faulty."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)
_Value = TypeVar("_Value")


class Watched(Generic[_Value]):
    """Thread-safe. ``make`` returns the value and the files that it came from; it raises one of ``faults`` where they
    cannot be used: from the constructor to the caller, later to the log, and ``stale`` is true until they can.
    """

    def __init__(
        self, name: str, make: Callable[[], tuple[_Value, Iterable[Path]]], faults: tuple[type[Exception], ...]
    ) -> None:
        self.stale = False
        self._name = name
        self._make = make
        self._faults = faults
        self._lock = threading.Lock()
        self._value, files = make()
        self._files = tuple(files)
        self._seen = _look(self._files)

    def current(self) -> _Value:
        """The value as the files are now."""
        if _look(self._files) != self._seen:
            with self._lock:
                self._renew()
        return self._value

    def _renew(self) -> None:
        seen = _look(self._files)
        if seen == self._seen:  # another thread was here first
            return
        self._seen = seen  # a faulty file is not read again until it changes
        try:
            self._value, files = self._make()
        except self._faults as error:
            _log.error("%s has changed and cannot be used, the old one stays in force: %s", self._name, error)
            self.stale = True
            return
        _log.info("%s has changed and was read again", self._name)
        self.stale = False
        self._files = tuple(files)
        self._seen = _look(self._files)


def _look(files: tuple[Path, ...]) -> tuple[object, ...]:
    return tuple(map(_stamp, files))


def _stamp(file: Path) -> object:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
