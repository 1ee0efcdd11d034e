"""Sources that the session's own words hand over to: "do what the mail says", "pay the bill in FILE".

Such a source is endorsed by the words, once, and not for everything:

- what a value decides may be lent where the effect can be undone ("set the location to the one in the mail");
- an address may be lent only if something else vouches for it, for whoever wrote the source could put their
  own there. Exceptions are a source that the words name as the place of an address ("her e-mail is on her
  website: URL"), and a document that is there to say who is to be paid, if the words ask to pay it. Either
  has to name one such address alone. And a bill does not name the tool that would pay: bills are written for
  people, and what names a tool is written for an agent by somebody who knows what it has;
- a link may be looked at if the words speak of a link or a page and it is the only one there, or they speak
  of all: it leads where its writer wants, but carries nothing out; a page that was looked at leads nowhere;
- a password or a code is never lent;
- "do what it says" lends deeds too; one that can not be undone only to whom the words themselves name.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

from toolward.model.tool import Effect
from toolward.rules.integrity.arguments import Decides
from toolward.rules.integrity.atoms import addresses_in, numbers_in
from toolward.rules.integrity.grounds import Grounds
from toolward.rules.integrity.things import Things
from toolward.rules.integrity.words import LINKS, PAGES, PAYABLE, parts_of_name, stems
from toolward.rules.lineage.records import Item, Record, Records, same
from toolward.rules.spoken import stands_in

LINKS_OR_PAGES: Final = LINKS | PAGES


class Lending(Struct, frozen=True, kw_only=True):
    """What a call may draw from sources."""

    grounds: Grounds
    things: Things
    records: Records
    target: str
    name: str  # as the tool's definition has it
    effect: Effect
    once: bool
    _sources: list[list[Item]] = field(default_factory=list)  # once they are known

    def lends(self, value: str, decides: Decides, *, address: bool) -> Record | None:
        """The result that lends the value, if one does."""
        text = value.strip()
        if decides is Decides.CODE or not text:
            return None
        undoable = self.effect not in (Effect.IRREVERSIBLE, Effect.READ_ONLY)
        named = {*addresses_in(text)}
        for item in self.sources():
            if _looks(self.grounds, self.effect) and self._leads(item, text):
                return item.record
            pays = decides in (Decides.WHICH, Decides.HOW_MUCH) and self._is_to_be_paid(item)
            told = decides is Decides.WHICH and self._is_said_to_have(named, item)
            if not (pays or told or undoable) or not _holds(item, text, decides):
                continue
            if ((pays or told) and _alone(named, item)) or not (address or named) or self._vouched(text):
                return item.record
        return None

    def sources(self) -> list[Item]:
        """Every object that the words hand over to."""
        if not offers(self.grounds, self.effect):
            return []
        if not self._sources:
            self._sources.append(self._found())
        return self._sources[0]

    def _found(self) -> list[Item]:
        return [
            item
            for record in self.records.kept
            if not record.wrote and not self._used(record)
            for item in record.items
            if item.members and self.things.pointed_at(item)
        ]

    def _is_to_be_paid(self, item: Item) -> bool:
        """Whether the words ask to pay, and this is what they name for it: a file or a mail that is one."""
        if not self.grounds.pays or not self.things.named(item.record):
            return False
        texts = [member.text for member in item.members]
        if not any(word in PAYABLE for text in (*item.record.given, *texts) for word in stems(text)):
            return False
        return not any(_speaks_of(self.name, text) for text in texts)

    def _is_said_to_have(self, named: set[str], item: Item) -> bool:
        """Whether the words say that an address is to be found there, and this is one: a link is none."""
        if not named or not {"mail", "account"}.issuperset(map(_sort, named)):
            return False
        return any(map(self.grounds.says_address_in, item.record.given))

    def _leads(self, item: Item, text: str) -> bool:
        """Whether it is no page, and has this link: that alone, where the words do not speak of all."""
        link = {*addresses_in(text)}
        if len(link) != 1 or {*map(_sort, link)} != {"link"} or item.record.tool == self.target:
            return False
        if any(_sort(each) == "link" for given in item.record.given for each in addresses_in(given)):
            return False
        return _alone(link, item) or (self.grounds.several and link <= _named(item))

    def handed(self) -> tuple[str, tuple[str, ...]]:
        """The texts of sources whose every deed is handed over to, and the calls that they are from."""
        if not self.grounds.delegates_all or self.effect is Effect.IRREVERSIBLE:
            return "", ()
        items = self.sources()
        text = "\n".join(same(member.text) for item in items for member in item.members)
        return text, tuple(dict.fromkeys(item.record.call_id for item in items))

    def _used(self, record: Record) -> bool:
        several = self.grounds.several or self.grounds.delegates_all
        return self.once and not several and (record.call_id, self.target) in self.records.lent

    def _vouched(self, text: str) -> bool:
        return any(member.vouched for _, member in self.records.places.get(same(text), ()))


def offers(grounds: Grounds, effect: Effect) -> bool:
    """Whether the words hand over to any source for a call of that effect."""
    return grounds.delegates or grounds.pays or bool(grounds.addresses_in) or _looks(grounds, effect)


def _looks(grounds: Grounds, effect: Effect) -> bool:
    """Whether the words speak of a link or a page, and to look at it is what this call does."""
    return effect is Effect.READ_ONLY and not LINKS_OR_PAGES.isdisjoint(grounds.stems)


def _named(item: Item) -> set[str]:
    """Every address of that object."""
    return {each for member in item.members for each in addresses_in(member.text)}


def _alone(addresses: set[str], item: Item) -> bool:
    """Whether these are all of their sort that the object names."""
    sorts = {*map(_sort, addresses)}
    return addresses == {each for each in _named(item) if _sort(each) in sorts}


def _sort(address: str) -> str:
    if "@" in address:
        return "mail"
    return "link" if "." in address or ":" in address else "account"


def _speaks_of(name: str, text: str) -> bool:
    """Whether a text holds the name of a tool that is more than one word: `pay` is in every bill."""
    return len(parts_of_name(name)) > 1 and stands_in(same(name), same(text))


def _holds(item: Item, text: str, decides: Decides) -> bool:
    if decides is Decides.HOW_MUCH:
        try:
            wanted = float(text)
        except ValueError:
            return False
        return any(wanted == number for member in item.members for number in numbers_in(member.text))
    return any(stands_in(same(text), same(member.text)) for member in item.members)
