"""Which pages ask whom: metrics the users of the web-config file, SQL and evidence their own, probes nobody."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from collector.config import AccessConfig, MetricsConfig
from collector.listener.buckets import Buckets
from collector.listener.door import Credentials, Door
from collector.listener.guard import Realm

PROBES = ("/healthz", "/readyz")


def realms(
    metrics: MetricsConfig,
    door: Door,
    own: Mapping[str, AccessConfig],
    clock: Callable[[], float],
    environ: Mapping[str, str] = os.environ,
) -> tuple[Realm, ...]:
    """``own`` are the realms with credentials of their own, by name: that of ``sql`` is ``/sql`` and what lies below.

    Without credentials such a realm is open where only this machine can ask and the listener has no users; else closed.
    """
    door.guarded()  # from now on, whatever becomes of its file
    found = [
        Realm(name="metrics", users=door.users, guarded=door.guarded),
        Realm(name="probes", paths=PROBES, users=door.users, guarded=door.guarded, optional=True),
    ]
    for name, access in own.items():
        credentials = Credentials(access, f"{name}.access", environ)
        found.append(
            Realm(
                name=name,
                paths=(f"/{name}",),
                users=credentials.users,
                token=credentials.token,
                guarded=credentials.given,
                closed=_closed(name, credentials, door, metrics.local),
                local=metrics.local,
                rate=Buckets(
                    per_second=access.requests_per_minute_max / 60, burst=access.requests_per_minute_max, clock=clock
                ),
            )
        )
    return tuple(found)


def _closed(name: str, credentials: Credentials, door: Door, loopback: bool) -> Callable[[], str]:
    def why() -> str:
        if credentials.given() or (loopback and not door.guarded()):
            return ""
        return f"set {name}.access.users_file or .bearer_token first"

    return why
