"""Personal data and secrets: every kind found where it stands, look-alikes left alone, and redaction by offsets."""

from __future__ import annotations

import base64
import uuid
import zlib
from itertools import pairwise

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measures import DATA, read_set
from signals.pii import SEVERITY, Kind, Span, find, redact
from signals.pii.secrets import entropy
from signals.pii.spans import apart
from signals.suite import SuiteOptions, load_suite
from signals.types import Abstention, Exchange
from tests.signals.texts import LANGUAGES, ODD

RANDOM = "k3Qz8WvB1nXr6TfJ9sLd2HyM5cPg7RaE4uNoVbKi0eZtGqYxUwSmDjFhCl"  # no token: letters and digits in disorder
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def with_checksum(prefix: str, body: str) -> str:
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = BASE62[digit] + digits
    return prefix + body + digits


def jwt(header: bytes) -> str:
    return f"{base64.urlsafe_b64encode(header).decode().rstrip('=')}.eyJzdWIiOiIxMjM0In0.{RANDOM[:43]}"


PEM = "-----BEGIN PRIVATE KEY-----\n" + RANDOM * 3 + "\n-----END PRIVATE KEY-----"
FINDS = [
    (PEM, Kind.PRIVATE_KEY),
    (with_checksum("ghp_", RANDOM[:30]), Kind.TOKEN),
    (with_checksum("npm_", RANDOM[5:35]), Kind.TOKEN),
    (f"github_pat_{RANDOM[:22]}_{RANDOM}a", Kind.TOKEN),
    (f"glpat-{RANDOM[:20]}", Kind.TOKEN),
    ("AKIAQ3EGRXLPVB7ZKM4T", Kind.TOKEN),
    (f"AIza{RANDOM[:35]}", Kind.TOKEN),
    (f"xoxb-123456789012-{RANDOM[:24]}", Kind.TOKEN),
    (f"sk_live_{RANDOM[:24]}", Kind.TOKEN),
    (f"sk-ant-api03-{(RANDOM * 2)[:93]}AA", Kind.TOKEN),
    (f"sk-proj-{RANDOM[:30]}T3BlbkFJ{RANDOM[10:40]}", Kind.TOKEN),
    (f"hf_{''.join(c for c in RANDOM * 2 if c.isalpha())[:34]}", Kind.TOKEN),
    (f"SG.{RANDOM[:22]}.{RANDOM[:43]}", Kind.TOKEN),
    (jwt(b'{"alg":"HS256"}'), Kind.TOKEN),
    (f"sk-or-v1-{'0123456789abcdef' * 4}", Kind.TOKEN),
    (f"sk-lf-{uuid.UUID(int=2**127 + 12345678901234567890)}", Kind.TOKEN),
    (f"sk-{RANDOM[:48]}", Kind.TOKEN),
    (f"gsk_{RANDOM[:52]}", Kind.TOKEN),
    (f"xai-{(RANDOM * 2)[:80]}", Kind.TOKEN),
    (f"xapp-1-A0TR5N5X4PV-2929782085823-{'0123456789abcdef' * 4}", Kind.TOKEN),
    (f"ya29.{RANDOM}", Kind.TOKEN),
    (f"hvs.{RANDOM}", Kind.TOKEN),
    (f"dapi{'0123456789abcdef' * 2}", Kind.TOKEN),
    (f"1234567890:AA{RANDOM[:33]}", Kind.TOKEN),
    (f"AccountKey={(RANDOM * 2)[:86]}==", Kind.TOKEN),
    ("4111 1111 1111 1111", Kind.CARD),
    ("5555-5555-5555-4444", Kind.CARD),
    ("378282246310005", Kind.CARD),
    ("DE89 3704 0044 0532 0130 00", Kind.BANK_ACCOUNT),
    ("GB29NWBK60161331926819", Kind.BANK_ACCOUNT),
    ("de89-3704-0044-0532-0130-00", Kind.BANK_ACCOUNT),
    ("536-90-4399", Kind.NATIONAL_ID),
    ("12345678Z", Kind.NATIONAL_ID),
    ("RCCMNL83S18D969H", Kind.NATIONAL_ID),
    ("390.533.447-05", Kind.NATIONAL_ID),
    ("756.9217.0769.85", Kind.NATIONAL_ID),
    ("1NEDqZPvTWRaoho48qXuLLsrYomMXPABfD", Kind.WALLET),
    ("+44 20 7946 0958", Kind.PHONE),
    ("(415) 867-5309", Kind.PHONE),
    ("ana.lopez+shop@mail.shop.io", Kind.EMAIL),
    ("josé.müller@münchen.de", Kind.EMAIL),
    ("ana [at] shop [dot] io", Kind.EMAIL),
    ("8.8.8.8", Kind.IP_ADDRESS),
    ("2606:4700:4700::1111", Kind.IP_ADDRESS),
]
NO_FINDS = [
    *LANGUAGES,
    *ODD,
    with_checksum("ghp_", RANDOM[:30])[:-1] + "_",
    "ghp_" + "A" * 36,
    f"ghp_{RANDOM[:36]}",  # its last six are no checksum
    "AKIAIOSFODNN7EXAMPLE",
    jwt(b"not json at all"),
    "4111 1111 1111 1112",
    "1234 5678 9012 3456",
    "41 11111 111111 111",
    "DE88 3704 0044 0532 0130 00",
    "000-12-3456",
    "12345678A",
    "192.168.0.1 and 10.0.0.1 and ::1",
    "version 1.2.3.4.5 of 2024-05-06 10:11:12",
    "ana@example.com",
    "support@shop.io or noreply@shop.io or your.name@company.com",
    "git@github.com:acme/shop.git",
    "Poison Help: 1-800-222-1222",
    "build v2.10.3.14, see section 3.1.2.4",
    "api_key=settings.API_KEY_V2",
    "secret: process.env.SECRET_2",
    "Authorization: Bearer YOUR_API_KEY_HERE1",
    "user@localhost",
    "order 1234567890123",
    "555-1234",
    "call 911 or 112",
    "The password is required.",
    "password: ********",
    "api_key = os.environ['API_KEY']",
    "token = <your-token>",
    "https://example.com:8080/path@2",
    "ISBN 978-3-16-148410-0",
    "0.1234567890123456",
    "pages 100-200, 1990-2000 and 3.14159265358979",
]


@pytest.mark.parametrize(("text", "kind"), FINDS)
def test_each_kind_is_found_where_it_stands(text: str, kind: Kind) -> None:
    around = f"Here it is: {text} – thanks"

    (span,) = find(around)

    assert around[span.start : span.end] == text
    assert span.kind is kind
    assert redact(around) == f"Here it is: [{kind}] – thanks"


@pytest.mark.parametrize("text", NO_FINDS)
def test_look_alikes_are_left_alone(text: str) -> None:
    assert find(text) == []
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("my password is hunter2!.", "my password is [PASSWORD]!."),
        ("DB_PASSWORD=s3cr3t-Pa55", "DB_PASSWORD=[PASSWORD]"),
        ('"client_secret": "9f8Qz7Lm2"', '"client_secret": "[PASSWORD]"'),
        ("postgres://bob:s3cr3t@db.acme.io/x", "postgres://bob:[PASSWORD]@db.acme.io/x"),
        ("Mein Passwort ist Sommer2026!", "Mein Passwort ist [PASSWORD]!"),
        ("Mi contraseña es gato1234", "Mi contraseña es [PASSWORD]"),
        ("密码：hunter2x", "密码：[PASSWORD]"),
        (f"Authorization: Bearer {RANDOM[:40]}", "Authorization: Bearer [TOKEN]"),
        ("Authorization: Basic YW5hOmh1bnRlcjIyIXg=", "Authorization: Basic [TOKEN]"),
        ("móvil 612 345 678", "móvil [PHONE]"),
        ("PESEL: 44051401359", "PESEL: [NATIONAL_ID]"),
        ("44051401359", "44051401359"),
        ("my BSN is 1112.22.333", "my BSN is [NATIONAL_ID]"),
        ("phone: 030 12345678", "phone: [PHONE]"),
        ("030 12345678", "030 12345678"),
        ("Aadhaar 234123412346", "Aadhaar [NATIONAL_ID]"),
    ],
)
def test_what_many_look_like_counts_only_after_a_word_that_names_it(text: str, redacted: str) -> None:
    assert redact(text) == redacted


TAGGED = "".join(chr(0xE0000 + ord(character)) for character in "my card is 4111 1111 1111 1111")


@pytest.mark.parametrize(
    "text", ["4111\u200b 1111 1111 1111", "４１１１ 1111 1111 1111", "4111 1111 1111 \u20601111", "аna@shop.io", TAGGED]
)
def test_a_disguise_is_seen_through_and_redacted_with_what_it_hides(text: str) -> None:
    (span,) = find(f"a {text} z")

    assert (span.start, span.end) == (2, 2 + len(text))


@pytest.mark.parametrize("region", ["US", "GB", "DE", "FR", "IN", "JP", "BR", "ZA", "AU", "EG"])
def test_example_numbers_of_the_world_are_found_with_their_country(region: str) -> None:
    for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
        number = phonenumbers.example_number_for_type(region, kind)
        text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)

        assert [span.kind for span in find(f"Ring {text}, please")] == [Kind.PHONE]


def test_of_two_finds_in_one_place_the_graver_stays() -> None:
    card, phone = Span(0, 10, Kind.CARD, "card"), Span(5, 20, Kind.PHONE, "US")

    assert apart([phone, card, Span(30, 31, Kind.EMAIL, "email")]) == [card, Span(30, 31, Kind.EMAIL, "email")]


def test_the_score_is_the_gravest_find_of_each_side() -> None:
    suite = load_suite(SuiteOptions(enabled=("pii",)))
    exchanges = [
        Exchange(input="Mail ana@shop.io or pay by 4111 1111 1111 1111", output="Done."),
        Exchange(input="", output="ping 8.8.8.8"),
    ]

    inputs, outputs = suite.score(exchanges).columns

    assert inputs.values[0] == pytest.approx(SEVERITY[Kind.CARD])
    assert outputs.values.tolist() == pytest.approx([0.0, SEVERITY[Kind.IP_ADDRESS]])
    assert inputs.abstentions.tolist() == [Abstention.NONE, Abstention.NO_TEXT]
    assert "phonenumbers" in inputs.spec.weights


@given(st.text(st.sampled_from("0123456789 .-+()@aAeE:/_\u200bｚ"), max_size=120))
def test_spans_lie_in_the_text_apart_and_in_order(text: str) -> None:
    spans = find(text)

    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(left.end <= right.start for left, right in pairwise(spans))


def test_redacted_text_holds_no_more_to_find() -> None:
    text = " ; ".join(text for text, _ in FINDS)

    assert find(redact(text)) == []


def test_entropy_is_that_of_the_characters() -> None:
    assert (entropy(""), entropy("aaaa"), entropy("abab"), entropy("abcd")) == (0, 0, 1, 2)


@pytest.mark.skipif(not DATA.is_dir(), reason="the labelled sets are not beside the checkout (../shared/data)")
def test_ordinary_answers_hold_hardly_anything() -> None:
    answers = [row["response"] for row in read_set("halueval_general")[:500]]

    assert sum(bool(find(answer)) for answer in answers) <= 5
