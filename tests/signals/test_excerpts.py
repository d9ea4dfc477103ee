"""Excerpts: nothing that was found is ever shown, wherever a cut falls; marks stay on their words; text stays tame."""

from __future__ import annotations

import base64
import re
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals.excerpts import READ_CHARS_MAX, Excerpt, Redacted
from signals.marks import Mark
from signals.pii import cover, find
from signals.pii.spans import Kind, Span, together
from tests.signals.test_pii import FINDS, PEM, RANDOM
from tests.signals.texts import LANGUAGES, ODD

SECRETS = [text for text, _ in FINDS]
WORDS = ["жар", "лес", "дом", "мир", "ночь", "снег", "\n", "пол."]  # no letter or digit of any secret
ANY_TEXT = st.lists(st.one_of(st.text(), st.sampled_from(ODD + LANGUAGES)), max_size=6).map("".join)
CHARS = st.text(st.sampled_from("0123456789 .-+()@aAeE:/_=\u200bｚж\n"), max_size=300)


def excerpt(text: str, chars_max: int = 120, marks: tuple[Mark, ...] = (), **options: bool) -> Excerpt | None:
    whole = options.pop("whole", True)
    return Redacted(text, whole=whole).excerpt(marks, chars_max, **options)


def pieces(secret: str, length: int) -> set[str]:
    """Every run of ``length`` letters and digits that shows a part of a secret."""
    bare = re.sub(r"[^A-Za-z0-9]", "", secret)
    return {bare[at : at + length] for at in range(len(bare) - length + 1)}


def shown(found: Excerpt | None) -> str:
    """The letters and digits of an excerpt, without what stands for something else."""
    if found is None:
        return ""
    text, done, kept = found.text, 0, []
    for mark in found.taken:
        kept.append(text[done : mark.start])
        done = mark.end
    return re.sub(r"[^A-Za-z0-9]", "", " ".join([*kept, text[done:]]))


@given(
    st.lists(st.one_of(st.sampled_from(WORDS), st.sampled_from(SECRETS)), min_size=1, max_size=40),
    st.integers(80, 400),
    st.data(),
)
@settings(max_examples=60)
def test_no_cut_shows_a_piece_of_a_secret(parts: list[str], chars_max: int, data: st.DataObject) -> None:
    text = " ".join(parts)
    places = st.integers(0, len(text))
    drawn = data.draw(st.lists(st.tuples(places, places), max_size=4))

    found = excerpt(text, chars_max, tuple(Mark(min(pair), max(pair), "x") for pair in drawn))

    assert shown(found) == ""


@given(CHARS, st.integers(80, 200))
def test_nothing_is_left_to_find_in_an_excerpt_of_any_text(text: str, chars_max: int) -> None:
    found = excerpt(text, chars_max)

    assert found is None or find(found.text) == []


@given(ANY_TEXT, st.integers(80, 200), st.data())
def test_marks_lie_in_the_excerpt_apart_and_in_order(text: str, chars_max: int, data: st.DataObject) -> None:
    places = st.integers(0, len(text))
    drawn = data.draw(st.lists(st.tuples(places, places), max_size=6))

    found = excerpt(text, chars_max, tuple(Mark(min(pair), max(pair), "x") for pair in drawn))

    if found is not None:
        every = sorted([*found.marks, *found.taken])
        assert all(0 <= mark.start < mark.end <= len(found.text) for mark in every)
        assert all(left.end <= right.start for left, right in pairwise(every))
        assert found.text.encode()


@given(
    st.lists(st.sampled_from([*WORDS, "\u200b", "\u202e", "\x00", "\r\n"]), max_size=12),
    st.lists(st.sampled_from([*WORDS, "ana@shop.io", "4111 1111 1111 1111", "\u200d", "\r"]), max_size=12),
)
def test_a_mark_stays_on_its_words_whatever_is_put_before_and_after_them(before: list[str], after: list[str]) -> None:
    text = " ".join([*before, "LOOK HERE", *after])
    at = text.index("LOOK")

    found = excerpt(text, 80, (Mark(at, at + 9, "x"),))

    assert found is not None
    assert [found.text[mark.start : mark.end] for mark in found.marks] == ["LOOK HERE"]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_text_that_was_cut_inside_a_secret_shows_none_of_it(secret: str) -> None:
    text = f"лес {secret} дом"
    parts = pieces(RANDOM if secret == PEM else secret, 12)  # the heading of a key block is none
    for end in range(5 + max(secret.find("@"), 0), len(text), 3):  # before its sign an address is a word
        silent, told = excerpt(text[:end], 400), excerpt("снег " * 30 + text[:end], 400, whole=False)

        assert not parts & pieces(shown(silent), 12), end
        assert secret == PEM or shown(told) == "", end
        assert not parts & pieces(shown(told), 12), end


@pytest.mark.parametrize("secret", [secret for secret in SECRETS if len(secret) < 200])
def test_a_secret_that_lies_across_the_end_of_what_is_read_is_not_shown(secret: str) -> None:
    text = "лес " * (READ_CHARS_MAX // 4)
    for inside in (4, len(secret) // 2, len(secret) - 1):
        cut = text[: READ_CHARS_MAX - inside - 1] + " " + secret + " дом"

        found = excerpt(cut, 400, (Mark(READ_CHARS_MAX - 200, READ_CHARS_MAX, "x"),))

        assert found is not None
        assert found.cut_after
        assert shown(found) == ""


@pytest.mark.parametrize("between", ["\u200b", "\u00ad", "\u2060", "\u202e", "\ufe0f", "\U000e0041"])
def test_invisible_characters_hide_no_secret_and_are_not_shown(between: str) -> None:
    for secret in ("4111111111111111", "ana@shop.io", "AKIAQ3EGRXLPVB7ZKM4T"):
        found = excerpt(f"жар {between.join(secret)} жар")

        assert found is not None
        assert shown(found) == ""
        assert between not in found.text
        assert [mark.why in {Kind.CARD, Kind.EMAIL, Kind.TOKEN} for mark in found.taken] == [True]


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, lambda data: data.hex().encode()])
@pytest.mark.parametrize("between", ["", "\u200b"])
def test_what_is_encoded_is_taken_out_whole(encode, between: str) -> None:  # type: ignore[no-untyped-def]
    run = between.join(encode(b"write to ana@shop.io about it").decode())

    found = excerpt(f"жар {run} жар")

    assert found is not None
    assert shown(found) == ""
    assert [mark.why for mark in found.taken] == [Kind.EMAIL]  # what the run says is found in it


def test_a_text_in_characters_that_no_one_sees_is_told_and_not_shown() -> None:
    hidden = "".join(chr(0xE0000 + ord(character)) for character in "send the mail to ana@shop.io")

    found = excerpt(f"Hello{hidden} there")

    assert found is not None
    assert found.text == "Hello[INVISIBLE] there"


@pytest.mark.parametrize(
    ("text", "tame"),
    [
        ("a\u202eb\u2066c\u2069d", "abcd"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a\x1b[31mb\x00c", "a\ufffd[31mb\ufffdc"),
        ("a\ud800b", "a\ufffdb"),
        ("e" + "\u0301" * 40 + "x", "e\u0301\u0301x"),
        ("a\n\n\n\n\n\nb", "a\n\nb"),
    ],
)
def test_what_would_spoil_a_page_is_left_out(text: str, tame: str) -> None:
    found = excerpt(text)

    assert found is not None
    assert found.text == tame


def test_finds_that_overlap_are_taken_out_as_one() -> None:
    spans = [Span(0, 10, Kind.CARD, "card"), Span(5, 20, Kind.PHONE, "US"), Span(20, 25, Kind.EMAIL, "email")]

    assert together(spans) == [Span(0, 20, Kind.CARD, "card"), Span(20, 25, Kind.EMAIL, "email")]


def test_the_piece_is_where_most_is_marked() -> None:
    text = "one " * 100 + "here and here " + "two " * 100
    here = [Mark(found.start(), found.end(), "x") for found in re.finditer("here", text)]

    found = excerpt(text, 100, (Mark(0, 3, "x"), *here))

    assert found is not None
    assert [found.text[mark.start : mark.end] for mark in found.marks] == ["here", "here"]
    assert (found.cut_before, found.cut_after) == (True, True)
    assert len(found.text) <= 100
    assert found.text.split()[0] in {"one", "here"}


def test_without_a_mark_it_is_the_beginning_or_what_was_taken_out() -> None:
    text = "word " * 100 + "ana@shop.io " + "word " * 100

    beginning, taken = excerpt(text), excerpt(text, finds=True)

    assert beginning is not None
    assert taken is not None
    assert (beginning.cut_before, beginning.cut_after) == (False, True)
    assert "[EMAIL]" in taken.text


def test_a_mark_on_a_secret_yields_to_what_stands_for_it() -> None:
    text = "write to ana@shop.io now"

    found = excerpt(text, marks=(Mark(0, len(text), "x"),))

    assert found is not None
    assert [found.text[mark.start : mark.end] for mark in found.marks] == ["write to ", " now"]
    assert [found.text[mark.start : mark.end] for mark in found.taken] == ["[EMAIL]"]


@pytest.mark.parametrize("text", ["", " \n", "\u200b\u202e"])
def test_of_nothing_there_is_no_excerpt(text: str) -> None:
    assert excerpt(text) is None


@pytest.mark.parametrize(
    "unit",
    ["x", "x ", "sk-", ".sk-", "1 ", "a@", "\u200b", "e\u0301", "=" * 40 + "\n", "QUFB", "password: ", "[", "\n", "::"],
)
def test_no_text_takes_long(unit: str) -> None:
    text = unit * (READ_CHARS_MAX // len(unit))
    began = time.process_time()

    for end in ("", " y", "\x00", " \u202e", "-----BEGIN PRIVATE KEY-----"):
        excerpt(text[: READ_CHARS_MAX - len(end)] + end, 400)

    assert time.process_time() - began < 20  # a quadratic step would take minutes


@pytest.mark.parametrize("text", LANGUAGES)
def test_ordinary_texts_of_any_language_stay_as_they_are(text: str) -> None:
    found = excerpt(text, 10_000)

    assert found is not None
    assert found.taken == ()


def test_a_key_block_is_one_find_whatever_it_holds() -> None:
    assert [span.kind for span in cover(PEM)] == [Kind.PRIVATE_KEY]
