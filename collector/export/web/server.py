"""/metrics, /healthz, /readyz and an index of every page; other rooms bring their pages as routes."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from html import escape

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from collector import catalog
from collector.export.prometheus import Exporter
from collector.export.web.health import Health
from collector.http_thread import HttpThread

Page = BaseRoute
"""What other rooms bring."""

GZIP_BYTES_MIN = 1_024
_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}"
    "h1{font-size:1.4rem}dt{font-weight:600;margin-top:1rem}dd{margin:0;opacity:.8}"
    "ul{list-style:none;padding:0}li{margin:.2rem 0}"
)


def create_app(exporter: Exporter, health: Health, routes: Sequence[Page] = ()) -> Starlette:
    """The application. The index lists each GET route without parameters by the first line of its docstring."""

    def metrics(request: Request) -> Response:
        """What Prometheus scrapes."""
        for name, condition in health.conditions.items():
            exporter.set(catalog.READY.name, condition.ok, condition=name)
        content, content_type = exporter.render(request.headers.get("accept", ""))
        return Response(content, headers={"content-type": content_type})

    def healthz(_: Request) -> Response:
        """Is a restart needed?"""
        dead = health.dead
        return JSONResponse({"alive": not dead, "dead": dead}, status_code=503 if dead else 200)

    def readyz(_: Request) -> Response:
        """Are the models loaded, the partitions assigned and the chain reachable?"""
        ready, conditions = health.ready, health.conditions
        body = {"ready": ready, "conditions": {name: state._asdict() for name, state in conditions.items()}}
        return JSONResponse(body, status_code=200 if ready else 503)

    def index(_: Request) -> Response:
        return HTMLResponse(_index(health, pages), headers=_HEADERS)

    pages = [
        Route("/metrics", metrics),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        *routes,
    ]
    return Starlette(
        routes=[Route("/", index), *pages],
        middleware=[Middleware(GZipMiddleware, minimum_size=GZIP_BYTES_MIN, compresslevel=1)],
    )


class MetricsServer:
    """The daemon's web server: serves from ``start`` to ``close``; raises ``ListenError`` when its port is taken."""

    def __init__(self, exporter: Exporter, health: Health, host: str, port: int, routes: Sequence[Page] = ()) -> None:
        app = create_app(exporter, health, routes)
        self._http = HttpThread(app, host=host, port=port, name="assay-web", setting="metrics.port")
        self.url = self._http.url

    def start(self) -> None:
        self._http.start()

    def close(self) -> None:
        self._http.close()


def _index(health: Health, pages: Sequence[Page]) -> str:
    links = "".join(
        f'<dt><a href="{escape(page.path)}">{escape(page.path)}</a></dt><dd>{escape(_summary(page))}</dd>'
        for page in pages
        if isinstance(page, Route) and "GET" in (page.methods or ()) and "{" not in page.path
    )
    states = "".join(
        f"<li>{'✓' if state.ok else '✗'} {escape(name)}{f': {escape(state.detail)}' if state.detail else ''}</li>"
        for name, state in health.conditions.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Assay</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body><h1>Assay</h1>"
        f"<p>{'Ready.' if health.ready else 'Not ready yet.'}</p><ul>{states}</ul><dl>{links}</dl></body></html>"
    )


def _summary(page: Route) -> str:
    return (inspect.getdoc(page.endpoint) or "").partition("\n")[0]
