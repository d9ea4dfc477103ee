"""Real handshakes with the daemon's listeners: who may come in, with which TLS, and after which change of a file."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from collector.config import LimitsConfig, MetricsConfig, OtlpConfig
from collector.export.prometheus import Exporter
from collector.export.web.health import Health
from collector.export.web.server import MetricsServer
from collector.listener import protocol
from collector.source.receiver import PROTOBUF, Receiver
from tests.listener.files import hashed, tls, write
from tests.servers.certificates import Certificates, make_certificates
from tests.source.test_otlp_receiver import MemoryLog

Serve = Callable[[dict[str, Any]], MetricsServer]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def web(tmp_path: Path) -> Path:
    return tmp_path / "web.yml"


@pytest.fixture
def serve(web: Path) -> Iterator[Serve]:
    running: list[MetricsServer] = []

    def start(tree: dict[str, Any]) -> MetricsServer:
        config = MetricsConfig(port=0, web_config_file=write(web, tree))
        server = MetricsServer(Exporter(), Health(), config)
        server.start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.close()


def trusting(made: Certificates, client: Certificates | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(made.ca))
    if client is not None:
        context.load_cert_chain(client.client_certificate, client.client_key)
    return context


def get(server: MetricsServer, context: ssl.SSLContext, path: str = "/metrics", **options: Any) -> httpx.Response:
    with httpx.Client(verify=context) as client:
        return client.get(server.url + path, **options)


def test_tls_is_spoken_from_version_1_2_on_and_plain_http_is_not(serve: Serve, made: Certificates) -> None:
    server = serve({"tls_server_config": tls(made)})

    answer = get(server, trusting(made))

    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    old = trusting(made)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises(httpx.ConnectError):
        get(server, old)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(server.url.replace("https", "http"))


def test_a_floor_of_1_3_turns_1_2_away(serve: Serve, made: Certificates) -> None:
    server = serve({"tls_server_config": tls(made, min_version="TLS13")})
    old = trusting(made)
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    assert get(server, trusting(made)).status_code == 200
    with pytest.raises(httpx.ConnectError):
        get(server, old)


def test_the_cipher_suites_are_those_of_the_file(serve: Serve, made: Certificates) -> None:
    suite = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
    server = serve({"tls_server_config": tls(made, max_version="TLS12", cipher_suites=[suite])})
    host, port = server.url.removeprefix("https://").split(":")

    with (
        socket.create_connection((host, int(port))) as plain,
        trusting(made).wrap_socket(plain, server_hostname=host) as up,
    ):
        assert up.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"


def test_a_client_without_or_with_a_strangers_certificate_is_not_let_in(
    serve: Serve, made: Certificates, stranger: Certificates
) -> None:
    server = serve(
        {"tls_server_config": tls(made, client_auth_type="RequireAndVerifyClientCert", client_ca_file=str(made.ca))}
    )

    assert get(server, trusting(made, made)).status_code == 200
    for context in (trusting(made), trusting(made, stranger)):
        with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)):
            get(server, context)


def test_a_certificate_that_names_nobody_on_the_list_is_hung_up_on(serve: Serve, made: Certificates, web: Path) -> None:
    asked = tls(made, client_auth_type="RequireAndVerifyClientCert", client_ca_file=str(made.ca))
    server = serve({"tls_server_config": {**asked, "client_allowed_sans": ["assay-client"]}})
    assert get(server, trusting(made, made)).status_code == 200

    write(web, {"tls_server_config": {**asked, "client_allowed_sans": ["somebody"]}})

    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        get(server, trusting(made, made))


def test_a_renewed_certificate_serves_the_next_handshake_and_a_broken_one_does_not(
    serve: Serve, tmp_path: Path, made: Certificates, stranger: Certificates, web: Path
) -> None:
    pair = {"cert_file": "server.pem", "key_file": "server-key.pem"}

    def install(which: Certificates) -> None:
        write(tmp_path / "server.pem", which.server_certificate.read_text())
        write(tmp_path / "server-key.pem", which.server_key.read_text())

    install(made)
    server = serve({"tls_server_config": pair})
    assert get(server, trusting(made)).status_code == 200

    install(stranger)
    assert get(server, trusting(stranger)).status_code == 200
    with pytest.raises(httpx.ConnectError):
        get(server, trusting(made))

    write(tmp_path / "server.pem", "broken")
    assert get(server, trusting(stranger)).status_code == 200
    assert server.stale

    write(web, {"tls_server_config": {**tls(made), "min_version": "TLS13"}})
    assert get(server, trusting(made)).status_code == 200
    assert not server.stale


def test_turning_tls_off_needs_a_restart(serve: Serve, made: Certificates, web: Path) -> None:
    server = serve({"tls_server_config": tls(made)})

    write(web, {})

    assert get(server, trusting(made)).status_code == 200
    assert server.stale


def test_the_receiver_takes_telemetry_over_tls_from_who_knows_the_password(tmp_path: Path, made: Certificates) -> None:
    web = write(tmp_path / "web.yml", {"tls_server_config": tls(made), "basic_auth_users": {"app": hashed("right")}})
    log = MemoryLog()
    receiver = Receiver(
        log,
        {"/v1/traces": "spans"},
        config=OtlpConfig(port=0, web_config_file=web),
        limits=LimitsConfig(),
        arrived=lambda: None,
    )
    receiver.start()
    try:
        with httpx.Client(verify=trusting(made), headers={"content-type": PROTOBUF}) as client:
            statuses = [
                client.post(f"{receiver.endpoint}/v1/traces", content=b"\x0a\x00", auth=auth).status_code
                for auth in (None, ("app", "wrong"), ("app", "right"))
            ]
    finally:
        receiver.close()

    assert statuses == [401, 401, 200]
    assert log.entries == [("spans", b"\x0a\x00")]
    assert receiver.turned_away == {"unauthorized": 2}


def test_a_client_that_dribbles_its_headers_is_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    server = serve({})
    host, port = server.url.removeprefix("http://").split(":")
    begun = time.monotonic()

    with socket.create_connection((host, int(port)), timeout=20) as client:
        ended = b"?"
        try:
            for byte in b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"y" * 500:
                client.sendall(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            ended = b""

    assert ended == b""
    assert time.monotonic() - begun < 20


def test_headers_past_the_bound_are_refused(serve: Serve) -> None:
    server = serve({})

    assert httpx.get(f"{server.url}/metrics", headers={"x-long": "y" * 100_000}).status_code == 431
