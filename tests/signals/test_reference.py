"""Distance from a gold answer: the values of the packages that evaluate calls, and nothing without a gold answer."""

from __future__ import annotations

import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.tokenize import word_tokenize
from nltk.translate.bleu_score import corpus_bleu
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import corpus_bleu as sacre_bleu
from sacrebleu import corpus_chrf, sentence_bleu, sentence_chrf
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from signals.encoder import Encoder
from signals.reference import bertscores, common_length, normalised, rouge_l, token_f1
from signals.reference_metrics import corpus_metrics, meteor, reference_metrics
from signals.runtime.weights import encoder_directory
from signals.suite import Suite
from signals.types import Abstention, Exchange

REFERENCE = "The refund was issued on Monday and should reach your account within five days."
ANSWERS = (
    "The refund was issued on Monday, and should reach your account within five days!",
    "Your refund should arrive within five days.",
    "We issued refunds on Mondays.",
    "I am not able to help with that.",
)
COLUMNS = ("exact", "f1", "rouge_l", "chrf", "bertscore")
vocabulary = st.lists(
    st.sampled_from(["the", "a", "parcel,", "was", "Sent.", "on", "Monday;", "1,000", "don't", "(we)", "hope"]),
    max_size=12,
)
sentences = vocabulary.map(" ".join)
quick = settings(max_examples=60, deadline=None)


def scores(suite: Suite, *exchanges: Exchange) -> dict[str, list[float]]:
    found = {column.spec.column: column.values.tolist() for column in suite.score(list(exchanges)).columns}
    return {name: found[f"reference_{name}_output"] for name in COLUMNS}


def longest(left: list[str], right: list[str]) -> int:
    table = np.zeros((len(left) + 1, len(right) + 1), dtype=int)
    for row, one in enumerate(left):
        for at, other in enumerate(right):
            table[row + 1, at + 1] = table[row, at] + 1 if one == other else max(table[row, at + 1], table[row + 1, at])
    return int(table[-1, -1])


def test_the_reference_itself_is_0_and_a_stranger_is_far(suite: Suite) -> None:
    found = scores(
        suite,
        Exchange(output=REFERENCE, reference=REFERENCE),
        Exchange(output=ANSWERS[1], reference=REFERENCE),
        Exchange(output=ANSWERS[3], reference=REFERENCE),
    )

    for name in COLUMNS:
        same, close, far = found[name]
        assert same == pytest.approx(0, abs=5e-3)
        assert same <= close <= far
    assert found["exact"] == [0, 1, 1]


def test_case_punctuation_and_articles_do_not_spoil_an_exact_answer(suite: Suite) -> None:
    assert scores(suite, Exchange(output="the eiffel tower!", reference="Eiffel Tower"))["exact"] == [0]


def test_without_a_reference_nothing_is_scored_and_an_answer_that_is_missing_is_no_text(suite: Suite) -> None:
    batch = [Exchange(output=REFERENCE), Exchange(output=REFERENCE, reference=" \n!"), Exchange(reference=REFERENCE)]

    found = {column.spec.column: column.abstentions.tolist() for column in suite.score(batch).columns}

    for name in COLUMNS:
        assert found[f"reference_{name}_output"] == [
            Abstention.NOT_APPLICABLE,
            Abstention.NOT_APPLICABLE,
            Abstention.NO_TEXT,
        ]


def test_other_scripts_have_words_too(suite: Suite) -> None:
    found = scores(
        suite, Exchange(output="請求書は火曜日に送信されました。", reference="請求書は月曜日に送信されました。")
    )

    assert 0 < found["f1"][0] < 0.2
    assert 0 < found["rouge_l"][0] < 0.2


@given(st.lists(st.sampled_from("abcd"), max_size=25), st.lists(st.sampled_from("abcd"), max_size=25))
def test_the_common_subsequence_is_as_long_as_the_table_says(left: list[str], right: list[str]) -> None:
    assert common_length(left, right) == longest(left, right)


@quick
@given(sentences, sentences)
def test_rouge_l_is_that_of_rouge_score_on_ascii(answer: str, reference: str) -> None:
    wanted = RougeScorer(["rougeL"]).score(reference, answer)["rougeL"].fmeasure

    assert rouge_l(answer, reference) == pytest.approx(wanted, abs=1e-12)


@quick
@given(sentences, sentences)
def test_f1_is_that_of_squad_on_ascii(answer: str, reference: str) -> None:
    said, wanted = (
        [
            word
            for word in "".join(c for c in text.lower() if c not in string.punctuation).split()
            if word not in ("a", "an", "the")
        ]
        for text in (answer, reference)
    )
    left = list(wanted)
    same = sum(1 for word in said if word in left and (left.remove(word) or True))
    f1 = 2 * same / (len(said) + len(wanted)) if same else 0.0

    assert normalised(answer).split() == said
    assert token_f1(answer, reference) == pytest.approx(f1, abs=1e-12)


def test_a_corpus_has_the_values_of_the_primary_packages() -> None:
    golds = [[REFERENCE, "It was refunded on Monday."]] * len(ANSWERS)
    streams = [list(stream) for stream in zip(*golds, strict=True)]

    found = corpus_metrics(ANSWERS, golds)

    assert found["sacrebleu"]["score"] == sacre_bleu(list(ANSWERS), streams).score
    assert found["chrf"]["score"] == corpus_chrf(list(ANSWERS), streams).score
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"])
    rows = [scorer.score_multi(gold, said) for said, gold in zip(ANSWERS, golds, strict=True)]
    for name, value in found["rouge"].items():
        assert value == pytest.approx(np.mean([row[name].fmeasure for row in rows]))
    assert found["exact_match"]["exact_match"] == 0
    assert found["squad"]["exact_match"] == 25


def test_bleu_without_smoothing_is_nltks_on_the_same_words() -> None:
    cut = Tokenizer13a()
    answers, golds = [cut(text).split() for text in ANSWERS[:2]], [[cut(REFERENCE).split()]] * 2

    assert corpus_metrics(ANSWERS[:2], [REFERENCE] * 2)["bleu"]["bleu"] == pytest.approx(corpus_bleu(golds, answers))


def test_one_prediction_has_the_sentence_values() -> None:
    found = reference_metrics(ANSWERS[1], REFERENCE)

    assert found["sacrebleu"] == sentence_bleu(ANSWERS[1], [REFERENCE]).score
    assert found["chrf"] == sentence_chrf(ANSWERS[1], [REFERENCE]).score
    assert set(found) == {"sacrebleu", "chrf", "rouge1", "rouge2", "rougeL", "rougeLsum", "meteor", "exact_match", "f1"}


def test_meteor_matches_words_and_stems_and_no_synonyms() -> None:
    assert word_tokenize("We issued it.", preserve_line=True) == ["We", "issued", "it", "."]
    assert meteor("we issued refunds", ["we issue refund"]) == pytest.approx(1 - 0.5 * (1 / 3) ** 3)
    assert meteor("a car", ["a automobile"]) == meteor("a car", ["a house"])


@pytest.mark.parametrize("references", [[], [[]], ["a", "b"]])
def test_a_prediction_without_its_reference_is_refused(references: list) -> None:
    with pytest.raises(ValueError, match="needs its reference"):
        corpus_metrics(["a"], references)


@pytest.mark.filterwarnings("ignore")
def test_bertscore_is_that_of_the_bert_score_package() -> None:
    bert_score = pytest.importorskip("bert_score", reason="bert-score is an extra of the tests")
    encoder = Encoder(device="cpu", precision="fp32", workers=1)
    scorer = bert_score.BERTScorer(model_type=str(encoder_directory()), num_layers=6, device="cpu")

    precision, recall, f1 = scorer.score(list(ANSWERS), [REFERENCE] * len(ANSWERS), batch_size=1)

    found = bertscores([(said, REFERENCE) for said in ANSWERS], encoder)
    assert np.allclose(found, np.stack([precision, recall, f1], axis=1), atol=1e-5)
    whole = corpus_metrics(ANSWERS, [REFERENCE] * len(ANSWERS), encoder)["bertscore"]
    assert np.allclose(whole["f1"], f1, atol=1e-5)
    encoder.close()
