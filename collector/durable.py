"""Files that are there whole and survive a power loss, or are not there at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def create(path: Path, data: bytes) -> None:
    """Make a file of ``data``, once: FileExistsError where there is one. On disk (fsync) when it returns.

    A crash at any point leaves the whole file or none; what it may leave besides ends in ``#`` and digits, which object
    stores of a directory do not list.
    """
    _make_folder(path.parent)
    part = path.with_name(f"{path.name}#{uuid.uuid4().int}")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # unlike a rename, it never replaces
    finally:
        part.unlink(missing_ok=True)
    _sync(path.parent)


def _make_folder(folder: Path) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        _sync(each.parent)


def _sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
