"""/metrics, /healthz, /readyz and an index of every page; other rooms bring their pages as routes."""

from __future__ import annotations

import inspect
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from collector import catalog
from collector.config import AccessConfig, MetricsConfig
from collector.export.prometheus import Exporter
from collector.export.web.health import Health
from collector.export.web.realms import realms
from collector.listener.door import Door
from collector.listener.guard import TRUSTED, Realm, realm_of
from collector.listener.thread import HttpThread

Page = BaseRoute
"""What other rooms bring."""

GZIP_BYTES_MIN = 1_024
_HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}"
    "h1{font-size:1.4rem}dt{font-weight:600;margin-top:1rem}dd{margin:0;opacity:.8}"
    "ul{list-style:none;padding:0}li{margin:.2rem 0}"
)


def create_app(
    exporter: Exporter, health: Health, routes: Sequence[Page] = (), realms: Sequence[Realm] = ()
) -> Starlette:
    """The application.

    The index lists each route without parameters by the first line of its docstring, and what its realm asks for.
    """

    def metrics(request: Request) -> Response:
        """What Prometheus scrapes."""
        for name, condition in health.conditions.items():
            exporter.set(catalog.READY.name, condition.ok, condition=name)
        content, content_type = exporter.render(request.headers.get("accept", ""))
        return Response(content, headers={"content-type": content_type})

    def healthz(request: Request) -> Response:
        """Is a restart needed?"""
        dead = health.dead
        details = {"dead": dead} if request.scope.get(TRUSTED, True) else {}
        return JSONResponse({"alive": not dead, **details}, status_code=503 if dead else 200)

    def readyz(request: Request) -> Response:
        """Are the models loaded, the partitions assigned and the chain reachable?"""
        ready, conditions = health.ready, health.conditions
        told = {"conditions": {name: state._asdict() for name, state in conditions.items()}}
        details = told if request.scope.get(TRUSTED, True) else {}
        return JSONResponse({"ready": ready, **details}, status_code=200 if ready else 503)

    def index(_: Request) -> Response:
        return HTMLResponse(_index(health, pages, realms), headers=_HEADERS)

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
    """The daemon's web server: serves from ``start`` to ``close``.

    Raises ListenError when its port is taken, ConfigError when a file of credentials cannot be used. ``own`` are the
    realms with credentials of their own (see realms.py).
    """

    def __init__(
        self,
        exporter: Exporter,
        health: Health,
        config: MetricsConfig,
        *,
        routes: Sequence[Page] = (),
        own: Mapping[str, AccessConfig] | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._door = Door(config.web_config_file, "metrics.web_config_file", time.monotonic)
        found = realms(config, self._door, own or {}, time.monotonic, environ)
        app = create_app(exporter, health, routes, found)
        self._guard = self._door.guard(app, found, per_second_max=config.requests_per_second_max)
        self._http = HttpThread(
            self._guard,
            host=config.host,
            port=config.port,
            name="assay-web",
            setting="metrics.port",
            tls=self._door.tls,
            admits=self._door.admits,
        )
        self.url = self._http.url

    @property
    def refused(self) -> Counter[str]:
        """Requests that no page saw, by reason."""
        return self._guard.refused

    @property
    def stale(self) -> bool:
        """The web-config file on disk cannot be used; an older one is in force."""
        return self._door.stale

    def start(self) -> None:
        self._http.start()

    def close(self) -> None:
        self._http.close()
        self._guard.passwords.close()


def _index(health: Health, pages: Sequence[Page], realms: Sequence[Realm]) -> str:
    links = "".join(
        f"<dt>{_how(page)}</dt><dd>{escape(' '.join((_summary(page), *_asks(page, realms))))}</dd>"
        for page in pages
        if isinstance(page, Route) and "{" not in page.path
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


def _how(page: Route) -> str:
    path, methods = escape(page.path), page.methods or ()
    return f'<a href="{path}">{path}</a>' if "GET" in methods else f"{' '.join(sorted(methods))} {path}"


def _asks(page: Route, realms: Sequence[Realm]) -> Iterator[str]:
    if not realms:
        return
    realm = realm_of(realms, page.path)
    if closed := realm.closed():
        yield f"Closed: {closed}."
    elif realm.guarded() and not realm.optional:
        yield f"Asks for credentials of the realm {realm.name}."


def _summary(page: Route) -> str:
    return (inspect.getdoc(page.endpoint) or "").partition("\n")[0]
