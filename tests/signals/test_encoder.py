"""The encoder against sentence-transformers, and what it does with long, odd and repeated texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from signals.encoder import DIMENSIONS, Encoder
from signals.runtime.device import choose_dtype, cores, cpu_multiplies_bf16
from signals.runtime.lru import Lru
from signals.runtime.tokens import WINDOW_TOKENS_MAX, WINDOWS_MAX, Windower, joined
from signals.runtime.vocabulary import readable
from signals.runtime.weights import encoder_directory
from tests.signals.texts import LANGUAGES, ODD, any_text

CPU = torch.device("cpu")
SHORT = (*LANGUAGES, "No.", "A somewhat longer sentence about returning a kettle that does not heat. " * 6)


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def precise(request: pytest.FixtureRequest) -> Iterator[Encoder]:
    encoder = Encoder(device="cpu", precision=request.param, workers=2)
    yield encoder
    encoder.close()


@pytest.fixture(scope="module")
def windower() -> Windower:
    return Windower(encoder_directory() / "tokenizer.json")


def test_its_vectors_are_those_of_sentence_transformers(precise: Encoder) -> None:
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(encoder_directory()), device="cpu")
    expected = reference.encode(list(SHORT), normalize_embeddings=True)

    cosines = (precise.encode(SHORT).mean() * expected).sum(1)

    assert cosines.min() >= (0.99999 if precise.version.endswith("fp32") else 0.999)


def test_a_text_has_the_same_vector_in_any_company(precise: Encoder) -> None:
    alone = [_fresh(precise)([text]).windows for text in SHORT]

    together = _fresh(precise)(list(reversed(SHORT)))

    assert np.allclose(np.concatenate(alone[::-1]), together.windows, atol=2e-2)
    assert (np.concatenate(alone[::-1]) * together.windows).sum(1).min() > 0.9999


def _fresh(encoder: Encoder):
    """The encoder with its memory emptied before each call, so that every vector is computed."""

    def encode(texts: Sequence[str]):
        encoder._cache = Lru("empty", 1 << 20)
        return encoder.encode(texts)

    return encode


@settings(max_examples=25, deadline=None)
@given(st.lists(any_text.filter(lambda text: text is not None), max_size=5))
def test_any_text_has_unit_vectors(encoder: Encoder, texts: list[str]) -> None:
    encoded = encoder.encode(texts)

    assert encoded.n == len(texts)
    assert set(encoded.owner.tolist()) == set(range(len(texts)))
    for vectors in (encoded.windows, encoded.tones, encoded.mean()):
        assert vectors.shape[1] == DIMENSIONS
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_version_names_weights_and_number_format(precise: Encoder) -> None:
    assert precise.version.startswith(f"minilm-l6-{precise.weights[:8]}-")


def test_the_end_of_a_long_text_is_read(encoder: Encoder) -> None:
    filler = "The parcel was sent on Monday and the invoice on Tuesday. " * 60

    plain, spiced = encoder.encode([filler, filler + "Penguins eat krill near Antarctica."]).mean()

    assert plain @ spiced < 0.9999


def test_windows_overlap_and_lose_no_token(windower: Windower) -> None:
    (windows,) = windower([" ".join(str(number) for number in range(100, 700))])
    inner = [ids[1:-1].tolist() for ids in windows.ids]

    assert max(map(len, windows.ids)) == WINDOW_TOKENS_MAX
    assert windows.skipped == 0
    for left, right in pairwise(inner):
        assert left[-32:] == right[:32]


def test_a_text_beyond_the_bound_is_probed_over_its_whole_length(windower: Windower) -> None:
    (windows,) = windower(["start " + "filler " * 30_000 + "finish"])
    first, last = windower(["start", "finish"])

    assert len(windows.ids) == WINDOWS_MAX
    assert windows.skipped > 0
    assert windows.ids[0][1] == first.ids[0][1]
    assert windows.ids[-1][-2] == last.ids[0][-2]


def test_a_text_without_tokens_has_one_window(windower: Windower) -> None:
    assert [len(windows.ids) for windows in windower(["", "\x00", " "])] == [1, 1, 1]


@pytest.mark.parametrize("text", ODD)
def test_readable_text_can_be_encoded_and_pairs_become_one_character(text: str) -> None:
    readable(text).encode()

    assert readable("\ud83d\ude00") == "😀"


def test_the_memory_is_bounded_and_forgets_the_least_used() -> None:
    memory = Lru("model", 3 * (400 + 256))
    row = np.zeros(100, dtype=np.float32)
    for text in "abc":
        memory.put(memory.key(text), row)
    memory.get(memory.key("a"))

    memory.put(memory.key("d"), row)

    assert [memory.get(memory.key(text)) is not None for text in "abcd"] == [True, False, True, True]
    assert memory.size_bytes <= 3 * (400 + 256)


def test_memories_of_two_models_never_share_a_key() -> None:
    assert Lru("a", 1).key("text") != Lru("b", 1).key("text")


def test_token_states_are_those_of_the_model(encoder: Encoder) -> None:
    ids, lengths = joined([np.arange(1, 1 + length) for length in (40, 7)])

    assert torch.equal(encoder.states(ids, lengths, 6), encoder.model.states(ids, lengths, 6))


def test_the_number_format_follows_the_hardware_unless_it_is_fixed() -> None:
    assert choose_dtype(CPU, "auto") is (torch.bfloat16 if cpu_multiplies_bf16() else torch.float32)
    assert choose_dtype(CPU, "fp32") is torch.float32
    assert cores() >= 1
