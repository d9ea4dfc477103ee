"""A real S3 API server on the loopback: moto's, one request at a time, which makes its put-if-absent atomic."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers import installed
from tests.servers.process import Server, free_ports
from tests.servers.web import answers, send

if TYPE_CHECKING:
    from obstore.store import S3Store

REGION = "us-east-1"
ACCESS_KEY = "assay"
SECRET_KEY = "not-checked"


class S3Server(Server):
    """An S3 server in a process of its own. What it holds is in memory and ends with it. Signatures are not checked."""

    name = "s3"

    def __init__(self, directory: Path):
        super().__init__(directory)
        (self._port,) = free_ports(1)

    @property
    def endpoint(self) -> str:
        """Its address; buckets are the first part of the path."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it; return once it answers."""
        argv = [sys.executable, "-m", "tests.servers.s3", str(self._port)]
        self._run(argv, lambda: answers(f"{self.endpoint}/moto-api/data.json"), cwd=installed.REPOSITORY)

    def make_bucket(self, name: str) -> str:
        """Make an empty bucket and return its name (3 to 63 small letters, digits and hyphens)."""
        send(f"{self.endpoint}/{name}", method="PUT")
        return name

    def store(self, bucket: str, prefix: str | None = None) -> S3Store:
        """An obstore client of a bucket, or of what lies under a prefix of it."""
        from obstore.store import S3Store

        return S3Store(
            bucket,
            prefix=prefix,
            endpoint=self.endpoint,
            region=REGION,
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )


def serve(port: int) -> None:
    """Answer S3 requests on that port of the loopback until the process ends."""
    from moto.moto_server.threaded_moto_server import MotoRequestHandler  # type: ignore[attr-defined]
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    backend = DomainDispatcherApplication(create_backend_app)
    turn = threading.Lock()

    def one_at_a_time(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # moto looks whether the key exists and then stores it: two writers could both be the first
        with turn:
            return [b"".join(backend(environ, start_response))]

    run_simple("127.0.0.1", port, one_at_a_time, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
