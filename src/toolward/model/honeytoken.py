"""Honeytokens: values that nobody has a reason to use, planted where only a thief would find them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct


class TokenShape(StrEnum):
    """What a planted value looks like."""

    API_KEY = "api_key"
    MAIL = "mail"
    URL = "url"
    ACCOUNT = "account"  # an IBAN with right check digits
    ROW = "row"  # a value of a database row: a customer's number


class HoneyToken(Struct, frozen=True, kw_only=True):
    """One planted value, which is derived from `token_id` under the ward's key and stored nowhere."""

    token_id: str
    shape: TokenShape
    source: str  # where it was planted, in the operator's words: `crm`, `wiki/finance`
    tenant: str = ""
    agent: str = ""  # the one agent that can read that place, if it is one
    place: str = ""  # the domain of a mail address or URL
    planted_ns: int
    planted_by: str
    retired_ns: int = 0

    def as_json(self) -> dict[str, str]:
        """As stored and listed; times as text, since nanoseconds pass what JSON numbers hold everywhere."""
        return {name: str(getattr(self, name)) for name in self.__struct_fields__}


def token_from_json(value: Mapping[str, Any]) -> HoneyToken:
    """The inverse of `as_json`."""
    times = {name: int(value[name]) for name in ("planted_ns", "retired_ns")}
    return HoneyToken(**{**value, **times, "shape": TokenShape(value["shape"])})
