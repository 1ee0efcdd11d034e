"""Sources that the session's own words hand over to: "do what the mail says", "pay the bill in FILE".

Such a source is endorsed by the words, once, and not for everything:

- what a value decides may be lent where the effect can be undone ("set the location to the one in the mail");
- an address may be lent only if something else vouches for it, for whoever wrote the source could put their
  own there. Exceptions are a source that the words name as the place of an address ("her e-mail is on her
  website: URL"), and a document that is there to say who is to be paid, if the words ask to pay it. Either
  has to name one such address alone. A bill that names the tool that would pay was written for an agent;
- a link may be looked at if the words speak of a link, or of a page that somebody posted, and it is the only
  one in what they point at (or they speak of all): it leads where its writer wants, and says nothing that
  did not stand there. What came from outside leads nowhere, and nothing leads into the operator's network;
- a password or a code is never lent;
- "do what it says" lends deeds too; one that can not be undone only to whom the words themselves name.
"""

from __future__ import annotations

from msgspec import Struct, field

from toolward.model.tool import Effect
from toolward.rules.integrity.arguments import Decides
from toolward.rules.integrity.atoms import addresses_in, numbers_in
from toolward.rules.integrity.grounds import Grounds
from toolward.rules.integrity.sole import Sort, is_public_link, is_sole, names_accounts, sort_of, speaks_of
from toolward.rules.integrity.things import Things
from toolward.rules.integrity.words import PAYABLE, stems
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
    _outside: dict[str, bool] = field(default_factory=dict)

    def lends(self, value: str, decides: Decides, *, address: bool) -> Record | None:
        """The result that lends the value, if one does."""
        text = value.strip()
        if decides is Decides.CODE or not text:
            return None
        named = frozenset(addresses_in(text))
        whole: dict[str, bool] = {}  # by call: whether its result as a whole lends such a value
        for item in self.sources():
            record = item.record
            if self._leads(item, text, named):
                return record
            if not _holds(item, text, decides):
                continue
            if record.call_id not in whole:
                whole[record.call_id] = self._pays(record, named, decides) or self._tells(
                    record, named, decides
                )
            if whole[record.call_id] or self._says(text, leads=address or bool(named)):
                return record
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

    def _says(self, text: str, *, leads: bool) -> bool:
        """Whether what a source says may be done: it can be undone, and goes to nobody new."""
        undoable = self.effect not in (Effect.IRREVERSIBLE, Effect.READ_ONLY)
        vouched = any(member.vouched for _, member in self.records.places.get(same(text), ()))
        return undoable and (not leads or vouched)

    def _pays(self, record: Record, named: frozenset[str], decides: Decides) -> bool:
        """Whether the words ask to pay this, and it says whom, or how much."""
        if not self.grounds.pays or not self.things.named(record):
            return False
        texts = record.texts()
        if not any(word in PAYABLE for text in (*record.given, *texts) for word in stems(text)):
            return False
        if any(speaks_of(self.name, text) for text in texts):
            return False
        if decides is Decides.WHICH:
            sort = sort_of(named)
            by_mail = sort is Sort.MAIL and not names_accounts(texts)
            return (sort is Sort.ACCOUNT or by_mail) and is_sole(named, texts)
        return decides is Decides.HOW_MUCH

    def _tells(self, record: Record, named: frozenset[str], decides: Decides) -> bool:
        """Whether the words say that an address is to be found there, and this is it. Once, in any case."""
        if decides is not Decides.WHICH or sort_of(named) not in (Sort.ACCOUNT, Sort.MAIL):
            return False
        if (record.call_id, self.target) in self.records.lent:
            return False
        return any(map(self.grounds.says_address_in, record.given)) and is_sole(named, record.texts())

    def _leads(self, item: Item, text: str, named: frozenset[str]) -> bool:
        """Whether the words mean this object, and it has this very link, which did not come from outside."""
        if not offers_links(self.grounds, self.effect) or not is_public_link(text):
            return False
        texts = [member.text for member in item.members]
        if not any(text in each for each in texts) or named != {same(text).rstrip(".,;:!?/")}:
            return False
        if item.record.egress or any(sort_of(frozenset(addresses_in(each))) for each in item.record.given):
            return False
        if self._came_from_outside(text):
            return False
        if self.grounds.links == "all":
            return True
        return self.things.singled_out(item) and is_sole(named, texts)

    def _came_from_outside(self, text: str) -> bool:
        """Whether it stands in what was fetched: it may have been put down, and read again."""
        if text not in self._outside:
            fetched = (record for record in self.records.kept if record.egress)
            self._outside[text] = any(text in each for record in fetched for each in record.texts())
        return self._outside[text]

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


def offers(grounds: Grounds, effect: Effect) -> bool:
    """Whether the words hand over to any source for a call of that effect."""
    if grounds.delegates or grounds.pays or grounds.address_places:
        return True
    return offers_links(grounds, effect)


def offers_links(grounds: Grounds, effect: Effect) -> bool:
    """Whether the words speak of a link or a page, and to look at it is what this call does."""
    return effect is Effect.READ_ONLY and bool(grounds.links)


def _holds(item: Item, text: str, decides: Decides) -> bool:
    if decides is Decides.HOW_MUCH:
        try:
            wanted = float(text)
        except ValueError:
            return False
        return any(wanted == number for member in item.members for number in numbers_in(member.text))
    return any(stands_in(same(text), same(member.text)) for member in item.members)
