"""When the committer writes."""

from __future__ import annotations

import obstore
import pytest
from obstore.store import MemoryStore

from collector.chain import Chain
from collector.committer import Committer
from collector.config import ChainConfig
from collector.intake import Opened, Read, Step
from collector.labels import Labels
from collector.rows import SuiteId
from collector.telemetry import Silent
from signals.types import SuiteScores
from tests.core.build import NOON, PARTITION, STREAM, TOXICITY, anchor, call, scores
from tests.simulation.world import Letters


@pytest.fixture
def committer():
    """With a call of NOON in its books."""
    committer = Committer(
        chain=Chain(MemoryStore()),
        dead_letters=Letters(),
        telemetry=Silent(),
        config=ChainConfig(flush_seconds=5.0),
        labels=Labels(values_max=10, chars_max=50),
        suite=SuiteId.of([TOXICITY]),
        written_by="test",
    )
    opened = Opened(partition=PARTITION, stream=STREAM, start=0, first=0, resume_at=0.0, labels={}, at=NOON)
    committer.take(Step(events=[opened]), SuiteScores(columns=()), NOON)
    read = Read(anchor=anchor(0), timestamp=float(NOON), candidates=1)
    committer.take(Step(events=[read], anchors=[anchor(0)], calls=[call()]), scores(1), NOON)
    return committer


@pytest.mark.parametrize(("later", "due"), [(0.0, False), (4.9, False), (5.0, True), (-3_600.0, True)])
def test_what_is_scored_is_written_after_the_flush_time_or_once_the_clock_is_turned_back(committer, later, due):
    assert committer.due(NOON + later) == due


def test_a_winner_that_is_damaged_closes_the_books_of_its_partition_alone(committer):
    obstore.put(committer.chain._store, f"{STREAM.path}/{0:020d}.parquet", b"not a delta")

    outcome = committer.flush(NOON, everything=True)

    assert (outcome.conflicts, outcome.committed) == ((PARTITION,), {})
    assert not committer.due(NOON + 3_600)
