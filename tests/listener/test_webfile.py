"""The web-config file: the toolkit's format, every fault told at once, and no secret in what is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.config import ConfigError, load_config
from collector.config.webfile import WebFileError, read_web_file
from tests.listener.files import hashed, tls, write
from tests.servers.certificates import Certificates, make_certificates

SECRET = "hunter2-in-the-wrong-place"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def test_the_toolkits_own_example_is_understood(tmp_path: Path, made: Certificates) -> None:
    for name, file in (("server.crt", made.server_certificate), ("server.key", made.server_key)):
        (tmp_path / name).write_bytes(file.read_bytes())
    written = write(
        tmp_path / "web.yml",
        """
tls_server_config:
  cert_file: server.crt
  key_file: server.key
basic_auth_users:
  alice: $2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze
rate_limit:
  interval: "1s"
  burst: 20
""",
    )

    file = read_web_file(written)

    assert file.tls_server_config is not None
    assert file.tls_server_config.cert_file == tmp_path / "server.crt"
    assert (file.rate_limit.interval, file.rate_limit.burst) == (1.0, 20)
    assert "mDwo" not in repr(file)


def test_certificate_and_key_may_be_written_in_the_file(tmp_path: Path, made: Certificates) -> None:
    inline = {"cert": made.server_certificate.read_text(), "key": made.server_key.read_text()}

    file = read_web_file(write(tmp_path / "web.yml", {"tls_server_config": inline}))

    assert "PRIVATE KEY" not in repr(file)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"cert_file": None}, "exactly one of `cert` and `cert_file`"),
        ({"min_version": "TLS13", "max_version": "TLS12"}, "min_version <= max_version"),
        ({"min_version": "SSLv3"}, "min_version"),
        ({"client_auth_type": "RequireAndVerifyClientCert"}, "needs `client_ca_file`"),
        ({"client_auth_type": "RequireAnyClientCert"}, "nobody verified"),
        ({"client_ca_file": "CA"}, "needs a `client_auth_type`"),
        ({"client_allowed_sans": ["a"]}, "client_allowed_sans"),
        ({"cipher_suites": ["TLS_NULL"]}, "no cipher suite of that name"),
        ({"curve_preferences": ["CurveP256", "X25519"]}, "one curve"),
        ({"key_file": "CA"}, "certificate and key do not fit"),
    ],
)
def test_a_faulty_tls_section_is_refused_with_a_reason(
    tmp_path: Path, made: Certificates, section: dict[str, object], says: str
) -> None:
    section = {name: str(made.ca) if value == "CA" else value for name, value in section.items()}

    with pytest.raises(WebFileError, match=says):
        read_web_file(write(tmp_path / "web.yml", {"tls_server_config": tls(made, **section)}))


def test_every_fault_is_told_at_once_with_those_of_the_settings_and_no_value_is_repeated(tmp_path: Path) -> None:
    web = write(
        tmp_path / "web.yml", {"basic_auth_users": {"alice": SECRET}, "http_server": {}, "rate_limit": {"x": 1}}
    )
    users = write(tmp_path / "users.yml", {"basic_auth_users": {"bob": hashed("x")}, "rate_limit": {"burst": 1}})
    config = write(
        tmp_path / "assay.yml",
        {
            "source": {"otlp": {"port": -1}},
            "metrics": {"web_config_file": str(web)},
            "sql": {"access": {"users_file": str(users)}},
        },
    )

    with pytest.raises(ConfigError) as caught:
        load_config(config, {})

    told = str(caught.value)
    assert "3 problems" in told
    assert "source.otlp.port" in told
    for fault in ("basic_auth_users.alice", "http_server: there is no such setting", "rate_limit.x: there is no such"):
        assert fault in told
    assert "and nothing else" in told
    assert SECRET not in told


def test_text_that_is_not_yaml_is_not_quoted(tmp_path: Path) -> None:
    with pytest.raises(WebFileError) as caught:
        read_web_file(write(tmp_path / "web.yml", f"basic_auth_users: {{alice: '{SECRET}"))

    assert SECRET not in str(caught.value)
