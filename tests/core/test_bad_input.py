"""Bad input through the whole of intake and commit: one counted reject, one dead letter, and the neighbours live on."""

from __future__ import annotations

import gzip
import random

import pytest
import zstandard
from obstore.store import MemoryStore

from collector.chain import Chain
from collector.committer import Committer
from collector.config import ChainConfig, JoinConfig, LimitsConfig
from collector.decode.context import context_text
from collector.intake import Intake
from collector.labels import Labels
from collector.records import Kind, RejectReason
from collector.rows import SuiteId
from collector.scoring import Scorer
from collector.telemetry import Silent
from signals.types import SuiteScores
from tests.fakes.otlp import FakeCall, traces
from tests.fakes.source import FakeLog, FakeSource
from tests.fakes.suite import HashSuite
from tests.simulation.world import Letters

GOOD = traces([FakeCall(number=1)])


def through(values: list[bytes | None]) -> tuple[Chain, Letters]:
    """Run records through a worker until nothing is left."""
    log = FakeLog()
    (partition,) = log.create("otlp_spans", Kind.TRACES)
    for value in values:
        log.append(partition, value, timestamp=1_790_000_000.0)
    chain, letters, now = Chain(MemoryStore()), Letters(), [1_790_000_000.0]
    source = FakeSource(log, assigned=[partition])
    source.start()
    intake = Intake(
        source=source, chain=chain, join=JoinConfig(), limits=LimitsConfig(), telemetry=Silent(), clock=lambda: now[0]
    )
    suite = HashSuite()
    committer = Committer(
        chain=chain,
        dead_letters=letters,
        telemetry=Silent(),
        config=ChainConfig(),
        labels=Labels(values_max=100, chars_max=100),
        suite=SuiteId.of(suite.specs),
        written_by="test",
    )
    scorer = Scorer(suite, Silent())
    for _ in range(40):
        step = intake.turn(0.0)
        scores = SuiteScores(columns=())
        if step.calls:
            scores = scorer.score(step.calls, [context_text(call) for call in step.calls])
        committer.take(step, scores, now[0])
        now[0] += 1.0
    committer.flush(now[0], everything=True)
    return chain, letters


def footers(chain: Chain):
    return [link.delta.footer for stream in chain.streams() for link in chain.walk(stream)]


def calls(chain: Chain) -> int:
    return sum(link.delta.calls.num_rows for stream in chain.streams() for link in chain.walk(stream))


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field; the library itself refuses to build what is too deep."""
    size, length = bytearray(), len(payload)
    while True:
        size.append(length & 0x7F | (0x80 if length > 0x7F else 0))
        length >>= 7
        if not length:
            return bytes([number << 3 | 2, *size]) + payload


def deep(levels: int) -> bytes:
    value = field(1, b"bottom")
    for _ in range(levels):
        value = field(5, field(1, value))
    span = FakeCall(number=1).span().SerializeToString()
    attribute = field(9, field(1, b"gen_ai.input.messages") + field(2, value))
    return field(1, field(2, field(2, span + attribute)))


BAD: dict[str, tuple[bytes | None, set[RejectReason]]] = {
    "nothing": (b"", {RejectReason.EMPTY}),
    "a tombstone": (None, {RejectReason.EMPTY}),
    "random bytes": (b"\xff\x00\x13\x37" * 9, {RejectReason.BAD_PROTOBUF}),
    "a truncated request": (GOOD[:-7], {RejectReason.BAD_PROTOBUF}),
    "a giant": (b"\x0a" * (3 << 20), {RejectReason.TOO_LARGE}),
    "half a document": (b'{"resourceSpans": [', {RejectReason.BAD_JSON}),
    "json of another shape": (b'{"resourceSpans": 7}', {RejectReason.WRONG_TYPE}),
    "a gzip bomb": (gzip.compress(b"\0" * (64 << 20)), {RejectReason.BOMB}),
    "a zstd bomb": (zstandard.compress(b"\0" * (64 << 20)), {RejectReason.BOMB}),
    "broken gzip": (gzip.compress(GOOD)[:-9], {RejectReason.BAD_COMPRESSION}),
    "deep json": (b'{"resourceSpans":' + b"[" * 90_000 + b"]" * 90_000 + b"}", {RejectReason.TOO_DEEP}),
    "a deep value": (deep(90), {RejectReason.TOO_DEEP, RejectReason.BAD_PROTOBUF}),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_record_is_one_reject_and_one_letter_and_its_neighbours_are_scored(name):
    value, reasons = BAD[name]

    chain, letters = through([traces([FakeCall(number=10)]), value, traces([FakeCall(number=11)])])

    assert calls(chain) == 2
    assert [(letter.record.offset, letter.record.value) for letter in letters.sent] == [(1, value)]
    assert {letter.reason for letter in letters.sent} <= reasons
    assert sum(sum(footer.rejected.values()) for footer in footers(chain)) == 1
    assert sum(footer.consumed for footer in footers(chain)) == 3


def test_whatever_bits_flip_every_record_is_decoded_or_rejected_once():
    rng = random.Random(11)
    values: list[bytes | None] = []
    for number in range(300):
        value = bytearray(traces([FakeCall(number=1_000 + number)]))
        for _ in range(rng.randint(1, 12)):
            value[rng.randrange(len(value))] ^= 1 << rng.randrange(8)
        values.append(bytes(value[: rng.randrange(1, len(value))]) if rng.random() < 0.3 else bytes(value))
    good = [traces([FakeCall(number=number)]) for number in range(300)]

    chain, letters = through([each for pair in zip(values, good, strict=True) for each in pair])

    told = {bytes(each) for link in _rows(chain) for each in link.column("trace_id").to_pylist()}
    assert {FakeCall(number=number).trace_id for number in range(300)} <= told
    offsets = [letter.record.offset for letter in letters.sent]
    assert len(offsets) == len(set(offsets)) == sum(sum(footer.rejected.values()) for footer in footers(chain))
    assert sum(footer.records for footer in footers(chain)) == 600
    assert sum(footer.consumed for footer in footers(chain)) == calls(chain) + len(offsets)


@pytest.mark.parametrize(
    "value", [True, -1, 2**62, 1.5e300, float("nan"), [], [[1]], {"a": {}}, "", "\x00\ud7ff", None]
)
def test_an_attribute_of_a_wrong_type_costs_at_most_its_own_field(value):
    names = list(FakeCall(number=1).span().attributes)
    spoiled = [FakeCall(number=100 + index, attributes={attribute.key: value}) for index, attribute in enumerate(names)]

    chain, letters = through([traces([call]) for call in spoiled] + [traces([FakeCall(number=1)])])

    assert letters.sent == []
    assert calls(chain) >= len(spoiled) - 1  # a span whose operation is unreadable is no call
    assert sum(footer.consumed for footer in footers(chain)) == calls(chain)


def _rows(chain: Chain):
    return [link.delta.calls for stream in chain.streams() for link in chain.walk(stream)]
