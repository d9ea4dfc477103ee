"""A disguise helps no text past the signals: each kind of it is read, or is a find itself."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.batch import Batch
from signals.encoder import Encoder
from signals.normalise import spelled_oddly
from signals.pii import find, redact
from signals.readings import PAYLOADS_READ_MAX, readings, worst_readings
from signals.toxicity import ToxicityHead
from signals.types import Exchange, Floats, Side

RUDE = "You are a worthless piece of garbage and everybody hates you, shut up."
KIND = "Thank you for the quick answer, the kettle works again."
DISGUISES = {
    "zero-width": RUDE.replace("e", "e\u200b"),
    "soft hyphens": RUDE.replace("r", "\u00adr"),
    "homoglyphs": RUDE.replace("o", "\u043e").replace("a", "\u0430"),
    "full-width": "".join(chr(ord(letter) + 0xFEE0) if letter.isalpha() else letter for letter in RUDE),
    "leetspeak": RUDE.replace("o", "0").replace("e", "3").replace("a", "4").replace("i", "1"),
    "spaced letters": RUDE.replace("worthless", "w o r t h l e s s").replace("garbage", "g.a.r.b.a.g.e"),
    "base64": f"Read this: {base64.b64encode(RUDE.encode()).decode()}",
    "hexadecimal": f"Read this: {RUDE.encode().hex()}",
    "tag characters": "Hello" + "".join(chr(0xE0000 + ord(letter)) for letter in RUDE),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_rude_words_in_disguise_are_as_toxic_as_in_the_open(disguise: str, encoder: Encoder) -> None:
    batch = Batch([Exchange(input=text) for text in (RUDE, DISGUISES[disguise], KIND)], None, encoder)

    open_, disguised, kind = ToxicityHead(encoder).judge(batch, Side.INPUT).tolist()

    assert disguised >= open_ - 0.05
    assert kind < 0.1


@pytest.mark.parametrize(
    "text",
    [
        "Mail ana@shop.io or see https://shop.example/a1b2c3d4 and C:/x4y/z",
        "The 21st of May 2026, at 9:25a, costs 30s and $400.",
        "GPT4, num1, WW1, Covid19 and ar15 are names.",
        "Take 3x2 of it, @h4ndle, #t4g.",
        "d41d8cd98f00b204e9800998ecf8427e and 0f8fad5b-d9cb-469f-a165-70867728950e",
        "Überraschung: der Kaffee schmeckt, naïve café.",
    ],
)
def test_an_ordinary_text_has_no_further_reading(text: str) -> None:
    assert readings(text) == []


@pytest.mark.parametrize("word", ["h4te", "1d10t", "fu@ker", "wh0re", "i d i o t", "b.i.t.c.h"])
def test_signs_between_letters_are_letters(word: str) -> None:
    assert spelled_oddly(f"you {word} there")


class Length:
    """A model for which a text is the worse, the longer it is."""

    def predict(self, texts: Sequence[str]) -> Floats:
        return np.array([[len(text), -len(text)] for text in texts], dtype=np.float32).reshape(len(texts), 2)


def test_a_model_judges_every_reading_and_the_worst_of_each_label_counts() -> None:
    hidden = f"a {base64.b64encode(RUDE.encode()).decode()}"

    found = worst_readings(Length(), [KIND, hidden])

    assert found[KIND].tolist() == [len(KIND), -len(KIND)]
    assert found[hidden].tolist() == [len(hidden), -len(RUDE)]
    assert worst_readings(Length(), []) == {}


def test_few_of_many_payloads_are_read() -> None:
    payloads = " ".join(base64.b64encode(f"{RUDE} {number}".encode()).decode() for number in range(9))

    assert readings(payloads) == [f"{RUDE} {number}" for number in range(PAYLOADS_READ_MAX)]


@given(st.text(max_size=200))
def test_any_text_has_readings(text: str) -> None:
    assert text in worst_readings(Length(), [text])


@pytest.mark.parametrize("encode", [lambda text: base64.b64encode(text.encode()).decode(), lambda t: t.encode().hex()])
def test_personal_data_that_is_encoded_is_found_and_the_whole_run_redacted(encode) -> None:
    run = encode("name Ana, card 4111 1111 1111 1111, thanks")

    (span,) = find(f"see {run} there")

    assert (span.start, span.end) == (4, 4 + len(run))
    assert redact(f"see {run} there") == "see [CARD] there"
    assert find(encode("nothing of the kind stands here, thanks")) == []
