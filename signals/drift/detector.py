"""The alarm: an e-process that bets on a difference between today's calls and as many baseline calls, pair by pair.

Each current call x is paired with one baseline call x' that is used once. Before a block of BLOCK pairs everything is
fixed from the past alone: a witness w (an exponentially weighted mean of feature differences), its scale s and a
stake L in 0..STAKE_MAX. A pair then pays, and a block multiplies to,

    y = clip(w . (f(x) - f(x')) / (SCALES s), -1, 1)          e = prod(1 + L y)

Exchanging x and x' turns y into -y, so where nothing has changed the expectation of y given the past is 0 and that of
e is 1 (Shekhar and Ramdas 2023, "Nonparametric two-sample testing by betting"). The stake is aGRAPA's, the payoff's
mean over its second moment (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting").
After a block

    M = max(1, M) * e

is an e-detector (Shin, Ramdas and Rinaldo 2022, "E-detectors"): without a change, the mean number of blocks until
M >= 1/alpha is at least 1/alpha, whatever the traffic looks like. COMPONENTS of them run side by side, vectors and
their random Fourier features at two half-lives each; their mean with fixed weights is an e-detector again. Without
the maximum it is an e-process, which ever reaches 1/alpha with probability alpha at most (Ville).

What it rests on: pairs are exchangeable (same phase of day and week, conversations thinned: signals.drift.pairing)
and a baseline call is used once. A fixed finite baseline does not do: the witness learns that sample's own error and
alarms on every quiet stream.

For vectors of signals.sketch all sums are exact, so any portions and any shares of a block give the same bytes.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from signals.drift.features import RANDOM, features
from signals.sketch import DIMENSIONS
from signals.types import Floats

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

VERSION = "1"
"""Raised when equal calls would give another ``log_e``: states of two versions do not mix."""

BLOCK = 20  # pairs
HALF_LIVES = (100, 500)  # pairs
COMPONENTS = 2 * len(HALF_LIVES)  # vectors at each half-life, then random features at each
STAKE_MAX = 0.9
SCALES = 3
LOG_E_MAX = math.log(1e6)

_LIVES = len(HALF_LIVES)
_DECAYS = np.array([0.5 ** (BLOCK / half_life) for half_life in HALF_LIVES * 2])
_LOG_WEIGHTS = np.log([3 / 8, 3 / 8, 1 / 8, 1 / 8])  # shifts of topic are the common ones, and vectors see them first
_UNIT = 2.0**-32  # of sums of scalars: integers add up to the same total in any order
_DIFFERENCE_UNIT = 2.0**-24  # of sums of features: one of a block fits into 32 bits
_WITNESS_UNIT = 2.0**-12  # its products with the features of a sketch are exact in float32
_HEAD = struct.Struct("<4sIqI")
_MAGIC = b"adr1"


def threshold(alpha: float) -> float:
    """``log(1/alpha)``: alarm where ``State.log_e`` reaches it. Raises ValueError outside 1/e**LOG_E_MAX .. 1."""
    if not math.exp(-LOG_E_MAX) <= alpha < 1:
        raise ValueError(f"alpha must be at least {math.exp(-LOG_E_MAX):.0e} and below 1, not {alpha}")
    return -math.log(alpha)


def arl_calls(alpha: float) -> float:
    """The average run length: calls between false alarms at ``alpha`` are at least BLOCK / alpha in the mean."""
    return BLOCK * math.exp(threshold(alpha))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Increment:
    """What some pairs add to the block they belong to; increments of any parts add up in any order, exactly.

    All sums are integers: scalars in units of 2**-32, differences in units of 2**-24.
    """

    n: int
    log: Integers  # (COMPONENTS,) of log(1 + stake * y)
    payoff: Integers  # (COMPONENTS,) of y
    payoff_square: Integers  # (COMPONENTS,) of y**2
    square: Integers  # (COMPONENTS,) of (w . (f(x) - f(x')))**2
    difference: Integers  # (dimensions + RANDOM,) of f(x) - f(x')

    @classmethod
    def empty(cls, dimensions: int = DIMENSIONS) -> Increment:
        """Of no pairs."""
        none = np.zeros(COMPONENTS, dtype=np.int64)
        difference = np.zeros(dimensions + RANDOM, dtype=np.int64)
        return cls(n=0, log=none, payoff=none, payoff_square=none, square=none, difference=difference)

    def __add__(self, other: Increment) -> Increment:
        return Increment(
            n=self.n + other.n,
            log=self.log + other.log,
            payoff=self.payoff + other.payoff,
            payoff_square=self.payoff_square + other.payoff_square,
            square=self.square + other.square,
            difference=self.difference + other.difference,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """All that a detector remembers, immutable; ``advance`` and ``run`` give the next.

    6,452 bytes at the dimensions of a sketch, half of them for each of its two detectors, vectors and random features.
    """

    blocks: int
    witness: Floats  # (len(HALF_LIVES), dimensions + RANDOM) weighted sums of mean differences
    payoff: Doubles  # (COMPONENTS,) weighted sums of mean y
    payoff_square: Doubles  # (COMPONENTS,)
    square: Doubles  # (COMPONENTS,) weighted sums of mean (w . (f(x) - f(x')))**2
    log_detectors: Doubles  # (COMPONENTS,) log M
    log_processes: Doubles  # (COMPONENTS,) log of the product alone
    pending: Increment  # of the block that is not full yet

    @classmethod
    def initial(cls, dimensions: int = DIMENSIONS) -> State:
        """Before any call."""
        none = np.zeros(COMPONENTS)
        return cls(
            blocks=0,
            witness=np.zeros((_LIVES, dimensions + RANDOM), dtype=np.float32),
            payoff=none,
            payoff_square=none,
            square=none,
            log_detectors=none,
            log_processes=none,
            pending=Increment.empty(dimensions),
        )

    @property
    def log_e(self) -> float:
        """Natural logarithm of the e-detectors' weighted mean: alarm where it reaches ``threshold(alpha)``."""
        return _log_mean(self.log_detectors)

    @property
    def log_e_process(self) -> float:
        """The same without restarts: it ever reaches ``threshold(alpha)`` with probability alpha at most."""
        return _log_mean(self.log_processes)

    @property
    def calls(self) -> int:
        """Pairs seen since the start, those of the unfinished block included."""
        return self.blocks * BLOCK + self.pending.n

    @property
    def dimensions(self) -> int:
        """Of the vectors that it takes."""
        return int(self.witness.shape[1]) - RANDOM

    def restarted(self) -> State:
        """The state with which to go on after an alarm: the evidence is given up, what it taught is kept.

        A difference that lasts alarms again within a few blocks; one that has ended does not. The detector's promise
        holds from here on as from the start, since all that is kept is past.
        """
        return replace(self, log_detectors=np.zeros(COMPONENTS))

    def to_bytes(self) -> bytes:
        """``state_bytes(dimensions)`` bytes, little-endian, from which ``from_bytes`` makes an equal state."""
        pending = self.pending
        doubles = (self.payoff, self.payoff_square, self.square, self.log_detectors, self.log_processes)
        integers = (pending.log, pending.payoff, pending.payoff_square, pending.square)
        return b"".join(
            (
                _HEAD.pack(_MAGIC, self.dimensions, self.blocks, pending.n),
                np.stack(doubles).astype("<f8").tobytes(),
                np.stack(integers).astype("<i8").tobytes(),
                self.witness.astype("<f4").tobytes(),
                pending.difference.astype("<i4").tobytes(),
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """Raises ValueError for anything but a state of this version."""
        if len(data) < _HEAD.size:
            raise ValueError("no state of a drift detector")
        magic, dimensions, blocks, n = _HEAD.unpack_from(data)
        if magic != _MAGIC or len(data) != state_bytes(dimensions):
            raise ValueError("no state of this version of the drift detector")
        width = dimensions + RANDOM
        layout = (("<f8", (5, COMPONENTS)), ("<i8", (4, COMPONENTS)), ("<f4", (_LIVES, width)), ("<i4", (1, width)))
        at = _HEAD.size
        parts = []
        for kind, shape in layout:
            part = np.frombuffer(data, kind, shape[0] * shape[1], at).reshape(shape)
            at += part.nbytes
            parts.append(part)
        doubles, integers = parts[0].astype(np.float64), parts[1].astype(np.int64)
        return cls(
            blocks=blocks,
            witness=parts[2].astype(np.float32),
            payoff=doubles[0],
            payoff_square=doubles[1],
            square=doubles[2],
            log_detectors=doubles[3],
            log_processes=doubles[4],
            pending=Increment(
                n=n,
                log=integers[0],
                payoff=integers[1],
                payoff_square=integers[2],
                square=integers[3],
                difference=parts[3][0].astype(np.int64),
            ),
        )


def state_bytes(dimensions: int = DIMENSIONS) -> int:
    """The size of ``State.to_bytes()``."""
    return _HEAD.size + 8 * 9 * COMPONENTS + 4 * (_LIVES + 1) * (dimensions + RANDOM)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bets:
    """What is fixed before a block: any process that holds the same bets pays its share of the pairs alike."""

    witness: Floats  # (dimensions + RANDOM, COMPONENTS), columns of length 1, or 0 before the first block
    scale: Doubles  # (COMPONENTS,)
    stake: Doubles  # (COMPONENTS,) in 0..STAKE_MAX


def bets(state: State) -> Bets:
    """The bets on the block at hand, from completed blocks alone."""
    dimensions = state.dimensions
    witness = np.zeros((dimensions + RANDOM, COMPONENTS), dtype=np.float32)
    for component in range(COMPONENTS):
        part = slice(0, dimensions) if component < _LIVES else slice(dimensions, None)
        row = state.witness[component % _LIVES, part].astype(np.float64)
        length = math.sqrt(float((row * row).sum()))
        witness[part, component] = np.rint(row / max(length, 1e-30) / _WITNESS_UNIT) * _WITNESS_UNIT
    weight = np.maximum(1 - _DECAYS**state.blocks, 1e-30)
    mean, second = state.payoff / weight, state.payoff_square / weight
    return Bets(
        witness=witness,
        scale=np.maximum(np.sqrt(state.square / weight), 1e-6),
        stake=np.clip(mean / np.maximum(second, 1e-12), 0, STAKE_MAX),
    )


def increment(bets: Bets, current: Floats, baseline: Floats) -> Increment:
    """What pairs pay under ``bets``: ``current`` (n, dimensions), ``baseline`` (n, dimensions) or (n, k, dimensions).

    With k baseline calls to a current call, y is the mean of its k payoffs: as fair, and less noisy. Raises
    ValueError for shapes that are no pairs.
    """
    return _increment(bets, *_features(current, baseline, bets.witness.shape[0] - RANDOM))


def advance(state: State, increment: Increment) -> State:
    """The state after some more pairs of the block at hand; raises ValueError if they are more than its rest."""
    pending = state.pending + increment
    if pending.n > BLOCK:
        raise ValueError(f"a block holds {BLOCK} pairs, not {pending.n}")
    if pending.n < BLOCK:
        return replace(state, pending=pending)
    log = pending.log * _UNIT
    decays = _DECAYS[:_LIVES, None]
    witness = state.witness * decays + (1 - decays) * (pending.difference * (_DIFFERENCE_UNIT / BLOCK))
    return State(
        blocks=state.blocks + 1,
        witness=witness.astype(np.float32),
        payoff=_blend(state.payoff, pending.payoff),
        payoff_square=_blend(state.payoff_square, pending.payoff_square),
        square=_blend(state.square, pending.square),
        log_detectors=np.minimum(np.maximum(state.log_detectors, 0) + log, LOG_E_MAX),
        log_processes=state.log_processes + log,
        pending=Increment.empty(state.dimensions),
    )


def run(state: State, current: Floats, baseline: Floats) -> tuple[State, list[float]]:
    """Take pairs in their order, as many as there are; also ``log_e`` after each block that became full.

    Shapes and errors as of ``increment``. Pairs may come in portions of any size: the state at the end is the same.
    """
    today, before = _features(current, baseline, state.dimensions)
    found: list[float] = []
    at = 0
    while at < len(today):
        end = at + BLOCK - state.pending.n
        state = advance(state, _increment(bets(state), today[at:end], before[at:end]))
        if state.pending.n == 0:
            found.append(state.log_e)
        at = end
    return state, found


def _features(current: Floats, baseline: Floats, dimensions: int) -> tuple[Floats, Floats]:
    """Shapes (n, dimensions + RANDOM) and (n, k, dimensions + RANDOM)."""
    today, before = np.asarray(current, dtype=np.float32), np.asarray(baseline, dtype=np.float32)
    if before.ndim == 2:
        before = before[:, None]
    n, k = len(today), before.shape[1] if before.ndim == 3 else 0
    if k == 0 or today.shape != (n, dimensions) or before.shape != (n, k, dimensions):
        raise ValueError(f"shapes {today.shape} and {before.shape} are no pairs of {dimensions} dimensions")
    return features(today), features(before.reshape(n * k, dimensions)).reshape(n, k, dimensions + RANDOM)


def _increment(bets: Bets, today: Floats, before: Floats) -> Increment:
    apart = ((today @ bets.witness)[:, None] - before @ bets.witness).astype(np.float64)  # (n, k, COMPONENTS)
    payoff = np.clip(apart / (SCALES * bets.scale), -1, 1).mean(axis=1)
    return Increment(
        n=len(today),
        log=_total(np.log1p(bets.stake * payoff)),
        payoff=_total(payoff),
        payoff_square=_total(payoff**2),
        square=_total((apart**2).mean(axis=1)),
        difference=_total(today - before.mean(axis=1, dtype=np.float64), _DIFFERENCE_UNIT),
    )


def _total(values: Doubles, unit: float = _UNIT) -> Integers:
    return np.asarray(np.rint(values / unit).astype(np.int64).sum(axis=0))


def _blend(old: Doubles, total: Integers) -> Doubles:
    return np.asarray(old * _DECAYS + (1 - _DECAYS) * (total * (_UNIT / BLOCK)))


def _log_mean(logs: Doubles) -> float:
    weighted = logs + _LOG_WEIGHTS
    top = float(weighted.max())
    return top + math.log(float(np.exp(weighted - top).sum()))
