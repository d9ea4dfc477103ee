"""The books of one partition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.ledger import Ledger
from collector.records import DropReason
from tests.core import build


def test_next_never_passes_an_unfinished_call():
    ledger = Ledger(build.STREAM, 10)
    ledger.read(10, 1.0, 1)
    ledger.read(11, 2.0, 1)
    ledger.read(12, 3.0, 0)
    ledger.score(build.rows([11]))

    assert ledger.cut() is None

    ledger.score(build.rows([10]))
    cut = ledger.cut()

    assert cut is not None
    assert (cut.start, cut.next, cut.records, cut.consumed) == (10, 13, 3, 2)
    assert ledger.cut() is None


def test_rows_behind_an_unfinished_call_wait_for_the_next_cut():
    ledger = Ledger(build.STREAM, 0)
    for offset in range(4):
        ledger.read(offset, 0.0, 1)
    ledger.score(build.rows([0, 1, 3]))

    first = ledger.cut()
    ledger.drop(2, DropReason.TWIN)
    second = ledger.cut()

    assert first is not None
    assert second is not None
    assert [len(part.offsets) for part in first.rows] == [2]
    assert [part.offsets.tolist() for part in second.rows] == [[3]]
    assert second.dropped == {"twin": 1}
    assert second.consumed == 1


def test_holes_in_the_offsets_are_passed_and_not_counted():
    ledger = Ledger(build.STREAM, 0)
    ledger.read(7, 0.0, 0)
    ledger.read(100, 0.0, 0)

    cut = ledger.cut()

    assert cut is not None
    assert (cut.next, cut.records, cut.consumed, cut.lost) == (101, 2, 0, 0)


def test_what_retention_took_is_a_loss_that_is_written_down():
    ledger = Ledger(build.STREAM, 5)
    ledger.lose(9)

    cut = ledger.cut()

    assert cut is not None
    assert (cut.start, cut.next, cut.lost, cut.consumed) == (5, 9, 4, 4)


def test_a_reject_is_counted_once_and_goes_with_its_range():
    ledger = Ledger(build.STREAM, 0)
    ledger.read(0, 0.0, 1)
    ledger.reject(build.reject(1))

    assert ledger.cut() is None

    ledger.score(build.rows([0]))
    cut = ledger.cut()

    assert cut is not None
    assert len(cut.rejected) == 1
    assert cut.consumed == 2


@pytest.mark.parametrize("offset", [3, 99])
def test_a_verdict_on_what_was_not_read_stops_the_process(offset):
    ledger = Ledger(build.STREAM, 0)
    ledger.read(3, 0.0, 1)
    ledger.drop(3, DropReason.WRAPPER)

    with pytest.raises(AssertionError, match="verdict too many"):
        ledger.drop(offset, DropReason.WRAPPER)


def test_a_record_that_comes_twice_stops_the_process():
    ledger = Ledger(build.STREAM, 0)
    ledger.read(3, 0.0, 0)

    with pytest.raises(AssertionError, match="read 3 after 4"):
        ledger.read(3, 0.0, 0)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["call", "drop"])), max_size=30), st.randoms())
def test_in_whatever_order_verdicts_come_every_candidate_is_counted_in_exactly_one_range(records, random):
    ledger = Ledger(build.STREAM, 0)
    verdicts = []
    for offset, (candidates, verdict) in enumerate(records):
        ledger.read(offset, 0.0, candidates)
        verdicts += [(offset, verdict)] * candidates
    random.shuffle(verdicts)
    cuts = []
    for offset, verdict in verdicts:
        if verdict == "call":
            ledger.score(build.rows([offset]))
        else:
            ledger.drop(offset, DropReason.TWIN)
        if random.random() < 0.3 and (cut := ledger.cut()):
            cuts.append(cut)
    if cut := ledger.cut():
        cuts.append(cut)

    counted = sorted(offset for cut in cuts for part in cut.rows for offset in part.offsets.tolist())
    assert counted == sorted(offset for offset, verdict in verdicts if verdict == "call")
    assert sum(cut.dropped.get("twin", 0) for cut in cuts) == sum(verdict == "drop" for _, verdict in verdicts)
    assert [cut.start for cut in cuts[1:]] == [cut.next for cut in cuts[:-1]]
    assert sum(cut.records for cut in cuts) == len(records)
