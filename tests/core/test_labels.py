"""The bound on the values of a rollup key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.labels import OTHER, Labels


def test_the_first_values_keep_their_names_and_the_rest_are_other():
    labels = Labels(values_max=2, chars_max=10)

    assert labels.admit("model", ["a", "b", "c", "a", None, "  "], 0) == ["a", "b", OTHER, "a", "", ""]
    assert labels.overflowed == 1


def test_a_new_writer_that_learned_the_footer_admits_the_same():
    first, second = Labels(values_max=2, chars_max=10), Labels(values_max=2, chars_max=10)
    first.admit("model", ["a", "b"], 1_000)
    second.learn(first.snapshot(1_000))

    assert second.admit("model", ["c", "b"], 1_001) == [OTHER, "b"]


def test_a_value_not_seen_for_a_day_makes_room():
    labels = Labels(values_max=1, chars_max=10)
    labels.admit("model", ["old"], 0)

    assert labels.admit("model", ["new"], 90_000) == ["new"]
    assert labels.snapshot(90_000) == {"model": {"new": 90_000}}


@given(st.lists(st.text(max_size=40) | st.none(), max_size=60))
def test_any_text_becomes_a_printable_label_within_its_bounds(values):
    labels = Labels(values_max=5, chars_max=12)

    admitted = labels.admit("tenant", values, 0)

    assert len(admitted) == len(values)
    assert all(label.isprintable() and len(label) <= 12 for label in admitted)
    assert len({label for label in admitted if label not in ("", OTHER)}) <= 5
