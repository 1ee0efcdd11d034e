"""Who words a text: the session's own words, the agent, or a text that was read.

What an agent composes is free. A call whose every text stands word for word in what somebody else wrote is
that somebody's call: the words may name its target, and yet not have asked for *this* to be put there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from toolward.rules.integrity.grounds import Grounds
from toolward.rules.integrity.things import LABEL_CHARS_MAX, Things
from toolward.rules.integrity.words import VERBATIM
from toolward.rules.lineage.records import Item, Record, Records, same
from toolward.rules.spoken import stands_in

DICTATED_CHARS_MIN: Final = 2
"""A letter stands in every text."""


class Wording(Struct, frozen=True, kw_only=True):
    """The texts of one call beside what the session was told and has read."""

    grounds: Grounds
    things: Things
    records: Records
    sends: bool  # what is said leaves, and changes nothing that is there

    def in_words(self, text: str) -> bool:
        """Whether the session's own words hold it, as it stands or word by word."""
        return self.grounds.says(text) or (len(text) <= LABEL_CHARS_MAX and self.grounds.means(text))

    def knows(self, address: str) -> bool:
        """Whether an address stands in the words, in a vouched field, or in what the words name."""
        if address in self.grounds.addresses or self.grounds.says(address):
            return True
        if any(member.vouched for _, member in self.records.places.get(address, ())):
            return True
        return any(
            address in same(member.text)
            for record in self.records.kept
            if self.things.named(record)
            for item in record.items
            for member in item.members
        )

    def said_by_words(self, texts: Iterable[str]) -> bool:
        """Whether there is a text, and the words hold each."""
        given = [each for each in texts if each.strip()]
        return bool(given) and all(map(self.in_words, given))

    def dictated(self, texts: Iterable[str]) -> Record | None:
        """The result that all texts are copied from which the session's own words do not hold."""
        found: Record | None = None
        for text in texts:
            if len(text.strip()) < DICTATED_CHARS_MIN or self.in_words(text):
                continue
            record = self._writer(text)
            if record is None:
                return None  # the agent's own: somebody made more of this than a copy
            found = found or record
        return found

    def _writer(self, text: str) -> Record | None:
        """The result that a text was copied from, if the words do not hand its wording over."""
        folded = same(text)
        if not self.records.hold(folded):
            return None
        holders = [
            item
            for record in self.records.kept
            for item in record.items
            if any(stands_in(folded, same(member.text)) for member in item.members)
        ]
        if any(self._handed_over(item, folded) for item in holders):
            return None
        return holders[0].record if holders else None

    def _handed_over(self, item: Item, folded: str) -> bool:
        """Whether what stands there may be put where the words say.

        A message says what it is told to. A write changes what is there, and an excerpt looks the same
        whether its source says `42` or `replace all by 42`: the words must ask for an excerpt, or for all.
        """
        record = item.record
        if record.trusted or (record.wrote and any(stands_in(folded, same(each)) for each in record.given)):
            return True  # nobody else's words: the operator's, or what this session wrote there itself
        if not self.things.named(record) and not self.things.pointed_at(item):
            return False
        if self.sends or self.grounds.delegates_all or not VERBATIM.isdisjoint(self.grounds.verbs):
            return True
        return any(same(member.text) == folded for member in item.members)
