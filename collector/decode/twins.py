"""Finds reports of one request that no parent link connects: siblings, and roots of other traces."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

from collector.decode.calls import SAME_ID_NANOSECONDS, SLACK_NANOSECONDS, overlap
from collector.decode.candidate import Candidate, State

SAME_ID_MAX: Final = 64  # candidates of one response id that are compared: mock servers give every answer the same
_SCANNED_MAX: Final = 512  # candidates of one process that a native span is compared with, newest first


class Twins:
    """An index of the candidates that a later or earlier one may be a second report of."""

    def __init__(self) -> None:
        self._by_id: dict[str, Candidate | list[Candidate]] = {}
        self._instrumented: dict[str, dict[int, Candidate]] = {}
        self._native: dict[str, dict[int, Candidate]] = {}

    def add(self, candidate: Candidate) -> None:
        response_id = candidate.response_id
        if response_id is not None:
            same = self._by_id.setdefault(response_id, candidate)
            if same is not candidate:  # ids are nearly always told once: no list for each
                others = same if isinstance(same, list) else [same]
                self._by_id[response_id] = [*others[1 - SAME_ID_MAX :], candidate]
        kind = self._native if candidate.native else self._instrumented
        group = kind.get(candidate.process)
        if group is None:
            kind[candidate.process] = {candidate.sequence: candidate}
        else:
            group[candidate.sequence] = candidate

    def remove(self, candidate: Candidate) -> None:
        """Compare nothing with this candidate any more; safe twice. Its partner stays taken."""
        response_id = candidate.response_id
        if response_id is not None:
            same = self._by_id.get(response_id)
            if same is candidate:
                del self._by_id[response_id]
            elif isinstance(same, list):
                left = [other for other in same if other is not candidate]
                self._by_id[response_id] = left[0] if len(left) == 1 else left
                if not left:
                    del self._by_id[response_id]
        kind = self._native if candidate.native else self._instrumented
        group = kind.get(candidate.process)
        if group is not None:
            group.pop(candidate.sequence, None)
            if not group:
                del kind[candidate.process]

    def of(self, candidate: Candidate, free: Callable[[Candidate], bool]) -> list[Candidate]:
        """Live reports of the same request in other scopes; ``free`` tells whether no candidate encloses one."""
        found: list[Candidate] = []
        if candidate.response_id is not None:
            same = self._by_id.get(candidate.response_id)
            if isinstance(same, list):
                found = [other for other in same if other is not candidate and _same_request(candidate, other)]
        if candidate.native or self._native:
            partner = candidate.partner or self._partner(candidate, free)
            if partner is not None and partner not in found:
                found.append(partner)
        return [other for other in found if other.state is not State.DROPPED]

    def _partner(self, candidate: Candidate, free: Callable[[Candidate], bool]) -> Candidate | None:
        """One to one: the nearest report of the other kind by the same process, model and time."""
        others = (self._instrumented if candidate.native else self._native).get(candidate.process)
        if not others or not free(candidate):
            return None
        near = [
            other
            for other in itertools.islice(reversed(others.values()), _SCANNED_MAX)
            if other.partner is None and _may_match(candidate, other) and free(other)
        ]
        if not near:
            return None
        best = min(near, key=lambda other: _distance(candidate, other))
        pair(candidate, best)
        return best


def pair(left: Candidate, right: Candidate) -> None:
    """Remember that two candidates report one request, so that neither is matched with another."""
    if left.partner is None and right.partner is None:
        left.partner, right.partner = right, left


def _same_request(left: Candidate, right: Candidate) -> bool:
    if left.scope == right.scope or left.process != right.process:
        return False
    if left.native != right.native:
        return abs(left.started_at - right.started_at) <= SAME_ID_NANOSECONDS
    return overlap(left.interval, right.interval)


def _may_match(left: Candidate, right: Candidate) -> bool:
    native, instrumented = (left, right) if left.native else (right, left)
    if right.state is State.DROPPED or left.scope == right.scope:
        return False
    if not (
        native.started_at >= instrumented.started_at - SLACK_NANOSECONDS
        and native.ended_at <= instrumented.ended_at + SLACK_NANOSECONDS
    ):
        return False
    left_id, right_id = left.any_response_id, right.any_response_id
    if left_id and right_id:
        return left_id == right_id
    return not left.models or not right.models or not set(left.models).isdisjoint(right.models)


def _distance(left: Candidate, right: Candidate) -> tuple[bool, bool, int, int]:
    apart = abs(left.started_at - right.started_at) + abs(left.ended_at - right.ended_at)
    return left.trace_id != right.trace_id, left.parent_id != right.parent_id, apart, right.sequence
