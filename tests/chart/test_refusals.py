"""Values that cannot work are refused before anything is installed, with the value's name and what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.chart import CHART, helm

pytestmark = pytest.mark.server("helm")
ALL: dict[str, Any] = {"kafka": {"brokers": ["kafka:9092"]}}
FLEET: dict[str, Any] = {**ALL, "mode": "fleet", "chain": {"url": "s3://bucket/chain"}}
SASL = {"brokers": ["kafka:9092"], "sasl": {"mechanism": "PLAIN", "username": "u", "existingSecret": "s"}}
TOKEN = {"brokers": ["kafka:9092"], "sasl": {"mechanism": "OAUTHBEARER", "existingSecret": "s"}}
ALERTS = {"url": "http://alertmanager:9093", "existingSecret": "s"}
ON = {"enabled": True}

FIT = [
    ({"mode": "fleet", **ALL}, "chain.url: mode fleet needs a bucket"),
    ({"mode": "fleet", "chain": {"url": "s3://b"}, "otlp": ON}, "otlp.enabled: the receiver's log is one pod's"),
    ({}, "kafka.brokers: name at least one broker"),
    (ALL | {"otlp": ON}, "otlp.enabled: choose one source"),
    (
        ALL | {"persistence": {"enabled": False}},
        "persistence.enabled: without chain.url the volume holds the only copy",
    ),
    (
        {"otlp": ON, "chain": {"url": "s3://b"}, "persistence": {"enabled": False}},
        "persistence.enabled: the receiver's durable log",
    ),
    (FLEET | {"score": {"hpa": ON, "keda": ON}}, "score.hpa.enabled: KEDA makes an HPA of its own"),
    (ALL | {"score": {"hpa": ON}}, "score.hpa.enabled: only the workers of mode fleet scale"),
    (ALL | {"score": {"keda": ON}}, "score.keda.enabled: only the workers of mode fleet scale"),
    (FLEET | {"score": {"keda": ON | {"minReplicas": 20}}}, "score.keda: minReplicas is above maxReplicas"),
    (ALL | {"kafka": {**SASL, "sasl": {"mechanism": "PLAIN", "username": "u"}}}, "kafka.sasl.existingSecret: name the"),
    (
        ALL | {"kafka": {**SASL, "sasl": {"mechanism": "PLAIN", "existingSecret": "s"}}},
        "kafka.sasl.username: PLAIN needs",
    ),
    (ALL | {"kafka": {**SASL, "sasl": {"username": "u"}}}, "kafka.sasl.mechanism: say how to log in"),
    (FLEET | {"kafka": TOKEN, "score": {"keda": ON}}, "score.keda.authenticationRef: KEDA cannot log in"),
    (ALL | {"kafka": {**SASL, "tls": {"existingSecret": "s"}}}, "kafka.tls.enabled: certificates are given"),
    (ALL | {"kafka": {**SASL, "tls": ON | {"certificateKey": "c", "existingSecret": "s"}}}, "go together"),
    (
        ALL | {"kafka": {**SASL, "tls": ON | {"certificateKey": "c", "privateKeyKey": "k"}}},
        "kafka.tls.existingSecret: name the Secret that holds the client's certificate",
    ),
    (ALL | {"kafka": {**SASL, "tls": ON | {"caKey": "", "existingSecret": "s"}}}, "name at least one of its keys"),
    (FLEET | {"chain": {"url": "gs://b/c", "existingSecret": "s"}}, "chain.existingSecret: keys of S3"),
    (ALL | {"detoxify": {"existingClaim": "c", "image": "i"}}, "detoxify: choose one"),
    (ALL | {"webConfig": {"tlsSecret": "s"}}, "webConfig.existingSecret: tlsSecret holds certificates"),
    (ALL | {"alertmanager": {"existingSecret": "s", "tokenKey": "t"}}, "alertmanager.url: how to log in is given"),
    (ALL | {"alertmanager": ALERTS | {"username": "u", "tokenKey": "t"}}, "choose one of username and tokenKey"),
    (ALL | {"alertmanager": {"url": "http://a:1", "username": "u"}}, "alertmanager.existingSecret: name the Secret"),
    (ALL | {"alertmanager": ALERTS}, "alertmanager.existingSecret: name at least one of its keys"),
    (ALL | {"serviceAccount": {"create": False}}, "serviceAccount.name: none is made"),
]
TYPES = [
    (ALL | {"mode": "both"}, "at '/mode': value must be one of 'all', 'fleet'"),
    (ALL | {"replicas": 3}, "additional properties 'replicas' not allowed"),
    (FLEET | {"serve": {"replicas": 2}}, "at '/serve': additional properties 'replicas' not allowed"),
    (ALL | {"pod": {"tolerance": []}}, "at '/pod': additional properties 'tolerance' not allowed"),
    ({"kafka": {"brokers": ["kafka"]}}, "at '/kafka/brokers/0'"),
    ({"kafka": {"brokers": "kafka:9092"}}, "at '/kafka/brokers': got string, want array"),
    (
        {"kafka": {"brokers": ["k:1"], "sasl": {"mechanism": "SCRAM"}}},
        "at '/kafka/sasl/mechanism': value must be one of",
    ),
    ({"kafka": {"brokers": ["k:1"], "sasl": {"password": "x"}}}, "additional properties 'password' not allowed"),
    (ALL | {"chain": {"url": "/mnt/shared"}}, "at '/chain/url'"),
    (ALL | {"alertmanager": {"url": "alertmanager:9093"}}, "at '/alertmanager/url'"),
    (ALL | {"alertmanager": {"url": "http://u:p@alertmanager:9093"}}, "at '/alertmanager/url'"),
    (ALL | {"alertmanager": {"password": "x"}}, "at '/alertmanager': additional properties 'password' not allowed"),
    (
        ALL | {"config": {"evidence": {"alertmanager": {"url": "http://a"}}}},
        "at '/config/evidence/alertmanager': additional properties 'url' not allowed",
    ),
    (ALL | {"image": {"digest": "abc"}}, "at '/image/digest'"),
    (ALL | {"pod": {"terminationGracePeriodSeconds": 30}}, "terminationGracePeriodSeconds': minimum: got 30, want 61"),
    (FLEET | {"score": {"replicas": 0}}, "at '/score/replicas': minimum: got 0, want 1"),
    (FLEET | {"score": {"keda": {"minReplicas": 0}}}, "at '/score/keda/minReplicas'"),
    (ALL | {"persistence": {"size": "lots"}}, "at '/persistence/size'"),
    (ALL | {"persistence": {"accessModes": ["ReadOnlyMany"]}}, "at '/persistence/accessModes/0'"),
    (ALL | {"commonLabels": {"a": 1}}, "at '/commonLabels/a': got number, want string"),
    (ALL | {"extraObjects": [1]}, "at '/extraObjects/0'"),
    (ALL | {"config": {"rolle": "score"}}, "at '/config': additional properties 'rolle' not allowed"),
    (ALL | {"config": {"role": "score"}}, "at '/config': additional properties 'role' not allowed"),
    (ALL | {"config": {"metrics": {"port": 1}}}, "at '/config/metrics': additional properties 'port' not allowed"),
    (
        ALL | {"config": {"join": {"settle_secs": 1}}},
        "at '/config/join': additional properties 'settle_secs' not allowed",
    ),
    (ALL | {"config": {"signals": {"warn_at": 2}}}, "at '/config/signals/warn_at': maximum: got 2, want 1"),
    (
        ALL | {"config": {"source": {"kafka": {"sasl": {"password": "hunter2"}}}}},
        "at '/config/source/kafka/sasl/password': got string, want object",
    ),
]


def refusal(values: dict[str, Any], folder: Path) -> str:
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    done = helm("template", "-f", path)
    assert done.returncode != 0, "these values were taken"
    return done.stderr


@pytest.mark.parametrize(("values", "told"), FIT + TYPES, ids=[told for _, told in FIT + TYPES])
def test_bad_values_are_refused_with_what_is_wrong(values: dict[str, Any], told: str, tmp_path: Path) -> None:
    assert told in refusal(values, tmp_path)


@pytest.mark.parametrize("values", [ALL, FLEET])
def test_what_the_bad_values_are_made_of_is_good(values: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")

    assert helm("template", "-f", path).returncode == 0


EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", (CHART / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.M)


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_of_the_readme_are_taken(text: str, tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(text, encoding="utf-8")
    done = helm("template", "-f", path)

    assert done.returncode == 0, done.stderr


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    told = refusal({"mode": "fleet", "score": {"hpa": ON, "keda": ON}}, tmp_path)

    assert all(name in told for name in ("chain.url", "kafka.brokers", "score.hpa.enabled"))


def test_a_secret_that_is_refused_is_not_repeated(tmp_path: Path) -> None:
    assert "hunter2" not in refusal(TYPES[-1][0], tmp_path)
