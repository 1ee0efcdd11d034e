"""Sources that the session's own words hand over to: "do what the mail says", "pay the bill in FILE".

Such a source is endorsed by the words, for what they ask to be done, and once: a second effect of the same
tool out of the same source is a question again, unless the words speak of several.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolward.rules.integrity.grounds import Grounds
from toolward.rules.integrity.things import Things
from toolward.rules.lineage.records import Item, Record, Records, same
from toolward.rules.spoken import stands_in


@dataclass(slots=True, frozen=True)
class Lending:
    """What a call may draw from sources."""

    grounds: Grounds
    things: Things
    records: Records
    target: str
    once: bool

    def lends(self, value: str) -> Record | None:
        """The result that lends the value, if one does."""
        text = value.strip()
        if not self.grounds.delegates or not text:
            return None
        folded = same(text)
        for record in self.records.kept:
            if self._used(record):
                continue
            if any(self._hands_over_to(item) and _holds(item, folded) for item in record.items):
                return record
        return None

    def sources(self) -> list[Item]:
        """Every object that the words hand over to."""
        if not self.grounds.delegates:
            return []
        return [
            item
            for record in self.records.kept
            if not self._used(record)
            for item in record.items
            if self._hands_over_to(item)
        ]

    def _used(self, record: Record) -> bool:
        return (
            self.once
            and not (self.grounds.several or self.grounds.delegates_all)
            and (record.call_id, self.target) in self.records.lent
        )

    def _hands_over_to(self, item: Item) -> bool:
        return bool(item.members) and bool(self.things.pointed_at(item))


def _holds(item: Item, folded: str) -> bool:
    return any(stands_in(folded, same(member.text)) for member in item.members)
