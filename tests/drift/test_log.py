"""The log of drift: one decision a number, whoever asks; merged and trimmed it says the same."""

from __future__ import annotations

import msgspec
import pytest

from collector.chain import open_chain
from collector.delta import DeltaError
from collector.drift.log import RUN, DriftLog
from collector.drift.record import FULL_EVERY, Detector, Place, Record, Row, Slice, Topic, decode, encode
from tests.store.build import config

SHOP, DESK = Slice("shop", "gpt-4o", "input", "v1"), Slice("desk", "gpt-4o", "output", "v1")


def record(number: int, *detectors: Detector, **changes: object) -> Record:
    fields = {
        "number": number,
        "begin": 60.0 * number,
        "end": 60.0 * number + 60,
        "alpha": 1e-4,
        "positions": {"spans@e/0": 10 * number + 10},
        "rows": (
            Row(slice=SHOP, calls=3, pairs=2, skipped={"thinned": 1}, log_increment=0.1, log_e=0.2, pairs_total=2),
        ),
        "full": number % FULL_EVERY == 0,
    }
    return Record(detectors=detectors, **(fields | changes))


def detector(name: Slice, state: int) -> Detector:
    return Detector(slice=name, state=bytes([state]), used={497_000: Place(12, 2**64 - 1)}, alarm_since=60.0)


def test_a_topic_of_an_earlier_version_is_read_without_spans_and_times():
    class Earlier(msgspec.Struct):
        share_before: float = 0.1
        share_after: float = 0.2
        change_low: float = 0.0
        change_high: float = 0.2
        examples_before: tuple[str, ...] = ("ab" * 16,)
        examples_after: tuple[str, ...] = ()

    topic = msgspec.msgpack.decode(msgspec.msgpack.encode(Earlier()), type=Topic)

    assert (topic.examples_before, topic.spans_before, topic.times_before) == (("ab" * 16,), (), ())


@pytest.fixture
def log(tmp_path):
    return DriftLog(open_chain(config(tmp_path)))


def fill(log: DriftLog, n: int) -> list[Record]:
    """Each changes one of two detectors; a full one tells both."""
    made = []
    for number in range(n):
        mine = detector((SHOP, DESK)[number % 2], number % 250)
        other = detector((DESK, SHOP)[number % 2], (number - 1) % 250)
        made.append(record(number, mine, other) if number % FULL_EVERY == 0 else record(number, mine))
        assert log.append(made[-1])
    return made


def test_a_record_comes_back_as_it_was_and_damage_is_told():
    data = encode([record(3, detector(SHOP, 7))])

    assert decode(data) == [record(3, detector(SHOP, 7))]
    for at in range(0, len(data), 7):
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(DeltaError):
            decode(damaged)
    with pytest.raises(DeltaError):
        decode(data[:-1])


def test_of_two_decisions_about_a_number_the_first_stands_and_repeating_is_no_conflict(log):
    assert log.append(record(0, written_by="one"))
    assert log.append(record(0, written_by="one"))
    assert not log.append(record(0, written_by="other"))

    assert [each.written_by for each in log.records(0)] == ["one"]


def test_a_hole_is_told(log):
    for number in (0, 1, 3):
        log.append(record(number))

    with pytest.raises(DeltaError, match="record 2 is missing"):
        list(log.records(0))


def test_the_head_holds_what_each_detector_said_last(log):
    assert log.head().next == 0
    fill(log, FULL_EVERY + 5)

    head = log.head()

    assert (head.next, head.end, head.positions) == (FULL_EVERY + 5, 60.0 * (FULL_EVERY + 5), {"spans@e/0": 370})
    assert {name: each.state[0] for name, each in head.detectors.items()} == {SHOP: 36, DESK: 35}


def test_merging_keeps_the_rows_forgets_the_states_and_leaves_the_head(log):
    made = fill(log, RUN + FULL_EVERY + 3)
    head = log.head()

    assert log.compact(keep_from=0.0) > 0
    assert log.compact(keep_from=0.0) > 0

    names = log._objects.names("drift")
    assert len([name for name in names if "merged" in name]) == 1
    assert len(names) == 1 + FULL_EVERY + 3
    assert log.head() == head
    rebuilt = list(log.records(0))
    assert [(each.number, each.rows, each.positions) for each in rebuilt] == [
        (each.number, each.rows, each.positions) for each in made
    ]
    assert [each.number for each in log.records(RUN - 2)] == list(range(RUN - 2, len(made)))


def test_merged_runs_that_are_too_old_go_and_the_rest_is_read_from_there(log):
    made = fill(log, 2 * RUN + FULL_EVERY + 1)
    for _ in range(3):
        log.compact(keep_from=made[RUN].end)

    assert [each.number for each in log.records(0)] == list(range(RUN, len(made)))
    assert log.head().next == len(made)
