"""Refusal: an answer that declines the request, or says that it does not know.

=========== =======================================================================================================
declines    1.0 where the opening declines and little follows, 0.7 where a long answer follows; 1.0 where the provider
            says so (finish reason ``refusal``)
not known   0.45 where the opening says that the answer is not known, or not in the given sources
later       0.4 where it is declined after the opening ("I can, however, not advise on …")
=========== =======================================================================================================

Sees: the set phrases of refusals and of not knowing in English, and of refusals in German, French, Spanish, Italian,
Portuguese, Dutch, Swedish, Danish, Norwegian, Polish, Russian, Turkish, Indonesian, Vietnamese, Arabic, Hindi, Thai,
Chinese, Japanese and Korean; the apostrophes and widths that models write. What is quoted, and a letter that was asked
for, is not the answer's own word. Cannot see: evasion without such a phrase (a change of subject, a lecture), sarcasm,
other languages, whether declining was right: a refusal of a bad request counts as much. An apology alone ("I'm sorry
for the delay") is none, and neither are the rules of a business ("We cannot ship to Norway").
Range 0 (answers) .. 1 (declines). Abstains without an answer. Cost: a few phrases looked up in the opening of the text.
Source: own phrases; measured on own labelled sentences (``bench/quality/refusal.tsv``), and on mtRAG's answers to
questions that its documents do not answer.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate

from signals.batch import Batch, Costly, each
from signals.normalise import lower, plain
from signals.types import Abstention, Embeddings, Exchange, ScoreColumn, ScoreSpec, Side

DECLINES = 1.0
DECLINES_AND_GOES_ON = 0.7
NOT_KNOWN = 0.45
LATER = 0.4
OPENING_CHARS = 320
SHORT_CHARS = 500  # an answer of this length that declines has said little else
TEXT_CHARS_MAX = 8_192
ASK_CHARS_MAX = 2_000
_WORD = re.compile(r"\S+")
_REASONS = frozenset({"refusal", "refused"})

_DO = (
    r"(?:help|assist|provid|do (?:that|this|so)|comply|fulfi|answer|creat|writ|generat|shar|giv(?:e"
    r"|ing)|engag|participat"
    r"|support|offer|discuss|continu|produc|complet|process|recommend|advis|disclos|reveal|respond"
    r"|tell|show|speak|talk"
    r"|fabricat|promot|encourag|facilitat|perform|carry out|access|open|brows|express|role-?play"
    r"|pretend|make|take part|go into"
    r"|satisfy|accommodat|proceed|cooperat|condon|endors|translat|summari|explain|repeat|print|describ|predict)\w*"
)
_WE_DO = (
    r"(?:help|assist|do (?:that|this|so)|comply|fulfi|answer|respond|discuss|engag|accommodat|condon|endors|disclos)\w*"
)
_NO_IDIOM = r"(?!help but|wait|make you wait|agree more|(?:recommend|stress|thank)\b[^.!?]{0,60}\benough)"
_NOT_ABLE = (
    r"(?:can ?not|can't|won't|will not|shall not|(?:am|'m|are|'re) (?:not (?:able|allowed|permitted|going"
    r"|willing|comfortable|in a position|authori[sz]ed)|unable|forbidden|prohibited)|do not feel comfortable"
    r"|don't feel comfortable|(?:must|have to|need to|will|'ll) (?:respectfully |politely )?(?:decline|refuse))"
)
_DECLINE = re.compile(
    "|".join(
        (
            # en
            rf"\bi(?:\s+\w+ly)?\s*{_NOT_ABLE}\W+{_NO_IDIOM}(?:to\W+|be able to\W+)?(?:\w+\W+){{0,3}}?{_DO}",
            rf"\bwe(?:\s+\w+ly)?\s*{_NOT_ABLE}\W+{_NO_IDIOM}(?:to\W+|be able to\W+)?(?:\w+\W+){{0,3}}?{_WE_DO}",
            rf"\bwe\s*{_NOT_ABLE}\b[^.!?]{{0,80}}\b(?:in|through|via|over) (?:this|the) (?:chat|conversation)\b",
            r"\b(?:outside|beyond) the scope of (?:this (?:assistant|chat|service|conversation)|what i)\b",
            r"\bi\s+(?:must |have to |will |'ll )?(?:respectfully |politely )?(?:decline"
            r"|refuse)\b(?! (?:letter|rate|in the|to believe))",
            r"\b(?:that|this|it) (?:is|would be|'s) (?:not something (?:i|we)(?: can| could|'m| am|'re| are| will)\b"
            r"|something (?:i|we) (?:can't|cannot|can not|won't))",
            r"\b(?:against|violates?|outside|beyond|not in line with) (?:my|our|openai'?s?"
            r"|the (?:content|usage|safety|ethical|community|platform)) (?:\w+ )?(?:guidelines|polic(?:y|ies)"
            r"|programming|principles|ethic\w*|scope|terms|use case)",
            r"\bi (?:won't|will not) be doing (?:that|this)\b",
            r"\bi don't think i should (?:help|answer|do|provide|write)",
            r"\b(?:inappropriate|unethical|irresponsible) for me to\b",
            r"\bnot (?:appropriate|ethical|acceptable) (?:for me )?to (?:\w+ ){0,2}?(?:provid|creat|writ"
            r"|generat|discuss|make|giv)",
            r"\byour request (?:can ?not|can't) be (?:\w+ )?(?:fulfilled|completed|processed|answered)",
            r"\bi(?:'m| am) (?:designed|programmed) (?:not )?to (?:avoid|refuse|decline|provide|follow|be safe)",
            # de
            r"\b(?:kann|darf|werde|möchte|können) (?:ich|wir) (?:\w+ ){0,5}?(?:nicht"
            r"|keine?n?)\b(?: \w+){0,6}? (?:helfen|bereitstellen|geben"
            r"|beantworten|erstellen|unterstützen|machen|schreiben|weitergeben)|\bich (?:kann|darf"
            r"|werde) (?:\w+ ){0,5}?(?:nicht|keine?n?)"
            r"(?: \w+){0,6}? (?:helfen|bereitstellen|geben|beantworten|erstellen|unterstützen|machen"
            r"|schreiben|weitergeben)",
            # fr
            r"\b(?:je|nous) ne (?:\w+ )?(?:peux|pouvons|suis|sommes"
            r"|saurais) (?:malheureusement )?pas (?:\w+ ){0,5}?(?:aider|fournir|répondre"
            r"|donner|créer|écrire|mesure|autorisé|assister|partager|accéder|discuter)",
            # es, pt, it
            r"\bno (?:puedo|podemos|me es posible|estoy (?:autorizado|autorizada"
            r"|en condiciones))\b(?: \w+){0,4}? ?(?:ayudar|proporcionar"
            r"|responder|dar|crear|escribir|ofrecer|compartir|cumplir|hacer)",
            r"\bnão (?:posso|podemos|consigo|estou autorizad[oa])\b(?: \w+){0,4}? ?(?:ajudar|fornecer"
            r"|responder|dar|criar|escrever|oferecer"
            r"|compartilhar|partilhar|fazer)",
            r"\bnon (?:posso|possiamo|sono in grado|mi è possibile)\b(?: \w+){0,4}? ?(?:aiutar|fornir"
            r"|risponder|dar|crear|scriver|offrir"
            r"|condivider|assister)",
            # nl, pl, ru
            r"\b(?:ik|we) kan (?:\w+ ){0,5}?(?:niet|geen)\b(?: \w+){0,5}? (?:helpen|geven|beantwoorden"
            r"|verstrekken|maken|schrijven|delen)",
            r"\bnie (?:mogę|możemy|jestem w stanie)\b(?: \w+){0,4}? (?:pomóc|podać|udzielić|odpowiedzieć"
            r"|stworzyć|napisać|udostępnić)",
            r"\b(?:я )?не (?:могу|можем|имею права|в состоянии)\b(?: \w+){0,4}? (?:помочь|предоставить"
            r"|ответить|дать|создать|написать"
            r"|обсуждать|выполнить|помогать)",
            # sv, da, no, tr, id, vi
            r"\bjag kan (?:\w+ ){0,3}?inte\b(?: \w+){0,4}? (?:hjälpa|ge|svara|tillhandahålla|skapa|skriva)",
            r"\bjeg kan (?:\w+ ){0,3}?ikke\b(?: \w+){0,4}? (?:hjelpe|hjælpe|gi|give|svare|besvare|skrive)",
            r"\b(?:yardımcı olam|yardım edem|sağlayam|cevaplayam|yanıtlayam|oluşturam|yazam)\w*",
            r"\b(?:saya|kami) tidak (?:bisa|dapat)\b(?: \w+){0,3}?"
            r" (?:membantu|memberikan|menjawab|menyediakan|membuat)",
            r"không thể (?:\S+ ){0,2}?(?:giúp|hỗ trợ|cung cấp|trả lời|đáp ứng|viết)",
            # ar, hi, th
            r"لا (?:أستطيع|يمكنني|يمكننا) (?:\S+ ){0,3}?(?:مساعد|تقديم|الإجابة|إنشاء|كتابة|تلبية)",
            r"(?:मदद|सहायता|उत्तर|जवाब|प्रदान)\S*(?: \S+){0,2}? नहीं (?:कर|दे) सक",
            r"ไม่สามารถ.{0,12}?(?:ช่วย|ให้ข้อมูล|ตอบ|สร้าง|เขียน)",
            # zh, ja, ko
            r"(?:无法|不能|不便|無法|不會|不会)(?:为您|为你|帮|幫|提供|回答|协助|協助|满足|滿足|生成|编写|继续|繼續|讨论|討論|给)",
            r"(?:お手伝い|お答え|提供|回答|対応|お応え|作成|支援)(?:する(?:こと)?|を)?(?:は|が)?(?:でき(?:ません|かね)|いたしかね|いたしません)",
            r"(?:도와|도움|제공|답변|작성|응)\S*\s?(?:\S+\s)?(?:수 없|드릴 수 없|어렵습니다|할 수 없)",
        )
    )
)
_UNKNOWN = re.compile(
    "|".join(
        (
            r"\b(?:i|we) (?:do not|don't|currently do not|currently don't) (?:actually )?(?:have"
            r"|possess)\b(?: \w+){0,4}? (?:information"
            r"|answer|access|knowledge|details|data(?! cent)|context|ability|capability|specific|enough)",
            r"\b(?:i|we) (?:do not|don't) know\b(?! (?:if|whether) you)",
            r"\b(?:i|we)(?:'m| am|'re| are) (?:not (?:sure|certain|aware|familiar)\b(?! (?:if|whether|what|which) you)"
            r"|unsure|unable to (?:find"
            r"|determine|answer|locate|confirm|verify))",
            r"\b(?:i|we) (?:could not|couldn't|can ?not|can't|did not|didn't) (?:find|determine|locate|verify"
            r"|confirm)\b",
            r"\b(?:context|documents?|text|passages?|information|sources?|article"
            r"|knowledge base)\b(?: \w+){0,4}? (?:does not|do not|doesn't"
            r"|don't|did not) (?:\w+ )?(?:mention|contain|provide|include|specify|state|answer|say|discuss"
            r"|give|address|cover|have)",
            r"\bthere is (?:no|not enough|insufficient) (?:\w+ ){0,2}?(?:mention|information|data|details"
            r"|answer)\b",
            r"\b(?:is|are|was|were) not (?:explicitly |specifically )?(?:mentioned|specified|provided|given"
            r"|stated|included|found) (?:in|by) (?:the|this|these|any|your|my|its)? ?(?:\w+ ){0,2}?"
            r"(?:context|documents?|text|passages?|sources?|articles?|information|report|page|file|knowledge|data|material|manual)\b",
            r"\b(?:not|n't) enough (?:information|context|details|data)\b|\binsufficient (?:information|context)\b",
            r"\bas an ai\b[^.!?]{0,60}? (?:i (?:do not|don't|cannot|can't|can not|am not|have no)|i'm not)\b",
        )
    )
)
_GOES_ON = re.compile(
    r"\b(?:however|but|instead|that said|nevertheless)\b[^.!?]{0,40}?\b(?:i can|here|i could|i suggest)\b"
)
_STEMS = (
    "n't", " not ", "cannot", "unable", "declin", "refus", "against", "violat", "outside", "beyond", "an ai", "unsure",
    "designed", "programmed", "insufficient", "nicht", "kein", "ne ", "no p", "no e", "no m", "não", "non ", "niet",
    "geen", "nie ", "не ", "there is", "forbidden", "won't", "inappropriate", "unethical", "irresponsible", "inte ",
    "ikke", "olam", "edem", "layam", "turam", "yazam", "tidak", "không", "لا ", "नहीं", "ไม่", "无法", "不", "無法",
    "ません", "かね", "없", "어렵",
)  # fmt: skip

_QUOTED = re.compile(r"\"[^\"]{1,300}\"|“[^”]{1,300}”|«[^»]{1,300}»|„[^“]{1,300}“")
OWN_CHARS_MIN = 8  # outside of quotes; with fewer the answer is the quote
_WRITES = re.compile(r"\b(?:write|draft|compose|rewrite|rephrase|proofread|translate|e-?mail|letter|reply to)\b", re.I)
_LETTER = re.compile(r"\W*(?:[^\n]{0,80}:\s*\n\W*)?(?:subject:|dear |hi |hello )", re.I)


class Refusal:
    """``refusal`` of the output: 0 answers, 1 declines."""

    name = "refusal"
    specs = (ScoreSpec(signal="refusal", side=Side.OUTPUT, version="2"),)
    costly = Costly.NO

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        return (each(self.specs[0], batch.exchanges, _score),)

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors
        return ()


def refusal(text: str) -> float:
    """How much an answer declines, by the levels above."""
    said = " ".join(plain(text[:TEXT_CHARS_MAX]).text.lower().replace("’", "'").replace("‘", "'").split())
    own = _QUOTED.sub(" ", said)
    said = own if len(own) > OWN_CHARS_MIN else said
    if not any(stem in said for stem in _STEMS):
        return 0.0
    found = _DECLINE.search(said)
    if found is not None and found.start() < OPENING_CHARS:
        goes_on = len(said) > SHORT_CHARS or _GOES_ON.search(said, found.end()) is not None
        return DECLINES_AND_GOES_ON if goes_on else DECLINES
    if _UNKNOWN.search(said, 0, OPENING_CHARS) is not None:
        return NOT_KNOWN
    return LATER if found is not None else 0.0


def refusal_places(text: str) -> list[tuple[int, int]]:
    """Where an answer says that it declines, or else that it does not know; for marks."""
    bare = plain(text[:TEXT_CHARS_MAX])
    words = list(_WORD.finditer(lower(bare.text).replace("’", "'").replace("‘", "'")))
    said = " ".join(word[0] for word in words)
    found = _DECLINE.search(said) or _UNKNOWN.search(said, 0, OPENING_CHARS)
    if found is None:
        return []
    ends = list(accumulate(len(word[0]) + 1 for word in words))  # of each word with its space

    def origin(at: int) -> int:
        word = bisect_right(ends, at)
        return words[word].end() - (ends[word] - 1 - at)

    return [bare.span(origin(found.start()), origin(found.end() - 1) + 1)]


def _score(exchange: Exchange) -> float | Abstention:
    if exchange.output is not None and (exchange.finish_reason or "").casefold() in _REASONS:
        return DECLINES
    if not exchange.output or exchange.output.isspace():
        return Abstention.NO_TEXT
    if _LETTER.match(exchange.output) and _WRITES.search((exchange.input or "")[:ASK_CHARS_MAX]):
        return 0.0
    return refusal(exchange.output)
