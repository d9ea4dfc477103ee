"""The web-config file of Prometheus' exporter-toolkit: TLS, client certificates, users and headers of one listener.

Keys, values and meaning are the toolkit's. What Python's TLS cannot promise is a fault that says so, never a silent
difference: certificates that nobody verified, and several curves at once. A path is relative to the file's folder.
"""

from __future__ import annotations

import re
import ssl
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from collector.config.problems import explain

USERS_MAX = 1_000
BCRYPT_COST_MAX = 14  # a second or two of processor time a guess; beyond, a login is an attack on ourselves

_BCRYPT = re.compile(r"\$2[aby]?\$(\d\d)\$[./A-Za-z0-9]{53}")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+|0")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3_600.0}

Version = Literal["TLS10", "TLS11", "TLS12", "TLS13"]
VERSIONS: dict[str, ssl.TLSVersion] = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
}
"""Go's names, as the toolkit has them -> OpenSSL's."""

_UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")


class WebFileError(Exception):
    """The file cannot be used; ``problems`` has a sentence each, without any value of the file."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _beside(path: Path, info: ValidationInfo) -> Path:
    """Relative to the web-config file, whose folder is the validation's context."""
    path = (info.context or {}).get("folder", Path()) / path
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None


def _cipher(name: str) -> str:
    if name not in CIPHERS:
        raise ValueError(f"there is no cipher suite of that name here; known are {', '.join(CIPHERS)}")
    return name


def _hash(value: SecretStr) -> SecretStr:
    match = _BCRYPT.fullmatch(value.get_secret_value())
    if match is None:
        raise ValueError("a password is written as its bcrypt hash: `htpasswd -nBC 10 NAME`")
    if not 4 <= int(match[1]) <= BCRYPT_COST_MAX:
        raise ValueError(f"the cost of a bcrypt hash is between 4 and {BCRYPT_COST_MAX}")
    return value


def _seconds(value: Any) -> float:
    text = str(value)
    if not _DURATION.fullmatch(text):
        raise ValueError("a duration is written as 500ms, 1s or 1m30s")
    return sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", text))


Hash = Annotated[SecretStr, AfterValidator(_hash)]
BesideFile = Annotated[Path, AfterValidator(_beside)]


class TlsServer(_Strict):
    """The section ``tls_server_config``."""

    cert: str | None = None
    cert_file: BesideFile | None = None
    key: SecretStr | None = None
    key_file: BesideFile | None = None
    client_auth_type: Literal[
        "NoClientCert",
        "VerifyClientCertIfGiven",
        "RequireAndVerifyClientCert",
        "RequestClientCert",
        "RequireAnyClientCert",
        "RequireClientCert",
    ] = "NoClientCert"
    client_ca: str | None = None
    client_ca_file: BesideFile | None = None
    client_allowed_sans: tuple[str, ...] = ()
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[Annotated[str, AfterValidator(_cipher)], ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[Literal["CurveP256", "CurveP384", "CurveP521", "X25519"], ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> TlsServer:
        if (self.cert is None) == (self.cert_file is None):
            raise ValueError("exactly one of `cert` and `cert_file` is needed")
        if (self.key is None) == (self.key_file is None):
            raise ValueError("exactly one of `key` and `key_file` is needed")
        if self.client_ca is not None and self.client_ca_file is not None:
            raise ValueError("`client_ca` and `client_ca_file` exclude each other")
        if self.client_auth_type in _UNVERIFIED:
            raise ValueError(
                f"client_auth_type {self.client_auth_type} lets in certificates that nobody verified, which is not "
                "supported here: take VerifyClientCertIfGiven or RequireAndVerifyClientCert"
            )
        asks = self.client_auth_type != "NoClientCert"
        if asks and not self.has_client_ca:
            raise ValueError(f"{self.client_auth_type} needs `client_ca_file`")
        if self.has_client_ca and not asks:
            raise ValueError("a client CA needs a `client_auth_type` that verifies certificates against it")
        if self.client_allowed_sans and self.client_auth_type != "RequireAndVerifyClientCert":
            raise ValueError("`client_allowed_sans` needs client_auth_type RequireAndVerifyClientCert")
        if VERSIONS[self.min_version] > VERSIONS[self.max_version]:
            raise ValueError("min_version <= max_version must hold")
        if len(self.curve_preferences) > 1:
            raise ValueError("`curve_preferences` takes one curve here: TLS in Python knows no order of several")
        return self

    @property
    def has_client_ca(self) -> bool:
        return self.client_ca is not None or self.client_ca_file is not None

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(file for file in (self.cert_file, self.key_file, self.client_ca_file) if file is not None)


class Headers(_Strict):
    """The headers that the toolkit lets a file set."""

    csp: str | None = Field(None, alias="Content-Security-Policy")
    frames: Literal["deny", "sameorigin", "DENY", "SAMEORIGIN", ""] | None = Field(None, alias="X-Frame-Options")
    types: Literal["nosniff", ""] | None = Field(None, alias="X-Content-Type-Options")
    xss: str | None = Field(None, alias="X-XSS-Protection")
    hsts: str | None = Field(None, alias="Strict-Transport-Security")

    @model_validator(mode="after")
    def _printable(self) -> Headers:
        if any(not value.isprintable() or not value.isascii() for value in self.given.values()):
            raise ValueError("a header is one line of printable ASCII")
        return self

    @property
    def given(self) -> dict[str, str]:
        """Lower-case name -> value; an empty one takes the default away."""
        fields = type(self).model_fields
        return {
            str(fields[name].alias).lower(): value for name, value in self if isinstance(value, str) and name in fields
        }


class HttpServer(_Strict):
    """The section ``http_server_config``; HTTP/1.1 is spoken either way."""

    http2: bool = True
    headers: Headers = Headers.model_validate({})


class RateLimit(_Strict):
    """The section ``rate_limit``: a token bucket of the whole listener; an interval of 0 is no limit."""

    interval: float = 0.0
    burst: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="before")
    @classmethod
    def _durations(cls, value: Any) -> Any:
        if isinstance(value, dict) and "interval" in value:
            return {**value, "interval": _seconds(value["interval"])}
        return value


class WebFile(_Strict):
    """One web-config file, checked."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: Annotated[
        dict[str, Annotated[SecretStr, AfterValidator(_hash)]], Field(max_length=USERS_MAX)
    ] = {}
    rate_limit: RateLimit = RateLimit()

    @property
    def users(self) -> Mapping[str, SecretStr]:
        return self.basic_auth_users

    @property
    def headers(self) -> Mapping[str, str]:
        return self.http_server_config.headers.given


def read_web_file(path: Path) -> WebFile:
    """Read and check a file; WebFileError lists every problem and repeats no value."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WebFileError([f"{error.strerror}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise WebFileError(["not YAML"]) from None  # the parser's message quotes the line, which may be a secret
    if tree is not None and not isinstance(tree, dict):
        raise WebFileError(["the top level must be a mapping"])
    tree = {name: value for name, value in (tree or {}).items() if value is not None}
    try:
        file = WebFile.model_validate(tree, context={"folder": path.absolute().parent})
        if file.tls_server_config is not None:
            tls_context(file.tls_server_config)
    except ValidationError as error:
        raise WebFileError(explain(error, WebFile)) from None
    return file


def tls_context(tls: TlsServer) -> ssl.SSLContext:
    """What a server shakes hands with; WebFileError for a certificate, key or authority that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = VERSIONS[tls.min_version], VERSIONS[tls.max_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    problems = []
    try:
        _load_certificate(context, tls)
    except (ssl.SSLError, OSError, ValueError) as error:
        problems.append(f"tls_server_config: certificate and key do not fit: {_reason(error)}")
    try:
        if tls.client_auth_type != "NoClientCert":
            required = tls.client_auth_type == "RequireAndVerifyClientCert"
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
            context.load_verify_locations(cafile=tls.client_ca_file, cadata=tls.client_ca)
    except (ssl.SSLError, OSError, ValueError) as error:
        problems.append(f"tls_server_config.client_ca_file: {_reason(error)}")
    try:
        if tls.cipher_suites:
            context.set_ciphers(":".join(CIPHERS[name] for name in tls.cipher_suites))
        for curve in tls.curve_preferences:
            context.set_ecdh_curve(CURVES[curve])
    except (ssl.SSLError, ValueError) as error:
        problems.append(f"tls_server_config: {_reason(error)}")
    if problems:
        raise WebFileError(problems)
    return context


def _load_certificate(context: ssl.SSLContext, tls: TlsServer) -> None:
    with ExitStack() as written:

        def on_disk(text: str) -> Path:  # OpenSSL's loader takes files only; this one is ours alone and goes at once
            file = written.enter_context(tempfile.NamedTemporaryFile("w", suffix=".pem"))
            file.write(text)
            file.flush()
            return Path(file.name)

        certificate = tls.cert_file or on_disk(tls.cert or "")
        key = tls.key_file or on_disk(tls.key.get_secret_value() if tls.key else "")
        context.load_cert_chain(certificate, key, password=lambda: "")  # never ask the terminal


def _reason(error: Exception) -> str:
    """OpenSSL's word for it; never what a file holds."""
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__)
