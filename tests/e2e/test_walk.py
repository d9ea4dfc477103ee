"""The whole real walk: application, instrumentation, Collector, Kafka, daemon, DuckDB, Prometheus."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.faults.fleet import Member, wait_until

CALLS = 30
FAILED = CALLS // 3
CONTENT = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_BLRP_SCHEDULE_DELAY": "200",
}


@pytest.mark.server("kafka", "collector", "prometheus2", "prometheus3")
@pytest.mark.parametrize("by_trace", [False, True], ids=["batched", "partitioned-by-trace"])
@pytest.mark.parametrize("capture", ["SPAN_ONLY", "EVENT_ONLY"])
def test_what_an_application_did_is_what_prometheus_and_sql_say(
    kafka_broker, otel_collector, prometheus, tmp_path, by_trace, capture
):
    topics = (f"walk-spans-{by_trace}-{capture}".lower(), f"walk-logs-{by_trace}-{capture}".lower())
    topics = tuple(topic.replace("_", "-") for topic in topics)
    for topic in topics:
        kafka_broker.create_topic(topic, 3)
    collector = otel_collector(kafka_broker.bootstrap, topics=topics, partition_by_trace_id=by_trace)
    metrics_port = _free_port()
    assay = Member(
        name="assay",
        role="all",
        folder=tmp_path,
        bootstrap=kafka_broker.bootstrap,
        topics=topics,
        chain=tmp_path / "chain",
        settings={"metrics": {"port": metrics_port}},
    )
    assay.start()
    try:
        wait_until("ready", lambda: _status(f"http://127.0.0.1:{metrics_port}/readyz") == 200, [assay])
        scrapers = [prometheus(major, [f"127.0.0.1:{metrics_port}"]) for major in (2, 3)]
        traces = _application(collector.otlp_http_endpoint, "shop", capture)
        wait_until("every call in SQL", lambda: _calls(assay) == CALLS, [assay])

        by_sql = assay.sql(
            "SELECT service, model, count(*) AS n, count(*) FILTER (error IS NOT NULL) AS failed, "
            "sum(input_tokens)::BIGINT AS tokens, count(*) FILTER (content = 'captured') AS captured "
            "FROM calls GROUP BY ALL ORDER BY ALL"
        )
        assert [(row["service"], row["n"], row["failed"]) for row in by_sql] == [("shop", CALLS, FAILED)]
        assert by_sql[0]["captured"] == CALLS
        assert {row["trace_id"] for row in assay.sql("SELECT trace_id FROM calls")} == traces
        for scraper in scrapers:
            wait_until(
                "Prometheus has the newest numbers",
                lambda scraper=scraper: _value(scraper, "sum(assay_calls_total)") == CALLS,
                [assay],
            )
            assert _value(scraper, 'sum(assay_tokens_total{direction="input"})') == by_sql[0]["tokens"]
            assert _value(scraper, "sum(assay_calls_failed_total)") == FAILED
            scored = assay.sql("SELECT count(*) AS n FROM scores WHERE signal = 'degeneration' AND score IS NOT NULL")
            assert _value(scraper, "sum(assay_degeneration_score_count)") == scored[0]["n"] > 0
            assert _value(scraper, "sum(abs(assay_conservation_imbalance))") == 0
        verified = assay.assay("verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert assay.stop() == 0
    finally:
        assay.kill()


def _application(endpoint: str, service: str, capture: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.app", endpoint, service, str(CALLS)],
        env={**os.environ, **CONTENT, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": capture},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^[0-9a-f]{32}$", done.stdout, re.MULTILINE))


def _calls(assay: Member) -> int:
    done = assay.assay("sql", "--format", "csv", "SELECT count(*) FROM calls")
    return int(done.stdout.strip().splitlines()[-1]) if done.returncode == 0 else -1


def _value(prometheus, query: str) -> float:
    result = prometheus.query(query)
    return float(result[0]["value"][1]) if result else -1.0


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except OSError:
        return 0


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
