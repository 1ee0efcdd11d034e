"""Results as they were shaped: which members stood together in one object, and who vouches for each.

Matching asks where a value was seen; the integrity rule asks which *thing* it was seen in: the sender of the
mail that the user spoke of, the number of the event that was looked for. What does not fit is forgotten,
the oldest first: that can only make the rule stricter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import orjson
from msgspec import Struct

from toolward.model.call import LabelledCall
from toolward.model.label import TRUSTED, UNKNOWN, Label
from toolward.model.tool import Manifest
from toolward.rules.lineage.leaves import leaves_of
from toolward.rules.lineage.patterns import label_at
from toolward.rules.worded import is_worded

RECORDS_MAX: Final = 200
"""Results of one session that are kept in their shape."""
MEMBERS_MAX: Final = 4_000
"""Scalars of one result that are kept."""
CHARS_MAX: Final = 1_000_000
"""Characters of all results of one session that are kept in their shape."""
MEMBER_CHARS_MAX: Final = 16_384
"""Of one scalar; longer ones are kept by their beginning."""
VOUCHED_CHARS_MAX: Final = 200
"""A longer value of a trusted field is running text, and no server vouches for what people word."""
PLACES_MAX: Final = 64
"""Places that are kept for one value; vouched ones are kept before others."""


_SAID: Final = frozenset({str, int, float})


class Member(Struct, frozen=True, gc=False):
    """One scalar of an object; `vouched` if the manifest trusts its field and the call did not bring it."""

    name: str
    text: str
    vouched: bool


class Item(Struct, eq=False):
    """One object of a result, below the object that holds it."""

    record: Record
    above: Item | None = None
    members: list[Member] = msgspec.field(default_factory=list)


class Record(Struct, eq=False):
    """One result."""

    call_id: str
    tool: str
    server: str = ""
    given: tuple[str, ...] = ()  # what the call said, texts and numbers
    asked_for: bool = False  # the call itself was asked for and proven, and had an effect
    wrote: bool = False
    egress: bool = True  # what the call said may have left: it may have fetched a page
    trusted: bool = False  # its manifest trusts results as a whole, running text included
    items: list[Item] = msgspec.field(default_factory=list)
    chars: int = 0

    def texts(self) -> list[str]:
        """Everything that stands in it, member by member."""
        return [member.text for item in self.items for member in item.members]

    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.texts())


class _Heard(Struct, frozen=True, gc=False):
    """One result that was not looked at yet, and what counts of its call: hundreds wait in a session."""

    result: Mapping[str, Any]
    call_id: str
    manifest: Manifest | None
    tool: str
    server: str
    arguments: Mapping[str, Any]
    wrote: bool
    asked_for: bool
    trusted: bool  # everything that the call said


@dataclass(slots=True)
class Records:
    """The results of one session. They are read when a call with an effect is judged: most never are."""

    waiting: deque[_Heard] = field(default_factory=lambda: deque(maxlen=RECORDS_MAX))
    kept: deque[Record] = field(default_factory=deque)
    places: dict[str, list[tuple[Item, Member]]] = field(default_factory=dict)
    lent: set[tuple[str, str]] = field(default_factory=set)  # (source call, tool): a delegation that was used
    chars: int = 0
    scores: dict[str, dict[Item, int]] = field(
        default_factory=dict
    )  # by the words they are of: kept, not state
    _folded: str = ""  # all texts, once one was looked for in them: kept, not state

    def hear(
        self, result: Mapping[str, Any], *, call_id: str, manifest: Manifest | None, asked: LabelledCall
    ) -> None:
        """Keep a result, and what its call drew on."""
        facts = asked.facts
        heard = _Heard(
            result=result,
            call_id=call_id,
            manifest=manifest,
            tool=asked.call.target,
            server=asked.resolved.server,
            arguments=asked.call.arguments,
            wrote=facts.writes,
            asked_for=facts.writes and facts.proven and facts.asked_for and result.get("isError") is not True,
            trusted=asked.arguments_label.integrity is TRUSTED,
        )
        self.waiting.append(heard)
        if facts.lent_by and result.get("isError") is not True:
            self.lent.update((source, heard.tool) for source in facts.lent_by)

    def read(self) -> None:
        """Put into their shape the results that are not in it yet."""
        while self.waiting:
            self.add(_shaped(self.waiting.popleft()))

    def add(self, record: Record) -> None:
        """Keep one more; forget the oldest where that is too much."""
        self.kept.append(record)
        self._folded = ""
        self.chars += record.chars
        for item in record.items:
            for member in item.members:
                self._place(item, member)
        while len(self.kept) > RECORDS_MAX or (self.chars > CHARS_MAX and len(self.kept) > 1):
            self._forget(self.kept.popleft())

    def hold(self, folded: str) -> bool:
        """Whether a folded text stands anywhere, be it inside of a word: one look for all that do not."""
        if not self._folded:
            self._folded = "\n".join(record.text() for record in self.kept).casefold()
        return folded in self._folded

    def _place(self, item: Item, member: Member) -> None:
        known = self.places.setdefault(same(member.text), [])
        if len(known) < PLACES_MAX:
            known.append((item, member))
        elif member.vouched:
            weak = next((at for at, (_, other) in enumerate(known) if not other.vouched), None)
            if weak is not None:
                known[weak] = (item, member)

    def _forget(self, record: Record) -> None:
        self.chars -= record.chars
        self.scores.clear()
        for item in record.items:
            for member in item.members:
                key = same(member.text)
                left = [each for each in self.places.get(key, ()) if each[0].record is not record]
                if left:
                    self.places[key] = left
                else:
                    self.places.pop(key, None)


def same(value: str) -> str:
    """The form in which whole values are compared."""
    return value[:MEMBER_CHARS_MAX].strip().casefold()


def _shaped(heard: _Heard) -> Record:
    """A result in its shape."""
    manifest = heard.manifest
    default = manifest.result if manifest is not None and manifest.result is not None else UNKNOWN
    given = tuple(str(value) for _, value in leaves_of(heard.arguments) if type(value) in _SAID)
    record = Record(
        heard.call_id,
        heard.tool,
        heard.server,
        given,
        asked_for=heard.asked_for,
        wrote=heard.wrote,
        egress=manifest is None or manifest.egress,
        trusted=default.integrity is TRUSTED,
    )
    brought: frozenset[str] = frozenset()
    if not heard.trusted and not record.asked_for:
        brought = frozenset(same(each) for each in given)
    reader = _Reader(record, manifest.result_fields if manifest is not None else {}, default, brought)
    for pointer, value in _parts(heard.result):
        record.items.append(Item(record))
        reader.read(value, pointer, record.items[-1])
    return record


def _parts(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a result says: its structure where it has one, since its texts then say the same again."""
    if (structured := result.get("structuredContent")) is not None:
        yield "/structuredContent", structured
        return
    for key in ("content", "contents", "messages"):
        parts = result.get(key)
        if not isinstance(parts, list):
            continue
        for at, part in enumerate(parts):
            text = part.get("text") if isinstance(part, Mapping) else None
            if isinstance(text, str):
                yield f"/{key}/{at}/text", _structure(text)


def _structure(text: str) -> Any:
    """A text that is JSON, as what it says."""
    if text[:1] not in "{[":
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


class _Reader(Struct):
    record: Record
    fields: Mapping[str, Label]
    default: Label
    brought: frozenset[str]
    members: int = 0

    def read(self, value: Any, pointer: str, item: Item, name: str = "") -> None:
        """Objects become items; scalars become members of the object around them."""
        if self.members >= MEMBERS_MAX or pointer.count("/") > 40:  # noqa: PLR2004 -- deeper than any real one
            return
        if isinstance(value, Mapping):
            below = Item(self.record, item)
            self.record.items.append(below)
            for key, inner in value.items():
                said = str(key)
                here = f"{pointer}/{said.replace('~', '~0').replace('/', '~1')}"
                if "@" in said or "://" in said:
                    self._keep(below, name, said, pointer)  # an object keyed by addresses
                self.read(inner, here, below, said)
        elif isinstance(value, (list, tuple)):
            for at, inner in enumerate(value):
                self.read(inner, f"{pointer}/{at}", item, name)
        elif value is not None and not isinstance(value, bool):
            self._keep(item, name, str(value), pointer)

    def _keep(self, item: Item, name: str, text: str, pointer: str) -> None:
        self.members += 1
        self.record.chars += len(text)
        vouched = label_at(pointer, self.fields, self.default).integrity is TRUSTED
        vouched = vouched and len(text) <= VOUCHED_CHARS_MAX and "\n" not in text
        vouched = vouched and not is_worded(pointer, text)
        text = text[:MEMBER_CHARS_MAX]
        item.members.append(Member(name, text, vouched and same(text) not in self.brought))
