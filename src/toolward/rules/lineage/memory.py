"""What a session has read, as later calls are compared with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import Struct

from toolward.model.label import CLEAN, Label
from toolward.rules.lineage.index import Index
from toolward.rules.lineage.pages import Page
from toolward.rules.lineage.records import Records
from toolward.rules.lineage.spelling import canonical_text

ENTRY_BYTES: Final = 8
"""Of a result for each entry that the index has of it, as measured on rows of JSON and on prose."""


class Heard(Struct, frozen=True, kw_only=True, gc=False):
    """One result that is not in the index yet, as JSON: so it takes a tenth of the room of its objects."""

    body: bytes
    call_id: str
    default: Label
    fields: Mapping[str, Label]
    said: Mapping[str, Any] | None = None  # what its call brought along, where that was less than trusted
    said_label: Label = CLEAN
    read: list[tuple[str, str, Label]] | None = None  # its fields, if somebody looked at them already


@dataclass(slots=True)
class SessionMemory:
    """The values that this session's results held, and what a person said of them.

    A result is put into the index when the next call is labelled: most sessions' last results never are.
    """

    holes: bool = False  # something was forgotten before: the session's taint counts where nothing is known
    index: Index = field(default_factory=Index)
    waiting: list[Heard] = field(default_factory=list)
    endorsed: dict[str, str] = field(default_factory=dict)  # value -> the endorsed call that said it
    endorsed_calls: set[str] = field(default_factory=set)
    records: Records = field(default_factory=Records)

    @property
    def overflowed(self) -> bool:
        """Whether not everything is in it: where nothing is known, the session's taint counts."""
        return self.holes or self.index.overflowed

    @property
    def size(self) -> int:
        """Entries in it, about 200 bytes each; of what waits for the index, about as many as come of it."""
        return self.index.size + sum(len(each.body) for each in self.waiting) // ENTRY_BYTES

    @property
    def proves(self) -> bool:
        """Whether what a trusted field said can be told from what somebody else said before."""
        return not self.index.forgot

    def pages(self, text: str) -> list[Page]:
        """Under which labels a value was seen, the first result of each; only of what was indexed."""
        return self.index.pages(canonical_text(text))

    def endorse(self, call_id: str, values: Iterator[str]) -> None:
        """From now on these count as a person's own words."""
        self.endorsed_calls.add(call_id)
        for value in values:
            self.endorsed.setdefault(value, call_id)
