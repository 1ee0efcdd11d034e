"""The values of one session's results, by value. Bounded: what is dropped is dropped on the safe side."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Generic, TypeVar

from toolward.model.label import CONFIDENTIAL, TRUSTED, Label
from toolward.rules.lineage.atoms import (
    ANCHOR,
    CHARS_MIN,
    apart_key_of,
    hides,
    identifiers,
    last_digit,
    pieces_of,
    signs_of,
    spellings,
    tokens_of,
)
from toolward.rules.lineage.grams import BLOCK, LETTERS_MIN, blocks_of, either_way, marks_of
from toolward.rules.lineage.pages import Opened, Page, Said, Shelf
from toolward.rules.lineage.spelling import squeezed

WHOLE_CHARS_MAX: Final = 4_096
"""Longer values are not compared whole; the runs of characters in them still are."""
KEPT_MAX: Final = 140_000
"""Keys, words and blocks of confidential and of vouched-for results, about 30 MiB: past this the session's
taint alone counts."""
PASSING_MAX: Final = 30_000
"""Keys of all other results in one generation (and as many blocks), of which there are two: about 15 MiB.
The oldest are forgotten, and from then on no result proves anything."""
WORD_CHARS_MIN: Final = 5
"""Letters of a word in a confidential text that is withheld by itself: `for` and `open` are everywhere."""
ALIKE_MAX: Final = 32
"""Identifiers with the same letters up to their last digit that are looked for inside longer runs; further
ones are found where they stand alone."""
LONG_CHARS: Final = 64
"""Of a value of no confidential result whose runs of characters are remembered, to show what was copied."""

_T = TypeVar("_T")


class Generations(Generic[_T]):
    """A dict of bounded size that forgets what was put in longest ago, half of it at a time."""

    __slots__ = ("forgot", "old", "young")

    def __init__(self) -> None:
        self.young: dict[str, _T] = {}
        self.old: dict[str, _T] = {}
        self.forgot = False

    def get(self, key: str) -> _T | None:
        """What was put in under `key` first, unless it was forgotten."""
        found = self.old.get(key)
        return found if found is not None else self.young.get(key)

    def add(self, keys: Iterable[str], value: _T) -> None:
        """Put in those of `keys` that are not there."""
        if len(self.young) >= PASSING_MAX:
            self.forgot = self.forgot or bool(self.old)
            self.old, self.young = self.young, {}
        fresh = set(keys).difference(self.young)
        self.young.update(dict.fromkeys(fresh.difference(self.old) if self.old else fresh, value))

    def __contains__(self, key: object) -> bool:
        return key in self.young or key in self.old

    def __len__(self) -> int:
        return len(self.young) + len(self.old)


class Index:
    """What was seen where, of one session.

    `kept` has the values of confidential and of vouched-for results, `passing` of all others, each by label
    and then by key: the first page that holds it. `words`, `blocks` and `hidden` are of confidential results:
    they are enough to withhold a value, and never to trust it.
    """

    __slots__ = (
        "_entries",
        "_serial",
        "blocks",
        "first_secret",
        "hidden",
        "hosts",
        "kept",
        "marks",
        "overflowed",
        "passing",
        "passing_blocks",
        "secrets",
        "shelf",
        "words",
    )

    def __init__(self) -> None:
        self.kept: dict[Label, dict[str, Page]] = {}
        self.passing: dict[Label, Generations[Page]] = {}
        self.secrets: list[dict[str, Page]] = []  # those of `kept` that are confidential
        self.words: dict[str, Page] = {}
        self.blocks: dict[str, Page] = {}  # by `either_way`
        self.marks: dict[int, None] = {}  # of `blocks`; a set takes twice the room
        self.hidden: dict[str, tuple[tuple[int, str], ...]] = {}  # by what stands before their last digit
        self.hosts: set[str] = set()  # of confidential mail addresses
        self.passing_blocks: Generations[Page] = Generations()
        self.shelf = Shelf()
        self.overflowed = False
        self.first_secret: tuple[int, str] | None = None  # serial and call of the first confidential result
        self._entries = 0
        self._serial = 0

    @property
    def size(self) -> int:
        """Entries in it, about 200 bytes each."""
        return self._entries + sum(map(len, self.passing.values())) + len(self.passing_blocks)

    @property
    def confidential(self) -> bool:
        """Whether something in it was confidential."""
        return bool(self.words or self.blocks)

    @property
    def forgot(self) -> bool:
        """Whether it is no longer known of every value who said it."""
        return any(each.forgot for each in self.passing.values())

    def begin(self, said: Said, fields: Opened) -> int:
        """The serial of a result that is about to be added, with its fields."""
        self._serial += 1
        self.shelf.put(self._serial, said, fields)
        return self._serial

    def add(self, values: list[str], page: Page) -> set[str]:
        """Note the canonical values of one result under one label, and what stands in them: their keys."""
        wholes = {each for each in values if CHARS_MIN <= len(each) <= WHOLE_CHARS_MAX}
        text = "\n".join(values)
        tokens = tokens_of(text)
        signs = signs_of(tokens)
        told = identifiers(signs)
        keys = told | spellings(told, text, tokens, signs) if signs else set()
        if page.label.confidentiality is CONFIDENTIAL:
            self.first_secret = self.first_secret or (page.serial, page.call_id)
            self._note_texts(values, _words(tokens) | wholes, page)
            self._note_secrets(keys, told, wholes)
        else:
            for value in values:
                if len(value) >= LONG_CHARS:
                    self.passing_blocks.add(blocks_of(squeezed(value)), page)
        keys |= wholes
        self.note(keys, page)
        return keys

    def _note_texts(self, values: list[str], words: set[str], page: Page) -> None:
        """The words and the runs of characters by which a confidential text is known again."""
        self._keep(self.words, words, page)
        for value in values:
            if len(value) >= BLOCK and (found := blocks_of(squeezed(value))):
                fresh = self._keep(self.blocks, set(map(either_way, found)), page, entries=2)  # and its mark
                self.marks.update(dict.fromkeys(marks_of("".join(fresh))[::BLOCK]))

    def _note_secrets(self, keys: set[str], told: set[str], wholes: set[str]) -> None:
        """What makes a confidential identifier known again in a longer text; `keys` get its letters."""
        for token in told | wholes:
            letters = squeezed(token)
            if not (key := apart_key_of(token, letters)):
                continue
            address, plain = "@" in token, letters.isalpha()
            if address and len(self.hosts) < KEPT_MAX:
                self.hosts.add(token.partition("@")[2])
            if address or not plain or token in wholes:
                keys.add(key)
            if not plain and hides(letters):
                self._hide(letters)
                self._hide(letters[::-1])

    def note(self, keys: set[str], page: Page) -> None:
        """Note the keys of values that stand in a page."""
        label = page.label
        passes = label.confidentiality is not CONFIDENTIAL
        if passes and label.integrity is not TRUSTED:
            if (passing := self.passing.get(label)) is None:
                passing = self.passing[label] = Generations()
            passing.add(keys, page)
        else:
            if (kept := self.kept.get(label)) is None:
                kept = self.kept[label] = {}
                if not passes:
                    self.secrets.append(kept)
            self._keep(kept, keys, page)

    def pages(self, key: str) -> list[Page]:
        """The first page of each label in which a key stands, in the order in which they were read."""
        found = []
        for kept in self.kept.values():
            if (page := kept.get(key)) is not None:
                found.append(page)  # noqa: PERF401 -- a comprehension is a call of its own, up to 3.11
        for passing in self.passing.values():
            if (page := passing.old.get(key) or passing.young.get(key)) is not None:
                found.append(page)  # noqa: PERF401 -- the same
        return found if len(found) < 2 else sorted(found, key=lambda each: each.serial)  # noqa: PLR2004 -- order

    def blocks_in(self, letters: str) -> list[str]:
        """The runs of a squeezed text that are confidential blocks, in the one direction or the other."""
        marks, known = marks_of(letters), self.marks
        if known.keys().isdisjoint(marks):
            return []
        runs = [letters[at : at + BLOCK] for at, mark in enumerate(marks) if mark in known]
        return [run for run in runs if either_way(run) in self.blocks and len(set(run)) >= LETTERS_MIN]

    def _keep(self, kept: dict[str, Page], keys: set[str], page: Page, *, entries: int = 1) -> set[str]:
        """Put in those of `keys` that are not there, and return them: all, or none where there is no room."""
        fresh = keys.difference(kept)
        if self._entries + entries * len(fresh) > KEPT_MAX:
            self.overflowed = True
            return set()
        self._entries += entries * len(fresh)
        kept.update(dict.fromkeys(fresh, page))
        return fresh

    def _hide(self, letters: str) -> None:
        at = last_digit(letters)
        anchor = letters[max(0, at - ANCHOR + 1) : at + 1]
        known = self.hidden.get(anchor, ())
        entry = (at, letters)
        if entry not in known and len(known) < ALIKE_MAX and len(self.hidden) < KEPT_MAX:
            self.hidden[anchor] = (*known, entry)


def _words(tokens: Iterable[str]) -> set[str]:
    """The words of a text, and the pieces of those that have joints."""
    bare = {each.strip(".,:;!?") for each in tokens}
    pieces = [piece for each in bare if not each.isalnum() for piece in pieces_of(each)]
    return {
        each for each in (*bare, *pieces) if len(each) >= (WORD_CHARS_MIN if each.isalpha() else CHARS_MIN)
    }
