"""Whether a configured value is a secret, judged by its name and its looks. Errs towards yes.

A value that is moved to the secret provider for nothing does no harm; one that stays in a file does.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Final

from toolward.rules.lazily import pattern

_WORD = pattern(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_ALWAYS: Final = frozenset(
    {
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "pass",
        "secret",
        "authorization",
        "cookie",
        "bearer",
        "credential",
    }
    | {"credentials", "auth", "dsn"}
)
_USUALLY: Final = frozenset({"token", "key", "apikey", "pat", "jwt", "session", "signature", "sig", "access"})
_NOT: Final = frozenset(
    {
        "path",
        "file",
        "dir",
        "directory",
        "name",
        "type",
        "mode",
        "limit",
        "count",
        "max",
        "min",
        "size",
        "ttl",
    }
    | {"timeout", "enabled", "url", "uri", "host", "port", "region", "id"}
)
_PREFIX = pattern(
    r"(?:sk-|sk_live_|sk_test_|rk_live_|pk_live_|ghp_|gho_|ghu_|ghs_|ghr_|github_pat_|glpat-|xox[abeprs]-|xapp-|AKIA|ASIA"
    r"|AIza|ya29\.|eyJ[A-Za-z0-9_-]{8,}\.|npm_|pypi-|hf_|dop_v1_|shpat_|SG\.|lin_api_|ntn_|secret_|figd_|key-"
    r"|tvly-|BSA[A-Za-z0-9]|pplx-|fc-[0-9a-f]|ctx7sk|Bearer |Basic |-----BEGIN )"
)
_URL_WITH_PASSWORD = pattern(r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@")
_PLACEHOLDER = pattern(
    r"\s*(?:<[^>]*>|\[[^\]]*\]|x{3,}|\*{3,}|\.{3}|change-?me|todo|none|null|"
    r"(?:your|my|insert|enter|replace)[-_ ].*)\s*\Z",
    re.IGNORECASE,
)
_TOKEN = pattern(r"[A-Za-z0-9_+/=.~-]{20,}\Z")
ENTROPY_BITS_MIN: Final = 3.5
"""Bits for each character; English words have about 3, random hexadecimal 3.7 and more at this length."""


def is_secret_name(name: str) -> bool:
    """Whether a name says that its value is a secret: `API_TOKEN`, `authorization`, `--db-password`."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words:
        return False
    if words[-1] in _NOT:
        return False
    return any(word in _ALWAYS for word in words) or any(word in _USUALLY for word in words)


def looks_secret(name: str, value: str) -> bool:
    """Whether `value`, configured under `name` (which may be ''), has to be kept out of files."""
    text = value.strip()
    if not text or is_placeholder(text):
        return False
    if _PREFIX.match(text) or _URL_WITH_PASSWORD.search(text):
        return True
    if is_secret_name(name):
        return not _is_setting(name, text)
    return is_random(text)


def is_placeholder(value: str) -> bool:
    """Whether the text only stands where a secret should be: `<YOUR_TOKEN>`, `xxx`, `your-key-here`."""
    return bool(_PLACEHOLDER.match(value))


def is_random(text: str) -> bool:
    """Whether a text looks drawn at random: long, letters and digits, of high entropy, and no path."""
    if not _TOKEN.match(text) or text.startswith(("/", "./", "../", "~")) or text.count("/") > 1:
        return False
    if not (re.search(r"[A-Za-z]", text) and re.search(r"[0-9]", text)):
        return False
    if any(len(part) > 2 and part.isalpha() and _is_word(part) for part in re.split(r"[-_./=+~]", text)):  # noqa: PLR2004
        return False
    counts = Counter(text)
    bits = -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())
    return bits >= ENTROPY_BITS_MIN


def _is_word(part: str) -> bool:
    """Pronounceable, one case: a piece of a name rather than of a key."""
    vowels = len(re.findall(r"[aeiouy]", part.lower()))
    one_case = part.islower() or part.isupper() or part.istitle()
    return one_case and 0.2 <= vowels / len(part) <= 0.8  # noqa: PLR2004 -- English words lie between


def _is_setting(name: str, text: str) -> bool:
    """`TOKEN_CACHE=true`, `SESSION=8`: a switch or a small number rather than a secret."""
    words = {word.lower() for word in _WORD.findall(name)}
    if words & _ALWAYS:
        return text.lower() in ("true", "false")
    return text.lower() in ("true", "false", "yes", "no", "on", "off") or bool(
        re.match(r"[0-9]{1,5}\Z", text)
    )
