"""What the session's own words say: the prompt, the objective, the step, and a plan declared in time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from toolward.model.objective import Step
from toolward.model.session import Session
from toolward.rules.integrity import words as vocabulary
from toolward.rules.integrity.atoms import Day, addresses_in, bare_link, days_in, numbers_in, same_day
from toolward.rules.integrity.clauses import Clause, clauses_of, orders_in, verbs_in
from toolward.rules.integrity.said_where import address_places_in, leaves_a_count, links_in_words
from toolward.rules.lazily import pattern
from toolward.rules.spoken import stands_in

GROUNDS_REMEMBERED: Final = 1_024
"""Prompts that stay read, some kilobytes each."""
HANDED_WORDS: Final = 8
"""Within which the object of `do` or `follow` is named."""
HANDED_CHARS: Final = 200
SMALL_NAME: Final = 2
"""Characters of what is no name of a source: a number of a page, or nothing at all."""
_QUOTED: Final = pattern(
    r"[\"\u201c\u201d]([^\"\u201c\u201d\n]{2,200})[\"\u201c\u201d]"
    r"|(?<!\w)['\u2018]([^'\u2018\u2019\n]{2,200})['\u2019](?!\w)"
)
"""Between quotation marks, straight or curled."""
_LISTED: Final = pattern(r"(?:^|(?<=[.:;!?])[ \t]+|\n[ \t]*)\d{1,2}[.)]\s+(?=[A-Z\"'])")
_NAME: Final = pattern(r"(?<![.!?]\s)(?<!^)\b[A-Z][\w-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """The words, read once."""

    text: str  # folded, as values are compared with it
    known: bool  # whether anybody said anything
    stems: tuple[str, ...]
    pointing: frozenset[str]  # stems that point at something
    names: frozenset[str]  # stems of words that are written as names
    quoted: tuple[str, ...]
    verbs: frozenset[str]
    deeds: frozenset[str]
    clauses: tuple[Clause, ...]  # which deed is asked of what
    topics: frozenset[str]
    numbers: frozenset[float]
    days: tuple[Day, ...]
    addresses: frozenset[str]
    bare_links: frozenset[str]  # links among them, without scheme
    several: bool  # all, each, every …
    most: bool
    least: bool
    latest: bool
    earliest: bool
    delegates: bool  # hands over to what a source says
    delegates_all: bool  # "do what it says": whatever deed that is
    address_places: tuple[str, ...]  # where they say that an address is to be found
    links: str  # whether they speak of `one` link or page that was posted, or of `all`
    counted: bool  # leave a choice that takes counting
    pays: bool  # a bill, an invoice: a document that is there to say who gets how much

    def says(self, value: str) -> bool:
        """Whether the value stands in the words, in one of its spellings."""
        text = value.strip().casefold()
        if not text or not self.known:
            return False
        if stands_in(text, self.text):
            return True
        if self.addresses and text.replace(" ", "") in self.addresses:
            return True
        if self.bare_links and bare_link(text) in self.bare_links:
            return True
        return bool(self.numbers and self.says_number(text)) or bool(self.days and self.says_day(text))

    def says_short(self, digits: str, kinds: frozenset[str]) -> bool:
        """Whether a number of one or two digits is said as that of a thing: `file 13`, `number 7`, `id 4`."""
        stems = self.stems
        return any(
            one == digits and at and (stems[at - 1] in kinds or stems[at - 1] in _COUNTED)
            for at, one in enumerate(stems)
        )

    def says_number(self, text: str) -> bool:
        """`1200` where the words say `1,200.00`."""
        try:
            return float(text) in self.numbers
        except ValueError:
            return False

    def says_day(self, text: str) -> bool:
        """`2024-05-15` where the words say `May 15th`."""
        days = tuple(days_in(text))
        return bool(days) and all(any(same_day(day, other) for other in self.days) for day in days)

    def touches(self, text: str) -> bool:
        """Whether a text shares a word with them that says more than a deed or a kind of thing."""
        return any(
            each in self.pointing and each not in vocabulary.DEEDS and each not in vocabulary.TOPICS
            for each in vocabulary.stems(text)
        )

    def says_address_in(self, given: str) -> bool:
        """Whether they say that an address is to be found in what is got by that name."""
        given = given.strip().casefold()
        return len(given) > SMALL_NAME and any(stands_in(given, each) for each in self.address_places)

    def means(self, value: str) -> bool:
        """Whether every word of a short value that points at something is among the words."""
        pointing = [each for each in vocabulary.stems(value) if each not in vocabulary.EMPTY]
        return bool(pointing) and all(each in self.pointing for each in pointing)


def grounds_of(session: Session, step: Step | None, *, planned: bool = True) -> Grounds:
    """What was said in this session by those who may say.

    A plan is the agent's: with `planned` false, for what can not be undone, only people's words count.
    """
    said = step.words if step is not None else ""
    plan = session.plan if planned else ""
    return read_words("\n".join(each for each in (session.prompt, session.objective, said, plan) if each))


@lru_cache(maxsize=GROUNDS_REMEMBERED)
def read_words(text: str) -> Grounds:
    """Read a text once. The numbers of a list are nobody's words: `2.` proves no number two."""
    text = _LISTED.sub(" ", text)
    stems = tuple(vocabulary.stems(text))
    known = frozenset(stems)
    plain = set(re.findall(r"[a-z]+", text.lower()))
    verbs = verbs_in(text)
    quoted = tuple(one or other for one, other in _QUOTED.findall(text))
    full = any(
        verb in vocabulary.FULL_DEEDS and _hands_over(vocabulary.stems(rest[:HANDED_CHARS])[:HANDED_WORDS])
        for verb, rest in orders_in(text)
    )
    return Grounds(
        text=text.casefold(),
        known=bool(text),
        stems=stems,
        pointing=known - vocabulary.EMPTY,
        names=frozenset(vocabulary.stem(each) for each in _NAME.findall(text)) - vocabulary.EMPTY,
        quoted=tuple(each.casefold() for each in quoted),
        verbs=frozenset(verbs),
        deeds=vocabulary.deeds_in(verbs),
        clauses=clauses_of(text),
        topics=vocabulary.topics_in(stems),
        numbers=frozenset(numbers_in(text)),
        days=tuple(days_in(text)),
        addresses=(addresses := frozenset(addresses_in(text))),
        bare_links=frozenset(filter(None, map(bare_link, addresses))),
        several=bool(known & vocabulary.ALL),
        most=bool(plain & vocabulary.MOST),
        least=bool(plain & vocabulary.LEAST),
        latest=bool(plain & vocabulary.LATEST),
        earliest=bool(plain & vocabulary.EARLIEST),
        delegates=full or bool(known & vocabulary.DELEGATES),
        delegates_all=full,
        address_places=address_places_in(text),
        links=links_in_words(text, known),
        counted=leaves_a_count(text),
        pays="pay" in vocabulary.deeds_in(verbs) and bool(known & vocabulary.PAYABLE),
    )


_COUNTED: Final = frozenset({"id", "number", "no", "nr", "num"})


def _hands_over(following: list[str]) -> bool:
    """`do the actions specified in …`, `follow what … says`: its object is what somebody else wrote."""
    return any(word in _WRITTEN for word in following)


_WRITTEN: Final = vocabulary.listed(
    "actions action tasks task instructions instruction steps step todo todos says say what whatever requests"
    " request asks everything item items list it them"
)
