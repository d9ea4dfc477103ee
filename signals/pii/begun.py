"""Beginnings: what stands at the very end of a text and may be personal data or a secret that was cut off there.

Telemetry cuts long texts, often without saying so, and no finder knows half a token. Whoever shows a text to people
takes away what stands from here on; what is merely a word there is no loss.
"""

from __future__ import annotations

import re

from signals.normalise import plain

_VALUE = r"[^\s\"'`,;<>(){}\[\]]{0,200}"
_BEGINNINGS = re.compile(
    "|".join(
        (
            r"(?<![A-Za-z0-9_-])(?:gh[pousr]_|github_pat_|glpat-|npm_|pypi-|AKIA|ASIA|AIza|GOCSPX-|xox[abeoprs]-|[sr]k_live_"
            r"|whsec_|sk-|hf_|SG\.|SK(?=[0-9a-f]{4})|do[opr]_v1_|eyJ|https://hooks\.slack\.com/|ya29\.|xapp-|gsk_|xai-|pplx-"
            r"|r8_|dapi|shp(?:at|ca|pa|ss)_|hv[sb]\.|dckr_pat_|lin_api_|ntn_|sntry[su]_|ATATT3|AGE-SECRET|\d{8,10}:A)"
            r"[\w.+/=-]*",
            r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY[^-]{0,8}-{0,5}[^-]{0,64}",
            r"\b[A-Za-z][A-Za-z0-9+.-]{2,20}://[^\s/:@]{1,64}:[^\s/@]{0,128}",
            r"(?i:passw(?:or)?[dt]|pwd|passphrase|secret|token|api[_-]?key|[_-]key|accountkey|authorization|kennwort|senha"
            r"|contraseña|mot de passe|parola|wachtwoord|hasło|пароль|密码|密碼|パスワード|비밀번호)[\"']?\s{0,3}"
            r"(?:[:=：]|=>|\b(?:is|ist|es|est|é|è|to)\b|是|は)?\s{0,3}(?:(?i:bearer|basic|token)\s+)?[\"']?" + _VALUE,
            r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){0,5}[\w-]{0,63}",
            r"[\w.+%-]{1,64}\s?[(\[{]\s?(?i:at)(?:\s?[)\]}][\w .()\[\]{}-]{0,120})?",
            r"(?<![\w])\+?\(?\d(?:[ .()/-]{0,2}\d){6,40}[ .()/-]{0,2}",  # a card, a phone, a number of a person
            r"\b[A-Za-z]{2}\d{2}[ -]?[A-Za-z0-9]{4}(?:[ -]?[A-Za-z0-9]{1,4}){0,8}",  # an IBAN
            r"\b(?:bc1|[13])[A-Za-z0-9]{8,90}",  # a wallet
            r"\b(?=[A-Z]{0,20}\d\d)[A-Z0-9]{8,30}",  # a number of a person, in some countries
            r"(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}",  # an address of IPv6
        )
    ).join(("(?:", r")\s*\Z"))
)
_TAIL_CHARS = 256  # are looked at, or the last unbroken run where that is longer
RUN_CHARS_MAX = 2_048  # a longer run is no word: it counts as a beginning, whatever it is


def begun(text: str) -> int | None:
    """Where the beginning stands that ends ``text``; None: it ends in nothing of the kind."""
    run = last_run(text)
    if len(text.rstrip()) - run > RUN_CHARS_MAX:
        return run
    tail = min(run, max(0, len(text) - _TAIL_CHARS))
    bare = plain(text[tail:])
    found = _BEGINNINGS.search(bare.text)
    return None if found is None else tail + bare.span(*found.span())[0]


def last_run(text: str) -> int:
    """Where the last run of characters without a space begins."""
    bare = text.rstrip()
    return len(bare) - len(bare.rsplit(maxsplit=1)[-1]) if bare else 0
