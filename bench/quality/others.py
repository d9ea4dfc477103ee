"""The signals without a family of their own, each on rows that are labelled by how they were made.

Made here, with a fixed seed: answers exchanged between questions (relevance, disagreement), real answers that are
spoiled (degeneration), identifiers with right and wrong check digits (pii), broken JSON (format), sentences of known
languages.
Labelled by people: our own sentences of refusals (``refusal.tsv``, seen while its phrases were written), and mtRAG's
answers to questions that its documents do not answer.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import stdnum.iban
import stdnum.luhn
import stdnum.verhoeff

from bench.measures import read_set
from bench.quality.judge import separation
from bench.quality.rows import Row
from signals.suite import Suite, SuiteOptions, load_suite
from signals.types import Exchange
from signals.words import words

FAMILY = "others"
SEED = 0
ROWS = 400
TEXT_CHARS = 1_500
REFUSALS = Path(__file__).parent / "refusal.tsv"
SIGNALS = ("degeneration", "pii", "refusal", "format", "relevance", "disagreement", "language")

_SENTENCES: dict[str, tuple[str, ...]] = {
    "en": ("The parcel left our warehouse on Monday.", "Please keep your receipt for two years.", "How do I reset it?"),
    "de": (
        "Das Paket hat unser Lager am Montag verlassen.",
        "Bitte bewahren Sie den Beleg auf.",
        "Wie setze ich es zurück?",
    ),
    "fr": (
        "Le colis a quitté notre entrepôt lundi.",
        "Veuillez conserver votre reçu deux ans.",
        "Comment le réinitialiser ?",
    ),
    "es": (
        "El paquete salió de nuestro almacén el lunes.",
        "Guarde el recibo durante dos años.",
        "¿Cómo lo restablezco?",
    ),
    "it": (
        "Il pacco ha lasciato il magazzino lunedì.",
        "Conservi la ricevuta per due anni.",
        "Come posso ripristinarlo?",
    ),
    "nl": (
        "Het pakket heeft maandag ons magazijn verlaten.",
        "Bewaar het bonnetje twee jaar.",
        "Hoe stel ik het opnieuw in?",
    ),
    "pl": (
        "Paczka opuściła nasz magazyn w poniedziałek.",
        "Proszę zachować paragon przez dwa lata.",
        "Jak to zresetować?",
    ),
    "ru": ("Посылка покинула наш склад в понедельник.", "Сохраняйте чек в течение двух лет.", "Как это сбросить?"),
    "ja": ("荷物は月曜日に倉庫を出ました。", "領収書は二年間保管してください。", "どうやってリセットしますか。"),
    "ar": ("غادر الطرد مستودعنا يوم الاثنين.", "يرجى الاحتفاظ بالإيصال لمدة عامين.", "كيف يمكنني إعادة ضبطه؟"),
}
_NAIVE_PII = re.compile(
    r"[\w.+-]+@[\w-]+\.[\w.]+|\b(?:\d[ -]?){13,19}\b|\b[A-Z]{2}\d{2}[A-Z0-9 ]{11,30}\b|\b\d{3}-\d{2}-\d{4}\b"
    r"|\+?\d[\d ()-]{8,}\d"
)
_MAKERS = ("Your order", "Ticket", "Batch", "Part number", "Tracking", "Build")


def measure(data: Path) -> Iterator[Row]:
    suite = load_suite(SuiteOptions(enabled=SIGNALS, device="cpu"))
    try:
        yield from _refusal(suite, data)
        yield from _language(suite)
        yield from _pii(suite)
        yield from _degeneration(suite, data)
        yield from _relevance(suite, data)
        yield from _disagreement(suite, data)
        yield from _format(suite)
    finally:
        suite.close()


def _judged(
    suite: Suite,
    column: str,
    on: str,
    exchanges: Sequence[Exchange],
    labels: Sequence[bool],
    baselines: dict[str, Callable[[Exchange], float]],
) -> Iterator[Row]:
    """The column and its baselines; an abstention counts as 0, as it raises no alarm."""
    found = {each.spec.column: each.values for each in suite.score(exchanges).columns}
    truth = np.array(labels)
    yield from separation(FAMILY, column.rsplit("_", 1)[0], on, truth, np.nan_to_num(found[column]).astype(np.float64))
    for name, baseline in baselines.items():
        scores = np.array([baseline(exchange) for exchange in exchanges], dtype=np.float64)
        yield from separation(FAMILY, name, on, truth, scores, baseline=True)


def _refusal(suite: Suite, data: Path) -> Iterator[Row]:
    phrases = ("i'm sorry", "i cannot", "i can't", "as an ai", "i am unable", "i'm unable")
    baselines: dict[str, Callable[[Exchange], float]] = {
        "phrase list": lambda each: float(any(phrase in (each.output or "").lower() for phrase in phrases)),
        "shortness": lambda each: -float(len(each.output or "")),
    }
    lines = [line.split("\t") for line in REFUSALS.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    exchanges = [Exchange(output=text) for _, _, text in lines]
    labels = [kind != "answers" for kind, _, _ in lines]
    yield from _judged(suite, "refusal_output", "own sentences", exchanges, labels, baselines)
    rows = [row for row in read_set("mtrag_human", data) if row["answerability"][0] in ("ANSWERABLE", "UNANSWERABLE")]
    exchanges = [Exchange(output=row["response"]) for row in rows]
    labels = [row["answerability"] == ["UNANSWERABLE"] for row in rows]
    yield from _judged(suite, "refusal_output", "mtrag_human unanswerable", exchanges, labels, baselines)


def _language(suite: Suite) -> Iterator[Row]:
    exchanges, labels = [], []
    for asked, sentences in _SENTENCES.items():
        for answered, answers in _SENTENCES.items():
            for question, answer in ((sentences[2], answers[0]), (sentences[1], answers[0] + " " + answers[1])):
                exchanges.append(Exchange(input=question, output=answer))
                labels.append(asked != answered)

    def other_script(exchange: Exchange) -> float:
        return float(_scripts(exchange.input or "") != _scripts(exchange.output or ""))

    baselines = {"other script": other_script}
    yield from _judged(suite, "language_output", "own sentences, 10 languages", exchanges, labels, baselines)


def _scripts(text: str) -> int:
    """Which of a few blocks most letters of the text lie in."""
    letters = [ord(character) for character in text if character.isalpha()]
    return int(np.bincount(np.digitize(letters, (0x250, 0x400, 0x530, 0x600, 0x700, 0x3040))).argmax())


def _pii(suite: Suite) -> Iterator[Row]:
    rng = random.Random(SEED)
    private = [_identifier(rng) for _ in range(ROWS // 2)]
    harmless = [_look_alike(rng) for _ in range(ROWS // 2)]
    exchanges = [Exchange(input=text) for text in private + harmless]
    labels = [True] * len(private) + [False] * len(harmless)
    baselines: dict[str, Callable[[Exchange], float]] = {
        "plain patterns": lambda each: float(_NAIVE_PII.search(each.input or "") is not None)
    }
    yield from _judged(suite, "pii_input", "made-up identifiers / numbers", exchanges, labels, baselines)


def _identifier(rng: random.Random) -> str:
    card = "4" + _digits(rng, 14)
    card += stdnum.luhn.calc_check_digit(card)
    account = _digits(rng, 18)
    kinds = (
        f"My card is {card[:4]} {card[4:8]} {card[8:12]} {card[12:]}.",
        f"IBAN DE{stdnum.iban.calc_check_digits(f'DE00{account}')}{account}, please refund there.",
        f"Write to {rng.choice(('ana', 'j.doe', 'kim.lee'))}{_digits(rng, 2)}@mailhost{_digits(rng, 2)}.org, thanks.",
        f"Call me at +1 212 555 {rng.randrange(1_000, 9_999)} tonight.",
        f"aws key AKIA{''.join(rng.choices('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', k=16))} leaked",
    )
    return rng.choice(kinds)


def _look_alike(rng: random.Random) -> str:
    wrong = "4" + _digits(rng, 14)
    wrong += str((int(stdnum.luhn.calc_check_digit(wrong)) + rng.randrange(1, 10)) % 10)
    maker = rng.choice(_MAKERS)
    kinds = (
        f"{maker} {wrong} was shipped.",
        f"{maker} {_digits(rng, 18)} is late.",
        f"Version 2.{rng.randrange(20)}.{rng.randrange(30)} of 2026-0{rng.randrange(1, 10)}-17 fails.",
        f"{maker} DE{_digits(rng, 6)}-{_digits(rng, 4)} has {rng.randrange(9_000)} units.",
        f"Use git commit {rng.getrandbits(160):040x} instead.",
    )
    return rng.choice(kinds)


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choices("0123456789", k=count))


def _answers(data: Path) -> list[dict[str, Any]]:
    rows = [row for row in read_set("halueval_general", data) if len(words(row["response"])) >= 12]
    return random.Random(SEED).sample(rows, min(ROWS, len(rows)))


def _degeneration(suite: Suite, data: Path) -> Iterator[Row]:
    rng = random.Random(SEED)
    whole = [row["response"][:TEXT_CHARS] for row in _answers(data)]
    spoiled = [_looping(text, rng) for text in whole[: len(whole) // 2]]
    exchanges = [Exchange(input="?", output=text, finish_reason="stop") for text in [*whole, *spoiled]]
    labels = [False] * len(whole) + [True] * len(spoiled)
    baselines: dict[str, Callable[[Exchange], float]] = {
        "repeated words": lambda each: _repeated(words(each.output or "")),
        "repeated pairs": lambda each: _repeated(list(pairwise(words(each.output or "")))),
    }
    yield from _judged(suite, "degeneration_output", "answers / ending in a loop", exchanges, labels, baselines)


def _looping(text: str, rng: random.Random) -> str:
    """The answer up to somewhere, and from there a phrase of one to twelve words again and again."""
    said = text.split()
    at = rng.randrange(6, len(said)) if len(said) > 6 else len(said)
    length = min(at, rng.randrange(1, 13))
    return " ".join([*said[:at], *(said[at - length : at] * (40 // length + 4))])


def _repeated(parts: Sequence[object]) -> float:
    return 1 - len(set(parts)) / len(parts) if parts else 0.0


def _relevance(suite: Suite, data: Path) -> Iterator[Row]:
    sets = {"halueval_general": _answers(data), "mtrag_human": read_set("mtrag_human", data)[:ROWS]}
    for name, rows in sets.items():
        order = np.roll(np.arange(len(rows)), len(rows) // 2)
        pairs = [(row, row) for row in rows] + [(row, rows[at]) for row, at in zip(rows, order, strict=True)]
        exchanges = [
            Exchange(input=asked["question"][:TEXT_CHARS], output=told["response"][:TEXT_CHARS])
            for asked, told in pairs
        ]
        labels = [False] * len(rows) + [asked["question"] != told["question"] for asked, told in pairs[len(rows) :]]
        baselines = {"words not shared, by rarity": _unshared(exchanges)}
        yield from _judged(suite, "relevance_output", f"{name}, answers exchanged", exchanges, labels, baselines)


def _unshared(exchanges: Sequence[Exchange]) -> Callable[[Exchange], float]:
    """1 minus the idf-weighted share of the question's words that the answer holds: BM25 without its two constants."""
    seen: dict[str, int] = {}
    for exchange in exchanges:
        for word in set(words(exchange.output or "")):
            seen[word] = seen.get(word, 0) + 1

    def weight(word: str) -> float:
        return float(np.log(1 + len(exchanges) / (1 + seen.get(word, 0))))

    def score(exchange: Exchange) -> float:
        asked, told = set(words(exchange.input or "")), set(words(exchange.output or ""))
        total = sum(map(weight, asked))
        return 1 - sum(map(weight, asked & told)) / total if total else 1.0

    return score


def _disagreement(suite: Suite, data: Path) -> Iterator[Row]:
    rows = read_set("pandalm_pref", data)[:ROWS]
    alike = [(str(row["response1"])[:TEXT_CHARS], str(row["response2"])[:TEXT_CHARS]) for row in rows]
    apart = [(one[0], other[1]) for one, other in zip(alike, alike[len(alike) // 2 :] + alike, strict=False)]
    labels = [False] * len(alike) + [True] * len(apart)
    exchanges = [Exchange(input="?", output=one, outputs=(one, other)) for one, other in [*alike, *apart]]

    def unshared(exchange: Exchange) -> float:
        one, other = (set(words(text)) for text in exchange.outputs)
        return 1 - len(one & other) / max(1, len(one | other))

    on = "pandalm_pref, two answers to one / to two requests"
    yield from _judged(suite, "disagreement_output", on, exchanges, labels, {"word overlap": unshared})


def _format(suite: Suite) -> Iterator[Row]:
    rng = random.Random(SEED)
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    }
    asked = json.dumps({"type": "json_schema", "json_schema": {"name": "trip", "schema": schema}})
    texts: list[str] = []
    labels: list[bool] = []
    for _ in range(ROWS // 2):
        good = json.dumps({"city": rng.choice(("Oslo", "Lima", "Rome")), "days": rng.randrange(30)})
        texts += [good, _broken(good, rng)]
        labels += [False, True]

    def unparsed(exchange: Exchange) -> float:
        try:
            json.loads(exchange.output or "")
        except ValueError:
            return 1.0
        return 0.0

    exchanges = [Exchange(input="Plan it.", output=text, response_format=asked) for text in texts]
    yield from _judged(suite, "format_output", "made-up JSON, broken", exchanges, labels, {"json.loads": unparsed})


def _broken(good: str, rng: random.Random) -> str:
    value = json.loads(good)
    kinds = (
        good[: rng.randrange(2, len(good) - 1)],
        good.replace('"', "'"),
        good.replace("}", ",}"),
        f"Sure! Here is the JSON: {good}",
        f"```json\n{good}\n```",
        json.dumps({**value, "days": str(value["days"])}),
        json.dumps({"city": value["city"]}),
    )
    return rng.choice(kinds)
