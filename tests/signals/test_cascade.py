"""The cascade: what goes to the full model, what a cleared text scores, and what is counted of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from signals.cascade import CLEARED_MAX, Cascade, CascadeOptions
from signals.encoder import Encoder
from signals.recall import Guard, Tally, estimate
from signals.suite import Suite, SuiteError, SuiteOptions, load_suite
from signals.toxicity import ToxicityHead
from signals.types import Exchange, Floats, Side

KIND = "Thank you for the quick answer, the kettle works again."
RUDE = "You are a worthless piece of garbage and everybody hates you, shut up."
ORDERS = [Exchange(input=f"Where is order {number}?", output=f"Order {number} is on its way.") for number in range(400)]


class Keywords:
    """A small full model: certain of texts that hold one of its words."""

    labels = ("toxicity", "threat")
    toxicity = 0
    version = "keywords-1"
    weights = "0"

    def __init__(self, *words: str) -> None:
        self.words = words
        self.asked: list[str] = []

    def predict(self, texts: Sequence[str]) -> Floats:
        self.asked += texts
        found = [0.9 if any(word in text for word in self.words) else 0.1 for text in texts]
        return np.array([[value, value / 2] for value in found], dtype=np.float32).reshape(len(texts), 2)

    def close(self) -> None:
        self.words = ()


@pytest.fixture(scope="module")
def head(encoder: Encoder) -> ToxicityHead:
    return ToxicityHead(encoder)


def build(head: ToxicityHead, encoder: Encoder, model: Keywords, **options: object) -> Suite:
    return Suite([Cascade(head, model, replace(CascadeOptions(), **options))], encoder)


def scores(suite: Suite, *exchanges: Exchange) -> dict[str, list[float]]:
    return {found.spec.column: found.values.tolist() for found in suite.score(exchanges).columns}


def test_what_the_head_cannot_clear_is_judged_by_the_model_in_every_label(head: ToxicityHead, encoder: Encoder) -> None:
    model = Keywords("garbage")

    found = scores(build(head, encoder, model, bypass_one_in=10**9), Exchange(input=RUDE, output=KIND))

    assert model.asked == [RUDE]
    assert found["toxicity_input"] == pytest.approx([0.9])
    assert found["threat_input"] == pytest.approx([0.45])


def test_a_cleared_text_keeps_the_head_s_probability_and_never_warns(head: ToxicityHead, encoder: Encoder) -> None:
    suite = build(head, encoder, Keywords(), bypass_one_in=10**9)

    found = scores(suite, Exchange(input=KIND, output=KIND))

    assert found["toxicity_input"] == pytest.approx(head.probabilities(encoder.encode([KIND])).tolist(), abs=1e-6)
    assert found["toxicity_input"][0] <= CLEARED_MAX
    assert found["threat_output"] == [0.0]


def test_one_in_so_many_of_the_cleared_goes_to_the_model_and_the_same_ones_again(
    head: ToxicityHead, encoder: Encoder
) -> None:
    first, second, other = Keywords(), Keywords(), Keywords()

    build(head, encoder, first, bypass_one_in=10).score(ORDERS)
    build(head, encoder, second, bypass_one_in=10).score(list(reversed(ORDERS)))
    build(head, encoder, other, bypass_one_in=10, salt="another").score(ORDERS)

    assert 40 <= len(first.asked) <= 130  # of 800
    assert sorted(first.asked) == sorted(second.asked)
    assert sorted(first.asked) != sorted(other.asked)


def test_its_counts_are_those_of_what_happened_and_add_up_over_processes(head: ToxicityHead, encoder: Encoder) -> None:
    batch = [*ORDERS, *[Exchange(input=f"{RUDE} {number}", output=KIND) for number in range(30)]]
    whole = build(head, encoder, Keywords("garbage"), bypass_one_in=10)
    halves = [build(head, encoder, Keywords("garbage"), bypass_one_in=10) for _ in range(2)]

    counts = whole.score(batch).counts
    parts = [half.score(part).counts for half, part in zip(halves, (batch[::2], batch[1::2]), strict=True)]

    assert counts["cascade_texts"] == 860
    assert counts["cascade_sent"] >= 30
    assert counts["cascade_flagged_sent"] == 30
    assert counts["cascade_flagged_weighted"] == 30 + 10 * counts["cascade_flagged_sampled"]
    for name, total in counts.items():
        if name.startswith("cascade_"):
            assert sum(part[name] for part in parts) == total, name


def test_the_gauges_say_recall_and_rate_with_their_intervals(head: ToxicityHead, encoder: Encoder) -> None:
    suite = build(head, encoder, Keywords("garbage"), bypass_one_in=2)

    gauges = suite.score([*ORDERS, Exchange(input=RUDE, output=KIND)]).gauges

    assert gauges["cascade_recall"] == 1.0
    assert gauges["cascade_recall_low"] < 1.0 == gauges["cascade_recall_high"]
    assert gauges["cascade_rate_low"] <= 1 / 802 <= gauges["cascade_rate_high"]
    assert gauges["cascade_fallen"] == 0.0


def test_where_the_head_misses_what_the_model_flags_everything_goes_to_the_model(
    head: ToxicityHead, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Guard, "BLOCK_SAMPLED", 50)
    model = Keywords("order")  # the model finds toxic what the head calls harmless
    suite = build(head, encoder, model, bypass_one_in=5)

    first, second = suite.score(ORDERS), suite.score(ORDERS)

    assert (first.gauges["cascade_fallen"], first.counts["cascade_rescued"]) == (1.0, 0)
    assert first.counts["cascade_falls"] == 1
    assert second.counts["cascade_rescued"] > 500
    assert {text for exchange in ORDERS for text in (exchange.input, exchange.output)} <= set(model.asked)
    assert all(value > 0.5 for value in second.columns[0].values)


def test_the_rate_from_the_counts_is_unbiased_though_the_head_misses_a_half(
    head: ToxicityHead, encoder: Encoder
) -> None:
    """Over salts: the draw is all that is random."""
    batch = [*ORDERS[:100], *[Exchange(input=f"{RUDE} {number}") for number in range(20)]]
    toxic = {text for exchange in ORDERS[:100:5] if (text := exchange.input)}
    rates, held = [], 0
    for salt in range(60):
        suite = build(head, encoder, Keywords("garbage", *toxic), bypass_one_in=4, salt=str(salt))
        counts = suite.score(batch).counts
        rates.append(counts["cascade_flagged_weighted"] / counts["cascade_texts"])
        tally = Tally(**{name: counts[f"cascade_{name}"] for name in Tally.__dataclass_fields__})
        held += estimate(tally).rate_low <= 40 / 220 <= estimate(tally).rate_high

    assert abs(np.mean(rates) - 40 / 220) < 3.5 * np.std(rates) / np.sqrt(len(rates))
    assert held >= 54


def test_the_version_names_both_stages_and_the_recall(head: ToxicityHead, encoder: Encoder) -> None:
    (spec, *_), model = build(head, encoder, Keywords(), recall_percent=99).specs, Keywords()

    assert spec.version.startswith("cascade99-head-3.2-")
    assert spec.version.endswith(model.version)


def test_a_recall_that_the_card_does_not_know_is_a_sentence(detoxify_folder: Path) -> None:
    options = SuiteOptions(
        enabled=("toxicity",),
        device="cpu",
        workers=1,
        detoxify=detoxify_folder,
        cascade=CascadeOptions(recall_percent=97),
    )

    with pytest.raises(SuiteError, match="only for 90 %, 95 %, 99 %"):
        load_suite(options)


def test_without_a_model_there_is_no_cascade() -> None:
    with pytest.raises(SuiteError, match="needs a Detoxify model"):
        load_suite(SuiteOptions(enabled=("toxicity",), device="cpu", cascade=CascadeOptions()))


def test_a_real_model_stands_behind_it_with_every_label_on_both_sides(cascade_suite: Suite) -> None:
    found = cascade_suite.score([Exchange(input=RUDE, output=KIND)])

    assert not found.failures
    assert len(found.columns) == 6 * len(Side)
    assert not any(np.isnan(values.values).any() for values in found.columns)
