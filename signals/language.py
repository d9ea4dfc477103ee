"""Language: how likely it is that the answer speaks another language than the question.

``1 - sum of p(question speaks l) * p(answer speaks l)`` over groups of languages, each text's distribution from a naive
Bayes model over byte n-grams (py3langid, after Lui & Baldwin 2012; the model lies in its wheel).

Sees: an answer that falls into another language or script than it was asked in, in the languages of wide use. Cannot
see: a switch inside an answer (the first CHARS_MAX letters decide), very short texts, close relatives (they count as
one: :data:`RELATED`), romanised writing, whether the language is good. Code, links and JSON are no language and are
left out.
Range 0 (the same) .. 1 (another). Abstains without an answer; as not applicable without a question, where either text
is too short or unclear, and where the question names a language (a translation is no mismatch).
The language of the question is told as well, for whatever has one: a label, no score.
Cost: two walks over at most CHARS_MAX characters, about 0.1 ms each; 80 MB of memory a process.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version

import numpy as np
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from signals.batch import Batch, Costly, answers
from signals.normalise import plain
from signals.types import Abstention, Embeddings, Exchange, Floats, ScoreColumn, ScoreSpec, Side

CHARS_MAX = 400
LETTERS_MIN = 12  # fewer are a name or an OK; a letter of a script without spaces counts for three
CERTAIN = 0.6  # probability of the likeliest group, below which a text is unclear

_LANGUAGES = """
    af am ar az be bg bn bs ca cs cy da de el en es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk km kn ko
    lo lt lv mk ml mn mr ms my ne nl no pa pl pt ro ru si sk sl sq sr sv sw ta te th tr uk ur uz vi zh
"""
RELATED = ("bs hr sr", "da no", "id ms", "cs sk", "bg mk", "af nl", "gl pt", "hi mr ne", "hi ur", "ru uk be")
"""Languages whose short texts cannot be told apart with certainty, or that answer each other; a group each."""

_NO_LANGUAGE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|[\w.+-]+@[\w.-]+|<[^<>\s][^<>]{0,80}>", re.DOTALL)
_LETTER = re.compile(r"[^\W\d_]")
_DENSE = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_NAMES = re.compile(
    r"translat|\b(?:in|into|to|auf|en|em|på|po|na|w)\s+(?:\w+\s+)?(?:english|spanish|french|german|italian|portuguese|dutch"
    r"|russian|chinese|mandarin|japanese|korean|arabic|hindi|turkish|polish|swedish|danish|norwegian|finnish|greek|hebrew"
    r"|czech|hungarian|romanian|ukrainian|thai|vietnamese|indonesian|latin|englisch|deutsch|französisch|spanisch|anglais"
    r"|français|allemand|espagnol|inglés|español|francés|alemán|inglese|italiano|francese|tedesco|inglês|português"
    r"|engelska|svenska|angielsku|polsku)\b|übersetz|tradu[iczs]|vertaal|översätt|oversæt|przetłumacz|перевед|по-английски"
    r"|на английск|翻译|翻譯|訳し|翻訳|英[語语文]|中文|日本語で|번역|영어로|ترجم|अनुवाद",
    re.IGNORECASE,
)


class Language:
    """``language`` of the output: the probability that it is another than the input's. Tells the inputs' languages."""

    name = "language"
    costly = Costly.NO

    def __init__(self) -> None:
        rules = f"py3langid-{version('py3langid')}"
        self.specs = (ScoreSpec(signal="language", side=Side.OUTPUT, version="1", weights=rules),)
        _model()

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        pairs = zip(batch.exchanges, _asked(batch), strict=True)
        return (answers(self.specs[0], [_score(exchange, shares) for exchange, shares in pairs]),)

    def languages(self, batch: Batch) -> tuple[str | None, ...]:
        """The language of each input (ISO 639-1); None where there is too little of it, or it is unclear."""
        return tuple(None if shares is None else _named(shares) for shares in _asked(batch))

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors
        return ()


def language(text: str) -> tuple[str, float] | None:
    """The likeliest language (ISO 639-1) and its probability; None where the text is too short to tell."""
    shares = _shares(text)
    if shares is None:
        return None
    best = int(shares.argmax())
    return _model().nb_classes[best], float(shares[best])


def probability(text: str, name: str) -> float | None:
    """The probability that ``text`` is in the language ``name``, or None where it is too short to tell."""
    shares = _shares(text)
    return None if shares is None else float(shares[_model().nb_classes.index(name)])


def mismatch(question: str, answer: str) -> float | None:
    """The probability that two texts speak different languages; None where one is too short or unclear."""
    asked = _shares(question)
    return None if asked is None else _mismatch(asked, answer)


def _mismatch(asked: Floats, answer: str) -> float | None:
    said = _shares(answer)
    if said is None or not (_certain(asked) and _certain(said)):
        return None
    return min(1.0, max(0.0, 1.0 - float(asked @ _kinship() @ said)))


def _asked(batch: Batch) -> list[Floats | None]:
    """What each input is written in."""
    return batch.once(_asked, lambda: [_shares(exchange.input or "") for exchange in batch.exchanges])


def _named(shares: Floats) -> str | None:
    return _model().nb_classes[int(shares.argmax())] if _certain(shares) else None


def _certain(shares: Floats) -> bool:
    """Whether one group of languages is likely enough."""
    return bool((_kinship() @ shares).max() >= CERTAIN)


def _score(exchange: Exchange, asked: Floats | None) -> float | Abstention:
    if not exchange.output or exchange.output.isspace():
        return Abstention.NO_TEXT
    if not exchange.input or _NAMES.search(exchange.input[-2_000:]) or _NAMES.search((exchange.system or "")[:2_000]):
        return Abstention.NOT_APPLICABLE
    score = None if asked is None else _mismatch(asked, exchange.output)
    return Abstention.NOT_APPLICABLE if score is None else score


def _shares(text: str) -> Floats | None:
    """The probability of each language of the model, or None."""
    text = " ".join(_NO_LANGUAGE.sub(" ", plain(text[: 8 * CHARS_MAX]).text).split())[:CHARS_MAX]
    if text[:1] in ("{", "["):
        return None
    if len(_LETTER.findall(text)) + 2 * len(_DENSE.findall(text)) < LETTERS_MIN:
        return None
    ranked = dict(_model().rank(text))
    return np.array([ranked[name] for name in _model().nb_classes], dtype=np.float32)


@cache
def _model() -> LanguageIdentifier:
    """Loaded once a process; takes half a second."""
    model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    model.set_languages(_LANGUAGES.split())
    return model


@cache
def _kinship() -> Floats:
    """1 where two languages are the same or related, shape (languages, languages)."""
    names = list(_model().nb_classes)
    kin = np.eye(len(names), dtype=np.float32)
    for line in RELATED:
        group = [index for index, name in enumerate(names) if name in line.split()]
        kin[np.ix_(group, group)] = 1
    return np.asarray(np.maximum(kin, np.array(names)[:, None] == np.array(names)), dtype=np.float32)
