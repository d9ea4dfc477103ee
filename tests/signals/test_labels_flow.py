"""Every label of an imported model, and what a cascade counts, on their way from the suite to rows, metrics and SQL."""

from __future__ import annotations

from pathlib import Path

from collector import catalog
from collector.delta import Delta, Footer, encode
from collector.export.prometheus import Exporter
from collector.labels import Labels
from collector.rows import SuiteId, build, embedding_sums, table
from collector.scoring import Scorer
from collector.store.database import rows_of
from collector.telemetry import Silent
from signals.detoxify import LABELS
from signals.suite import Suite
from signals.types import Side
from tests.core.build import NOON, STREAM, call
from tests.store.build import view

CALLS = [call(number, last_user_text=f"Where is order {number}?") for number in range(6)]


def delta(suite: Suite) -> Delta:
    scores = Scorer(suite, Silent()).score(CALLS, [None] * len(CALLS))
    identity = SuiteId.of(suite.specs)
    rows = build(CALLS, range(6), scores, identity, Labels(values_max=10, chars_max=50), NOON)
    footer = Footer(
        topic=STREAM.topic,
        epoch=STREAM.epoch,
        partition=STREAM.partition,
        start=0,
        next=6,
        records=6,
        consumed=6,
        suites={identity.id: identity.entries},
        resume_at=NOON,
    )
    return Delta(footer=footer, calls=table([rows]), embeddings=embedding_sums([rows]))


def test_the_catalogue_names_every_label_on_both_sides() -> None:
    sides = {signal.name: signal.sides for signal in catalog.SIGNALS}

    assert all(sides[label] == tuple(Side) for label in LABELS)


def test_each_label_is_a_column_of_the_rows_and_a_histogram(cascade_suite: Suite) -> None:
    exporter = Exporter()

    made = delta(cascade_suite)
    exporter.count_delta(made)

    text = exporter.render()[0].decode()
    assert len(encode(made)) > 0
    for spec in cascade_suite.specs:
        assert f"s_{spec.column}" in made.calls.column_names
        values = made.calls.column(f"s_{spec.column}").to_numpy()
        assert ((values >= 0) & (values <= 1_000_000)).all()
        assert f'assay_{spec.signal}_score_count{{model="gpt-4o",service="shop",side="{spec.side}"}} 6.0' in text


def test_what_the_cascade_counts_is_exported(cascade_suite: Suite) -> None:
    exporter = Exporter()

    scores = Scorer(cascade_suite, exporter).score(CALLS, [None] * len(CALLS))

    text = exporter.render()[0].decode()
    assert "assay_cascade_texts_total 12.0" in text
    assert "assay_cascade_fallen 0.0" in text
    assert {f"cascade_{name}" for name in ("recall", "rate")} <= set(scores.gauges)
    assert set(scores.gauges) == set(catalog.SUITE_GAUGES)
    assert set(scores.counts) == set(catalog.SUITE_COUNTS)


def test_every_label_reaches_rollups_and_views(cascade_suite: Suite, tmp_path: Path) -> None:
    chain, materialiser = view(tmp_path)
    chain.append(delta(cascade_suite))

    assert materialiser.step().calls == 6
    with materialiser.store.database.read() as connection:
        found = rows_of(connection, "SELECT signal, side, sum(n) FROM rollup_hour GROUP BY ALL")
    materialiser.store.close()

    assert {(signal, side): int(n) for signal, side, n in found} == {
        (spec.signal, spec.side.value): 6 for spec in cascade_suite.specs
    }
