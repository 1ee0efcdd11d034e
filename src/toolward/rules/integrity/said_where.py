"""What words say of where a thing is: an address in a source, a page that was posted, a choice by a count.

Each is told by one phrase, and by nothing around it: a word like `account`, `page` or `last` stands in most
prompts for something else.
"""

from __future__ import annotations

import re
from typing import Final

from toolward.rules.integrity.words import LINKS
from toolward.rules.lazily import pattern

PLACES_MAX: Final = 32
"""Places of addresses in one text; a person names one or two."""
_WHOSE: Final = r"(?:the|his|her|their|its|whose|[A-Z][\w-]{0,40}'s?)"
_ADDRESS: Final = pattern(
    rf"\b(?:{_WHOSE} (?:(?:e-?mail|mail|bank|payment) )?"
    r"(?:address(?:es)?|iban|account (?:numbers?|details)|contact (?:details|info(?:rmation)?))"
    r"(?: (?:of|for) [A-Z][\w-]{0,40})?"
    r"(?: (?:is|are|can be|stands?|which is|that is|given|listed|found|mentioned|written)){0,3}"
    r" (?:in|inside|on|at|from|under)"
    rf"|e-?mail(?: address)?(?: (?:is|can be|given|listed|found)){{0,2}} (?:in|on|at)"
    rf"(?= {_WHOSE} (?:website|web ?page|homepage|profile|business card|address book)\b))"
    r" ([^,;()\n]{1,120})",
    re.IGNORECASE,
)
"""`the address in FILE`, `her e-mail on her website: URL`. A mail may be a letter, but not on a website."""
_ENDS: Final = pattern(r"[.!?](?=\s|$)|\s(?:and|then|but|to|with)\s")
_FIRST_NAME: Final = pattern(r"(?<!\S)[\"'\u2018\u201c]?[\w~/-][^\s\"']*[./][^\s\"']*")
"""Of a file or a page."""
_POSTED: Final = pattern(
    r"\b(?:(all|every|each|both)(?: of)? )?(?:(?:the|those|these|his|her|their) )?(?:\w{1,40} )?"
    r"(?:articles?|web ?sites?|web ?pages?|home ?pages?|blog posts?|links?|urls?)"
    r"(?: [\w']{1,40}){0,3} (?:posted|shared|linked|sent|mentioned|recommended|pasted)\b",
    re.IGNORECASE,
)
_COUNTED: Final = pattern(
    r"\b(?:with|has|have|had|wrote|got) the (?:(?:total|most|fewest|least|smallest|largest|highest|lowest) )+"
    r"(?=[a-z]{3})",
    re.IGNORECASE,
)


def address_places_in(text: str) -> tuple[str, ...]:
    """Files and pages in which the words say that an address is to be found, folded: one of each phrase."""
    found = (_FIRST_NAME.search(_ENDS.split(each, 1)[0]) for each in _ADDRESS.findall(text))
    return tuple(dict.fromkeys(name[0].casefold() for name in found if name is not None))[:PLACES_MAX]


def links_in_words(text: str, stems: frozenset[str]) -> str:
    """`one` where the words speak of a link, or a page that somebody posted; `all` where of all; else ``."""
    posted = [each.lower() for each in _POSTED.findall(text)]
    if any(posted):
        return "all"
    return "one" if posted or not LINKS.isdisjoint(stems) else ""


def leaves_a_count(text: str) -> bool:
    """`the channel with the most users`: which it is takes counting."""
    return _COUNTED.search(text) is not None
