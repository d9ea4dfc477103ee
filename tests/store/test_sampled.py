"""Languages and topics as slices: exact where every row is read, near the truth where a sample is, and bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from collector.delta import ROW_GROUP, Delta, Footer
from collector.evidence import Question, Report, Slice
from collector.labels import Labels
from collector.rows import SuiteId, build, embedding_sums, table
from collector.store.evidence import VALUES_MAX, Findings
from collector.store.sampled import CALLS_MAX
from signals.sketch import SOURCE_DIMENSIONS
from signals.types import Abstention, Embeddings, ScoreColumn, Side, SuiteScores
from tests.core.build import NOON, STREAM, TOXICITY, call
from tests.store.build import view

HOUR = 3_600
BEGIN = NOON - NOON % 60
START = datetime.fromtimestamp(BEGIN, UTC).replace(tzinfo=None)
QUESTION = Question(signal="toxicity", side="output", start=START, end=START + timedelta(hours=1))


class Kind:
    """Some calls that are alike: how many an hour, in which language, about what, and how many of them are bad."""

    def __init__(self, n: int, language: str | None, topic: int, bad: int = 0) -> None:
        self.n, self.language, self.topic, self.bad = n, language, topic, bad


def delta(start: int, at: int, kinds: Sequence[Kind]) -> Delta:
    """The calls of an hour from second ``at`` on, evenly mixed."""
    rng = np.random.default_rng(at)
    each = [(kind, number) for kind in kinds for number in range(kind.n)]
    each = [each[place] for place in rng.permutation(len(each))]
    n = len(each)
    directions = np.random.default_rng(7).normal(size=(9, SOURCE_DIMENSIONS))
    vectors = directions[[kind.topic for kind, _ in each]] + 0.3 * rng.normal(size=(n, SOURCE_DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = SuiteScores(
        columns=(
            ScoreColumn(
                spec=TOXICITY,
                values=np.array([0.9 if number < kind.bad else 0.1 for kind, number in each], np.float32),
                abstentions=np.full(n, Abstention.NONE, np.uint8),
            ),
        ),
        embeddings=(
            Embeddings(
                side=Side.OUTPUT, version="m1", vectors=vectors.astype(np.float32), present=np.ones(n, np.bool_)
            ),
        ),
        languages=tuple(kind.language for kind, _ in each),
    )
    calls = [call(start + place, ended_at=(at + place * HOUR // n) * 10**9) for place in range(n)]
    suite = SuiteId.of([TOXICITY])
    part = build(calls, range(start, start + n), scores, suite, Labels(values_max=9, chars_max=50), at)
    footer = Footer(
        topic=STREAM.topic, epoch=STREAM.epoch, partition=STREAM.partition, start=start, next=start + n,
        records=n, consumed=n, suites={suite.id: suite.entries}, resume_at=float(at + HOUR),
    )  # fmt: skip
    return Delta(footer=footer, calls=table([part]), embeddings=embedding_sums([part]))


def report(folder: Path, before: Sequence[Kind], now: Sequence[Kind], question: Question = QUESTION) -> Report:
    chain, materialiser = view(folder)
    first = delta(0, BEGIN - HOUR, before)
    chain.append(first)
    chain.append(delta(first.footer.next, BEGIN, now))
    assert not materialiser.step().failure
    found = Findings(materialiser.store).report(question)
    materialiser.store.close()
    return found


def of(found: Report, key: str) -> dict[str, Slice]:
    return {part.value: part for part in found.slices if part.key == key}


def test_where_every_row_is_read_the_counts_of_languages_are_exact(tmp_path: Path) -> None:
    before = [Kind(60, "en", 0, 2), Kind(30, "de", 0, 1), Kind(10, None, 0)]
    now = [Kind(60, "en", 0, 2), Kind(50, "de", 0, 21), Kind(10, None, 0)]

    found = report(tmp_path, before, now)

    counts = {value: (s.scored, s.bad, s.scored_before, s.bad_before) for value, s in of(found, "language").items()}
    assert counts == {"en": (60, 2, 60, 2), "de": (50, 21, 30, 1), "": (10, 0, 10, 0)}
    assert found.looked_at == (100, 120)
    assert found.slices[0].value == "de"
    change = (found.now.bad_share or 0) - (found.before.bad_share or 0)
    assert sum(part.contribution for part in of(found, "language").values()) == pytest.approx(change)


def test_the_topic_of_the_bad_calls_is_to_blame_and_named_by_one_of_them(tmp_path: Path) -> None:
    before = [Kind(100, "en", 0, 1), Kind(100, "en", 1, 1), Kind(100, "en", 2, 1)]
    now = [Kind(100, "en", 0, 1), Kind(100, "en", 1, 1), Kind(100, "en", 2, 60)]

    found = report(tmp_path, before, now)

    first = found.slices[0]
    assert first.key == "topic"
    assert first.contribution == pytest.approx(59 / 300, abs=0.02)
    assert first.bad == pytest.approx(60, abs=2)
    topics = of(found, "topic")
    assert sum(part.scored for part in topics.values()) == pytest.approx(300, abs=len(topics))
    assert all(len(bytes.fromhex(value)) == 16 for value in topics)


def test_a_sample_is_near_the_truth_and_bounded(tmp_path: Path) -> None:
    before = [Kind(3 * ROW_GROUP, "en", 0, 300), Kind(ROW_GROUP, "de", 0, 100)]
    now = [Kind(3 * ROW_GROUP, "en", 0, 300), Kind(2 * ROW_GROUP, "de", 0, 4_000)]

    found = report(tmp_path, before, now)

    assert found.looked_at[0] == 4 * ROW_GROUP == CALLS_MAX
    assert found.looked_at[1] <= CALLS_MAX < found.now.scored
    german = of(found, "language")["de"]
    assert german.scored == pytest.approx(2 * ROW_GROUP, rel=0.05)
    assert german.bad == pytest.approx(4_000, rel=0.1)


def test_a_question_of_one_service_looks_at_its_calls_alone(tmp_path: Path) -> None:
    question = Question(signal="toxicity", side="output", start=START, end=QUESTION.end, service="desk")

    found = report(tmp_path, [Kind(10, "en", 0)], [Kind(10, "de", 0)], question)

    assert found.looked_at == (0, 0)
    assert of(found, "language") == {}


def test_a_key_of_many_values_leaves_room_for_the_others(tmp_path: Path) -> None:
    before = [Kind(20, "en", topic, 0) for topic in range(8)]
    now = [Kind(20, "en", topic, 10) for topic in range(8)]

    found = report(tmp_path, before, now)

    shown = Counter(part.key for part in found.slices)
    assert shown["topic"] == VALUES_MAX
    assert "model_version" in shown
