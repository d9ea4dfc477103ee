"""Personal data: numbers with a checksum by python-stdnum, phones by phonenumbers, mail and IP addresses by format."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator

import phonenumbers
from stdnum import bitcoin, iban, luhn
from stdnum.be import nn as be_nn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.ch import ssn as ch_ssn
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.es import nie, nif
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.mx import curp
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.pt import nif as pt_nif
from stdnum.se import personnummer
from stdnum.tr import tckimlik
from stdnum.us import ssn
from stdnum.za import idnr as za_idnr

from signals.pii.spans import Kind, Span

_EMAIL = re.compile(r"(?<![\w.+-])[^\W_][\w.%+-]{0,63}@(?:[^\W_](?:[\w-]{0,62})\.)+[^\W\d_]{2,24}(?![\w@-]|:\S)")
_EMAIL_SPELLED = re.compile(
    r"(?<![\w.+-])[^\W_][\w.%+-]{0,63}\s?[(\[{]\s?at\s?[)\]}]\s?[\w-]{1,63}"
    r"(?:\s?(?:[(\[{]\s?dot\s?[)\]}]|\.)\s?[\w-]{1,63}){1,4}",
    re.I,
)
_RESERVED = re.compile(r"(?:@|\.)(?:example\.(?:com|net|org)|(?:test|example|invalid|localhost))$", re.I)  # RFC 2606

_ROLES = re.compile(  # mailboxes of a function (RFC 2142 and usage) and placeholders: nobody's own address
    r"(?:no-?reply|do-?not-?reply|support|help|helpdesk|info|contact|kontakt|contacto|hello|hi|sales|service|services"
    r"|customer\.?(?:service|care|support)|care|billing|invoices?|accounts?|orders?|returns?|shipping|office|admin"
    r"|administrator|webmaster|postmaster|hostmaster|abuse|security|privacy|dpo|datenschutz|legal|press|media|jobs"
    r"|careers|hr|marketing|newsletter|feedback|team|mail|git|root|user(?:name)?|name|your[._-]?(?:name|email|address)"
    r"|first(?:name)?[._]last(?:name)?|someone|somebody|mailer-daemon)(?:\+[\w-]+)?@",
    re.I,
)

_CARD = re.compile(r"(?<![\d.,+-])(?<!\d )\d(?:[ -]?\d){12,18}(?![\d]|[.,]\d)")
_ISSUERS = re.compile(  # ISO/IEC 7812 ranges of the networks
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|(?:6011|65\d\d|64[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}|62\d{14,17}"
)
_GROUPED = re.compile(r"\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5}")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?\b", re.I)
_WALLET = re.compile(r"\b(?:bc1[a-z0-9]{25,87}|[13][A-HJ-NP-Za-km-z1-9]{25,34})\b")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)")
_NUMBERED = re.compile(  # what has numbers like an address
    r"(?:version|release|build|firmware|driver|section|clause|chapter|paragraph|article|kapitel|abschnitt|§|\bsee|\boid"
    r"|\bv\.?|\bno\.?)\s{0,2}\Z"
)
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{1,4}(?![\w:])")


def _format_only(number: str) -> bool:  # noqa: ARG001 - it has no check digit
    return True


# Name, pattern, check, and words of which one must stand just before a number that many others look like ("" for none).
_IDS: tuple[tuple[str, str, Callable[[str], bool], str], ...] = (
    ("us.ssn", r"\d{3}-\d{2}-\d{4}", ssn.is_valid, ""),
    ("us.ssn", r"\d{3}[ ]?\d{2}[ ]?\d{4}", ssn.is_valid, r"ssn|social security"),
    ("ca.sin", r"\d{3}([ -])\d{3}\1\d{3}", sin.is_valid, r"\bsin\b|social insurance|assurance sociale|\bnas\b"),
    ("gb.nino", r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?\d\d){3} ?[A-D]", _format_only, r"national insurance|\bni\b"),
    ("gb.nhs", r"\d{3}[ -]?\d{3}[ -]?\d{4}", nhs.is_valid, r"\bnhs\b"),
    ("fr.nir", r"[12] ?\d{2} ?[01]\d ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}", nir.is_valid, ""),
    ("de.idnr", r"\d{2} ?\d{3} ?\d{3} ?\d{3}", idnr.is_valid, r"steuer|idnr|tax"),
    ("es.nif", r"\d{8}-?[A-HJ-NP-TV-Z]", nif.is_valid, ""),
    ("es.nie", r"[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]", nie.is_valid, ""),
    ("it.codicefiscale", r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", codicefiscale.is_valid, ""),
    ("nl.bsn", r"\d{4}[. ]?\d{2}[. ]?\d{3}", bsn.is_valid, r"\bbsn\b|burgerservice|sofi"),
    ("be.nn", r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", be_nn.is_valid, ""),
    ("ch.ssn", r"756\.\d{4}\.\d{4}\.\d{2}", ch_ssn.is_valid, ""),
    ("pt.nif", r"\d{3} ?\d{3} ?\d{3}", pt_nif.is_valid, r"\bnif\b|contribuinte"),
    ("pl.pesel", r"\d{11}", pesel.is_valid, r"pesel"),
    ("se.personnummer", r"(?:\d{2})?\d{6}[-+]\d{4}", personnummer.is_valid, ""),
    ("dk.cpr", r"\d{6}-\d{4}", cpr.is_valid, r"\bcpr\b|personnummer"),
    ("no.fodselsnummer", r"\d{6} ?\d{5}", fodselsnummer.is_valid, r"fødsels|personnummer|fodsels"),
    ("fi.hetu", r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", hetu.is_valid, ""),
    ("tr.tckimlik", r"\d{11}", tckimlik.is_valid, r"kimlik|\btc\b|tckn"),
    ("br.cpf", r"\d{3}\.\d{3}\.\d{3}-\d{2}", cpf.is_valid, ""),
    ("br.cpf", r"\d{11}", cpf.is_valid, r"\bcpf\b"),
    ("mx.curp", r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d", curp.is_valid, ""),
    ("in.aadhaar", r"[2-9]\d{3}([ -])\d{4}\1\d{4}", aadhaar.is_valid, ""),
    ("in.aadhaar", r"[2-9]\d{11}", aadhaar.is_valid, r"aadha?ar"),
    ("in.pan", r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", pan.is_valid, r"\bpan\b|permanent account"),
    ("cn.ric", r"\d{17}[\dX]", ric.is_valid, ""),
    ("kr.rrn", r"\d{6}-\d{7}", rrn.is_valid, ""),
    ("za.idnr", r"\d{13}", za_idnr.is_valid, r"\bid\b|identity"),
)  # fmt: skip
IDS = tuple(
    (
        name,
        re.compile(rf"(?<![\w.+-]){pattern}(?![\w-]|\.\d)"),
        check,
        re.compile(rf"(?:{words})[^\n]{{0,30}}\Z") if words else None,
    )
    for name, pattern, check, words in _IDS
)
_WORDS_BEFORE = 60  # characters in which such a word must stand
_RUN = re.compile(r"[A-Z0-9](?:[A-Z0-9]|[ .+-](?=[A-Z0-9])){7,}")  # whatever could be an identity
_RUN_DIGITS_MIN = 6
_DIGITS = re.compile(r"\d(?:[ .()/+-]{0,2}\d){5}")  # less is no number of anyone

_PHONE = re.compile(r"(?<![\w.,-])\(?\d(?:[ .()/-]{0,2}\d){6,13}(?![\d-])")
_PHONE_WORDS = re.compile(
    r"(?:phone|mobile|cell|\btel|call|fax|whatsapp|telefon|téléphone|teléfono|móvil|handy)[^\n]{0,24}\Z"
)
_TRUNK = ("GB", "DE", "FR", "IN")  # where a national number begins with 0
_HOTLINES = frozenset(
    {
        phonenumbers.PhoneNumberType.TOLL_FREE,
        phonenumbers.PhoneNumberType.PREMIUM_RATE,
        phonenumbers.PhoneNumberType.SHARED_COST,
        phonenumbers.PhoneNumberType.UAN,
    }
)
_US_SHAPE = re.compile(r"(?:1[-. ])?(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-.]\d{4}")


def find_people(text: str) -> Iterator[Span]:
    """Everything about people in ``text``; spans may overlap."""
    if "@" in text:
        for found in _EMAIL.finditer(text):
            if _RESERVED.search(found[0]) is None and _ROLES.match(found[0]) is None:
                yield Span(*found.span(), Kind.EMAIL, "email")
    for found in _EMAIL_SPELLED.finditer(text):
        yield Span(*found.span(), Kind.EMAIL, "spelled")
    for found in _WALLET.finditer(text):
        if bitcoin.is_valid(found[0]):
            yield Span(*found.span(), Kind.WALLET, "bitcoin")
    yield from _machines(text)
    yield from _identities(text)
    if _DIGITS.search(text) is None:
        return
    yield from _cards(text)
    for found in _IBAN.finditer(text):
        if iban.is_valid(found[0]):
            yield Span(*found.span(), Kind.BANK_ACCOUNT, "iban")
    yield from _phones(text)


def _cards(text: str) -> Iterator[Span]:
    for found in _CARD.finditer(text):
        digits = re.sub("[ -]", "", found[0])
        if (
            _ISSUERS.fullmatch(digits)
            and _GROUPED.fullmatch(found[0])
            and luhn.is_valid(digits)
            and len(set(digits)) > 1
        ):
            yield Span(*found.span(), Kind.CARD, "card")


def _identities(text: str) -> Iterator[Span]:
    for run in _RUN.finditer(text):
        if sum(character.isdigit() for character in run[0]) >= _RUN_DIGITS_MIN:
            for name, pattern, check, words in IDS:
                for found in pattern.finditer(text, run.start(), run.end() + 2):  # what follows may forbid it
                    start, end = found.span()
                    if _named(words, text, start) and check(found[0]):
                        yield Span(start, end, Kind.NATIONAL_ID, name)


def _named(words: re.Pattern[str] | None, text: str, position: int) -> bool:
    return words is None or words.search(text[max(0, position - _WORDS_BEFORE) : position].lower()) is not None


def _phones(text: str) -> Iterator[Span]:
    if "+" in text:
        for match in phonenumbers.PhoneNumberMatcher(text, None):
            if _of_someone(match.number):
                yield Span(match.start, match.end, Kind.PHONE, phonenumbers.region_code_for_number(match.number) or "")
    for found in _PHONE.finditer(text):
        for region in _regions(found[0], named=_named(_PHONE_WORDS, text, found.start())):
            number = phonenumbers.parse(found[0], region)
            if phonenumbers.is_valid_number(number) and _of_someone(number):
                yield Span(*found.span(), Kind.PHONE, region)
                break


def _of_someone(number: phonenumbers.PhoneNumber) -> bool:
    """Whether a number may be a person's: hotlines are nobody's."""
    return phonenumbers.number_type(number) not in _HOTLINES


def _regions(number: str, *, named: bool) -> tuple[str, ...]:
    """Where a number without a country code may be from; only its shape or a word before it makes it a phone's."""
    if _US_SHAPE.fullmatch(number):
        return ("US",)
    if not named:
        return ()
    digits = re.sub(r"\D", "", number)
    if digits.startswith("0"):
        return _TRUNK
    return ("US", "IN") if len(digits) >= 10 else ("ES", "PT", "PL") if len(digits) == 9 else ()


def _machines(text: str) -> Iterator[Span]:
    for pattern in (_IPV4,) if text.count(":") < 3 else (_IPV4, _IPV6):
        for found in pattern.finditer(text):
            try:
                address = ipaddress.ip_address(found[0])
            except ValueError:
                continue
            before = text[max(0, found.start() - _WORDS_BEFORE) : found.start()].lower()
            if address.is_global and _NUMBERED.search(before) is None:
                yield Span(*found.span(), Kind.IP_ADDRESS, f"ipv{address.version}")
