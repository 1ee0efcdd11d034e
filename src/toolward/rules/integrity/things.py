"""Which objects of earlier results are the ones that the session's own words speak of.

A mail's sender, an event's number, a file's owner say something only for *their* mail, event or file. So a
value of such a field is proven by the words that point at its object: a title that they name, a search that
they asked for, the greatest or the latest of a list, all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from toolward.rules.integrity import words as vocabulary
from toolward.rules.integrity.atoms import days_in, same_day
from toolward.rules.integrity.grounds import Grounds
from toolward.rules.lineage.records import Item, Member, Record, Records, same
from toolward.rules.spoken import stands_in

LABEL_CHARS_MAX: Final = 120
"""Longer texts are prose: whoever wrote them could put every word of a prompt there."""
TEXT_CHARS_MIN: Final = 3
DEPTH_MAX: Final = 3
"""A search by what a search found that the words asked for; no longer chains."""
STRONG: Final = 10
"""A score that needs no comparison with the other objects of its list."""
TWO: Final = 2
WORDS_MAX: Final = 4
"""Words of one session that scores are kept for: with its plan and without, before a step and after."""


@dataclass(slots=True)
class Things:
    """What the words point at, among a session's results. One for each judgement."""

    grounds: Grounds
    records: Records
    handed: str = ""  # what stands in sources that the words hand over to, whatever deed it is
    _whys: dict[Item, str] = field(default_factory=dict)
    _callings: dict[Record, list[Item]] = field(default_factory=dict)
    _scores: dict[Item, int] = field(init=False)
    _best: dict[Record, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Scores stay as long as the words do: each object is looked at once, not at each call."""
        known = self.records.scores
        if self.grounds.text not in known and len(known) >= WORDS_MAX:
            known.clear()
        self._scores = known.setdefault(self.grounds.text, {})

    def pointed_at(self, item: Item, depth: int = 0) -> str:
        """Why this object is the one, in words; "" if it is not."""
        if depth:  # deeper looks may give up early, so what they found is not kept
            return self._pointed_at(item, depth)
        known = self._whys.get(item)
        if known is None:
            known = self._whys[item] = self._pointed_at(item, 0)
        return known

    def hand_over(self, text: str) -> None:
        """Objects that this text names are meant too."""
        if text != self.handed:
            self.handed = text
            self._whys.clear()
            self._callings.clear()

    def _pointed_at(self, item: Item, depth: int) -> str:
        record = item.record
        if record.asked_for:
            return "this session was asked to make it, and did"
        if why := self._described(item):
            return why
        score = self._score(item)
        if self._named(record, depth) and (score >= TWO or self.grounds.several or _objects(record) <= 1):
            return "the session's own words ask for what this call looked up"
        if self.handed and self._called(item):
            return "what the session's own words hand over to names it, and nothing else in that result"
        if self._extreme(item):
            return "the session's own words ask for the first or the last of that list"
        return ""

    def _described(self, item: Item) -> str:
        """Why the words mean this one of its result, by what it says of itself."""
        score = self._score(item)
        if score >= STRONG:
            return "the session's own words name it"
        best, many = self._best_of(item.record)
        if score and score == best and (score >= TWO or many == 1):
            return "the session's own words describe it, and nothing else in that result as well"
        return ""

    def names_one(self, record: Record) -> bool:
        """Whether the words describe one object of a result: then they leave no choice among its objects."""
        return any(map(self._described, record.items))

    def singled_out(self, item: Item) -> bool:
        """Whether the words mean this one, and not merely all of some result."""
        return bool(self._described(item)) or (self.named(item.record) and _objects(item.record) <= 1)

    def _called(self, item: Item) -> bool:
        """Whether a source that was handed over to holds a label of this object, and of no other there."""
        called = self._callings.get(item.record)
        if called is None:
            called = [each for each in item.record.items if any(map(self._in_handed, each.members))]
            self._callings[item.record] = called
        return called == [item]

    def _in_handed(self, member: Member) -> bool:
        if not TEXT_CHARS_MIN <= len(member.text) <= LABEL_CHARS_MAX:
            return False
        text = same(member.text)
        if text not in self.handed or not any(map(str.isalpha, text)):
            return False
        return not vocabulary.is_prose(member.name) and stands_in(text, self.handed)

    def named(self, record: Record) -> bool:
        """Whether what the call said, to get this result, is in the session's own words."""
        return self._named(record, 0)

    def _named(self, record: Record, depth: int) -> bool:
        given = [each for each in record.given if len(each) >= TEXT_CHARS_MIN or each.isdigit()]
        if not given:
            return False
        return all(self._said(each, depth) for each in given)

    def _said(self, value: str, depth: int) -> bool:
        if self.grounds.says(value) or (len(value) <= LABEL_CHARS_MAX and self.grounds.means(value)):
            return True
        if self.handed and len(value) >= TEXT_CHARS_MIN and stands_in(same(value), self.handed):
            return True
        if depth >= DEPTH_MAX:
            return False
        places = self.records.places.get(same(value), ())
        return any(member.vouched and self.pointed_at(item, depth + 1) for item, member in places)

    def _best_of(self, record: Record) -> tuple[int, int]:
        """The best score of its objects, and how many have it."""
        known = self._best.get(record)
        if known is None:
            scores = [self._score(item) for item in record.items if item.members and not _inside(item)]
            best = max(scores, default=0)
            known = self._best[record] = (best, scores.count(best))
        return known

    def _score(self, item: Item) -> int:
        known = self._scores.get(item)
        if known is None:
            kind = frozenset(vocabulary.parts_of_name(item.record.tool))
            known = max((self._points(each, kind) for each in item.members), default=0)
            if item.above is not None and len(item.above.members) > 0:
                known = max(known, self._score(item.above))
            self._scores[item] = known
        return known

    def _points(self, member: Member, kind: frozenset[str]) -> int:
        """How much one member says of its object being meant."""
        text, grounds = member.text.strip(), self.grounds
        if member.vouched and counts(member.name) and grounds.says_number(text):
            return TWO
        if vocabulary.is_prose(member.name):
            return 0
        if not TEXT_CHARS_MIN <= len(text) <= LABEL_CHARS_MAX:
            return 0
        folded = text.casefold()
        if any(quote in folded or folded in quote for quote in grounds.quoted):
            return STRONG
        pointing = vocabulary.pointing_of(text)
        shared = pointing & grounds.pointing
        if pointing and stands_in(folded, grounds.text) and not pointing <= kind:
            return STRONG if len(pointing) >= TWO or not folded.isalpha() else TWO
        if shared & grounds.names:
            return TWO
        points = sum(1 for each in shared - kind - vocabulary.ALL if vocabulary.points(each))
        if (
            not points
            and grounds.days
            and any(same_day(day, other) for day in days_in(text) for other in grounds.days)
        ):
            return 1
        return points

    def _extreme(self, item: Item) -> bool:
        """Whether it is the first or the last of its list, by a vouched field: by how much, or by when."""
        grounds = self.grounds
        if not (grounds.most or grounds.least or grounds.latest or grounds.earliest):
            return False
        objects = [each for each in item.record.items if each.above is item.above and each.members]
        for member in item.members if len(objects) > 1 else ():
            if not member.vouched or not counts(member.name):
                continue
            values = [_ordered(other, member.name) for other in objects]
            known = [value for value in values if value is not None]
            mine = _ordered(item, member.name)
            if mine is None or len(known) < len(objects):
                continue
            last, first = (
                (grounds.most, grounds.least) if mine[0] == 0 else (grounds.latest, grounds.earliest)
            )
            if (last and mine == max(known)) or (first and mine == min(known)):
                return True
        return False


def counts(name: str) -> bool:
    """Whether a member's number counts something, and does not identify it."""
    return (
        not name.lower()
        .rstrip("_")
        .endswith(("id", "key", "no", "number", "iban", "phone", "zip", "year", "index"))
    )


def _ordered(item: Item, name: str) -> tuple[int, float, str] | None:
    """A vouched field as something that can be compared: a number, or a time in its spelling."""
    for member in item.members:
        if member.name == name and member.vouched:
            try:
                return (0, float(member.text), "")
            except ValueError:
                return (1, 0.0, member.text) if next(days_in(member.text), None) else None
    return None


def _inside(item: Item) -> bool:
    """Whether it is a part of another object, and has its score from there."""
    return item.above is not None and bool(item.above.members)


def _objects(record: Record) -> int:
    return sum(1 for item in record.items if item.members and not _inside(item)) or 1
