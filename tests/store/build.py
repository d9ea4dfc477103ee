"""Chains to materialise: seeded, of several streams, with everything in them that a real one has."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np

from collector.chain import Chain, open_chain
from collector.config import Config
from collector.delta import Delta, Footer, Stream
from collector.labels import Labels
from collector.records import Content
from collector.rows import SuiteId, build, embedding_sums, table
from collector.store.materialise import Materialiser, Store
from signals.types import Abstention, Embeddings, ScoreColumn, ScoreSpec, Side, SuiteScores
from tests.core.build import NOON, call

STREAMS = (Stream("otlp_spans", "e1", 0), Stream("otlp_spans", "e1", 1), Stream("other", "e2", 0))
OLD = (ScoreSpec(signal="toxicity", side=Side.OUTPUT, version="1"),)
NEW = (
    ScoreSpec(signal="toxicity", side=Side.OUTPUT, version="2", weights="abcd"),
    ScoreSpec(signal="toxicity", side=Side.INPUT, version="2", weights="abcd"),
)


def config(data: Path, **sections: object) -> Config:
    return Config.model_validate({"source": {"otlp": {}}, "data": data, **sections})


def fill(chain: Chain, *, seed: int = 1, deltas: int = 12, calls_max: int = 12) -> int:
    """Append seeded deltas to all STREAMS; returns how many calls they hold."""
    rng = random.Random(seed)
    calls = 0
    for stream in STREAMS:
        at = 0
        for number in range(deltas):
            delta = some_delta(rng, stream, at, rng.randrange(calls_max), NOON + number * 40)
            chain.append(delta)
            at, calls = delta.footer.next, calls + delta.calls.num_rows
    return calls


def some_delta(rng: random.Random, stream: Stream, start: int, n: int, at: int) -> Delta:
    """``n`` calls, with rejects, drops, losses, late and early ones, of one of two suites."""
    specs = rng.choice([OLD, NEW])
    suite = SuiteId.of(specs)
    seconds = [rng.choice([rng.randrange(40), rng.randrange(40), -7_200, 90_000]) for _ in range(n)]
    calls = [
        call(
            start * 1_000 + i,
            trace_id=f"{rng.getrandbits(128):032x}",
            ended_at=(at + second) * 10**9,
            service=rng.choice(["shop", "desk"]),
            request_model=rng.choice(["gpt-4o", "claude"]),
            tenant=rng.choice([None, "acme"]),
            error=rng.choice([None, None, None, "timeout"]),
            content=rng.choice([Content.CAPTURED, Content.NONE]),
            latency_seconds=rng.choice([None, 0.0, rng.lognormvariate(0, 1)]),
            input_tokens=rng.choice([None, rng.randrange(10_000)]),
            service_version="1.0",
        )
        for i, second in enumerate(seconds)
    ]
    lost, rejected = rng.choice([0, 0, 3]), {"bad_json": 1} if rng.random() < 0.3 else {}
    offsets = sorted(start + lost + rng.randrange(n + 1) for _ in range(n))
    part = build(calls, offsets, _scores(rng, specs, n), suite, Labels(values_max=10, chars_max=50), at)
    end = start + lost + n + 1 + len(rejected)
    footer = Footer(
        topic=stream.topic,
        epoch=stream.epoch,
        partition=stream.partition,
        start=start,
        next=end,
        records=end - start - lost,
        consumed=n + lost + sum(rejected.values()),
        dropped={"twin": 2} if rng.random() < 0.3 else {},
        rejected=rejected,
        lost=lost,
        suites={suite.id: suite.entries},
        resume_at=float(at + 40),
    )
    return Delta(footer=footer, calls=table([part]), embeddings=embedding_sums([part]))


def _scores(rng: random.Random, specs: tuple[ScoreSpec, ...], n: int) -> SuiteScores:
    columns = []
    for spec in specs:
        codes = np.array(
            [rng.choice([Abstention.NONE] * 4 + [Abstention.NO_TEXT, Abstention.SHED]) for _ in range(n)], np.uint8
        )
        values = np.array([rng.choice([0.0, 1.0, rng.random()]) for _ in range(n)], np.float32)
        columns.append(ScoreColumn(spec=spec, values=np.where(codes == 0, values, np.nan), abstentions=codes))
    vectors = np.zeros((n, 4), np.float32)
    for row in vectors:
        row[rng.randrange(4)] = 1.0
    present = np.ones(n, np.bool_)
    return SuiteScores(
        columns=tuple(columns),
        embeddings=(Embeddings(side=Side.OUTPUT, version="m1", vectors=vectors, present=present),),
        languages=tuple("en" if i % 2 else "de" for i in range(n)),
    )


def view(data: Path, **sections: object) -> tuple[Chain, Materialiser]:
    """The chain of a folder and a materialiser over it."""
    settings = config(data, **sections)
    chain = open_chain(settings)
    return chain, Materialiser(chain, Store(settings, chain.root))


def go_on(chain: Chain, materialiser: Materialiser, at: float) -> None:
    """Something is read at ``at``, in a stream apart: ages are told by the newest log time."""
    stream = Stream("later", "e1", 0)
    chain.append(some_delta(random.Random(7), stream, materialiser.store.cursor(stream) or 0, 0, int(at) - 40))
    materialiser.step()


def digest(path: Path) -> dict[str, str]:
    """A hash of the ordered rows of every table that follows from the chain alone."""
    with duckdb.connect(str(path), read_only=True) as connection:
        names = connection.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'data'").fetchall()
        found = {}
        for (name,) in sorted(names):
            if name not in ("kept", "drift"):
                rows = connection.execute(f"SELECT * FROM data.{name} ORDER BY ALL").fetchall()
                found[name] = f"{len(rows)}:{hashlib.sha256(repr(rows).encode()).hexdigest()}"
    return found


def rebuilt(chain: Chain, scratch: Path, **sections: object) -> dict[str, str]:
    """The digest of an uninterrupted rebuild in another folder."""
    store = Store(config(scratch, **sections), chain.root)
    assert not Materialiser(chain, store).step().failure
    store.close()
    return digest(store.database.path)


def totals(chain: Chain) -> Counter[str]:
    """What the objects of a chain say by themselves."""
    found: Counter[str] = Counter()
    for stream in chain.streams():
        for link in chain.walk(stream):
            footer = link.delta.footer
            found.update(
                calls=link.delta.calls.num_rows,
                consumed=footer.consumed,
                rejected=sum(footer.rejected.values()),
                lost=footer.lost,
                dropped=sum(footer.dropped.values()),
                records=footer.records,
            )
    return found
