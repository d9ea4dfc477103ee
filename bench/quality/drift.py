"""Drift: false alarms of quiet streams and the delay of real ones, on public texts through the shipped encoder.

Every vector goes through signals.sketch, as in the daemon. Streams are drawn without replacement: a baseline call is
used once. The quiet stream is tweets (davidson); what shifts in is requests to an assistant (halueval_general),
jailbreaks, moderation prompts and news comments (civil_toxicspans). The detector's constants were chosen on streams
of other seeds (numpy's 1001 to 1007, 2001 and 2002) of the development data; these start at SEED.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.measures import read_set
from bench.quality.drift_baselines import BASELINES, Detector
from bench.quality.rows import NAN, Row
from signals.drift.detector import BLOCK, State, run, state_bytes, threshold
from signals.drift.pairing import DAY, pair, pair_in_phase, thin
from signals.drift.topics import wilson
from signals.encoder import Encoder
from signals.sketch import SOURCE_DIMENSIONS, sketch, unsketch

SEED = 70_000
ALPHA = 1e-3
QUIET = "davidson"
SOURCES = {
    "halueval_general": "question",
    "jailbreak_itw": "text",
    "openai_mod": "text",
    "civil_toxicspans": "text",
}
TEXTS_MAX = 4_000  # of a source
CHARS_MAX = 1_000
FIXED = 1_000  # baseline calls that the other detectors are given
CALLS_A_DAY = 1_200
STREAMS = 40

Vectors = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Ours = Callable[["Stream"], list[float]]


@dataclass(frozen=True, slots=True)
class Table:
    """Vectors of one set of texts: as the encoder gives them, and as their sketches give them back."""

    raw: Vectors
    kept: Vectors

    def __add__(self, other: Table) -> Table:
        return Table(np.concatenate([self.raw, other.raw]), np.concatenate([self.kept, other.kept]))


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows of a table: each current call, the baseline calls that it is paired with, and a baseline for the others."""

    table: Table
    current: Integers  # (n,)
    baseline: Integers  # (n, k)
    fixed: Integers  # (FIXED,)


def measure(data: Path) -> Iterator[Row]:
    """Rows of this section; about three minutes of one core."""
    encoder = Encoder(workers=1)
    quiet = _encode(encoder, [row["text"] for row in read_set(QUIET, data)])
    sources = {
        name: _encode(encoder, [row[field] for row in read_set(name, data)][:TEXTS_MAX])
        for name, field in SOURCES.items()
    }
    encoder.close()
    yield from _quiet(quiet, sources["halueval_general"])
    yield from _day_and_night(quiet, sources["civil_toxicspans"])
    yield from _conversations(quiet)
    yield from _shifts(quiet, sources)
    yield from _cost(quiet)


def _encode(encoder: Encoder, texts: list[str]) -> Table:
    cut = [text[:CHARS_MAX] for text in texts]
    raw = np.concatenate([encoder.encode(cut[at : at + 256]).mean() for at in range(0, len(cut), 256)])
    return Table(raw, unsketch(sketch(raw)))


def _sketched(stream: Stream) -> list[float]:
    kept = stream.table.kept
    return run(State.initial(), kept[stream.current], kept[stream.baseline])[1]


def _raw(stream: Stream) -> list[float]:
    raw = stream.table.raw
    return run(State.initial(SOURCE_DIMENSIONS), raw[stream.current], raw[stream.baseline])[1]


def _delay(logs: list[float], alpha: float = ALPHA) -> float:
    return next((BLOCK * (at + 1.0) for at, log in enumerate(logs) if log >= threshold(alpha)), math.inf)


def _other(detector: Detector, stream: Stream) -> float:
    raw = stream.table.raw
    return detector(raw[stream.fixed], raw[stream.current])


def _draw(table: Table, n: int, seed: int) -> Stream:
    order = np.random.default_rng(seed).permutation(len(table.raw))
    return Stream(table, order[:n], order[n : 2 * n, None], order[-FIXED:])


def _each(rng: np.random.Generator, pool: int, n: int) -> Integers:
    """``n`` draws in which a row comes again only when all have come."""
    return np.concatenate([rng.permutation(pool) for _ in range(math.ceil(n / pool))])[:n]


def _mixed(both: Table, split: int, share: npt.NDArray[np.float64], seed: int, *, k: int = 1) -> Stream:
    """Calls of the first ``split`` rows, of which call i comes from the rest with probability ``share[i]``."""
    n = len(share)
    rng = np.random.default_rng(seed)
    order = rng.permutation(split)
    new = rng.random(n) < share
    return Stream(
        both,
        np.where(new, split + _each(rng, len(both.raw) - split, n), order[:n]),
        order[n : n * (k + 1)].reshape(n, k),
        order[-FIXED:],
    )


def _alarmed(who: str, on: str, alarms: list[bool], *, target: float | None = None, alpha: float | None = ALPHA) -> Row:
    low, high = wilson(sum(alarms) / len(alarms), len(alarms), 1.96)
    return Row(
        family="drift",
        who=who,
        on=on,
        measure="false alarms" + (f", alpha {alpha:g}" if alpha else ""),
        value=sum(alarms) / len(alarms),
        low=low,
        high=high,
        n=len(alarms),
        target=target,
        lower_is_better=True,
        baseline=alpha is None,
    )


def _median(
    who: str, on: str, delays: list[float], *, target: float | None = None, baseline: bool = False
) -> Iterator[Row]:
    """The median with its interval by order statistics, and the share of streams that alarmed at all."""
    ordered, n = sorted(delays), len(delays)
    spread = 0.98 * math.sqrt(n)
    low, high = ordered[max(0, int(n / 2 - spread))], ordered[min(n - 1, int(n / 2 + spread))]
    yield Row(
        family="drift",
        who=who,
        on=on,
        measure="median calls to the alarm",
        value=float(ordered[n // 2]),
        low=low,
        high=high,
        n=n,
        target=target,
        lower_is_better=True,
        baseline=baseline,
    )
    if any(math.isinf(delay) for delay in delays):
        found = sum(math.isfinite(delay) for delay in delays) / n
        yield Row(family="drift", who=who, on=on, measure="alarmed", value=found, n=n, baseline=baseline)


def _others_on(on: str, streams: list[Stream]) -> Iterator[Row]:
    for name, detector in BASELINES.items():
        yield _alarmed(name, on, [math.isfinite(_other(detector, stream)) for stream in streams], alpha=None)


def _quiet(quiet: Table, requests: Table) -> Iterator[Row]:
    on = "quiet tweets, 3,000 calls"
    streams = [_draw(quiet, 3_000, SEED + at) for at in range(100)]
    for who, ours, goal in (("drift", _sketched, 0.0), ("drift, raw vectors", _raw, None)):
        logs = [ours(stream) for stream in streams]
        yield _alarmed(who, on, [math.isfinite(_delay(log)) for log in logs], target=goal)
        wide = [math.isfinite(_delay(log, 1e-2)) for log in logs]
        yield _alarmed(who, on, wide, target=None if goal is None else 0.02, alpha=1e-2)
    yield from _others_on(on, streams)
    n = min(1_100, len(requests.raw) // 2)
    few = [_draw(requests, n, SEED + 200 + at) for at in range(STREAMS)]
    yield _alarmed("drift", f"quiet requests, {n:,} calls", [math.isfinite(_delay(_sketched(s))) for s in few])


def _day_and_night(day: Table, night: Table) -> Iterator[Row]:
    """Tweets and comments in shares from .3 to .7, a wave a day; three days of baseline, two and a half of calls."""
    times = np.arange(3 * CALLS_A_DAY) * (DAY / CALLS_A_DAY)
    share = 0.5 + 0.2 * np.sin(2 * np.pi * times / DAY)
    today, before = [f"a{at}" for at in range(3_000)], [f"b{at}" for at in range(len(times))]
    same, any_ = pair_in_phase(today, times[:3_000], before, times), pair(today, before)
    both = day + night
    found: dict[str, list[Stream]] = {"same hour": [], "any call": []}
    for at in range(80):
        rng = np.random.default_rng(SEED + 300 + at)
        n = 2 * len(times)
        drawn = np.stack([_each(rng, len(day.raw), n), len(day.raw) + _each(rng, len(night.raw), n)])
        rows = np.where(rng.random(n) < np.tile(share, 2), drawn[1], drawn[0]).reshape(2, len(times))
        for name, pairs in (("same hour", same), ("any call", any_)):
            found[name].append(Stream(both, rows[0][pairs.current], rows[1][pairs.baseline], rows[1][:FIXED]))
    on = "day and night, 3,000 calls"
    for name, goal in (("same hour", 0.02), ("any call", None)):
        alarms = [math.isfinite(_delay(_sketched(stream))) for stream in found[name]]
        yield _alarmed(f"drift, paired with {name}", on, alarms, target=goal)
    yield from _others_on(on, found["any call"])


def _conversations(quiet: Table) -> Iterator[Row]:
    """Conversations that stay on a topic: each takes 12 of the 40 tweets nearest to the one it starts with."""
    conversations, turns = 400, 12
    pool = Table(quiet.raw[:6_000], quiet.kept[:6_000])
    alarms: dict[str, list[bool]] = {"all calls": [], "conversations thinned": []}
    keys = np.repeat(np.arange(conversations), turns).tolist()
    ids = [f"{key}.{turn}" for turn in range(turns) for key in range(conversations)]
    for at in range(STREAMS):
        rng = np.random.default_rng(SEED + 500 + at)
        sides = []
        for _ in range(2):
            starts = rng.choice(len(pool.raw), conversations, replace=False)
            near = np.argpartition(-(pool.raw[starts] @ pool.raw.T), 40, axis=1)[:, :40]
            sides.append(
                np.take_along_axis(near, rng.random((conversations, 40)).argsort(axis=1)[:, :turns], 1).ravel()
            )
        kept = thin(keys, np.zeros(len(keys)), ids)
        for name, rows in (("all calls", np.arange(len(keys))), ("conversations thinned", kept)):
            pairs = pair([ids[row] for row in rows], [ids[row] for row in rows])
            stream = Stream(pool, sides[0][rows[pairs.current]], sides[1][rows[pairs.baseline]], sides[1][:FIXED])
            alarms[name].append(math.isfinite(_delay(_sketched(stream))))
    for name, found in alarms.items():
        target = 0.02 if name == "conversations thinned" else None
        yield _alarmed(f"drift, {name}", f"{conversations} conversations of {turns}", found, target=target)


def _shifts(quiet: Table, sources: dict[str, Table]) -> Iterator[Row]:
    split = len(quiet.raw)
    tables = {name: quiet + source for name, source in sources.items()}
    for share, n, target in ((1.0, 300, 100.0), (0.2, 1_200, 350.0), (0.1, 2_600, 1_100.0), (0.05, 3_000, None)):
        mix = np.full(n, share)
        streams = {
            name: [_mixed(both, split, mix, SEED + 1_000 + at) for at in range(STREAMS)]
            for name, both in tables.items()
        }
        ours = {name: [_delay(_sketched(stream)) for stream in found] for name, found in streams.items()}
        on = f"{share:.0%} shift, {n:,} calls"
        yield from _median(
            "drift", f"{on}, all four", [delay for delays in ours.values() for delay in delays], target=target
        )
        for name, delays in ours.items():
            yield from _median("drift", f"{on}, {name}", delays)
        pooled = [stream for found in streams.values() for stream in found[: STREAMS // 2]]
        if share in (0.2, 0.1):
            yield from _median("drift, raw vectors", f"{on}, all four", [_delay(_raw(stream)) for stream in pooled])
            thrice = [
                _delay(_sketched(_mixed(both, split, mix[: split // 4], SEED + 2_000 + at, k=3)))
                for both in tables.values()
                for at in range(STREAMS // 2)
            ]
            yield from _median("drift, 3 baseline calls to each", f"{on}, all four", thrice)
        for name, detector in BASELINES.items():
            delays = [_other(detector, stream) for stream in pooled]
            yield from _median(name, f"{on}, all four", delays, baseline=True)
    ramp = np.minimum(np.arange(2_000) / 800, 1) * 0.2
    late = [
        _delay(_sketched(_mixed(both, split, ramp, SEED + 3_000 + at)))
        for both in tables.values()
        for at in range(STREAMS // 2)
    ]
    yield from _median("drift", "ramp to 20% over 800 calls, all four", late)


def _cost(quiet: Table) -> Iterator[Row]:
    stream = _draw(quiet, 3_000, SEED)
    start = time.process_time()
    _sketched(stream)
    middle = time.process_time()
    sketch(quiet.raw[:3_000])
    end = time.process_time()
    costs = (("detector, both sides' features included", middle - start, 50.0), ("sketch", end - middle, None))
    for name, seconds, target in costs:
        value = seconds / 3_000 * 1e6
        yield _plain(name, "CPU microseconds a call", value, target, n=3_000)
    yield _plain("one of its two detectors", "bytes of state", state_bytes() / 2, 4_096.0, n=1)


def _plain(who: str, measure: str, value: float, target: float | None, *, n: int) -> Row:
    return Row(
        family="drift",
        who=f"drift, {who}",
        on="quiet tweets",
        measure=measure,
        value=value,
        low=NAN,
        n=n,
        target=target,
        lower_is_better=True,
    )
