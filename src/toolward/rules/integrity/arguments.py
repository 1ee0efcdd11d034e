"""What each argument of a tool decides: who, which, how much, when, or only one of a few choices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import orjson
from msgspec import Struct

from toolward.model.lineage import Leaf
from toolward.model.tool import Argument, ArgumentKind, ArgumentRole
from toolward.rules.integrity.words import (
    DEEDS,
    EMPTY,
    TOPICS,
    WRITES,
    deeds_in,
    deeds_of,
    listed,
    parts_of_name,
    stem,
    stems,
    topics_in,
)
from toolward.rules.manifest_defaults import kind_of

DEFINITIONS_REMEMBERED: Final = 4_096
"""Definitions that stay read, about a kilobyte each."""
CHOICE_CHARS_MAX: Final = 20
"""Longer values of an argument named `type`, `mode` … are no choice of a few."""
SPOTS_REMEMBERED: Final = 16_384
"""Pointers into arguments that stay read, some hundred bytes each; a tool has some dozens."""
SPOT_CHARS_MAX: Final = 200
"""Of a pointer that stays read: the names in it are the agent's to choose."""


_DESCRIBES: Final = re.compile(r"\b(?:tool|function|command) description:\s*([^.\n]*)", re.IGNORECASE)
"""Behind what is said of all tools of a server, what this one does. No other sentence further on says that:
`Terminates an instance. Check that it is idle.` checks nothing, and an argument may be called so."""
CHANGE: Final = deeds_in([stem("change")])
BUYS: Final = listed("buy rebuy purchase order reorder")
FILL: Final = deeds_in([stem("add")])
BASKET: Final = listed("cart basket")
"""What things are put into that are to be bought."""


class Decides(StrEnum):
    """What a value decides."""

    CONTENT = "content"
    WHICH = "which"  # who, where, which object
    HOW_MUCH = "how_much"
    WHEN = "when"
    CHOICE = "choice"  # one of a few that the schema names, or yes and no
    CODE = "code"  # proof for one verifier: a one-time code, a password
    NEW_NAME = "new_name"  # what something is called that the call makes


_WHEN: Final = listed(
    "date day time start end begin deadline due duration timestamp when year month week hour minute until"
    " since schedule recurrence timezone from after before checkin checkout expiry at"
)
_NUMBER_OF: Final = listed("id index key number code pin port version line page zip postcode")
_CHOICE: Final = listed(
    "type kind mode format unit currency language lang status priority permission role level sort order"
    " visibility color category"
)
_CODE: Final = listed("code otp pin password passcode token secret verification captcha 2fa mfa")
_NAMES_NEW: Final = listed("name title label")
_MAKES: Final = listed("create new add make")


class Spot(Struct, frozen=True, kw_only=True):
    """What the pointer of an argument's leaf says, whatever stands there."""

    name: str  # the argument that it is of, or is inside of
    top: str  # the same, as the pointer spells it
    inside: bool  # of an argument that is an object or a list
    kind: ArgumentKind  # what a value of that name denotes, where nobody says more
    choice: bool  # its name is one of a choice, of a code, …
    code: bool
    number: bool  # of what has a number, and not of what is counted
    when: bool
    new: bool


Traced = tuple[Leaf, Any, Spot]
"""One leaf of a call, with what stands there."""


def spot_of(pointer: str) -> Spot:
    """Read a pointer."""
    return _read_spot(pointer) if len(pointer) <= SPOT_CHARS_MAX else _spot(pointer)


def _spot(pointer: str) -> Spot:
    names = pointer.split("/")[1:]
    top = names[0] if names else ""
    last = next((each for each in reversed(names) if not each.isdigit()), "")
    parts = parts_of_name(last)
    end = parts[-1] if parts else ""
    return Spot(
        name=top.replace("~1", "/").replace("~0", "~"),
        top=top,
        inside=len(names) > 1,
        kind=kind_of(last),
        choice=end in _CHOICE,
        code=end in _CODE or (bool(parts) and parts[0] in _CODE),
        number=end in _NUMBER_OF,
        when=not _WHEN.isdisjoint(parts),
        new=end in _NAMES_NEW,
    )


_read_spot: Final = lru_cache(maxsize=SPOTS_REMEMBERED)(_spot)


@lru_cache(maxsize=DEFINITIONS_REMEMBERED)
def read_tool(definition: bytes) -> Tool:
    """The parts of a definition that the rule looks at; one that can not be read has none."""
    try:
        said = orjson.loads(definition)
    except orjson.JSONDecodeError:
        said = {}
    schema = said.get("inputSchema") if isinstance(said, Mapping) else None
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    shown = {str(k): v for k, v in properties.items()} if isinstance(properties, Mapping) else {}
    return Tool(str(said.get("name", "")), str(said.get("description") or ""), shown)


def verb_of(parts: Sequence[str]) -> str:
    """The word of a name that says what is done: `note_delete` deletes, and notes nothing down."""
    done = [part for part in parts if part in DEEDS]
    return next((part for part in done if part not in TOPICS), done[0] if done else "")


class Tool:
    """A tool as its definition describes it."""

    __slots__ = ("_called", "_choices", "_properties", "deeds", "makes", "name", "parts", "topics")

    def __init__(self, name: str, description: str, properties: Mapping[str, Any]) -> None:
        parts = parts_of_name(name)
        first = stems(description.split(".", 1)[0])
        described = verb_of(first[:2])
        if not (described or verb_of(parts)) and (behind := _DESCRIBES.search(description)):
            does = stems(behind[1])
            described, first = verb_of(does[:2]), does + first
        verb = verb_of(parts) or described
        self.name = name
        self.makes = bool(parts) and parts[0] in _MAKES
        self.parts = frozenset(parts) - EMPTY - {verb}
        self.deeds = deeds_in([verb, described])  # `write_query`: "Execute an UPDATE …"
        if verb in WRITES:
            self.deeds |= CHANGE
        self._called = frozenset() if verb_of(parts) else frozenset(parts)
        if not BASKET.isdisjoint(parts) and not self.deeds.isdisjoint(FILL):
            self._called |= BUYS  # nobody asks for a basket
        self.topics = topics_in([*parts, *first[:14]])
        self._properties = properties
        self._choices: dict[str, list[list[Any]]] = {}

    def asked_by(self, verbs: frozenset[str]) -> bool:
        """Whether what it does is what these verbs ask for; one without a known verb by its name."""
        return not self.deeds.isdisjoint(deeds_of(verbs)) or not self._called.isdisjoint(verbs)

    def default_of(self, name: str) -> Any:
        """What the schema says an argument is if it is not given; None if it says nothing."""
        schema = self._properties.get(name)
        return schema.get("default") if isinstance(schema, Mapping) else None

    def decides(self, spot: Spot, value: Any, argument: Argument | None) -> Decides:
        """What a leaf decides; `argument` is what the manifest says of its top member."""
        kind = _VALUE
        if argument is not None:
            if argument.role is _CONTENT_ROLE:
                return CONTENT
            kind = argument.kind
            if (fixed := _BY_KIND.get(kind)) is not None:
                return fixed
        if isinstance(value, bool) or value is None or self._is_choice(spot, value):
            return CHOICE
        if spot.code:
            return CODE
        if isinstance(value, (int, float)):
            return WHICH if spot.number else HOW_MUCH
        if kind in _PLACES:
            return WHICH
        if spot.when:
            return WHEN
        return NEW_NAME if spot.new and self.makes and kind is _VALUE else WHICH

    def chooses(self, spot: Spot, value: str) -> bool:
        """Whether a text is one of a few that an argument may be."""
        return not spot.inside and self._is_choice(spot, value)

    def _listed(self, name: str) -> list[list[Any]]:
        choices = self._choices.get(name)
        if choices is None and name in self._properties:
            choices = self._choices[name] = list(_lists(self._properties[name], 0))
        return choices or []

    def _is_choice(self, spot: Spot, value: Any) -> bool:
        """Whether it is one of a few that the schema lists; a short word will do where the name says so."""
        if any(value in each for each in self._listed(spot.top)):
            return True
        return spot.choice and isinstance(value, str) and len(value) <= CHOICE_CHARS_MAX and value.isalpha()


def _lists(schema: Any, depth: int) -> Iterator[list[Any]]:
    """The values that a schema lists, wherever it does."""
    if not isinstance(schema, Mapping) or depth > 3:  # noqa: PLR2004 -- unions of arrays of unions, no deeper
        return
    listed = schema.get("enum")
    if isinstance(listed, list):
        yield listed
    inside = [schema.get("items")]
    for union in ("anyOf", "oneOf"):
        if isinstance(found := schema.get(union), list):
            inside += found
    for each in inside:
        yield from _lists(each, depth + 1)


CONTENT: Final = Decides.CONTENT
WHICH: Final = Decides.WHICH
HOW_MUCH: Final = Decides.HOW_MUCH
WHEN: Final = Decides.WHEN
CHOICE: Final = Decides.CHOICE
CODE: Final = Decides.CODE
NEW_NAME: Final = Decides.NEW_NAME
"""For what runs on every value, as in `model/label`."""
_VALUE: Final = ArgumentKind.VALUE
_CONTENT_ROLE: Final = ArgumentRole.CONTENT
_PLACES: Final = frozenset({ArgumentKind.URL, ArgumentKind.ADDRESS})
_BY_KIND: Final = {
    ArgumentKind.QUANTITY: HOW_MUCH,
    ArgumentKind.AMOUNT: HOW_MUCH,
    ArgumentKind.TIME: WHEN,
    ArgumentKind.CODE: CODE,
    ArgumentKind.CHOICE: CHOICE,
    ArgumentKind.NEW_NAME: NEW_NAME,
}
