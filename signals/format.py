"""Format: JSON that was asked for and does not parse, tool calls that do not fit their definition.

===== ================================================================================================================
0     the answer is the JSON that was asked for; each tool call names a known tool, and its arguments fit
0.3   the JSON stands in a code fence or among words, and a program that only parses it fails
0.6   JSON, but not as its schema says; arguments that do not fit the tool's schema
0.8   a tool that the request did not offer
1     no JSON at all; arguments that do not parse
===== ================================================================================================================

The worst of answer and tool calls counts. JSON counts as asked for where the request says so (``response_format``,
``gen_ai.output.type``, a structured-output schema), or the system or user text does ("Reply only with valid JSON").
Sees: what a parser and a JSON Schema see (``pattern`` left out, see signals.schemas). Cannot see: whether the values
are right; other formats (XML, CSV, YAML); a wish for JSON in other words. Abstains without an answer and tool calls;
as not applicable where nothing of the kind was asked, and where the trace itself cut the text that does not parse.
Range: the five levels. Cost: one JSON parse where JSON was asked for; schemas are compiled once. Source: JSON Schema
(the package jsonschema); the levels are our own order of what breaks a program first.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

from signals.batch import Batch, Costly, each
from signals.schemas import VALUE_CHARS_MAX, compiled, tools
from signals.types import Abstention, Embeddings, Exchange, ScoreColumn, ScoreSpec, Side

WRAPPED = 0.3
MISFIT = 0.6
UNKNOWN_TOOL = 0.8
BROKEN = 1.0
ASK_CHARS_MAX = 16_384
_ASKED = re.compile(
    r"(?:^|[.!?:;,\n*•-]\s*|\b(?:please|must|should|always|only|and|you|to)\s+)"
    r"(?:respond|reply|answer|return|output|provide|produce|generate|give (?:me|us)|write|extract|list|classify|show"
    r"|summari[sz]e|i need|format (?:your|the) (?:answer|response|output|reply))"
    r"\b(?:[^.\n]{0,80}?\b(?:in|as|with|using) (?:a |an )?(?:\w+ )?json\b"
    r"|\W+(?:(?!this|that|my|these)\w+\W+){0,3}?json\b)"
    r"(?! (?:file|schema|parser|library|api|endpoint|values?|keys?\b(?! and)))"
    r"|\b(?:in|as|following|strict) (?:valid |strict |raw |a |an )*json (?:format|only|object with|array of|instance)"
    r"|\bonly (?:with |in |as )?(?:a |an )?(?:valid |raw |strict )?json\b|\bjson only\b|\bvalid json\b|\bstrict json\b"
    r"|^\W{0,4}(?:output |response |answer )?format\W{1,4}json\b|\bformatted as (?:a )?json\b"
    r"|\b(?:antworte|gib|ausgabe)[^.\n]{0,40}\bjson\b|\br[ée]pond[^.\n]{0,40}\bjson\b|\brispond[^.\n]{0,40}\bjson\b"
    r"|\bresponde[^.\n]{0,40}\bjson\b|формате json|json\s?(?:形式|格式|형식|으로)|[以用]\s?json\s?(?:返回|输出|回答)",
    re.IGNORECASE | re.MULTILINE,
)
_UNASKED = re.compile(  # what speaks of JSON: a question about it, code that shall deal with it, another's JSON
    r"\b(?:not|n't|never|no|instead of|from|parse|convert|explain|what is)\W+(?:\w+\W+){0,4}?json\b"
    r"|\b(?:is|are) (?:this|that|it|the following|these)\W+(?:\w+\W+)?(?:valid )?json\b|\bjson or\b|\bor json\b"
    r"|\b(?:code|function|script|program|handler|method|class|regex|query)\b[^.\n]{0,60}\bjson\b"
    r"|\b(?:the|my|our) (?:api|server|service|endpoint|backend|app|function|response)\b[^.\n]{0,60}\bjson\b"
    r"|\bhow (?:do|can|to|should)\b[^.\n]{0,60}\bjson\b",
    re.IGNORECASE,
)
_NO_JSON = frozenset({"text", "image", "speech", "grammar", "python"})
_SCHEMA_WORDS = frozenset({"properties", "items", "anyOf", "oneOf", "allOf", "$ref", "enum", "required"})
_SCHEMA_KEYS = ("format", "json_schema", "responseSchema", "response_schema", "responseJsonSchema", "schema")
_MIME_KEYS, _PLAIN = ("responseMimeType", "response_mime_type"), "text/plain"
STARTS_MAX = 32  # brackets at which JSON is looked for among words
_FENCE = re.compile(r"```[\w-]*\s*\n(.*?)```", re.DOTALL)


class Format:
    """``format`` of the output, by the levels above."""

    name = "format"
    specs = (ScoreSpec(signal="format", side=Side.OUTPUT, version="2"),)
    costly = Costly.NO

    def score(self, batch: Batch) -> tuple[ScoreColumn, ...]:
        return (each(self.specs[0], batch.exchanges, _score),)

    def embed(self, batch: Batch) -> tuple[Embeddings, ...]:  # noqa: ARG002 - it has no vectors
        return ()


def asks_for_json(text: str | None) -> bool:
    """Whether a text tells its reader to answer in JSON."""
    if not text or "json" not in text[:ASK_CHARS_MAX].lower():
        return False
    text = text[:ASK_CHARS_MAX]
    return _ASKED.search(text) is not None and _UNASKED.search(text) is None


def answer_level(answer: str, schema: str | None) -> float:
    """The level of an answer that should be JSON, and fit ``schema`` where there is one."""
    wrapped = False
    value, whole = _parsed(answer)
    if not whole:
        wrapped = True
        value, whole = _inside(answer)
    if not whole:
        return BROKEN
    fits = compiled(schema) if schema else None
    if fits is not None and len(answer) <= VALUE_CHARS_MAX and fits(value) is False:
        return MISFIT
    return WRAPPED if wrapped else 0.0


def call_level(name: str | None, arguments: str | None, definitions: str | None) -> float:
    """The level of one tool call; without definitions only its arguments are parsed."""
    value, whole = _parsed(arguments) if arguments else ({}, True)
    if not whole:
        return BROKEN
    known = tools(definitions) if definitions else None
    if known is None or name is None:
        return 0.0
    if name not in known:
        return UNKNOWN_TOOL
    fits = known[name]
    return MISFIT if fits is not None and len(arguments or "") <= VALUE_CHARS_MAX and fits(value) is False else 0.0


def _score(exchange: Exchange) -> float | Abstention:
    answered = bool(exchange.output) and not (exchange.output or "").isspace()
    if not answered and not exchange.calls:
        return Abstention.NO_TEXT
    levels = [call_level(name, arguments, exchange.tools) for name, arguments in exchange.calls]
    if answered and not exchange.calls:
        asked, schema = _requested(exchange)
        answers = [text for text in exchange.outputs if text] or [exchange.output or ""]
        levels += [answer_level(text, schema) for text in answers if asked]
    if not levels or (not exchange.whole and BROKEN in levels):
        return Abstention.NOT_APPLICABLE
    return max(levels)


def _requested(exchange: Exchange) -> tuple[bool, str | None]:
    """Whether JSON was asked for, and the schema it had to fit where the request holds one."""
    asked, schema = _response_format(exchange.response_format)
    return asked or asks_for_json(exchange.system) or asks_for_json(exchange.input), schema


def _response_format(said: str | None) -> tuple[bool, str | None]:
    """A word (``json``, ``application/json``), a provider's object (``{"type": "json_schema", …}``), or a schema."""
    if not said or not said.startswith("{"):
        return (said or "").lower().removeprefix("application/").startswith("json"), None
    try:
        found: Any = json.loads(said)
    except (ValueError, RecursionError):
        return True, None  # cut, but an object asks for one
    for key in _SCHEMA_KEYS:
        if str(found.get("type")) in _NO_JSON or _PLAIN in (found.get(key) for key in _MIME_KEYS):
            return False, None
        if isinstance(found.get(key), dict):
            found = found[key]
    return True, json.dumps(found) if any(key in found for key in _SCHEMA_WORDS) else None


def _parsed(text: str) -> tuple[Any, bool]:
    try:
        return json.loads(text, parse_constant=_refuse), True
    except (ValueError, RecursionError):
        return None, False


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


_BRACKET = re.compile(r"[{\[]")
_DECODER = json.JSONDecoder(parse_constant=_refuse)


def _inside(text: str) -> tuple[Any, bool]:
    """The JSON in a code fence, or the longest object or list that stands among words."""
    fenced = _FENCE.search(text)
    if fenced is not None:
        value, whole = _parsed(fenced[1].strip())
        if whole:
            return value, True
    best: tuple[Any, bool] = (None, False)
    longest = end = tried = 0
    for start in _BRACKET.finditer(text):
        if tried == STARTS_MAX:
            break
        if start.start() < end:
            continue
        tried += 1
        with suppress(ValueError, RecursionError):
            value, end = _DECODER.raw_decode(text, start.start())
            if end - start.start() > longest:
                longest, best = end - start.start(), (value, True)
    return best
