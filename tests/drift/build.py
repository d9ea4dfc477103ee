"""Days of traffic to watch: calls whose texts lie around topics, as real rows in a real chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from collector.chain import Chain
from collector.delta import Delta, Footer, Stream
from collector.drift.log import DriftLog
from collector.drift.record import Record
from collector.drift.watch import Watch
from collector.labels import Labels
from collector.rows import SuiteId, build, embedding_sums, table
from collector.store.driftlog import apply_records, drift_files
from collector.store.materialise import Materialiser
from signals.sketch import SOURCE_DIMENSIONS
from signals.types import Abstention, Embeddings, ScoreColumn, Side, SuiteScores
from tests.core.build import TOXICITY, call
from tests.store.build import STREAMS, view

HOUR = 3_600
DAY = 24 * HOUR
MONDAY = 1_790_553_600 // DAY * DAY  # 2026-09-28
MORNING = MONDAY + 7 * DAY + 9 * HOUR  # of the second Monday
SETTINGS = {"alpha": 1e-3, "window_seconds": 60.0, "grace_seconds": 5.0}


@dataclass(slots=True)
class Traffic:
    """Appends deltas to a chain; what it says and when follows from the seed and the calls made."""

    chain: Chain
    seed: int = 1
    stream: Stream = STREAMS[0]
    version: str = "encoder-1"
    sketched: bool = True
    at: int = 0  # the next offset
    rng: np.random.Generator = field(init=False)
    topics: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        centres = np.random.default_rng(7).normal(size=(6, SOURCE_DIMENSIONS))
        self.topics = centres / np.linalg.norm(centres, axis=1, keepdims=True)

    def minutes(
        self, begin: int, n: int, *, calls: int = 20, topics: Sequence[int] = (0, 1, 2), **changes: object
    ) -> None:
        """``n`` deltas of a minute each from ``begin`` on, with ``calls`` calls each, evenly of ``topics``."""
        for minute in range(n):
            self.delta(begin + 60 * minute, calls, topics, **changes)

    def delta(self, begin: int, n: int, topics: Sequence[int] = (0, 1, 2), **changes: object) -> None:
        seconds = np.sort(self.rng.integers(0, 60, n)).tolist()
        made = [
            call(
                trace_id=self.rng.bytes(16).hex(),
                span_id=self.rng.bytes(8).hex(),
                **{"ended_at": (begin + second) * 10**9, **changes},
            )
            for second in seconds
        ]
        suite = SuiteId.of([TOXICITY])
        part = build(
            made,
            range(self.at, self.at + n),
            self._scores(n, topics),
            suite,
            Labels(values_max=10, chars_max=50),
            begin,
            sketched=self.sketched,
        )
        footer = Footer(
            **self.stream._asdict(),
            start=self.at,
            next=self.at + n,
            records=n,
            consumed=n,
            suites={suite.id: suite.entries},
            resume_at=float(begin + 59),
        )
        self.chain.append(Delta(footer=footer, calls=table([part]), embeddings=embedding_sums([part])))
        self.at += n

    def _scores(self, n: int, topics: Sequence[int]) -> SuiteScores:
        vectors = self.topics[self.rng.choice(list(topics), n)] + self.rng.normal(0, 0.03, (n, SOURCE_DIMENSIONS))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        column = ScoreColumn(
            spec=TOXICITY, values=np.full(n, 0.5, np.float32), abstentions=np.full(n, Abstention.NONE, np.uint8)
        )
        side = Embeddings(
            side=Side.INPUT, version=self.version, vectors=vectors.astype(np.float32), present=np.ones(n, np.bool_)
        )
        return SuiteScores(columns=(column,), embeddings=(side,))


@dataclass(slots=True)
class World:
    """A chain, its view, and a watch over both."""

    folder: Path
    settings: dict[str, object] = field(default_factory=lambda: dict(SETTINGS))
    chain: Chain = field(init=False)
    materialiser: Materialiser = field(init=False)
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.chain, self.materialiser = view(self.folder, drift=self.settings)
        self.watch = self.watcher()

    def watcher(self, kept_max: int = 0) -> Watch:
        """One more process that watches the same chain."""
        store = self.materialiser.store
        return Watch(
            log=DriftLog(self.chain),
            base=store.files.base,
            config=store.config.drift,
            written_by="test",
            kept_max=kept_max,
        )

    def examine(self, now: float, watch: Watch | None = None) -> list[Record]:
        """Follow the chain, decide about every window that has ended, and show the view."""
        assert not self.materialiser.step().failure
        store, found = self.materialiser.store, []
        while record := (watch or self.watch).step(drift_files(store), now):
            found.append(record)
        apply_records(store, found)
        return found

    def close(self) -> None:
        self.materialiser.store.close()
