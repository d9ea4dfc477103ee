"""Dead letters in a file and in a Kafka topic."""

from __future__ import annotations

import base64
import json
import logging
from pathlib import Path

import pytest

from collector.config import KafkaConfig
from collector.records import Kind, Partition, RawRecord, Rejected, RejectReason
from collector.source import SourceError
from collector.source.deadletters import FileLetters, headers
from collector.source.kafka import KafkaLetters
from tests.servers.kafka import KafkaBroker


def letter(offset: int = 7, value: bytes | None = b"\x00bad", key: bytes | None = b"k") -> Rejected:
    record = RawRecord(
        partition=Partition("otlp_spans", 3),
        offset=offset,
        timestamp=1_700_000_000.5,
        kind=Kind.TRACES,
        value=value,
        key=key,
    )
    return Rejected(record=record, reason=RejectReason.BAD_PROTOBUF, detail="no message at byte 0")


def lines(letters: FileLetters) -> list[dict[str, object]]:
    return [json.loads(line) for file in letters.files for line in file.read_bytes().splitlines()]


def test_a_file_keeps_the_record_whole_and_says_why(tmp_path: Path) -> None:
    letters = FileLetters(tmp_path / "letters")

    letters.send([letter(), letter(8, value=None, key=None)])

    kept, tombstone = lines(letters)
    assert base64.b64decode(str(kept.pop("value"))) == b"\x00bad"
    assert base64.b64decode(str(kept.pop("key"))) == b"k"
    assert kept == {
        "topic": "otlp_spans",
        "partition": 3,
        "offset": 7,
        "timestamp": 1_700_000_000.5,
        "kind": "traces",
        "reason": "bad_protobuf",
        "detail": "no message at byte 0",
    }
    assert (tombstone["value"], tombstone["key"]) == (None, None)
    letters.close()


def test_files_rotate_and_the_oldest_goes(tmp_path: Path) -> None:
    letters = FileLetters(tmp_path, file_bytes_max=600, files_max=2)

    for offset in range(10):
        letters.send([letter(offset, value=b"x" * 100)])

    assert len(letters.files) == 2
    assert all(file.stat().st_size <= 600 for file in letters.files)
    assert letters.dropped_files > 0
    assert lines(letters)[-1]["offset"] == 9
    letters.close()


def test_a_letter_larger_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    letters = FileLetters(tmp_path, file_bytes_max=600, files_max=3)

    letters.send([letter(1), letter(2, value=b"x" * 5_000), letter(3)])

    assert [line["offset"] for line in lines(letters)] == [1, 2, 3]
    assert len(letters.files) == 3
    letters.close()


def test_a_second_start_appends_behind_what_a_crash_left(tmp_path: Path) -> None:
    first = FileLetters(tmp_path)
    first.send([letter(1)])
    first.close()
    with first.files[0].open("ab") as file:
        file.write(b'{"topic": "otl')

    second = FileLetters(tmp_path)
    second.send([letter(2)])

    assert [json.loads(line)["offset"] for line in second.files[0].read_bytes().splitlines() if line[-1:] == b"}"] == [
        1,
        2,
    ]
    second.close()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("a file")

    with pytest.raises(SourceError, match="dead letters"):
        FileLetters(tmp_path / "letters").send([letter()])


def test_close_is_safe_twice_and_without_a_letter(tmp_path: Path) -> None:
    letters = FileLetters(tmp_path)

    letters.close()
    letters.close()

    assert letters.files == []


def test_the_headers_are_those_of_kafka_connect() -> None:
    told = dict(headers(letter()))

    assert told["__connect.errors.topic"] == b"otlp_spans"
    assert told["__connect.errors.partition"] == b"3"
    assert told["__connect.errors.offset"] == b"7"
    assert told["__connect.errors.exception.class.name"] == b"bad_protobuf"
    assert told["__connect.errors.exception.message"] == b"no message at byte 0"
    names = {"connector.name", "task.id", "stage", "class.name", "exception.stacktrace"}
    assert {f"__connect.errors.{name}" for name in names} <= told.keys()


class TestTopic:
    pytestmark = pytest.mark.server("kafka")

    @pytest.fixture
    def files(self, tmp_path: Path) -> FileLetters:
        return FileLetters(tmp_path / "letters")

    def letters(self, broker: KafkaBroker, topic: str, files: FileLetters) -> KafkaLetters:
        return KafkaLetters(KafkaConfig(brokers=(broker.bootstrap,)), topic, files, {})

    def test_a_letter_is_in_the_topic_with_key_value_time_and_headers(
        self, kafka_broker: KafkaBroker, files: FileLetters, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        topic = kafka_broker.create_topic("letters_whole", retention_ms="-1")
        letters = self.letters(kafka_broker, topic, files)

        letters.send([letter(), letter(8, value=None, key=None)])

        first, second = kafka_broker.records(topic, 2)
        assert (first.key, first.value, first.timestamp) == (b"k", b"\x00bad", 1_700_000_000_500)
        assert first.headers == headers(letter())
        assert dict(second.headers)["__connect.errors.offset"] == b"8"
        assert "x00bad" not in caplog.text
        letters.close()
        letters.close()

    def test_what_the_topic_refuses_goes_to_the_file_and_the_rest_to_the_topic(
        self, kafka_broker: KafkaBroker, files: FileLetters
    ) -> None:
        topic = kafka_broker.create_topic("letters_small", max_message_bytes="10000", retention_ms="-1")
        letters = self.letters(kafka_broker, topic, files)

        letters.send([letter(1), letter(2, value=b"L" * 50_000), letter(3)])

        assert [dict(each.headers)["__connect.errors.offset"] for each in kafka_broker.records(topic, 2)] == [
            b"1",
            b"3",
        ]
        assert [line["offset"] for line in lines(files)] == [2]
        assert letters.refused == 1
        letters.close()

    def test_a_topic_that_is_not_there_leaves_the_file(self, kafka_broker: KafkaBroker, files: FileLetters) -> None:
        letters = self.letters(kafka_broker, "letters_nowhere", files)

        letters.send([letter(1)])

        assert [line["offset"] for line in lines(files)] == [1]
        letters.close()
