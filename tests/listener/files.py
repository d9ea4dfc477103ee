"""Web-config files of tests: cheap hashes, and a way to write one so that a watcher sees the change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bcrypt
import yaml

from tests.servers.certificates import Certificates


def hashed(password: str) -> str:
    """The cheapest hash that the file's checks let pass."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def write(path: Path, tree: Any) -> Path:
    """Replace the file as an editor or a mounted secret does: another inode."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree))
    return new.replace(path)


def tls(made: Certificates, **more: Any) -> dict[str, Any]:
    return {"cert_file": str(made.server_certificate), "key_file": str(made.server_key), **more}
