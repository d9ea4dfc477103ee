"""What a change is about: the topics of a slice's newest calls against those of calls of the same phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from collector.drift.baseline import Baseline, Shelf
from collector.drift.calls import Bytes
from collector.drift.record import Slice, Topic, Topics
from signals.drift import topics as signals
from signals.sketch import unsketch

AFTER_MAX = 1_000  # the newest: older ones may be from before the change
BEFORE_MAX = 2_000
TOPICS_MAX = 12


def look_up(baseline: Baseline, name: Slice, hour: int, now: float) -> Topics | None:
    """The topics that changed most in the two hours up to ``hour``; None where a side has no calls.

    ``now`` is the begin of the window at hand, in seconds: with no earlier day, what is compared with lies before it.
    """
    newest = [shelf for at in (hour - 1, hour) if (shelf := baseline.shelves(at).get(name))]
    earlier, left = [], BEFORE_MAX
    for _, at, until in baseline.sources(name, hour, now):
        shelf = baseline.shelves(at)[name]
        earlier.append(shelf.take(np.flatnonzero(shelf.ended(at, until))[:left]))
        left -= len(earlier[-1])
    if not newest or not sum(map(len, earlier)):
        return None
    after, before = _joined(newest), _joined(earlier)
    after = after.take(np.arange(len(after))[-AFTER_MAX:])
    found = signals.topics(
        unsketch(before.sketches), unsketch(after.sketches), most=TOPICS_MAX, foremost=(before.kept, after.kept)
    )
    return Topics(
        slice=name,
        topics=tuple(
            Topic(
                share_before=topic.share.before,
                share_after=topic.share.after,
                change_low=topic.share.low,
                change_high=topic.share.high,
                examples_before=_hex(before.trace, topic.baseline_examples),
                examples_after=_hex(after.trace, topic.current_examples),
                spans_before=_hex(before.span, topic.baseline_examples),
                spans_after=_hex(after.span, topic.current_examples),
                times_before=tuple(before.time[list(topic.baseline_examples)].tolist()),
                times_after=tuple(after.time[list(topic.current_examples)].tolist()),
            )
            for topic in found
        ),
        n_before=len(before),
        n_after=len(after),
    )


def _joined(shelves: Sequence[Shelf]) -> Shelf:
    """The calls of some shelves, oldest first."""
    return Shelf(
        **{part.name: np.concatenate([getattr(shelf, part.name) for shelf in shelves]) for part in fields(Shelf)}
    )


def _hex(ids: Bytes, rows: Sequence[int]) -> tuple[str, ...]:
    return tuple(ids[row].tobytes().hex() for row in rows)
