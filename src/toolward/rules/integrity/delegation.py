"""Sources that the session's own words hand over to: "do what the mail says", "pay the bill in FILE".

Such a source is endorsed by the words, once, and not for everything:

- what a value decides may be lent where the effect can be undone ("set the location to the one in the mail");
- an address may be lent only if something else vouches for it, for whoever wrote the source could put their
  own there; the exception is a document that is there to say who is to be paid, if the words ask to pay it.
  It has to name one account alone, and not the tool that would pay: bills are written for people, and what
  names a tool is written for an agent by somebody who knows what it has;
- a link may be looked at if the words speak of a link and it is the only one there: it leads where its writer
  wants, but carries nothing out; a page that was looked at leads nowhere;
- a password or a code is never lent;
- "do what it says" lends deeds too; one that can not be undone only to whom the words themselves name.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from toolward.model.tool import Effect
from toolward.rules.integrity.arguments import Decides
from toolward.rules.integrity.atoms import addresses_in, numbers_in
from toolward.rules.integrity.grounds import Grounds
from toolward.rules.integrity.things import Things
from toolward.rules.integrity.words import LINKS, PAYABLE, parts_of_name, stems
from toolward.rules.lineage.records import Item, Record, Records, same
from toolward.rules.spoken import stands_in


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
        for item in self.sources():
            if (
                _looks(self.grounds, self.effect)
                and item.record.tool != self.target
                and _only_link(item, text)
            ):
                return item.record
            pays = decides in (Decides.WHICH, Decides.HOW_MUCH) and self._is_to_be_paid(item)
            if not (pays or undoable) or not _holds(item, text, decides):
                continue
            leads = address or next(addresses_in(text), None) is not None
            if (pays and _only_payee(item, text)) or not leads or self._vouched(text):
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
    return grounds.delegates or grounds.pays or _looks(grounds, effect)


def _looks(grounds: Grounds, effect: Effect) -> bool:
    """Whether the words speak of a link, and to look at it is what this call does.

    Asking for a page is not enough: what a page says must not lead to the next one.
    """
    return effect is Effect.READ_ONLY and not LINKS.isdisjoint(grounds.stems)


def _only_link(item: Item, text: str) -> bool:
    """Whether the value is a link, and the only one of that object."""
    links = {each for member in item.members for each in addresses_in(member.text) if "@" not in each}
    return links == set(addresses_in(text)) and len(links) == 1


def _only_payee(item: Item, text: str) -> bool:
    """Whether the value is no account, or the only one that the object names."""
    mine = set(_accounts(text))
    return not mine or mine == {each for member in item.members for each in _accounts(member.text)}


def _accounts(text: str) -> Iterator[str]:
    return (each for each in addresses_in(text) if "@" not in each and "." not in each)


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
