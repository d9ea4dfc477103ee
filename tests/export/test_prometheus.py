"""The exporter says of a delta what plain Python would, in formats that Prometheus reads, within its bounds."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

from collector import catalog
from collector.delta import decode, encode
from collector.export.prometheus import Exporter
from signals.types import Abstention
from tests.export.fakes import SECOND, START, delta, trace_id

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def samples(exporter: Exporter) -> Iterator[Sample]:
    text, _ = exporter.render(OPENMETRICS)
    for family in parse_openmetrics(text.decode()):
        yield from family.samples


def read(exporter: Exporter, name: str, labels: Mapping[str, str] | None = None) -> float | None:
    """The value of the one sample that has these labels, among others."""
    found = [
        sample.value
        for sample in samples(exporter)
        if sample.name == name and (labels or {}).items() <= sample.labels.items()
    ]
    assert len(found) <= 1
    return found[0] if found else None


def test_a_batch_is_counted_by_service_model_and_outcome() -> None:
    exporter = Exporter()

    exporter.count_delta(delta([{}, {"model": "m-2"}, {"unscored": "no_text"}, {"unscored": "shed"}]))

    assert read(exporter, "assay_calls_total", {"model": "m-1", "outcome": "scored"}) == 1
    assert read(exporter, "assay_calls_total", {"model": "m-2", "outcome": "scored"}) == 1
    assert read(exporter, "assay_calls_total", {"model": "m-1", "outcome": "unscored"}) == 2
    assert read(exporter, "assay_calls_unscored_total", {"reason": "shed"}) == 1


def test_a_score_on_an_edge_lies_at_or_below_it() -> None:
    exporter = Exporter(warn_at=0.3, critical_at=0.57)

    exporter.count_delta(delta([{"s_toxicity_output": value} for value in (300_000, 300_001, 570_000)]))

    assert read(exporter, "assay_toxicity_score_bucket", {"le": "0.3"}) == 1
    assert read(exporter, "assay_toxicity_score_bucket", {"le": "0.57"}) == 3
    assert read(exporter, "assay_toxicity_score_sum") == 1.170001


def test_an_abstention_is_counted_with_its_reason_and_not_observed() -> None:
    exporter = Exporter()

    exporter.count_delta(delta([{"s_toxicity_output": -Abstention.REDACTED}, {"s_toxicity_output": None}, {}]))

    assert read(exporter, "assay_signal_unscored_total", {"signal": "toxicity", "reason": "redacted"}) == 1
    assert read(exporter, "assay_toxicity_score_count") is None


def test_a_bucket_shows_the_newest_call_in_it() -> None:
    exporter = Exporter()
    calls = [{"s_toxicity_output": 620_000}, {"s_toxicity_output": 640_000}, {"s_toxicity_output": 990_000}]
    exporter.count_delta(delta(calls, number_from=10))

    exporter.count_delta(delta([{"s_toxicity_output": 650_000}], number_from=5))  # late: an older call

    shown = {s.labels["le"]: s.exemplar for s in samples(exporter) if s.name == "assay_toxicity_score_bucket"}
    assert shown["0.7"].labels == {"trace_id": trace_id(11)}
    assert shown["0.7"].value == 0.64
    assert float(shown["0.7"].timestamp) == START / SECOND + 11
    assert shown["0.99"].labels == {"trace_id": trace_id(12)}
    assert shown["0.1"] is None


def test_tokens_latency_errors_and_unjoined_calls_are_summed() -> None:
    exporter = Exporter()
    call = {"input_tokens": 100, "output_tokens": None, "latency_us": 1_500_000, "error": "timeout", "unjoined": True}

    exporter.count_delta(delta([call, call, {}]))

    assert read(exporter, "assay_tokens_total", {"direction": "input"}) == 200
    assert read(exporter, "assay_tokens_total", {"direction": "output"}) is None
    assert read(exporter, "assay_call_latency_seconds_count") == 2
    assert read(exporter, "assay_call_latency_seconds_sum") == 3
    assert read(exporter, "assay_calls_failed_total", {"error": "timeout"}) == 2
    assert read(exporter, "assay_calls_unjoined_total") == 2


def test_the_footer_balances_or_the_imbalance_shows() -> None:
    exporter = Exporter()

    exporter.count_delta(delta([{}], consumed=4, rejected={"bad_json": 2}, lost=1, records=3, dropped={"twin": 5}))

    assert read(exporter, "assay_conservation_imbalance") == 0
    assert read(exporter, "assay_records_rejected_total", {"reason": "bad_json"}) == 2
    assert read(exporter, "assay_records_lost_total") == 1
    assert read(exporter, "assay_spans_dropped_total", {"reason": "twin"}) == 5
    exporter.count_delta(delta([{}], consumed=2))
    assert read(exporter, "assay_conservation_imbalance") == 1


def test_a_delta_without_calls_counts_its_footer() -> None:
    exporter = Exporter()

    exporter.count_delta(delta([], records=7, consumed=0))

    assert read(exporter, "assay_records_total") == 7


scores = st.one_of(st.integers(0, 1_000_000), st.integers(-8, -1), st.none())
calls = st.fixed_dictionaries(
    {
        "service": st.sampled_from(["a", "b", "c"]),
        "model": st.sampled_from(["x", "y"]),
        "s_toxicity_output": scores,
        "s_toxicity_input": scores,
        "unscored": st.sampled_from([None, "no_text"]),
    }
)


@given(st.lists(st.lists(calls, max_size=12), max_size=4))
def test_batches_say_what_counting_one_by_one_says(batches: list[list[dict[str, Any]]]) -> None:
    exporter = Exporter()
    observed: Counter[tuple[str, ...]] = Counter()
    sums: Counter[tuple[str, ...]] = Counter()
    abstained: Counter[tuple[str, ...]] = Counter()
    for batch in batches:
        built = delta(batch, ("toxicity_output", "toxicity_input"))
        exporter.count_delta(decode(encode(built)))
        for call in batch:
            for side in ("output", "input"):
                score = call[f"s_toxicity_{side}"]
                key = (call["service"], call["model"], side)
                if score is None:
                    continue
                if score < 0:
                    abstained[call["service"], side, Abstention(-score).name.lower()] += 1
                else:
                    sums[key] += score
                    for edge in (*exporter.catalog["assay_toxicity_score"].buckets, math.inf):
                        observed[(*key, str(edge))] += score / 1_000_000 <= edge

    seen, seen_sums, seen_abstained = Counter[tuple[str, ...]](), {}, Counter[tuple[str, ...]]()
    for sample in samples(exporter):
        key = tuple(sample.labels.get(label, "") for label in ("service", "model", "side"))
        if sample.name == "assay_toxicity_score_bucket":
            seen[(*key, str(float(sample.labels["le"])))] = int(sample.value)
        elif sample.name == "assay_toxicity_score_sum":
            seen_sums[key] = sample.value
        elif sample.name == "assay_signal_unscored_total":
            seen_abstained[key[0], key[2], sample.labels["reason"]] = int(sample.value)
    assert +seen == +observed
    assert seen_sums == {key: total / 1_000_000 for key, total in sums.items()}  # not a bit off
    assert seen_abstained == abstained


def test_chunks_with_different_dictionaries_are_one_table() -> None:
    exporter = Exporter()
    one, two = delta([{"service": "a"}] * 2), delta([{"service": "b"}, {"service": "a"}])
    joined = pa.concat_tables([one.calls, two.calls])

    exporter.count_delta(type(one)(footer=one.footer, calls=joined, embeddings=one.embeddings))

    assert read(exporter, "assay_calls_total", {"service": "a"}) == 3
    assert read(exporter, "assay_calls_total", {"service": "b"}) == 1


def test_a_score_that_the_catalogue_does_not_name_is_a_programming_error() -> None:
    with pytest.raises(KeyError, match="sentiment"):
        Exporter().count_delta(delta([{"s_sentiment_output": 1}], ("sentiment_output",)))


def test_unknown_metrics_and_wrong_labels_are_programming_errors() -> None:
    exporter = Exporter()

    with pytest.raises(KeyError):
        exporter.add("assay_no_such_total")
    with pytest.raises(KeyError):
        exporter.add("assay_append_retries_total", stage="x")
    with pytest.raises(KeyError):
        exporter.observe("assay_stage_seconds", 0.1, place="x")
    with pytest.raises(ValueError, match="deltas"):
        exporter.observe("assay_toxicity_score", 0.1, service="a", model="b", side="output")
    with pytest.raises(ValueError, match="no counter"):
        exporter.add("assay_calls_total", service="a", model="b", outcome="scored")
    with pytest.raises(ValueError, match="no counter"):
        exporter.add("assay_append_retries_total", -1)
    with pytest.raises(ValueError, match="no gauge"):
        exporter.set("assay_append_retries_total", 1)


def test_a_counter_of_a_closed_set_starts_at_zero() -> None:
    exporter = Exporter()

    assert read(exporter, "assay_records_rejected_total", {"reason": "decompression_bomb"}) == 0
    assert read(exporter, "assay_append_retries_total") == 0


def test_a_gauge_set_to_nan_disappears_until_it_is_set_again() -> None:
    exporter = Exporter()
    exporter.set("assay_lag_records", 5, topic="t", partition="0")

    exporter.set("assay_lag_records", math.nan, topic="t", partition="0")

    assert read(exporter, "assay_lag_records") is None
    exporter.set("assay_lag_records", 3, topic="t", partition="0")
    assert read(exporter, "assay_lag_records") == 3


def test_beyond_the_bound_open_labels_become_other_and_closed_ones_stay() -> None:
    exporter = Exporter(series_max=3)
    many = [{"service": f"s{n}", "s_toxicity_output": 500_000} for n in range(10)]

    exporter.count_delta(delta(many))
    exporter.count_delta(delta(many))

    found = {s.labels["service"]: s.value for s in samples(exporter) if s.name == "assay_toxicity_score_count"}
    assert found == {"s0": 2, "s1": 2, "s2": 2, "__other__": 14}
    assert read(exporter, "assay_toxicity_score_count", {"service": "__other__", "side": "output"}) == 14
    assert read(exporter, "assay_series_overflowed_total", {"metric": "assay_toxicity_score"}) == 14
    assert read(exporter, "assay_series_overflowed_total", {"metric": "assay_calls_total"}) == 14


hostile = st.text(max_size=300) | st.sampled_from(['a"b\\c\nd', "\x1b[31m", "\udce4", "\u202e", "x" * 500])


@given(hostile)
def test_no_label_value_breaks_either_format(value: str) -> None:
    exporter = Exporter()
    exporter.add("assay_signal_failures_total", signal="toxicity", error=value)

    openmetrics = exporter.render(OPENMETRICS)[0].decode()
    text = exporter.render("")[0].decode()

    for parse, document in ((parse_openmetrics, openmetrics), (parse_text, text)):
        errors = [s.labels["error"] for f in parse(document) for s in f.samples if f.name.endswith("signal_failures")]
        assert len(errors) == 1
        assert len(errors[0]) <= 120
        assert errors[0].isprintable()


@given(
    hostile,
    st.lists(st.tuples(st.sampled_from(['a"b\\c\nd', "shop", ""]), st.integers(0, 1_000_000)), min_size=1, max_size=30),
    st.floats(0, 1e12) | st.integers(0, 10**9),
)
def test_the_exposition_is_what_prometheus_client_would_write(
    word: str, scored: list[tuple[str, int]], number: float
) -> None:
    exporter = Exporter()
    calls = [
        {"service": service, "s_toxicity_output": score, "latency_us": score * 1_000, "input_tokens": score}
        for service, score in scored
    ]
    exporter.count_delta(delta(calls))
    exporter.add("assay_signal_failures_total", number, signal="toxicity", error=word)
    exporter.add("assay_append_bytes_total", number)
    exporter.set("assay_store_bytes", number)
    exporter.observe("assay_stage_seconds", number, stage="intake")
    exporter.observe("assay_batch_calls", number)

    for accept in (OPENMETRICS, ""):
        assert exporter.render(accept)[0].decode().startswith(as_the_client_writes(exporter, accept))


def test_a_bucket_of_over_a_million_is_written_as_prometheus_client_would() -> None:
    exporter = Exporter()
    values = np.full(1_200_000, 300_000)

    exporter.observe_batch("assay_toxicity_score", [("shop", "m-1", "output")], np.zeros_like(values), values)

    for accept in (OPENMETRICS, ""):
        assert exporter.render(accept)[0].decode().startswith(as_the_client_writes(exporter, accept))


def as_the_client_writes(exporter: Exporter, accept: str) -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(exporter)
    return choose_encoder(accept)[0](registry).decode().removesuffix("# EOF\n")


def test_no_created_series_and_exemplars_only_in_openmetrics() -> None:
    exporter = Exporter()
    exporter.count_delta(delta([{"s_toxicity_output": 1}]))

    openmetrics, openmetrics_type = exporter.render(OPENMETRICS)
    text, text_type = exporter.render("text/plain")

    assert openmetrics_type.startswith("application/openmetrics-text")
    assert text_type.startswith("text/plain")
    assert b"_created" not in openmetrics + text
    assert trace_id(0).encode() in openmetrics
    assert trace_id(0).encode() not in text


def test_every_metric_of_the_catalogue_is_exposed_under_its_name() -> None:
    text = Exporter().render("")[0].decode()

    typed = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE assay_")}
    assert typed == {name: metric.type.value for name, metric in catalog.metrics().items()}


def test_a_scrape_between_batches_never_sees_half_a_batch() -> None:
    exporter = Exporter()
    batch = delta([{"s_toxicity_output": 1}] * 50)
    done = threading.Event()

    def count() -> None:
        for _ in range(40):
            exporter.count_delta(batch)
        done.set()

    thread = threading.Thread(target=count)
    thread.start()
    pairs = []
    while not done.is_set():
        families = {f.name: f for f in exporter.collect()}
        calls_total = sum(s.value for s in families["assay_calls"].samples)
        scored = [s.value for s in families["assay_toxicity_score"].samples if s.name.endswith("_count")]
        pairs.append((calls_total, sum(scored)))
    thread.join()

    assert all(calls_total == scored for calls_total, scored in pairs)
