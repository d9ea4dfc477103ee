"""What a member owns after joins, losses and rebalances in every order."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from collector.records import Partition
from collector.source.holdings import Changes, Holdings

A, B, C = (Partition("t", number) for number in range(3))


def holding(*partitions: Partition) -> Holdings:
    holdings = Holdings()
    holdings.assigned(partitions)
    holdings.settle()
    for partition in partitions:
        holdings.move(partition, 10)
    return holdings


def test_a_new_partition_is_reported_and_silent() -> None:
    holdings = Holdings()

    holdings.assigned([B, A])

    assert holdings.settle() == Changes(assigned=(A, B))
    assert holdings.next(A) is None
    assert holdings.settle() == Changes()


def test_what_a_rebalance_gives_back_keeps_its_place_unreported() -> None:
    holdings = holding(A, B)
    holdings.revoked([A, B])
    holdings.assigned([B, C])

    assert holdings.settle() == Changes(assigned=(C,), revoked=(A,), kept=(B,))
    assert holdings.next(B) == 10
    assert A not in holdings


def test_what_is_revoked_is_silent_before_it_is_reported() -> None:
    holdings = holding(A)
    holdings.revoked([A])

    assert holdings.settle() == Changes()
    assert holdings.next(A) is None


def test_what_was_lost_is_reported_even_if_it_comes_back() -> None:
    holdings = holding(A)
    holdings.lost([A])
    holdings.assigned([A])

    assert holdings.settle() == Changes(assigned=(A,), revoked=(A,))
    assert holdings.next(A) is None


def test_what_was_forfeited_is_lost_before_whatever_the_client_said() -> None:
    holdings = holding(A, B)
    holdings.revoked([A, B])
    holdings.assigned([A])
    holdings.forfeit()

    assert holdings.settle() == Changes(assigned=(A,), revoked=(A, B))


def test_what_came_and_went_between_two_polls_is_never_mentioned() -> None:
    holdings = Holdings()
    holdings.assigned([A])
    holdings.revoked([A])
    holdings.assigned([])

    assert holdings.settle() == Changes()


def test_a_pause_does_not_outlive_the_partition() -> None:
    holdings = holding(A)
    holdings.pause([A])
    holdings.lost([A])
    holdings.assigned([A])
    holdings.settle()
    holdings.move(A, 0)

    assert holdings.wants(A)


def test_lag_is_unknown_as_one_until_an_end_is_seen() -> None:
    holdings = holding(A)
    assert holdings.lag() == {A: 1}

    holdings.end(A, 25)
    holdings.end(A, 20)

    assert holdings.lag() == {A: 15}


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["assigned", "revoked", "lost"]), st.frozensets(st.sampled_from([A, B, C]))),
        st.tuples(st.sampled_from(["settle", "forfeit"]), st.just(frozenset[Partition]())),
    ),
    max_size=20,
)


@given(steps)
def test_the_reports_add_up_to_what_is_held(script: list[tuple[str, frozenset[Partition]]]) -> None:
    holdings = Holdings()
    told: set[Partition] = set()

    for step, partitions in [*script, ("settle", frozenset())]:
        call: Callable[..., object] = getattr(holdings, step)
        if step == "settle":
            changes = holdings.settle()
            assert set(changes.revoked) <= told
            told -= set(changes.revoked)
            assert not told & set(changes.assigned)
            told |= set(changes.assigned)
            assert told == set(holdings)
            assert set(changes.kept) <= told - set(changes.assigned)
        elif step == "forfeit":
            call()
        else:
            call(partitions)


@given(steps)
def test_the_last_full_assignment_is_what_is_held(script: list[tuple[str, frozenset[Partition]]]) -> None:
    holdings = Holdings()
    for step, partitions in script:
        if step in {"assigned", "revoked", "lost"}:
            getattr(holdings, step)(partitions)

    holdings.assigned([A, C])
    holdings.settle()

    assert set(holdings) == {A, C}
