"""What a change is about: the topics of a slice's newest calls against those of calls of the same phase."""

from __future__ import annotations

from collections.abc import Sequence

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
    after, after_traces = (part[-AFTER_MAX:] for part in _joined(newest))
    before, before_traces = _joined(earlier)
    return Topics(
        slice=name,
        topics=tuple(
            Topic(
                share_before=topic.share.before,
                share_after=topic.share.after,
                change_low=topic.share.low,
                change_high=topic.share.high,
                examples_before=_ids(before_traces, topic.baseline_examples),
                examples_after=_ids(after_traces, topic.current_examples),
            )
            for topic in signals.topics(unsketch(before), unsketch(after), most=TOPICS_MAX)
        ),
        n_before=len(before),
        n_after=len(after),
    )


def _joined(shelves: Sequence[Shelf]) -> tuple[Bytes, Bytes]:
    """Sketches and trace ids of some calls, oldest first."""
    return np.concatenate([shelf.sketches for shelf in shelves]), np.concatenate([shelf.trace for shelf in shelves])


def _ids(traces: Bytes, rows: Sequence[int]) -> tuple[str, ...]:
    return tuple(traces[row].tobytes().hex() for row in rows)
