"""Context novelty: what is new in an answer, in any script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measures import DATA, auroc, read_set
from signals.batch import Batch
from signals.groundedness import novelty
from signals.groundedness.context_novelty import only_declines
from signals.groundedness.reading import read
from signals.suite import SuiteOptions, load_suite
from signals.types import Abstention, Exchange

CONTEXT = "The warranty of the kettle lasts two years. It covers the heating element and the lid."


def test_a_copy_is_not_new() -> None:
    assert novelty("The warranty covers the heating element and the lid.", CONTEXT) < 0.25
    assert novelty(CONTEXT, CONTEXT) == 0


def test_an_answer_about_something_else_is_all_new() -> None:
    assert novelty("Penguins swim near Antarctica eating krill", CONTEXT) == 1


def test_a_made_up_detail_lies_between() -> None:
    made_up = novelty("The warranty of the kettle lasts ten years and covers theft abroad.", CONTEXT)

    assert 0.3 < made_up < 0.8


def test_endings_of_grammar_are_not_news() -> None:
    assert novelty("warranties heated", "warranty heating") < novelty("refunds shipped", "warranty heating")


@pytest.mark.parametrize(
    ("answer", "context"),
    [
        ("保証期間は二年です", "このケトルの保証期間は二年です。"),
        ("ประกันสองปี", "กาต้มน้ำมีประกันสองปี"),
        ("गारंटी दो साल", "केतली की गारंटी दो साल की है"),
        ("Гарантия два года", "Гарантия на чайник два года"),
    ],
)
def test_other_scripts_are_read_as_well(answer: str, context: str) -> None:
    assert novelty(answer, context) < 0.35
    assert novelty(answer, "nothing of this kind") == 1


def test_width_and_case_do_not_count_as_new() -> None:
    assert novelty("ＷＡＲＲＡＮＴＹ", "warranty") == 0


COPIES = {
    "Chinese": ("保修期为两年。加热元件在保修范围内。", "企鹅在南极附近游泳并吃磷虾。"),
    "Japanese": ("保証期間は二年です。加熱部品も対象です。", "ペンギンは南極の海で小さなエビを食べます。"),
    "Korean": ("보증 기간은 이 년입니다. 가열 부품도 포함됩니다.", "펭귄은 남극 바다에서 크릴을 먹는다."),
    "Thai": ("ประกันของกาต้มน้ำมีอายุสองปี", "เพนกวินว่ายน้ำใกล้แอนตาร์กติกา"),
    "Arabic": ("يستمر ضمان الغلاية سنتين ويغطي عنصر التسخين.", "تسبح البطاريق قرب القارة القطبية وتأكل الكريل."),
    "German": ("Die Wasserkochergarantie gilt zwei Jahre.", "Pinguine schwimmen nahe der Antarktis."),
    "Hindi": ("केतली की गारंटी दो साल की है।", "पेंगुइन अंटार्कटिका के पास तैरते हैं।"),
    "Russian": ("Гарантия на чайник действует два года.", "Пингвины плавают возле Антарктиды."),
}


@pytest.mark.parametrize("language", COPIES)
def test_in_any_script_a_copy_is_grounded_and_a_foreign_text_is_not(language: str) -> None:
    copy, foreign = COPIES[language]

    assert novelty(copy, f"{foreign} {copy}") < 0.1
    assert novelty(foreign, copy) > 0.8


@pytest.mark.parametrize(
    ("answer", "context"),
    [
        ("الغلاية والضمان", "ضمان غلاية"),  # the article and "and" are written onto the word
        ("مُحَمَّد", "محمد"),  # vowel signs
        ("Wasserkochern", "Der Wasserkocher"),  # endings, and compounds by their first part
        ("보증은", "보증이"),  # particles
        ("The fee is 1,000 euros", "Fee 1000 euros"),
    ],
)
def test_forms_of_a_word_are_one_word(answer: str, context: str) -> None:
    assert novelty(answer, context) < 0.7
    assert novelty(answer, "something else") > 0.9


@pytest.mark.parametrize(
    "disguised",
    [
        "The war\u200branty covers the heat\u00ading element and the lid.",
        "Thе wаrrаnty cоvеrs thе hеаting еlеmеnt аnd thе lid.",  # Cyrillic letters
        "Ｔｈｅ ｗａｒｒａｎｔｙ covers the heating element and the lid.",
        "The warranty “covers” the heating element – and the lid…",
    ],
)
def test_disguised_letters_are_read_as_what_they_look_like(disguised: str) -> None:
    plain = "The warranty covers the heating element and the lid."

    assert novelty(disguised, CONTEXT) == pytest.approx(novelty(plain, CONTEXT))
    assert novelty(plain, disguised) == 0


def test_a_made_up_number_weighs_more_than_a_made_up_word() -> None:
    assert novelty("The warranty lasts 17 years", CONTEXT) > novelty("The warranty lasts many years", CONTEXT)


def test_words_gathered_from_far_apart_are_newer_than_those_of_one_passage() -> None:
    filler = " ".join(f"filler{n}" for n in range(400))

    assert novelty("kettle penguins", f"kettle {filler} penguins") > novelty(
        "kettle penguins", f"{filler} kettle penguins"
    )


def test_citations_are_no_part_of_what_is_said() -> None:
    cited = "The warranty covers the heating element [1][2] and the lid (source: manual) 【3†page】."

    assert novelty(cited, CONTEXT) == novelty("The warranty covers the heating element and the lid .", CONTEXT)


@pytest.mark.parametrize(
    ("answer", "silent"),
    [
        ("I'm sorry, but I don't have that information.", False),  # "but" may lead to more
        ("The documents do not mention the price.", True),
        ("I do not have specific information. The document does not say it.", True),
        ("The documents do not mention the price, however it is 40 euros.", False),
        ("The warranty lasts two years.", False),
    ],
)
def test_an_answer_that_only_declines_claims_nothing(answer: str, silent: bool) -> None:
    assert only_declines(answer) is silent


def test_contexts_that_calls_share_are_read_once() -> None:
    batch = Batch([Exchange(output="a b", context=CONTEXT)] * 2, None, None)

    assert read(batch, CONTEXT) is read(batch, "".join(CONTEXT))


@given(st.text(max_size=200), st.text(max_size=200))
def test_novelty_is_a_share_or_nothing(answer: str, context: str) -> None:
    found = novelty(answer, context)

    assert found is None or 0 <= found <= 1


@given(st.text(max_size=200), st.text(max_size=100))
def test_whatever_is_copied_whole_is_never_new(answer: str, around: str) -> None:
    assert novelty(answer, f"{around} {answer} {around}") in (None, 0)


@pytest.mark.parametrize(
    ("exchange", "reason"),
    [
        (Exchange(output="Yes, it does."), Abstention.NO_CONTEXT),
        (Exchange(output="Yes, it does.", context="  "), Abstention.NO_CONTEXT),
        (Exchange(context=CONTEXT), Abstention.NO_TEXT),
        (Exchange(output="", context=CONTEXT), Abstention.NO_TEXT),
        (Exchange(output="It is.", context=CONTEXT), Abstention.NOT_APPLICABLE),
        (Exchange(output="The documents do not mention it.", context=CONTEXT), Abstention.NOT_APPLICABLE),
    ],
)
def test_it_abstains_with_the_reason(exchange: Exchange, reason: Abstention) -> None:
    (column,) = load_suite(SuiteOptions(enabled=("context_novelty",))).score([exchange]).columns

    assert column.abstentions.tolist() == [reason]


@pytest.mark.skipif(not DATA.is_dir(), reason="the labelled sets are not beside the checkout (../shared/data)")
@pytest.mark.parametrize(("name", "least"), [("mtrag_human", 0.83), ("begin", 0.92), ("wice_claim", 0.74)])
def test_it_tells_people_s_verdicts_apart(name: str, least: float) -> None:
    import numpy as np

    rows = read_set(name)
    scores = np.array([novelty(row["response"], "\n".join(row["context"])) or 0.0 for row in rows])

    assert auroc(np.array([bool(row["label"]) for row in rows]), scores) >= least
