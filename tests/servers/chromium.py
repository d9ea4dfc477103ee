"""A real headless Chromium: what a page is after its scripts ran, as a document or a picture."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.servers import installed
from tests.servers.process import ServerError

PAGE_SECONDS_MAX = 90


class Chromium:
    """A browser that opens one page at a time, with a profile in a folder of its own."""

    def __init__(self, directory: Path):
        self._directory = directory.resolve()
        self._directory.mkdir(parents=True, exist_ok=True)

    def dom(self, url: str, *, settle_seconds: float = 2.0) -> str:
        """The page's document after its scripts had `settle_seconds` of the page's own time."""
        return self._open(url, settle_seconds, "--dump-dom")

    def screenshot(
        self, url: str, picture: Path, *, size: tuple[int, int] = (1280, 900), settle_seconds: float = 2.0
    ) -> Path:
        """A PNG of the page's window, `size` pixels wide and high."""
        self._open(url, settle_seconds, f"--screenshot={picture.resolve()}", f"--window-size={size[0]},{size[1]}")
        if not picture.is_file():
            raise ServerError(f"chromium made no picture of {url}")
        return picture

    def _open(self, url: str, settle_seconds: float, *options: str) -> str:
        binary = installed.chromium()
        if binary is None:
            raise ServerError(installed.why_absent("chromium") or "chromium")
        argv = [
            str(binary),
            "--headless=new",
            "--no-sandbox",  # a container's root has no user namespaces; the pages are our own
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
            "--no-proxy-server",
            f"--user-data-dir={self._directory / 'profile'}",
            f"--virtual-time-budget={round(settle_seconds * 1000)}",
            *options,
            url,
        ]
        log = self._directory / "chromium.log"
        output = self._directory / "output"
        with log.open("ab") as errors, output.open("wb") as document:
            try:
                subprocess.run(
                    argv, stdin=subprocess.DEVNULL, stdout=document, stderr=errors, timeout=PAGE_SECONDS_MAX, check=True
                )
            except subprocess.SubprocessError as error:
                tail = log.read_bytes()[-4000:].decode(errors="replace")
                raise ServerError(f"chromium on {url}: {error}\n{tail}") from None
        return output.read_text(encoding="utf-8", errors="replace")
