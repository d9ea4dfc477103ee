"""Secrets by the formats that their makers document, with their checksum, structure or entropy where there is one.

Formats as of late 2026, from the makers' pages on token formats and secret scanning: the names in ``_TOKENS``, and RFC
7519 for JWT, RFC 6750 and 7617 for Authorization headers. GitHub and npm tokens end in a CRC-32 of the rest in base 62,
so a made-up one is no find. Passwords count after a word for them in ten languages.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator

from signals.pii.spans import Kind, Span

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PLACEHOLDER = re.compile(
    r"x{4,}|\*{3,}|\.{3}|(?:your|my|the|some)[_-]|example|placeholder|change.?me|dummy|<|\$\{|\{\{", re.I
)
RANDOM_BITS_MIN = 3.0  # of entropy a character; words of people stay below, at these lengths


def entropy(text: str) -> float:
    """Shannon entropy of the characters, bits each; 0 for an empty text."""
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts) if text else 0.0


def _random(token: str) -> bool:
    return entropy(token) >= RANDOM_BITS_MIN and _PLACEHOLDER.search(token) is None


def _crc62(token: str) -> bool:
    """Whether the last six characters are the CRC-32, in base 62, of what lies between the prefix and them."""
    body = token.rpartition("_")[2]
    value, digits = zlib.crc32(body[:-6].encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = _BASE62[digit] + digits
    return digits == body[-6:]


def _jwt(token: str) -> bool:
    header = token.partition(".")[0]
    try:
        found = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "alg" in found


def _basic(credentials: str) -> bool:
    """Whether base64 text is a user and a password, as in an Authorization header."""
    try:
        user, colon, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return False
    return bool(colon and user and len(password) >= 3 and password.isprintable()) and not _PLACEHOLDER.search(password)


def _always(token: str) -> bool:  # noqa: ARG001 - the format says it all
    return True


_LEFT, _RIGHT = r"(?<![A-Za-z0-9_-])", r"(?![A-Za-z0-9_-])"
# name, what the text must hold for the pattern to be tried, pattern, check
_TOKENS: tuple[tuple[str, tuple[str, ...], str, Callable[[str], bool]], ...] = (
    ("github", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9]{36}", _crc62),
    ("github", ("github_pat_",), r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}", _random),
    ("gitlab", ("glpat-",), r"glpat-[A-Za-z0-9_-]{20,}", _random),
    ("npm", ("npm_",), r"npm_[A-Za-z0-9]{36}", _crc62),
    ("pypi", ("pypi-AgE",), r"pypi-AgE[A-Za-z0-9_-]{50,}", _always),
    ("aws", ("AKIA", "ASIA"), r"(?:AKIA|ASIA)[A-Z2-7]{16}", _random),
    ("google", ("AIza",), r"AIza[A-Za-z0-9_-]{35}", _random),
    ("google", ("GOCSPX-",), r"GOCSPX-[A-Za-z0-9_-]{28}", _random),
    ("google", ("ya29.",), r"ya29\.[A-Za-z0-9_-]{30,}", _random),
    ("slack", ("xapp-",), r"xapp-\d-[A-Z0-9]{8,}-\d+-[a-f0-9]{32,}", _random),
    ("slack", ("xox",), r"xox[abeoprs]-(?:\d+-)*[A-Za-z0-9-]{10,}", _random),
    ("slack", ("hooks.slack.com",), r"https://hooks\.slack\.com/services/T\w{8,}/B\w{8,}/\w{20,}", _random),
    ("stripe", ("_live_",), r"[sr]k_live_[A-Za-z0-9]{16,}", _random),
    ("stripe", ("whsec_",), r"whsec_[A-Za-z0-9+/]{32,}", _random),
    ("anthropic", ("sk-ant-",), r"sk-ant-[a-z0-9]+-[A-Za-z0-9_-]{80,}", _random),
    ("openai", ("T3BlbkFJ",), r"sk-(?:[a-z]+-)*[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,}", _random),
    ("openrouter", ("sk-or-v1-",), r"sk-or-v1-[0-9a-f]{64}", _random),
    ("langfuse", ("sk-lf-",), r"sk-lf-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", _random),
    ("llm provider", ("sk-",), r"sk-(?:[0-9a-f]{32}|[A-Za-z0-9]{48})", _random),
    ("groq", ("gsk_",), r"gsk_[A-Za-z0-9]{52}", _random),
    ("xai", ("xai-",), r"xai-[A-Za-z0-9]{80}", _random),
    ("perplexity", ("pplx-",), r"pplx-[A-Za-z0-9]{48}", _random),
    ("replicate", ("r8_",), r"r8_[A-Za-z0-9]{37}", _random),
    ("huggingface", ("hf_",), r"hf_[A-Za-z]{34}", _random),
    ("sendgrid", ("SG.",), r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", _random),
    ("twilio", ("SK",), r"SK[0-9a-f]{32}", _random),
    ("digitalocean", ("_v1_",), r"do[opr]_v1_[0-9a-f]{64}", _random),
    ("databricks", ("dapi",), r"dapi[0-9a-f]{32}(?:-\d)?", _random),
    ("shopify", ("shpat_", "shpca_", "shppa_", "shpss_"), r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}", _random),
    ("vault", ("hvs.", "hvb."), r"hv[sb]\.[A-Za-z0-9_-]{24,}", _random),
    ("docker", ("dckr_pat_",), r"dckr_pat_[A-Za-z0-9_-]{27,}", _random),
    ("linear", ("lin_api_",), r"lin_api_[A-Za-z0-9]{40}", _random),
    ("notion", ("ntn_",), r"ntn_[A-Za-z0-9]{40,50}", _random),
    ("sentry", ("sntrys_", "sntryu_"), r"sntry[su]_[A-Za-z0-9_+/=-]{60,}", _random),
    ("atlassian", ("ATATT3",), r"ATATT3[A-Za-z0-9_=-]{150,}", _random),
    ("telegram", (":AA",), r"\d{8,10}:AA[A-Za-z0-9_-]{33}", _random),
    ("age", ("AGE-SECRET-KEY-1",), r"AGE-SECRET-KEY-1[A-Z0-9]{58}", _always),
    ("azure", ("AccountKey=",), r"AccountKey=[A-Za-z0-9+/]{86}==", _random),
    ("jwt", ("eyJ",), r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{16,}", _jwt),
)
TOKENS = tuple((name, stems, re.compile(_LEFT + pattern + _RIGHT), check) for name, stems, pattern, check in _TOKENS)

_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?P<of>(?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?)-----(?:\s+Proc-Type:[^\n]{1,80}\s+DEK-Info:[^\n]{1,80})?"
    r"(?:[^-]{40,20000}-----END (?P=of)-----|[^-]{40,20000})"
)
_HEADER = re.compile(
    r"\b(?:authorization|x-api-key)[\"']?\s?[:=]\s?[\"']?(?:(?P<scheme>bearer|token|basic)\s+)?"
    r"(?P<secret>[A-Za-z0-9._~+/=-]{16,2000})",
    re.I,
)
_URL_PASSWORD = re.compile(r"\b[a-z][a-z0-9+.-]{2,20}://[^\s/:@]{1,64}:(?P<secret>[^\s/@]{3,128})@[\w.-]+", re.I)
_ASSIGNED = re.compile(
    r"\b(?:[\w-]{0,40}[_-])?(?:passw(?:or)?d|pwd|passphrase|secret(?:[_-]?(?:access[_-]?)?key)?|api[_-]?key|auth[_-]?token"
    r"|access[_-]?(?:token|key)|client[_-]?secret|private[_-]?key|passwort|kennwort|contraseña|mot de passe|senha"
    r"|parola|wachtwoord|hasło|пароль|密码|密碼|パスワード|비밀번호)[\"']?\s{0,3}"
    r"(?:[:=：]|=>|\b(?:is|ist|es|est|é|è|to)\b|是|は|[—-]\s)\s{0,3}[\"']?"
    r"(?P<secret>[^\s\"'`,;<>(){}\[\]]{6,200})",
    re.I,
)
_ASSIGNED_STEMS = (
    "passw", "pwd", "passphrase", "secret", "api", "token", "key", "kennwort", "contraseña", "mot de passe", "senha",
    "parola", "wachtwoord", "hasło", "пароль", "密码", "密碼", "パスワード", "비밀번호",
)  # fmt: skip
_REFERENCE = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)+(?:\(|\Z)")  # settings.API_KEY_V2


def find_secrets(text: str) -> Iterator[Span]:
    """Every secret of ``text``; spans may overlap."""
    if "-----BEGIN " in text:
        for found in _PRIVATE_KEY.finditer(text):
            yield Span(*found.span(), Kind.PRIVATE_KEY, "pem")
    for name, stems, pattern, check in TOKENS:
        if any(stem in text for stem in stems):
            for found in pattern.finditer(text):
                if check(found[0]):
                    yield Span(*found.span(), Kind.TOKEN, name)
    if "://" in text:
        for found in _URL_PASSWORD.finditer(text):
            if _PLACEHOLDER.search(found["secret"]) is None:
                yield Span(*found.span("secret"), Kind.PASSWORD, "url")
    yield from _called_secret(text)


def _called_secret(text: str) -> Iterator[Span]:
    """What stands behind a word for a secret, or in a header for one."""
    lower = text.lower()
    if "authorization" in lower or "x-api-key" in lower:
        for found in _HEADER.finditer(text):
            check = _basic if (found["scheme"] or "").lower() == "basic" else _looks_chosen
            if check(found["secret"]):
                yield Span(*found.span("secret"), Kind.TOKEN, "header")
    if any(stem in lower for stem in _ASSIGNED_STEMS):
        for found in _ASSIGNED.finditer(text):
            said = found["secret"].rstrip(".!?")
            if _looks_chosen(said):
                yield Span(found.start("secret"), found.start("secret") + len(said), Kind.PASSWORD, "assigned")


def _looks_chosen(value: str) -> bool:
    """Whether a value that is called a password is one: letters with digits or signs, and no placeholder or name."""
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    signs = any(c in "!@#$%^&*+=?~" for c in value) and any(c.isalpha() for c in value)
    named = _PLACEHOLDER.search(value) is not None or _REFERENCE.match(value) is not None
    return (mixed or signs) and len(value) >= 6 and entropy(value) >= 2.25 and not named
