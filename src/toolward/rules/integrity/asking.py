"""Whether the session's own words ask for a call: for such a deed, of this thing or of one of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from toolward.model.verdict import Verdict, Witness
from toolward.rules.integrity.arguments import Tool
from toolward.rules.integrity.clauses import asked_of
from toolward.rules.integrity.grounds import Grounds

_NAMED: Final = frozenset({Witness.WORDS, Witness.FIELD, Witness.SOURCE, Witness.ENDORSED})


class Asking(Struct, frozen=True, kw_only=True):
    """The words beside one call, whose deed they ask for or leave to a source."""

    grounds: Grounds
    tool: Tool
    values: list[tuple[str, Any]]  # the call's, by pointer
    which: list[Verdict]  # of those that decide who, where, which
    roots: tuple[str, ...]  # directories of the operator's
    undoable: bool
    handed_over: bool  # the words hand over to what some source says, whatever deed that is
    chosen: list[str]  # values of it that are one of a few
    dictated: bool  # all that the call says in words stands in the words
    clauses: bool  # a thing must be spoken of where the deed is

    def for_it(self) -> bool:
        """Whether they do."""
        grounds, tool = self.grounds, self.tool
        said = {pointer: str(value) for pointer, value in self.values}
        if self.clauses and not self.handed_over and not self._where_named(said):
            return False
        places = [each for each in self.which if each.witness is Witness.OPERATOR]
        if not all(self._is_meant(said[each.pointer]) for each in places):
            return False
        if any(each.witness in _NAMED for each in self.which):
            return True
        if (
            self.which
        ):  # the operator's own places are many: that a call stays in them says not which is meant
            return self.undoable and len(places) == len(self.which) and self._speaks()
        topical = bool(tool.topics & grounds.topics) or any(part in grounds.pointing for part in tool.parts)
        return self.dictated or (topical and (self.handed_over or self._speaks()))

    def _where_named(self, said: Mapping[str, str]) -> bool:
        """Whether the deed is asked for where the words name a thing, of each that they name."""
        named = [said[each.pointer] for each in self.which if each.witness is Witness.WORDS]
        beside = frozenset(value.strip().casefold() for value in said.values())
        asked = [asked_of(value, self.grounds.clauses, beside) for value in named]
        return all(verbs is None or self.tool.asked_by(verbs) for verbs in asked)

    def _is_meant(self, place: str) -> bool:
        """Whether the words say what a place of the operator's is called: not its directories, but itself.

        A directory that the operator declared as it is, is the one to work in.
        """
        if "/" not in place or "://" in place or place.rstrip("/") in self.roots:
            return True
        name = place.rstrip("/").rsplit("/", 1)[-1]
        return self.grounds.says(name) or self.grounds.means(name.rsplit(".", 1)[0] or name)

    def _speaks(self) -> bool:
        """Whether what the call says shares a word with the words, where nothing else ties it to them."""
        texts = [value for _, value in self.values if isinstance(value, str)]
        if not texts:
            return True
        numbers = [str(value) for _, value in self.values if isinstance(value, (int, float))]
        said = any(map(self.grounds.says, [*numbers, *self.chosen]))  # `START`, which is no thing but a deed
        return said or any(self.grounds.touches(text) for text in texts)
