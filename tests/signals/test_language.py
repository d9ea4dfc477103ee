"""Language: an answer in another language than the question, in any script."""

from __future__ import annotations

from itertools import product

import pytest

from bench.measures import DATA, read_set
from signals.language import language, mismatch
from signals.suite import Suite, SuiteOptions, load_suite
from signals.types import Abstention, Exchange

SENTENCES = {
    "en": "The refund was issued on Monday and should reach your account within five days.",
    "de": "Die Rückerstattung wurde am Montag veranlasst und sollte in fünf Tagen ankommen.",
    "fr": "Le remboursement a été effectué lundi et arrivera sous cinq jours.",
    "es": "El reembolso se realizó el lunes y llegará en cinco días.",
    "it": "Il rimborso è stato emesso lunedì e arriverà entro cinque giorni.",
    "pl": "Zwrot został zlecony w poniedziałek i dotrze w ciągu pięciu dni.",
    "sv": "Återbetalningen gjordes i måndags och kommer fram inom fem dagar.",
    "tr": "İade pazartesi günü yapıldı ve beş gün içinde ulaşacak.",
    "ru": "Возврат был оформлен в понедельник и поступит в течение пяти дней.",
    "ar": "تم إصدار المبلغ المسترد يوم الاثنين وسيصل خلال خمسة أيام.",
    "hi": "रिफंड सोमवार को जारी किया गया और पाँच दिनों में पहुँच जाएगा।",
    "th": "ออกเงินคืนเมื่อวันจันทร์และจะถึงบัญชีของคุณภายในห้าวัน",
    "zh": "退款已于周一发出，预计五天内到达您的账户。",
    "ja": "返金は月曜日に行われ、五日以内に口座に届きます。",
    "ko": "환불은 월요일에 처리되었으며 5일 이내에 계좌에 도착합니다.",
}
QUESTIONS = {
    "en": "Where is my refund, please?",
    "de": "Wo bleibt denn meine Rückerstattung?",
    "ru": "Когда придёт мой возврат?",
}


def score(exchange: Exchange) -> float | Abstention:
    (column,) = load_suite(SuiteOptions(enabled=("language",))).score([exchange]).columns
    return Abstention(int(column.abstentions[0])) or float(column.values[0])


@pytest.mark.parametrize(("code", "text"), SENTENCES.items())
def test_a_sentence_has_its_language(code: str, text: str) -> None:
    found = language(text)

    assert found is not None
    assert found[0] == code
    assert found[1] > 0.6


@pytest.mark.parametrize(("asked", "said"), list(product(QUESTIONS, SENTENCES)))
def test_an_answer_in_another_language_is_a_mismatch(asked: str, said: str) -> None:
    found = mismatch(QUESTIONS[asked], SENTENCES[said])

    assert found is not None
    assert (found > 0.5) == (asked != said)


@pytest.mark.parametrize(
    "text",
    [
        "OK",
        "Hello",
        "12,50 €",
        '{"answer": 42, "unit": "kettles"}',
        "https://shop.io/returns/policy",
        "`return kettle`",
        "",
    ],
)
def test_what_is_too_short_or_no_language_has_none(text: str) -> None:
    assert language(text) is None


def test_code_in_an_answer_does_not_decide() -> None:
    assert (
        mismatch(QUESTIONS["de"], "Die Funktion gibt den Betrag zurück: ```def refund(amount): return amount```") < 0.2
    )


@pytest.mark.parametrize(
    ("exchange", "reason"),
    [
        (Exchange(input=QUESTIONS["en"]), Abstention.NO_TEXT),
        (Exchange(output=SENTENCES["en"]), Abstention.NOT_APPLICABLE),
        (Exchange(input="OK", output=SENTENCES["de"]), Abstention.NOT_APPLICABLE),
        (Exchange(input="Translate this into German, please.", output=SENTENCES["de"]), Abstention.NOT_APPLICABLE),
        (Exchange(input="Bitte ins Deutsche übersetzen", output=SENTENCES["de"]), Abstention.NOT_APPLICABLE),
        (
            Exchange(input=QUESTIONS["en"], system="Always answer in French.", output=SENTENCES["fr"]),
            Abstention.NOT_APPLICABLE,
        ),
    ],
)
def test_it_abstains_with_the_reason(exchange: Exchange, reason: Abstention) -> None:
    assert score(exchange) == reason


def test_close_relatives_count_as_one() -> None:
    assert mismatch("Jeg vil gerne returnere kedlen nu", "Du kan returnere kjelen innen tretti dager.") < 0.3


@pytest.mark.skipif(not DATA.is_dir(), reason="the labelled sets are not beside the checkout (../shared/data)")
def test_english_answers_to_english_questions_are_no_mismatch() -> None:
    rows = read_set("halueval_general")[:400]
    found = [score_ for row in rows if (score_ := mismatch(row["question"], row["response"])) is not None]

    assert len(found) > 0.9 * len(rows)
    assert sum(value > 0.5 for value in found) <= 2


def test_the_suite_tells_the_language_of_every_question() -> None:
    exchanges = [
        *(Exchange(input=text, output="OK.") for text in SENTENCES.values()),
        Exchange(input="Translate into French: the refund was issued on Monday.", output=None),
        Exchange(input="OK", output=SENTENCES["en"]),
        Exchange(input=None, output=SENTENCES["en"]),
    ]

    found = load_suite(SuiteOptions(enabled=("language",))).score(exchanges).languages

    assert found == (*SENTENCES, "en", None, None)


def test_the_language_is_told_whatever_signals_follow(suite: Suite) -> None:
    exchanges = [Exchange(input=text) for text in SENTENCES.values()]

    assert suite.score(exchanges).languages == tuple(SENTENCES)


def test_a_suite_without_the_signal_tells_no_language() -> None:
    found = load_suite(SuiteOptions(enabled=("refusal",))).score([Exchange(input=SENTENCES["en"])])

    assert found.languages == ()
