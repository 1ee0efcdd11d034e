"""What each argument of a tool decides: who, which, how much, when, or only one of a few choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import orjson

from toolward.model.tool import Argument, ArgumentKind, ArgumentRole
from toolward.rules.integrity.words import (
    DEEDS,
    EMPTY,
    TOPICS,
    WRITES,
    deeds_in,
    listed,
    parts_of_name,
    stem,
    stems,
    topics_in,
)

DEFINITIONS_REMEMBERED: Final = 4_096
"""Definitions that stay read, about a kilobyte each."""
CHOICE_CHARS_MAX: Final = 20
"""Longer values of an argument named `type`, `mode` … are no choice of a few."""


CHANGE: Final = deeds_in([stem("change")])


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

    __slots__ = ("_called", "_properties", "deeds", "makes", "name", "parts", "topics")

    def __init__(self, name: str, description: str, properties: Mapping[str, Any]) -> None:
        parts = parts_of_name(name)
        first = stems(description.split(".", 1)[0])
        described = verb_of(first[:2])
        verb = verb_of(parts) or described
        self.name = name
        self.makes = bool(parts) and parts[0] in _MAKES
        self.parts = frozenset(parts) - EMPTY - {verb}
        self.deeds = deeds_in([verb, described])  # `write_query`: "Execute an UPDATE …"
        if verb in WRITES:
            self.deeds |= CHANGE
        self._called = frozenset() if verb_of(parts) else frozenset(parts)
        self.topics = topics_in([*parts, *first[:14]])
        self._properties = properties

    def asked_by(self, verbs: frozenset[str]) -> bool:
        """Whether what it does is what these verbs ask for; one without a known verb by its name."""
        return not self.deeds.isdisjoint(deeds_in(verbs)) or not self._called.isdisjoint(verbs)

    def default_of(self, name: str) -> Any:
        """What the schema says an argument is if it is not given; None if it says nothing."""
        schema = self._properties.get(name)
        return schema.get("default") if isinstance(schema, Mapping) else None

    def decides(self, pointer: str, value: Any, argument: Argument | None) -> Decides:
        """What the leaf at `pointer` decides; `argument` is what the manifest says of its top member."""
        if argument is not None and argument.role is ArgumentRole.CONTENT:
            return Decides.CONTENT
        names = pointer.split("/")[1:]
        top, last = names[0] if names else "", next((n for n in reversed(names) if not n.isdigit()), "")
        kind = argument.kind if argument is not None else ArgumentKind.VALUE
        if kind in _BY_KIND:
            return _BY_KIND[kind]
        parts = parts_of_name(last)
        end = parts[-1] if parts else ""
        if (
            isinstance(value, bool)
            or value is None
            or self._is_choice(top, value)
            or _like_choice(end, value)
        ):
            return Decides.CHOICE
        if end in _CODE or (parts and parts[0] in _CODE):
            return Decides.CODE
        if isinstance(value, (int, float)):
            return Decides.WHICH if end in _NUMBER_OF else Decides.HOW_MUCH
        if kind in (ArgumentKind.URL, ArgumentKind.ADDRESS):
            return Decides.WHICH
        if any(part in _WHEN for part in parts):
            return Decides.WHEN
        if end in _NAMES_NEW and kind is ArgumentKind.VALUE and self.makes:
            return Decides.NEW_NAME
        return Decides.WHICH

    def _is_choice(self, name: str, value: Any) -> bool:
        schema = self._properties.get(name)
        return _names(schema, value, 0)


def _names(schema: Any, value: Any, depth: int) -> bool:
    """Whether a schema lists the value among a few."""
    if not isinstance(schema, Mapping) or depth > 3:  # noqa: PLR2004 -- unions of arrays of unions, no deeper
        return False
    listed = schema.get("enum")
    if isinstance(listed, list) and value in listed:
        return True
    inner = [*(schema.get("anyOf") or ()), *(schema.get("oneOf") or ()), schema.get("items")]
    return any(_names(each, value, depth + 1) for each in inner)


def _like_choice(end: str, value: Any) -> bool:
    """A short word for an argument that is named as a choice, where the schema lists none."""
    return end in _CHOICE and isinstance(value, str) and len(value) <= CHOICE_CHARS_MAX and value.isalpha()


_BY_KIND: Final = {
    ArgumentKind.QUANTITY: Decides.HOW_MUCH,
    ArgumentKind.AMOUNT: Decides.HOW_MUCH,
    ArgumentKind.TIME: Decides.WHEN,
    ArgumentKind.CODE: Decides.CODE,
    ArgumentKind.CHOICE: Decides.CHOICE,
    ArgumentKind.NEW_NAME: Decides.NEW_NAME,
}
