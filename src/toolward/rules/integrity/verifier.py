"""One-time values: a code may go only to the verifier that it came from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from toolward.model.call import ResolvedCall
from toolward.rules.integrity.atoms import addresses_in
from toolward.rules.integrity.words import DEEDS, EMPTY, TOPICS, listed, parts_of_name, stems
from toolward.rules.lazily import pattern
from toolward.rules.lineage.records import Item, Record, Records, same
from toolward.rules.spoken import stands_in

NAME_CHARS_MIN: Final = 3
_SENDERS: Final = listed("sender from author issuer origin source service app site domain")
_SECOND_LEVEL: Final = frozenset({"co", "com", "org", "net", "gov", "ac", "edu"})
"""`shop` of `shop.co.uk`."""
_CODES: Final = listed("code otp pin verify verification confirm confirmation")
_ADDRESSED: Final = frozenset("@[:/")
_TWISTED: Final = pattern(r"@.*@|://[^/?#]*@|@(?:[^.@]*\.){6}")
"""Two addresses, one before a host, or more labels than are read."""
_OF_ALL: Final = frozenset(
    {"com", "org", "net", "mail", "email", "www", "reply", "noreply", "http", "https", "info", "support"}
)


def belongs_to(code: str, resolved: ResolvedCall, records: Records, values: list[tuple[str, Any]]) -> str:
    """Why the code is this verifier's, in words; "" if it is not, or nobody vouches for who sent it."""
    folded = same(code)
    if not folded:
        return ""
    here = {same(resolved.server), *_names(resolved.server)}
    here |= {each for each in _names(resolved.name) if each not in DEEDS}
    for _, value in values:
        if isinstance(value, str) and same(value) != folded:
            here |= set(_names(value))
    for record in records.kept:
        for item in record.items:
            if any(stands_in(folded, same(member.text)) for member in item.members) and (
                sender := _sender(item, here)
            ):
                return f"it came from `{sender}`, and goes back there"
    return ""


def _sender(item: Item, here: set[str]) -> str:
    for member in item.members:
        named = set(parts_of_name(member.name))
        if member.vouched and named & _SENDERS and _is_from(member.text, here):
            return member.text
    return ""


def _is_from(text: str, here: set[str]) -> bool:
    """Whether a sender is one of these services: by its one host, or by its name if it has no address."""
    if _ADDRESSED.isdisjoint(text):
        return not here.isdisjoint(_names(text))
    hosts = set(_hosts(text))
    return len(hosts) == 1 and hosts <= here and not _TWISTED.search(text)


def wants_code(record: Record) -> bool:
    """Whether what a call was answered speaks of a code that is to follow."""
    return any(not _CODES.isdisjoint(stems(text)) for text in record.texts())


def _hosts(text: str) -> Iterator[str]:
    """`shopping` of `no-reply@shopping.com`: the name that its owner registered."""
    for address in addresses_in(text):
        labels = re.split("[/:?#]", address.partition("://")[2] or address.rpartition("@")[2])[0].split(".")
        yield from labels[-3:-2] if labels[-2:-1] and labels[-2] in _SECOND_LEVEL else labels[-2:-1]


def _names(text: str) -> Iterator[str]:
    """What can tell one service from another."""
    for part in parts_of_name(text):
        if len(part) >= NAME_CHARS_MIN and part not in _OF_ALL and part not in EMPTY and part not in TOPICS:
            yield part
