"""What the harness asks a server over HTTP: JSON in, JSON out, past any proxy of the environment."""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

SECONDS_MAX = 20.0
_direct = build_opener(ProxyHandler({}))


def answers(url: str) -> bool:
    """Whether a GET of the URL is answered with success."""
    try:
        with _direct.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, HTTPException):
        return False


def get_json(url: str, **parameters: object) -> Any:
    """The JSON that a GET answers; `parameters` become the query, a list as a repeated one."""
    query = f"?{urlencode(parameters, doseq=True)}" if parameters else ""
    with _direct.open(url + query, timeout=SECONDS_MAX) as response:
        return json.load(response)


def send(url: str, body: bytes = b"", *, method: str = "POST", content_type: str = "application/json") -> bytes:
    """Send a body and return the answer's; urllib's HTTPError when it is refused."""
    request = Request(url, data=body, method=method, headers={"Content-Type": content_type})
    with _direct.open(request, timeout=SECONDS_MAX) as response:
        return bytes(response.read())
