"""The alarm: an e-process that bets on a difference between today's calls and as many baseline calls, pair by pair.

Each current call x is paired with one baseline call x' that is used once. Before a block of BLOCK pairs, everything
is fixed from the past alone: a witness w (an exponentially weighted mean of feature differences), its scale s and a
stake L in 0..STAKE_MAX. A pair then pays

    y = clip(w . (f(x) - f(x')) / (2 s), -1, 1)          e = prod(1 + L y)

Exchanging x and x' turns y into -y, so where nothing has changed the expectation of y given the past is 0 and that of
e is 1 (Shekhar and Ramdas 2023, "Nonparametric two-sample testing by betting"). The stake is aGRAPA's, the payoff's
mean over its second moment (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting").
After a block

    M = max(1, M) * e

is an e-detector (Shin, Ramdas and Rinaldo 2022): without a change, the mean number of blocks until M >= 1/alpha is at
least 1/alpha, whatever the traffic looks like. COMPONENTS of them run side by side, the vector itself and its random
Fourier features at two half-lives each; their mean is an e-detector again. Dropping the maximum gives an e-process,
whose probability of ever reaching 1/alpha is at most alpha (Ville).

A fixed finite baseline does not do: the witness learns that sample's own error and alarms on every quiet stream.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from signals.drift.features import FEATURES, features
from signals.sketch import DIMENSIONS
from signals.types import Floats

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

VERSION = "1"
BLOCK = 20
HALF_LIVES = (50, 250)  # calls
COMPONENTS = 2 * len(HALF_LIVES)  # vectors at each half-life, then random features at each
STAKE_MAX = 0.5
LOG_E_MAX = math.log(1e6)  # an alarm that could rise for ever would take for ever to end

_DECAYS = np.array([0.5 ** (BLOCK / half_life) for half_life in HALF_LIVES * 2])
_PARTS = (slice(0, DIMENSIONS),) * len(HALF_LIVES) + (slice(DIMENSIONS, FEATURES),) * len(HALF_LIVES)
_UNIT = 2.0**-32  # of sums: integers add up to the same total in any order
_HEAD = struct.Struct("<4sqq")
_MAGIC = b"adr1"


def threshold(alpha: float) -> float:
    """``log(1/alpha)``: alarm where ``State.log_e`` reaches it. Raises ValueError outside 0 < alpha < 1."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}")
    return math.log(1 / alpha)


def arl_calls(alpha: float) -> float:
    """The least average number of calls between false alarms at ``alpha``: BLOCK / alpha."""
    return BLOCK * math.exp(threshold(alpha))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Increment:
    """What some pairs add to the block they belong to; increments of any parts add up in any order, exactly.

    All sums are integers, in units of 2**-32.
    """

    n: int
    log: Integers  # (COMPONENTS,) of log(1 + stake * y)
    payoff: Integers  # (COMPONENTS,) of y
    payoff_square: Integers  # (COMPONENTS,) of y**2
    square: Integers  # (COMPONENTS,) of (w . difference)**2
    difference: Integers  # (FEATURES,) of f(x) - f(x')

    @classmethod
    def empty(cls) -> Increment:
        """Of no pairs."""
        none = np.zeros(COMPONENTS, dtype=np.int64)
        return cls(
            n=0, log=none, payoff=none, payoff_square=none, square=none, difference=np.zeros(FEATURES, dtype=np.int64)
        )

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
    """All that a detector remembers. Immutable; ``advance`` gives the next."""

    blocks: int
    witness: Floats  # (len(HALF_LIVES), FEATURES) weighted sums of mean differences
    payoff: Doubles  # (COMPONENTS,) weighted sums of mean y
    payoff_square: Doubles  # (COMPONENTS,)
    square: Doubles  # (COMPONENTS,) weighted sums of mean (w . difference)**2
    log_detectors: Doubles  # (COMPONENTS,) log M
    log_processes: Doubles  # (COMPONENTS,) log of the product alone
    pending: Increment  # of the block that is not full yet

    @classmethod
    def initial(cls) -> State:
        """Before any call."""
        none = np.zeros(COMPONENTS)
        return cls(
            blocks=0,
            witness=np.zeros((len(HALF_LIVES), FEATURES), dtype=np.float32),
            payoff=none,
            payoff_square=none,
            square=none,
            log_detectors=none,
            log_processes=none,
            pending=Increment.empty(),
        )

    @property
    def log_e(self) -> float:
        """Natural logarithm of the mean of the e-detectors: alarm where it reaches ``threshold(alpha)``."""
        return _log_mean(self.log_detectors)

    @property
    def log_e_process(self) -> float:
        """The same without restarts: it ever reaches ``threshold(alpha)`` with probability alpha at most."""
        return _log_mean(self.log_processes)

    @property
    def calls(self) -> int:
        """Pairs seen, those of the unfinished block included."""
        return self.blocks * BLOCK + self.pending.n

    def to_bytes(self) -> bytes:
        """STATE_BYTES bytes, little-endian; ``from_bytes`` gives an equal state back."""
        pending = self.pending
        parts = (
            self.witness.astype("<f4"),
            *(
                row.astype("<f8")
                for row in (self.payoff, self.payoff_square, self.square, self.log_detectors, self.log_processes)
            ),
            *(row.astype("<i8") for row in (pending.log, pending.payoff, pending.payoff_square, pending.square)),
            pending.difference.astype("<i8"),
        )
        return _HEAD.pack(_MAGIC, self.blocks, pending.n) + b"".join(part.tobytes() for part in parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """Raises ValueError for anything but a state of this version."""
        if len(data) != STATE_BYTES or data[:4] != _MAGIC:
            raise ValueError("not the state of a drift detector of this version")
        _, blocks, n = _HEAD.unpack_from(data)
        at = _HEAD.size
        witness = np.frombuffer(data, "<f4", len(HALF_LIVES) * FEATURES, at).astype(np.float32)
        at += witness.nbytes
        doubles = np.frombuffer(data, "<f8", 5 * COMPONENTS, at).astype(np.float64).reshape(5, COMPONENTS)
        at += doubles.nbytes
        integers = np.frombuffer(data, "<i8", 4 * COMPONENTS, at).astype(np.int64).reshape(4, COMPONENTS)
        at += integers.nbytes
        difference = np.frombuffer(data, "<i8", FEATURES, at).astype(np.int64)
        return cls(
            blocks=blocks,
            witness=witness.reshape(len(HALF_LIVES), FEATURES),
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
                difference=difference,
            ),
        )


STATE_BYTES = _HEAD.size + 4 * len(HALF_LIVES) * FEATURES + 8 * 9 * COMPONENTS + 8 * FEATURES


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bets:
    """What is fixed before a block: any process that holds the same bets pays its share of the pairs alike."""

    witness: Floats  # (FEATURES, COMPONENTS), columns of length 1, or 0 before the first block
    scale: Doubles  # (COMPONENTS,)
    stake: Doubles  # (COMPONENTS,) in 0..STAKE_MAX


def bets(state: State) -> Bets:
    """The bets on the next block, from completed blocks alone."""
    witness = np.zeros((FEATURES, COMPONENTS), dtype=np.float32)
    for component, part in enumerate(_PARTS):
        row = state.witness[component % len(HALF_LIVES), part].astype(np.float64)
        witness[part, component] = row / max(float(np.linalg.norm(row)), 1e-30)
    weight = np.maximum(1 - _DECAYS**state.blocks, 1e-30)
    scale = np.sqrt(state.square / weight)
    mean, second = state.payoff / weight, state.payoff_square / weight
    stake = np.clip(mean / np.maximum(second, 1e-12), 0, STAKE_MAX)
    return Bets(witness=witness, scale=np.maximum(scale, 1e-6), stake=stake)


def increment(bets: Bets, current: Floats, baseline: Floats) -> Increment:
    """What pairs pay under ``bets``: ``current`` (n, DIMENSIONS), ``baseline`` (n, DIMENSIONS) or (n, k, DIMENSIONS).

    With k baseline calls to one current call, y is the mean of its k payoffs, which is as fair and less noisy.
    """
    return _increment(bets, *_features(current, baseline))


def advance(state: State, increment: Increment) -> State:
    """The state after some more pairs of the block at hand; raises ValueError if they are more than its rest."""
    pending = state.pending + increment
    if pending.n > BLOCK:
        raise ValueError(f"a block holds {BLOCK} pairs, not {pending.n}")
    if pending.n < BLOCK:
        return State(
            blocks=state.blocks,
            witness=state.witness,
            payoff=state.payoff,
            payoff_square=state.payoff_square,
            square=state.square,
            log_detectors=state.log_detectors,
            log_processes=state.log_processes,
            pending=pending,
        )
    log = pending.log * _UNIT
    decays = _DECAYS[: len(HALF_LIVES), None]
    witness = state.witness * decays + (1 - decays) * (pending.difference * (_UNIT / BLOCK))
    return State(
        blocks=state.blocks + 1,
        witness=witness.astype(np.float32),
        payoff=_blend(state.payoff, pending.payoff),
        payoff_square=_blend(state.payoff_square, pending.payoff_square),
        square=_blend(state.square, pending.square),
        log_detectors=np.minimum(np.maximum(state.log_detectors, 0) + log, LOG_E_MAX),
        log_processes=state.log_processes + log,
        pending=Increment.empty(),
    )


def run(state: State, current: Floats, baseline: Floats) -> tuple[State, list[float]]:
    """Take pairs in their order, as many as there are; also ``log_e`` after each block that became full.

    Shapes as in ``increment``. Pairs may come in portions of any size: the state at the end is the same.
    """
    today, before = _features(current, baseline)
    found: list[float] = []
    at = 0
    while at < len(today):
        end = at + BLOCK - state.pending.n
        state = advance(state, _increment(bets(state), today[at:end], before[at:end]))
        if state.pending.n == 0:
            found.append(state.log_e)
        at = end
    return state, found


def _features(current: Floats, baseline: Floats) -> tuple[Floats, Floats]:
    """Shapes (n, FEATURES) and (n, k, FEATURES)."""
    today = np.asarray(current, dtype=np.float32)
    before = np.asarray(baseline, dtype=np.float32)
    if before.ndim == 2:
        before = before[:, None]
    n, k = before.shape[:2]
    if today.shape != (n, DIMENSIONS) or before.shape[2:] != (DIMENSIONS,) or k == 0:
        raise ValueError(f"shapes {np.shape(current)} and {np.shape(baseline)} are no pairs of {DIMENSIONS} dimensions")
    return features(today), features(before.reshape(n * k, DIMENSIONS)).reshape(n, k, FEATURES)


def _increment(bets: Bets, today: Floats, before: Floats) -> Increment:
    apart = (today @ bets.witness)[:, None] - before @ bets.witness  # (n, k, COMPONENTS)
    payoff = np.clip(apart / (2 * bets.scale), -1, 1).mean(axis=1)
    return Increment(
        n=len(today),
        log=_total(np.log1p(bets.stake * payoff)),
        payoff=_total(payoff),
        payoff_square=_total(payoff**2),
        square=_total((apart.astype(np.float64) ** 2).mean(axis=1)),
        difference=_total(today.astype(np.float64) - before.mean(axis=1, dtype=np.float64)),
    )


def _total(values: Doubles) -> Integers:
    found: Integers = np.rint(values / _UNIT).astype(np.int64).sum(axis=0)
    return found


def _blend(old: Doubles, total: Integers) -> Doubles:
    return np.asarray(old * _DECAYS + (1 - _DECAYS) * (total * (_UNIT / BLOCK)))


def _log_mean(logs: Doubles) -> float:
    top = float(logs.max())
    return top + math.log(float(np.exp(logs - top).mean()))
