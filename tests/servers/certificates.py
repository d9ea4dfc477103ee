"""A certificate authority of the tests' own, and certificates it signed for the loopback."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = dt.timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: the authority, a key with certificate for a server on the loopback, and one for a client."""

    ca: Path
    server_certificate: Path
    server_key: Path
    client_certificate: Path
    client_key: Path

    @property
    def server_bundle(self) -> bytes:
        """Key and certificate chain in one text, as Kafka's PEM key store wants them."""
        return self.server_key.read_bytes() + self.server_certificate.read_bytes() + self.ca.read_bytes()


def make_certificates(folder: Path) -> Certificates:
    """Write a new authority and its two certificates into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificates(
        *(folder / f"{name}.pem" for name in ("ca", "server", "server-key", "client", "client-key")),
    )
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("Assay test authority")
    authority = _builder(ca_name, ca_name, ca_key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    made.ca.write_bytes(_pem(authority.sign(ca_key, hashes.SHA256())))
    for name, usage, certificate, key_file in (
        ("localhost", ExtendedKeyUsageOID.SERVER_AUTH, made.server_certificate, made.server_key),
        ("assay-client", ExtendedKeyUsageOID.CLIENT_AUTH, made.client_certificate, made.client_key),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        loopback = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        request = (
            _builder(_name(name), ca_name, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(loopback), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        certificate.write_bytes(_pem(request.sign(ca_key, hashes.SHA256())))
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return made


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALID)
        .not_valid_after(now + VALID)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
