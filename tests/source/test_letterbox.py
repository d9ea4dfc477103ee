"""Dead letters are told, written and sent again, and nothing of what they hold is printed."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import pytest
from kafka import KafkaProducer

from collector.cli import main
from collector.config import KafkaConfig
from collector.records import Kind, Partition, RawRecord, Rejected, RejectReason
from collector.source.deadletters import FileLetters
from collector.source.kafka import KafkaLetters
from collector.source.letterbox import FileLetterbox
from tests.servers.kafka import KafkaBroker

SECRET = b"a prompt that nobody may read"


def letter(offset: int, *, topic: str = "otlp_spans", reason: str = "bad_json", **fields: object) -> Rejected:
    record = {
        "partition": Partition(topic, 1),
        "timestamp": 1_790_000_000.0 + offset,
        "value": b"%b %d" % (SECRET, offset),
    }
    made = RawRecord(offset=offset, kind=Kind.TRACES, key=b"trace", **record | fields)
    return Rejected(record=made, reason=RejectReason(reason), detail="not JSON")


def asked(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, list[str]]:
    status = main(["dead-letters", *map(str, arguments)])
    told = capsys.readouterr()
    assert "prompt" not in told.out + told.err
    return status, (told.out + told.err).splitlines()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    letters = FileLetters(tmp_path / "data" / "dead-letters", file_bytes_max=600)
    letters.send([letter(offset) for offset in range(5)])
    letters.send([letter(9, reason="too_large", value=SECRET * 100), letter(11, reason="corrupt_batch", value=None)])
    letters.close()
    return tmp_path / "data"


def test_letters_of_files_are_counted_by_reason_and_the_newest_listed(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = asked(capsys, "--data", data, "--newest", "2")

    assert status == 0
    assert told[0] == f"7 letters, {5 * 31 + 2_900:,} bytes, in {data / 'dead-letters'}"
    assert [line.split() for line in told[1:4]] == [
        ["bad_json", "5", "letters", "155", "bytes"],
        ["too_large", "1", "letters", "2,900", "bytes"],
        ["corrupt_batch", "1", "letters", "0", "bytes"],
    ]
    assert [re.sub(r" \(letters-0{7}\d.jsonl:\d\)$", "", line) for line in told[4:]] == [
        "2026-09-21 14:13:31 UTC  otlp_spans/1 offset 11  corrupt_batch  0 bytes ",
        "2026-09-21 14:13:29 UTC  otlp_spans/1 offset 9  too_large  2,900 bytes ",
    ]


def test_reason_and_time_say_which(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, by_reason = asked(capsys, "--data", data, "--reason", "too_large", "corrupt_batch")
    _, by_time = asked(capsys, "--data", data, "--since", "2026-09-21T14:13:24")

    assert by_reason[0].startswith("2 letters, ")
    assert by_time[0].startswith("3 letters, ")


def test_records_are_written_as_they_were_once_each(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = FileLetters(data / "dead-letters")
    again.send([letter(4), letter(4, value=b"of the topic before it was made anew")])
    again.close()
    folder = tmp_path / "out"

    status, told = asked(capsys, "--data", data, "--write", folder)
    _, more = asked(capsys, "--data", data, "--write", folder)

    files = sorted(folder.iterdir())
    assert status == 0
    assert sorted(file.read_bytes() for file in files) == sorted(
        [*(b"%b %d" % (SECRET, offset) for offset in range(5)), SECRET * 100, b"of the topic before it was made anew"]
    )
    assert [int(file.name.split("-")[2]) for file in files] == [0, 1, 2, 3, 4, 4, 9]
    assert folder.stat().st_mode & 0o077 == 0
    assert told[-2:] == ["of 1 no content was left", f"7 records written to {folder}, whole: guard them like the topic"]
    assert more[-1].startswith("0 records written")


def test_a_name_of_somebody_elses_leads_nowhere_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    letters = FileLetters(tmp_path / "dead-letters")
    letters.send([letter(1, partition=Partition("../../evil", 0))])
    letters.close()

    asked(capsys, "--data", tmp_path, "--write", tmp_path / "out")

    assert [path.name[:16] for path in (tmp_path / "out").iterdir()] == [".._.._evil-0-000"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"topic": "otl',
        b"[]",
        b"[" * 100_000,
        b"\xff",
        b'{"topic": "a", "partition": 0, "offset": 1, "timestamp": NaN}',
    ],
)
def test_what_is_no_letter_is_counted_and_its_neighbours_are_read(data: Path, line: bytes) -> None:
    (path,) = list((data / "dead-letters").iterdir())[:1]
    path.write_bytes(line + b"\n" + path.read_bytes() + b"\n")
    box = FileLetterbox(data / "dead-letters")

    assert len(list(box.letters())) == 7
    assert box.unreadable == 1


def test_letters_that_arrive_meanwhile_are_for_the_next_time(data: Path) -> None:
    box, writer = FileLetterbox(data / "dead-letters"), FileLetters(data / "dead-letters")
    found = box.letters()
    next(found)
    writer.send([letter(20)])
    writer.close()

    assert len(list(found)) == 6
    assert len(list(box.letters())) == 8


def test_nothing_is_there_and_nothing_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, told = asked(capsys, "--data", tmp_path)

    assert (status, told) == (0, [f"0 letters, 0 bytes, in {tmp_path / 'dead-letters'}"])


def test_records_of_the_receiver_are_not_sent_again_but_written(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, (told,) = asked(capsys, "--data", data, "--again")

    assert status == 2
    assert "--write them" in told


@pytest.mark.server("kafka")
class TestTopic:
    @pytest.fixture
    def spans(self, kafka_broker: KafkaBroker) -> str:
        return kafka_broker.create_topic(f"letterbox_spans_{uuid.uuid4().hex[:8]}", 2)

    @pytest.fixture
    def topic(self, kafka_broker: KafkaBroker) -> str:
        name = f"letterbox_{uuid.uuid4().hex[:8]}"
        return kafka_broker.create_topic(name, 2, max_message_bytes="10000", retention_ms="-1")

    @pytest.fixture
    def config(self, kafka_broker: KafkaBroker, spans: str, topic: str, tmp_path: Path) -> Path:
        """Of a daemon: three letters are in its topic, with another tool's; one that the topic refused in its file."""
        kafka = {"brokers": [kafka_broker.bootstrap], "traces_topics": [spans], "dead_letter_topic": topic}
        letters = KafkaLetters(
            KafkaConfig.model_validate(kafka), topic, FileLetters(tmp_path / "data" / "dead-letters"), {}
        )
        letters.send([letter(offset, topic=spans) for offset in (3, 4)])
        letters.send([letter(5, topic=spans, reason="too_large", value=SECRET * 1_000), letter(6, topic="elsewhere")])
        letters.close()
        producer = KafkaProducer(bootstrap_servers=kafka_broker.bootstrap)
        producer.send(topic, value=SECRET, headers=[("__connect.errors.connector.name", b"jdbc")]).get(10)
        producer.close()
        path = tmp_path / "assay.yaml"
        path.write_text(json.dumps({"source": {"kafka": kafka}, "data": str(tmp_path / "data")}))
        return path

    def test_topic_and_file_are_one_list(self, config: Path, topic: str, capsys: pytest.CaptureFixture[str]) -> None:
        status, told = asked(capsys, "--config", config)

        assert status == 0
        assert told[0].startswith("4 letters, ")
        assert told[0].endswith(f"and topic {topic}")
        assert told[3] == "1 other entries there are no letters of Assay"
        assert [line.split()[5] for line in told[4:]] == ["6", "5", "4", "3"]
        assert [f"({topic}/" in line for line in told[4:]] == [True, False, True, True]

    def test_a_record_goes_back_whole_to_its_partition_and_stays_a_letter(
        self, kafka_broker: KafkaBroker, spans: str, config: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        status, told = asked(capsys, "--config", config, "--again")

        sent = kafka_broker.records(spans, 3, partition=1)
        assert status == 0
        assert told[-1] == "3 records sent again, 1 left out; asked once more, they are sent once more"
        assert [(record.key, record.value) for record in sent] == [
            (b"trace", SECRET * 1_000),
            (b"trace", b"%b 3" % SECRET),
            (b"trace", b"%b 4" % SECRET),
        ]
        assert all(record.timestamp > 1_790_000_100_000 for record in sent)
        assert asked(capsys, "--config", config)[1][0].startswith("4 letters, ")

    def test_a_partition_or_topic_that_is_gone_is_one_sentence(
        self, spans: str, topic: str, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        letters = FileLetters(tmp_path / "data" / "dead-letters")
        letters.send([letter(8, topic=spans, partition=Partition(spans, 7))])
        letters.close()
        other = tmp_path / "other.yaml"
        other.write_text(config.read_text().replace(topic, "letterbox_gone"))

        sending, said = asked(capsys, "--config", config, "--again")
        reading, gone = asked(capsys, "--config", other)

        assert (sending, reading) == (1, 1)
        assert f"{spans}/7: the record of offset 8: no such partition" in said[-1]
        assert "topic letterbox_gone is not there" in gone[-1]
        assert gone[0].startswith("2 letters, ")
