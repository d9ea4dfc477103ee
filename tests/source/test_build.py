"""The configuration chooses the source and the place for dead letters."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from collector.config import Config, ConfigError
from collector.source.build import open_dead_letters, open_source
from collector.source.deadletters import FileLetters
from collector.source.kafka import KafkaLetters, KafkaSource
from collector.source.otlp import OtlpSource
from collector.source.replay import ReplaySource
from collector.source.topics import Topics


def config(tmp_path: Path, **source: Any) -> Config:
    return Config.model_validate({"source": source, "data": tmp_path})


KAFKA = {"brokers": ["127.0.0.1:1"]}


def test_each_section_opens_its_source(tmp_path: Path) -> None:
    assert isinstance(open_source(config(tmp_path, kafka=KAFKA), {}), KafkaSource)
    assert isinstance(open_source(config(tmp_path, otlp={}), {}), OtlpSource)
    assert isinstance(open_source(config(tmp_path, replay={"traces": ["x.pb"]}), {}), ReplaySource)


def test_the_fast_client_is_chosen_by_name(tmp_path: Path) -> None:
    made = open_source(config(tmp_path, kafka=KAFKA | {"client": "confluent"}), {})

    assert type(made).__name__ == "ConfluentSource"


def test_a_fast_client_that_is_not_installed_is_a_configuration_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if "confluent" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)  # as if the package were absent

    with pytest.raises(ConfigError, match=r"pip install 'llm-assay\[fast\]'"):
        open_source(config(tmp_path, kafka=KAFKA | {"client": "confluent"}), {})


def test_dead_letters_go_to_the_topic_where_one_is_named_else_to_a_file(tmp_path: Path) -> None:
    assert isinstance(open_dead_letters(config(tmp_path, otlp={}), {}), FileLetters)
    assert isinstance(open_dead_letters(config(tmp_path, kafka=KAFKA), {}), FileLetters)
    named = config(tmp_path, kafka=KAFKA | {"dead_letter_topic": "letters"})
    assert isinstance(open_dead_letters(named, {}), KafkaLetters)


def test_topics_are_names_or_patterns_that_match_whole_names() -> None:
    topics = Topics(traces=("spans.a", "spans.b"), logs=r"logs\..*|events")

    assert [topics.kind(name) for name in ("spans.a", "spansXa", "logs.x", "events", "my.events", "events2")] == [
        "traces",
        None,
        "logs",
        "logs",
        None,
        None,
    ]
    assert topics.names == ("spans.a", "spans.b")


def test_a_topic_that_both_match_holds_traces() -> None:
    assert Topics(traces="otlp.*", logs="otlp_logs").kind("otlp_logs") == "traces"


def test_no_logs_topics_at_all_is_fine() -> None:
    topics = Topics(traces=("spans",), logs=())

    assert topics.names == ("spans",)
    assert topics.patterns == ()
