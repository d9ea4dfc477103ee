"""JSON Schemas of the custom objects that the chart makes: what their operators accept of the fields that we use."""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string", "minLength": 1}
MAP = {"type": "object", "additionalProperties": {"type": "string"}}
KEY = {
    "type": "object",
    "properties": {"name": TEXT, "key": TEXT},
    "required": ["name", "key"],
    "additionalProperties": False,
}


def closed(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def items(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema, "minItems": 1}


def document(api: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = closed(("name", "namespace", "labels"), name=TEXT, namespace=TEXT, labels=MAP, annotations=MAP)
    return closed(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": api},
        kind={"const": kind},
        metadata=metadata,
        spec=spec,
    )


RELABEL = closed(
    (),
    action=TEXT,
    regex=TEXT,
    targetLabel=TEXT,
    replacement=TEXT,
    sourceLabels=items(TEXT),
    separator=TEXT,
    modulus={"type": "integer"},
)
DURATION = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h))+$"}
SERVICE_MONITOR = closed(
    ("selector", "endpoints"),
    jobLabel=TEXT,
    namespaceSelector=closed((), matchNames=items(TEXT)),
    selector=closed(("matchLabels",), matchLabels=MAP),
    endpoints=items(
        closed(
            ("port", "path"),
            port=TEXT,
            path=TEXT,
            scheme={"enum": ["http", "https"]},
            interval=DURATION,
            scrapeTimeout=DURATION,
            tlsConfig={
                "type": "object",
                "properties": {"ca": closed((), secret=KEY), "serverName": TEXT},
                "additionalProperties": False,
            },
            basicAuth=closed(("username", "password"), username=KEY, password=KEY),
            relabelings=items(RELABEL),
            metricRelabelings=items(RELABEL),
        )
    ),
)
RULE = closed(
    ("expr",),
    alert=TEXT,
    record=TEXT,
    expr={"type": ["string", "integer"]},
    **{"for": DURATION},
    keep_firing_for=DURATION,
    labels=MAP,
    annotations=MAP,
)
GROUP = closed(
    ("name", "rules"), name=TEXT, interval=DURATION, limit={"type": "integer"}, labels=MAP, rules=items(RULE)
)
# KEDA's metadata are texts, numbers and truths, too; what the Kafka scaler knows of them.
TRIGGER = closed(
    ("type", "metadata"),
    type={"const": "kafka"},
    authenticationRef=closed(("name",), name=TEXT),
    metadata=closed(
        ("bootstrapServers", "consumerGroup", "lagThreshold", "offsetResetPolicy"),
        bootstrapServers=TEXT,
        consumerGroup=TEXT,
        topic=TEXT,
        lagThreshold={"type": "string", "pattern": "^[0-9]+$"},
        offsetResetPolicy={"enum": ["earliest", "latest"]},
        limitToPartitionsWithLag={"enum": ["true", "false"]},
        excludePersistentLag={"enum": ["true", "false"]},
        sasl={"enum": ["plaintext", "scram_sha256", "scram_sha512", "oauthbearer"]},
        tls={"enum": ["enable", "disable"]},
    ),
)
COUNT = {"type": "integer", "minimum": 0}
SCALED_OBJECT = closed(
    ("scaleTargetRef", "triggers"),
    scaleTargetRef=closed(("name",), apiVersion=TEXT, kind=TEXT, name=TEXT, envSourceContainerName=TEXT),
    minReplicaCount=COUNT,
    maxReplicaCount=COUNT,
    pollingInterval=COUNT,
    cooldownPeriod=COUNT,
    advanced={"type": "object"},
    fallback=closed(("failureThreshold", "replicas"), failureThreshold=COUNT, replicas=COUNT),
    triggers=items(TRIGGER),
)
PARAMETER = {"enum": ["username", "password", "ca", "cert", "key"]}
TRIGGER_AUTHENTICATION = closed(
    ("secretTargetRef",),
    env=items(closed(("parameter", "name"), parameter=PARAMETER, name=TEXT, containerName=TEXT)),
    secretTargetRef=items(closed(("parameter", "name", "key"), parameter=PARAMETER, name=TEXT, key=TEXT)),
)
SCHEMAS = {
    "ServiceMonitor": document("monitoring.coreos.com/v1", "ServiceMonitor", SERVICE_MONITOR),
    "PrometheusRule": document("monitoring.coreos.com/v1", "PrometheusRule", closed(("groups",), groups=items(GROUP))),
    "ScaledObject": document("keda.sh/v1alpha1", "ScaledObject", SCALED_OBJECT),
    "TriggerAuthentication": document("keda.sh/v1alpha1", "TriggerAuthentication", TRIGGER_AUTHENTICATION),
}
