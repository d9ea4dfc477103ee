"""The light toxicity head: its verdicts, its windows, and that its file is the one its card speaks of."""

from __future__ import annotations

import base64
import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import bench.quality
import signals
from bench.heads.toxicity import threshold_for
from bench.measures import DATA, auroc, read_set
from collector.catalog import WARN_AT
from signals.batch import Batch
from signals.encoder import Encoder
from signals.runtime.weights import WeightsError
from signals.suite import Suite
from signals.toxicity import HEAD, ToxicityHead, damped
from signals.types import Exchange, Side
from signals.worst import worst_parts

HEADS = Path(signals.__file__).parent / "heads"
QUALITY = Path(bench.quality.__file__).parent
KIND = "Thank you for the quick answer, the kettle works again."
RUDE = "You are a worthless piece of garbage and everybody hates you, shut up."


@pytest.fixture(scope="module")
def head(encoder: Encoder) -> ToxicityHead:
    return ToxicityHead(encoder)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    for suffix in (".json", ".safetensors"):
        shutil.copy(HEADS / f"{HEAD}{suffix}", tmp_path)
    return tmp_path / f"{HEAD}.json"


def scores(head: ToxicityHead, encoder: Encoder, *texts: str) -> list[float]:
    return head.probabilities(encoder.encode(texts)).tolist()


def test_abuse_scores_high_and_thanks_low(head: ToxicityHead, encoder: Encoder) -> None:
    kind, rude = scores(head, encoder, KIND, RUDE)

    assert kind < 0.1
    assert rude > 0.7


def test_one_rude_passage_in_a_long_text_is_found(head: ToxicityHead, encoder: Encoder) -> None:
    filler = "The parcel was sent on Monday and the invoice follows by post on Tuesday. " * 60
    passage = f"{RUDE} " * 20  # most of a window: one short insult among 250 calm words is diluted

    calm, spoiled = scores(head, encoder, filler, filler + passage + filler)

    assert calm < 0.2
    assert spoiled > 0.5


def test_the_card_says_what_was_measured_on_what(head: ToxicityHead) -> None:
    facts = json.loads((HEADS / f"{HEAD}.json").read_text(encoding="utf-8"))
    page = (HEADS / f"{HEAD}.md").read_text(encoding="utf-8")

    assert facts["measured"]["validation, fitted sets"]["auroc"] >= 0.93
    assert facts["measured"]["left out whole, openai_mod"]["auroc"] >= 0.82
    assert facts["measured"]["left out whole, surge"]["auroc"] >= 0.91
    assert facts["sha256"] in page
    assert all(f"| {name} |" in page for name in facts["rows"])


def test_other_weights_than_the_card_s_are_refused(card: Path, encoder: Encoder) -> None:
    weights = card.with_suffix(".safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")

    with pytest.raises(WeightsError, match="sha256 differs"):
        ToxicityHead(encoder, card)


def test_a_head_of_another_encoder_is_refused(card: Path, encoder: Encoder) -> None:
    facts = json.loads(card.read_text())
    card.write_text(json.dumps(facts | {"encoder_sha256": "0" * 64}))

    with pytest.raises(WeightsError, match="another encoder"):
        ToxicityHead(encoder, card)


@pytest.mark.parametrize("missing", [".json", ".safetensors"])
def test_a_missing_file_is_a_sentence(card: Path, encoder: Encoder, missing: str) -> None:
    card.with_suffix(missing).unlink()

    with pytest.raises(WeightsError, match="reinstall"):
        ToxicityHead(encoder, card)


def test_a_disguise_does_not_help(head: ToxicityHead, encoder: Encoder) -> None:
    hidden = RUDE.replace("o", "\u043e").replace("e", "e\u200b")
    batch = Batch([Exchange(input=text) for text in (RUDE, hidden, KIND)], None, encoder)

    open_, disguised, kind = head.judge(batch, Side.INPUT).tolist()

    assert disguised >= open_ - 0.02
    assert kind < 0.1


def test_what_is_no_english_only_in_its_disguise_is_not_halved(head: ToxicityHead, encoder: Encoder) -> None:
    hidden = base64.b64encode(RUDE.encode()).decode()
    batch = Batch([Exchange(input=text) for text in (RUDE, hidden, " ".join(RUDE))], None, encoder)

    open_, encoded, spaced = head.score(batch)[0].values.tolist()

    assert encoded == pytest.approx(open_, abs=0.02)
    assert spaced > WARN_AT


def test_what_it_cannot_read_is_no_warning(head: ToxicityHead, encoder: Encoder) -> None:
    lines = (QUALITY / "harmless_languages.tsv").read_text(encoding="utf-8").splitlines()
    batch = Batch([Exchange(output=line.split("\t")[1]) for line in lines], None, encoder)

    found = head.score(batch)[1].values

    assert (found > 0.5).mean() < 0.02


def test_another_language_halves_what_the_head_says_and_english_keeps_it() -> None:
    dutch = "De zwarte kat slaapt op de bank naast de dikke hond."

    found = damped([dutch, RUDE, dutch], np.array([0.8, 0.8, 0.1], dtype=np.float32))

    assert found.tolist() == pytest.approx([0.4, 0.8, 0.1])


@pytest.mark.parametrize(
    "text",
    [
        "Wann endet die Garantie?",
        "Quand arrive ma commande ?",
        "El perro negro come.",
        "Slut på lagret",
        "aGVsbG8gd29ybGQgdGhpcyBpcyBhIHRlc3Q=",
    ],
)
def test_short_texts_that_are_no_english_are_no_warning_either(suite: Suite, text: str) -> None:
    column = suite.score([Exchange(input=text)]).columns[0]

    assert column.spec.column == "toxicity_input"
    assert column.values[0] < WARN_AT


def test_every_threshold_of_the_card_keeps_its_recall_on_toxic_rows(head: ToxicityHead) -> None:
    stages = head.facts["cascade"]

    assert [stage["recall_percent"] for stage in stages] == [90, 95, 99]
    assert all(
        left["threshold"] > right["threshold"] and left["clean_sent"] <= right["clean_sent"]
        for left, right in pairwise(stages)
    )
    assert (np.array([0.1, 0.5, 0.6, 0.9]) >= threshold_for(0.75, np.array([0.1, 0.5, 0.6, 0.9]))).mean() >= 0.75


@pytest.mark.skipif(not DATA.is_dir(), reason="the labelled sets are not beside the checkout (../shared/data)")
def test_it_tells_talk_apart_that_it_was_never_fitted_on(head: ToxicityHead, encoder: Encoder) -> None:
    rows = [row for row in read_set("wikitalk") if len(row["text"]) < 600][:250]

    found = head.probabilities(encoder.encode([row["text"] for row in rows]))

    assert auroc(np.array([bool(row["label"]) for row in rows]), found.astype(np.float64)) > 0.9


def test_the_worst_part_of_an_answer_is_its_insult(head: ToxicityHead) -> None:
    text = f"{KIND} The parcel was sent on Monday. {RUDE} The invoice follows by post."

    ((start, end),) = worst_parts(head.judges["toxicity"], [text])  # type: ignore[misc]

    assert text[start:end] in RUDE


def test_a_disguised_insult_is_found_where_it_stands(head: ToxicityHead) -> None:
    insult = "you w\u200borthless p1ece of g@rbage"

    ((start, end),) = worst_parts(head.judges["toxicity"], [f"{KIND} And {insult}! {KIND}"])  # type: ignore[misc]

    assert start >= len(KIND)
    assert end <= len(KIND) + len(insult) + 7
