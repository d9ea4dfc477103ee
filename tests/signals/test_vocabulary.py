"""A text is cut into tokens once for all whose tokeniser files cut alike, whatever else the files say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from signals.runtime.tokens import Windower
from signals.runtime.vocabulary import MEMORY_BYTES_MAX, Vocabulary, load_tokenizer, vocabulary
from signals.runtime.weights import encoder_directory
from tests.signals.texts import LANGUAGES, ODD

FILE = encoder_directory() / "tokenizer.json"


class Counting:
    """A tokeniser that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self._tokenizer = load_tokenizer(FILE)

    def encode(self, text: str, add_special_tokens: bool) -> object:
        self.asked += 1
        return self._tokenizer.encode(text, add_special_tokens=add_special_tokens)


def test_a_text_is_cut_once_for_two_users_of_one_batch() -> None:
    tokenizer = Counting()
    shared = Vocabulary(tokenizer)

    first, second = ([shared.ids(text) for text in LANGUAGES] for _ in range(2))

    assert tokenizer.asked == len(LANGUAGES)
    assert all(one is other for one, other in zip(first, second, strict=True))


def test_two_windows_of_one_vocabulary_hold_the_same_tokens(tmp_path: Path) -> None:
    other = tmp_path / "tokenizer.json"
    other.write_text(json.dumps(json.loads(FILE.read_text()) | {"truncation": None, "padding": None}, indent=3))
    short, long = Windower(FILE), Windower(other, window_tokens=512)

    (one,), (another,) = short([LANGUAGES[0]]), long([LANGUAGES[0]])

    assert short.vocabulary is long.vocabulary
    assert np.array_equal(one.ids[0], another.ids[0])


@pytest.mark.parametrize(
    "change", [{"normalizer": None}, {"pre_tokenizer": {"type": "Whitespace"}}, {"added_tokens": []}]
)
def test_a_file_that_cuts_otherwise_has_a_vocabulary_of_its_own(change: dict[str, object]) -> None:
    changed = Tokenizer.from_str(json.dumps(json.loads(FILE.read_text()) | change))

    assert vocabulary(changed) is not vocabulary(load_tokenizer(FILE))


def test_its_ids_are_the_tokeniser_s_and_nobody_can_change_them() -> None:
    shared, plain = vocabulary(load_tokenizer(FILE)), load_tokenizer(FILE)

    for text in LANGUAGES:
        assert shared.ids(text).tolist() == plain.encode(text, add_special_tokens=False).ids
    with pytest.raises(ValueError, match="read-only"):
        shared.ids(LANGUAGES[0])[0] = 1


def test_its_memory_is_bounded_and_can_be_emptied() -> None:
    tokenizer = Counting()
    shared = Vocabulary(tokenizer)
    for number in range(24):
        shared.ids(f"{number} " + "word " * 50_000)
    for text in ODD:
        shared.ids(text)

    assert shared._memory.size_bytes <= MEMORY_BYTES_MAX
    shared.forget()
    assert len(shared._memory) == 0
