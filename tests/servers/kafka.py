"""A real Apache Kafka broker (KRaft, one process) with every kind of listener, on ports that survive a restart."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError

from tests.servers import installed
from tests.servers.certificates import Certificates, make_certificates
from tests.servers.process import Server, ServerError, free_ports, listens

USER = "alice"
PASSWORD = "secret"
LISTENERS = ("PLAINTEXT", "SASL_PLAINTEXT", "SSL", "SASL_SSL", "MTLS")
RECORD_BYTES_MAX = 32 << 20
_MODULES = "org.apache.kafka.common.security"
_JVM = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Djava.awt.headless=true",
)
_LOGGING = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


class KafkaBroker(Server):
    """A broker in a folder of its own; a context manager that starts it.

    One process serves all listeners at once: `bootstrap` (plain), `sasl_bootstrap` and `sasl_ssl_bootstrap` (PLAIN,
    SCRAM-SHA-256 and -512 for `USER` and `PASSWORD`, OAUTHBEARER with `unsecured_token`), `ssl_bootstrap` (a client
    certificate is accepted), `mtls_bootstrap` (one is required). `certificates` holds the PEM files. Topics are made
    by `create_topic` only. Transactions, static members and the new group protocol (KIP-848) work. `stop` or `kill`
    followed by `start` is a broker restart: same ports, same data. `settings` override server properties.
    """

    name = "kafka"

    def __init__(self, directory: Path, *, settings: Mapping[str, str] | None = None):
        super().__init__(directory)
        controller, *ports = free_ports(1 + len(LISTENERS))
        self._controller_port = controller
        self._ports = dict(zip(LISTENERS, ports, strict=True))
        self._settings = dict(settings or {})
        self.certificates: Certificates = make_certificates(self.directory / "tls")

    @property
    def bootstrap(self) -> str:
        """Address of the listener without login and encryption."""
        return self._address("PLAINTEXT")

    @property
    def sasl_bootstrap(self) -> str:
        """Address of the listener with login, not encrypted."""
        return self._address("SASL_PLAINTEXT")

    @property
    def ssl_bootstrap(self) -> str:
        """Address of the encrypted listener without login; a client certificate is checked if one is shown."""
        return self._address("SSL")

    @property
    def sasl_ssl_bootstrap(self) -> str:
        """Address of the encrypted listener with login."""
        return self._address("SASL_SSL")

    @property
    def mtls_bootstrap(self) -> str:
        """Address of the encrypted listener that demands a client certificate."""
        return self._address("MTLS")

    @property
    def ca_file(self) -> Path:
        """The authority that signed the broker's certificate."""
        return self.certificates.ca

    @property
    def client_certificate(self) -> Path:
        """A client's certificate that the broker trusts."""
        return self.certificates.client_certificate

    @property
    def client_key(self) -> Path:
        """The key of `client_certificate`, without a password."""
        return self.certificates.client_key

    def start(self) -> None:
        """Start it, formatting its storage the first time; return when it answers a client."""
        libraries = installed.kafka_libraries()
        if libraries is None:
            raise ServerError(installed.why_absent("kafka") or "kafka")
        java = ["java", *_JVM, f"-Dlog4j2.configurationFile={self.directory / 'log4j2.properties'}"]
        java += ["-cp", f"{libraries}{os.sep}*"]
        configuration = self.directory / "server.properties"
        if not configuration.exists():
            (self.directory / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
            configuration.write_text(self._properties(), encoding="utf-8")
            self._format(java, configuration)
        self._run([*java, "kafka.Kafka", configuration], self._ready)

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> str:
        """Create a topic, wait until it can be used, and return its name. `retention_ms="1"` sets `retention.ms`."""
        entries = {key.replace("_", "."): value for key, value in config.items()}
        with self.admin() as admin:
            admin.create_topics([NewTopic(name, partitions, 1, topic_configs=entries)])
            deadline = time.monotonic() + 30
            while not self._has_leaders(admin, name, partitions):
                if time.monotonic() > deadline:
                    raise ServerError(f"topic {name} did not get its leaders:\n{self.process.log_tail()}")
                time.sleep(0.02)
        return name

    def records(self, topic: str, count: int, *, partition: int = 0) -> list[Any]:
        """The first ``count`` of a partition; fewer where they do not come within twenty seconds."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        with contextlib.closing(consumer):
            consumer.assign([TopicPartition(topic, partition)])
            found: list[Any] = []
            for _ in range(100):
                found += [record for records in consumer.poll(200).values() for record in records]
                if len(found) >= count:
                    break
        return found

    def delete_topic(self, name: str) -> None:
        """Delete a topic and its records."""
        with self.admin() as admin:
            admin.delete_topics([name])

    def admin(self) -> contextlib.closing[KafkaAdminClient]:
        """An admin client, closed at the end of its `with`."""
        return contextlib.closing(KafkaAdminClient(bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=10_000))

    @staticmethod
    def unsecured_token(subject: str = USER, *, valid_seconds: float = 3600.0) -> str:
        """An unsigned JSON web token, as the broker's OAUTHBEARER listener accepts it in tests."""
        now = time.time()
        parts = ({"alg": "none"}, {"sub": subject, "iat": now, "exp": now + valid_seconds})
        encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
        return ".".join([*encoded, ""])

    def _address(self, listener: str) -> str:
        return f"127.0.0.1:{self._ports[listener]}"

    def _ready(self) -> bool:
        if not all(listens(port) for port in self._ports.values()):
            return False
        try:
            with self.admin() as admin:
                return bool(admin.describe_cluster()["brokers"])
        except KafkaError:
            return False

    @staticmethod
    def _has_leaders(admin: KafkaAdminClient, name: str, partitions: int) -> bool:
        (topic,) = admin.describe_topics([name])
        found: list[dict[str, Any]] = topic["partitions"]
        return len(found) == partitions and all(partition["leader_id"] >= 0 for partition in found)

    def _format(self, java: list[str], configuration: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode().replace("-", "A")
        argv = [*java, "kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config", str(configuration)]
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            argv += ["--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]"]
        done = subprocess.run(argv, cwd=self.directory, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise ServerError(f"kafka storage could not be formatted:\n{done.stdout}{done.stderr}")

    def _properties(self) -> str:
        (self.directory / "broker.pem").write_bytes(self.certificates.server_bundle)
        login = {
            "plain": f'{_MODULES}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
            "scram-sha-256": f"{_MODULES}.scram.ScramLoginModule required;",
            "scram-sha-512": f"{_MODULES}.scram.ScramLoginModule required;",
            "oauthbearer": f"{_MODULES}.oauthbearer.OAuthBearerLoginModule required "
            'unsecuredLoginStringClaim_sub="broker";',
        }
        addresses = ",".join(f"{name}://{self._address(name)}" for name in LISTENERS)
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"CONTROLLER://127.0.0.1:{self._controller_port},{addresses}",
            "advertised.listeners": addresses,
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,MTLS:SSL,"
            "SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
            "log.dirs": str(self.directory / "data"),
            "sasl.enabled.mechanisms": ",".join(name.upper() for name in login),
            **{
                f"listener.name.{listener}.{mechanism}.sasl.jaas.config": module
                for listener in ("sasl_plaintext", "sasl_ssl")
                for mechanism, module in login.items()
            },
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.directory / "broker.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates.ca),
            "listener.name.ssl.ssl.client.auth": "requested",
            "listener.name.mtls.ssl.client.auth": "required",
            "broker.heartbeat.interval.ms": "500",
            "broker.session.timeout.ms": "3000",  # so long a killed broker keeps its successor waiting
            "auto.create.topics.enable": "false",
            "message.max.bytes": str(RECORD_BYTES_MAX),
            "socket.request.max.bytes": str(2 * RECORD_BYTES_MAX),
            "log.segment.bytes": str(64 << 20),
            "num.network.threads": "2",
            "num.io.threads": "2",
            # one replica of everything, few partitions, no waiting for members that a test does not have
            "offsets.topic.num.partitions": "2",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "2",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "500",
            "group.consumer.min.session.timeout.ms": "1000",
            "group.consumer.min.heartbeat.interval.ms": "200",
            "group.consumer.heartbeat.interval.ms": "500",
            "group.consumer.session.timeout.ms": "6000",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
            "log.retention.check.interval.ms": "1000",
            "log.initial.task.delay.ms": "1000",
            **self._settings,
        }
        return "".join(f"{name}={value}\n" for name, value in properties.items())
