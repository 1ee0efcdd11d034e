"""What secrets and personal data look like: one table, for calls, results and configured values alike.

Patterns are written for RE2 (no backreference, no look-around). A shape with `holds` is taken for real only
if its check digits are right; one with `near` only if such a word stands before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from toolward.rules.secret_looks import is_placeholder, is_random, looks_secret
from toolward.rules.signals import check_digits

PART_CHARS_MIN: Final = 20
"""Of a key whose prefix is short: what is drawn at random in it."""
VALUE_CHARS_MAX: Final = 128
"""Of an assigned secret: a pattern needs an end, and a password this long is found by its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One kind of thing. `holds` gets the text without spaces, dashes and dots, in capitals, if `compact`."""

    kind: str
    pattern: str
    personal: bool = False
    holds: Callable[[str], bool] | None = None
    compact: bool = False
    near: tuple[str, ...] = ()
    value: Callable[[str], str] | None = None  # what of it is the thing itself


def _is_key(text: str) -> bool:
    """Its longest part is drawn at random, and it is no example out of a manual."""
    longest = max(text.replace("_", "-").split("-"), key=len)
    return "EXAMPLE" not in text and len(longest) >= PART_CHARS_MIN and is_random(longest)


def _is_no_example(text: str) -> bool:
    return "EXAMPLE" not in text.upper()


def _assignment(text: str) -> tuple[str, str]:
    at = min(place for mark in "=:" if (place := text.find(mark)) >= 0)
    return text[:at].strip(_AROUND), text[at + 1 :].strip(_AROUND)


def _assigned(text: str) -> str:
    return _assignment(text)[1]


def _is_assigned(text: str) -> bool:
    """`password=…`, where what follows is a value and not a word, a placeholder or a reference."""
    name, value = _assignment(text)
    if _is_expression(value) or value.startswith(("$", "{", "<", "%")) or is_placeholder(value):
        return False
    return looks_secret(name, value)


def _is_expression(value: str) -> bool:
    """`self.password`, `getpass(prompt`, `auth[1]`: a word or a name of a program, and no value."""
    head = value.replace("[", "(").lstrip("(").partition("(")[0]
    return all(part.replace("_", "").isalpha() for part in head.split("."))


def _has_password(text: str) -> bool:
    password = text.rpartition(":")[2][:-1]
    return not is_placeholder(password) and not password.startswith(("$", "{", "<"))


_AROUND: Final = "\"' \t"
_RUN: Final = r"[A-Za-z0-9_-]"
_NAMES: Final = (
    r"password|passwd|passphrase|pwd|secret|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key"
    r"|access[_-]?token|auth[_-]?token|refresh[_-]?token|client[_-]?secret"
)

SECRETS: Final = (
    Shape(kind="aws_key", pattern=r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b", holds=_is_no_example),
    Shape(kind="github_token", pattern=r"\bgh[opsur]_[A-Za-z0-9]{36,255}\b"),
    Shape(kind="github_token", pattern=rf"\bgithub_pat_{_RUN}{{22,255}}"),
    Shape(kind="gitlab_token", pattern=rf"\bglpat-{_RUN}{{20,100}}"),
    Shape(kind="slack_token", pattern=r"\b(?:xox[abeprs]|xapp)-[0-9][A-Za-z0-9-]{16,255}"),
    Shape(kind="stripe_key", pattern=r"\b[rsp]k_(?:live|test)_[A-Za-z0-9]{16,255}"),
    Shape(kind="model_key", pattern=rf"\bsk-{_RUN}{{20,255}}", holds=_is_key),
    Shape(kind="google_key", pattern=rf"\bAIza{_RUN}{{35}}"),
    Shape(kind="npm_token", pattern=r"\bnpm_[A-Za-z0-9]{36}\b"),
    Shape(kind="pypi_token", pattern=rf"\bpypi-{_RUN}{{50,255}}"),
    Shape(kind="hugging_face_token", pattern=r"\bhf_[A-Za-z0-9]{30,64}\b"),
    Shape(kind="sendgrid_key", pattern=rf"\bSG\.{_RUN}{{16,64}}\.{_RUN}{{16,64}}"),
    Shape(kind="jwt", pattern=rf"\beyJ{_RUN}{{8,}}\.eyJ{_RUN}{{8,}}\.{_RUN}{{8,}}"),
    Shape(kind="private_key", pattern=r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY"),
    Shape(
        kind="url_password",
        pattern=r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^/\s:@\"']{0,64}:[^/\s@\"']{3,128}@",
        holds=_has_password,
    ),
    Shape(
        kind="assigned_secret",
        pattern=rf"(?i:{_NAMES})[\"']?\s{{0,4}}[:=]\s{{0,4}}[\"']?[^\s\"',;]{{8,{VALUE_CHARS_MAX}}}",
        holds=_is_assigned,
        value=_assigned,
    ),
)
"""Credentials. `secret_looks` judges configured values, more loosely: all that is one here is one there."""

PERSONAL: Final = (
    Shape(
        kind="iban",
        pattern=r"\b[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?\b",
        holds=check_digits.iban_holds,
        compact=True,
        personal=True,
    ),
    Shape(
        kind="iban",
        pattern=r"\b[a-z]{2}[0-9]{2}[a-z0-9]{11,30}\b",
        holds=check_digits.iban_holds,
        compact=True,
        personal=True,
    ),
    Shape(
        kind="card",
        pattern=r"\b[2-6][0-9]{3}(?:[ -][0-9]{4}){3}\b|\b3[47][0-9]{2}[ -][0-9]{6}[ -][0-9]{5}\b",
        holds=check_digits.card_holds,
        compact=True,
        personal=True,
    ),
    Shape(
        kind="card",
        pattern=r"\b[2-6][0-9]{13,18}\b",
        holds=check_digits.card_holds,
        personal=True,
        near=("card", "visa", "amex", "kart", "credit", "debit", "cc"),
    ),
    Shape(
        kind="us_ssn",
        pattern=r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b",
        holds=check_digits.us_ssn_holds,
        compact=True,
        personal=True,
    ),
    Shape(
        kind="cpf",
        pattern=r"\b[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}\b",
        holds=check_digits.cpf_holds,
        compact=True,
        personal=True,
    ),
    Shape(
        kind="nir",
        pattern=r"\b[12][0-9]{14}\b|\b[12](?: [0-9]{2}){3}(?: [0-9]{3}){2} [0-9]{2}\b",
        holds=check_digits.nir_holds,
        compact=True,
        personal=True,
    ),
    Shape(
        kind="codice_fiscale",
        pattern=r"\b[A-Z]{6}[0-9]{2}[A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z]\b",
        holds=check_digits.codice_fiscale_holds,
        personal=True,
    ),
    Shape(
        kind="cn_id",
        pattern=r"\b[1-9][0-9]{16}[0-9X]\b",
        holds=check_digits.cn_id_holds,
        personal=True,
    ),
    Shape(
        kind="aadhaar",
        pattern=r"\b[2-9][0-9]{3} ?[0-9]{4} ?[0-9]{4}\b",
        holds=check_digits.aadhaar_holds,
        compact=True,
        personal=True,
        near=("aadha", "uidai"),
    ),
    Shape(
        kind="nhs",
        pattern=r"\b[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}\b",
        holds=check_digits.nhs_holds,
        compact=True,
        personal=True,
        near=("nhs",),
    ),
)
"""Identifiers of people. What has one check digit and no shape of its own needs a word beside it."""

EVERY: Final = (*SECRETS, *PERSONAL)
