"""Texts of every kind for the tests: languages, lengths, and strings that no one means to send."""

from __future__ import annotations

from hypothesis import strategies as st

from signals.types import Document, Exchange

LANGUAGES = (
    "The refund was issued on Monday and should reach your account within five days.",
    "La facture a été envoyée à l'adresse indiquée.",
    "請求書は月曜日に送信されました。",
    "Счёт был отправлен вчера вечером.",
    "تم إرسال الفاتورة يوم الاثنين.",
    "ใบแจ้งหนี้ถูกส่งไปแล้วเมื่อวันจันทร์",
    "चालान सोमवार को भेजा गया था।",
)
ODD = (
    "\x00\x01\x02",
    "\ud800",
    "\ud83d\ude00",
    "\udcff tail",
    "🙂" * 40,
    "\u202eright to left",
    "a" * 3_000,
    "\ufeff",
    "0",
)

any_text = st.one_of(
    st.none(),
    st.text(max_size=60),
    st.text(st.characters(), max_size=20),  # lone surrogates too
    st.sampled_from(LANGUAGES + ODD),
    st.sampled_from(["", "   ", "\n\t"]),
)
exchanges = st.builds(
    Exchange,
    input=any_text,
    output=any_text,
    context=any_text,
    system=any_text,
    reference=any_text,
    finish_reason=st.sampled_from([None, "stop", "length", "content_filter", "\ud800"]),
    tool_calls=st.integers(0, 3),
    failed=st.booleans(),
    outputs=st.lists(any_text.map(lambda text: text or ""), max_size=3).map(tuple),
    calls=st.lists(st.tuples(any_text, st.one_of(any_text, st.just('{"city": 1}'))), max_size=2).map(tuple),
    tools=st.one_of(any_text, st.just('[{"name": "\ud800", "parameters": {"type": "object"}}]')),
    response_format=st.one_of(any_text, st.just("json"), st.just('{"type": "object", "properties": {}}')),
    logprobs=st.lists(st.floats(max_value=0.5), max_size=3).map(tuple),
    documents=st.lists(st.builds(Document, any_text.map(lambda text: text or ""), id=any_text), max_size=2).map(tuple),
    whole=st.booleans(),
)
