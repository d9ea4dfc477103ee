"""Real processes, a real broker, kill -9 at random points: nothing is lost, nothing is doubled."""

from __future__ import annotations

import os
import random
import threading
import time

import pytest
from kafka import KafkaProducer

from collector.chain import open_chain
from collector.config import load_config
from tests.fakes.otlp import FakeCall, logs, traces
from tests.faults.fleet import Member, wait_until

KILLS = int(os.environ.get("ASSAY_KILLS", "100"))
PARTITIONS = 4
SEED = 20_261_124

pytestmark = [pytest.mark.server("kafka"), pytest.mark.slow]


class Traffic:
    """Calls for as long as the faults go on: some with their text in events, some delivered twice, some broken."""

    def __init__(self, bootstrap: str, topics: tuple[str, str], seed: int) -> None:
        self.calls: dict[str, FakeCall] = {}
        self.rejects = 0
        self._rng = random.Random(seed)
        self._topics = topics
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self._ends.set()
        self._thread.join()
        self._producer.flush()
        self._producer.close()

    def _run(self) -> None:
        number = 0
        while not self._ends.wait(0.03):
            batch = []
            for _ in range(self._rng.randint(1, 12)):
                number += 1
                batch.append(
                    FakeCall(
                        number=number,
                        at=time.time(),
                        service=self._rng.choice(["shop", "docs", "desk"]),
                        model=self._rng.choice(["small", "large"]),
                        content=self._rng.random() < 0.8,
                    )
                )
            self.calls |= {call.call_id: call for call in batch}
            partition = self._rng.randrange(PARTITIONS)
            self._producer.send(self._topics[0], traces(batch), partition=partition)
            later = [call for call in batch if not call.content]
            if later:
                self._producer.send(self._topics[1], logs(later), partition=partition)
            if self._rng.random() < 0.05:
                self._producer.send(self._topics[0], traces(batch), partition=partition)
            if self._rng.random() < 0.02:
                self._producer.send(self._topics[0], self._rng.randbytes(30) + b"\xff", partition=partition)
                self.rejects += 1


def test_a_hundred_kills_lose_nothing_and_double_nothing(kafka_broker, tmp_path):
    topics = (f"spans-{os.getpid()}", f"events-{os.getpid()}")
    for topic in topics:
        kafka_broker.create_topic(topic, PARTITIONS)
    rng = random.Random(SEED)
    place = {"folder": tmp_path, "bootstrap": kafka_broker.bootstrap, "topics": topics}
    chain = tmp_path / "chain"
    workers = [Member(name=f"score-{n}", role="score", chain=chain, **place) for n in (1, 2)]
    serve = Member(name="serve", role="serve", chain=chain, **place)
    fleet = [*workers, serve]
    traffic = Traffic(kafka_broker.bootstrap, topics, SEED)
    try:
        for member in fleet:
            member.start()
        kills = 0
        while kills < KILLS:
            time.sleep(rng.uniform(0.3, 2.5))
            member = rng.choice(fleet)
            if member in workers and rng.random() < 0.15:
                member.freeze()  # a zombie: it thaws in the middle of what it did, long after another went on
                time.sleep(rng.uniform(0.5, 2.0))
                member.thaw()
                continue
            member.kill()
            kills += 1
            member.start()
        traffic.end()
        wait_until("the chain reaches the end of the log", lambda: _caught_up(serve, kafka_broker, topics), fleet)
        wait_until("sql sees every call", lambda: _count(serve) == len(traffic.calls), fleet)
        verified = serve.assay("verify")
        counted = _numbers(serve)
        assert [member.stop() for member in fleet] == [0, 0, 0]
    finally:
        if traffic._thread.is_alive():
            traffic.end()
        for member in fleet:
            member.kill()

    undisturbed = Member(name="undisturbed", role="all", chain=tmp_path / "undisturbed-chain", **place)
    undisturbed.start()
    try:
        wait_until("the undisturbed run ends", lambda: _caught_up(undisturbed, kafka_broker, topics), [undisturbed])
        wait_until("sql sees all of it", lambda: _at_head(undisturbed), [undisturbed])
        expected = _numbers(undisturbed)
        assert undisturbed.stop() == 0
    finally:
        undisturbed.kill()

    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert counted == expected
    assert sum(row["n"] for row in counted["rejects"] if row["kind"] == "rejected") == traffic.rejects


def _count(member: Member) -> int:
    done = member.assay("sql", "--format", "csv", "SELECT count(*), count(DISTINCT span_id) FROM calls")
    if done.returncode != 0:
        return -1  # no snapshot yet
    total, distinct = done.stdout.strip().splitlines()[-1].split(",")
    assert total == distinct
    return int(total)


def _at_head(member: Member) -> bool:
    """Whether the newest snapshot holds what the chain holds."""
    chain = open_chain(load_config(member.config, {}))
    return _count(member) == sum(link.delta.calls.num_rows for stream in chain.streams() for link in chain.walk(stream))


def _numbers(member: Member) -> dict[str, list[dict[str, object]]]:
    return {
        "calls": member.sql(
            "SELECT service, model, count(*) AS n, sum(input_tokens) AS i, sum(output_tokens) AS o, "
            "sum(latency_seconds * 1e6)::BIGINT AS us FROM calls GROUP BY ALL ORDER BY ALL"
        ),
        "texts": member.sql("SELECT content, unjoined, count(*) AS n FROM calls GROUP BY ALL ORDER BY ALL"),
        "scores": member.sql(
            "SELECT service, model, signal, side, signal_version, sum(n)::BIGINT AS n, sum(unscored)::BIGINT AS u, "
            "sum(score_sum)::VARCHAR AS total, sum(score_sum_squares)::VARCHAR AS squares "
            "FROM rollup_hour GROUP BY ALL ORDER BY ALL"
        ),
        "rejects": member.sql(
            "SELECT kind, reason, sum(n)::BIGINT AS n FROM rejects WHERE kind != 'unscored' GROUP BY ALL ORDER BY ALL"
        ),
    }


def _caught_up(member: Member, broker, topics) -> bool:
    from kafka import KafkaConsumer, TopicPartition

    chain = open_chain(load_config(member.config, {}))
    heads = {(stream.topic, stream.partition): chain.head(stream)[-1].next for stream in chain.streams()}
    partitions = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap)
    try:
        ends = consumer.end_offsets(partitions)
    finally:
        consumer.close()
    return all(heads.get((at.topic, at.partition), 0) == end for at, end in ends.items())
