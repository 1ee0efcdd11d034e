"""The values of one session's results, by value. Bounded: what is dropped is dropped on the safe side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from msgspec import Struct

from toolward.model.label import Confidentiality, Integrity, Label
from toolward.model.lineage import How
from toolward.rules.lineage.atoms import (
    CHARS_MIN,
    PART_CHARS_MIN,
    apart_key,
    hides,
    host_in,
    identifiers,
    letters_of,
    pieces_of,
    spelled,
    spelled_apart,
    tells,
    tokens_of,
)
from toolward.rules.lineage.grams import blocks_of
from toolward.rules.lineage.spelling import squeezed

WHOLE_CHARS_MAX: Final = 4_096
"""Longer values are not compared whole; the runs of characters in them still are."""
KEPT_MAX: Final = 100_000
"""Keys, words and blocks of confidential and of vouched-for results, about 20 MiB: past this the session's
taint alone counts."""
PASSING_MAX: Final = 30_000
"""Keys (and as many blocks) of all other results in one generation, of which there are two: about 15 MiB.
The oldest are forgotten, and from then on no result proves anything."""
PLACES_MAX: Final = 4
"""Places kept for one value, and one more for each label it was seen under besides."""


class Place(Struct, frozen=True, gc=False):
    """Where a value stood. `serial` tells what was read first."""

    serial: int
    call_id: str
    pointer: str
    label: Label
    how: How


_T = TypeVar("_T")


class Generations(Generic[_T]):
    """A dict of bounded size that forgets what was put in longest ago, half of it at a time."""

    __slots__ = ("forgot", "old", "young")

    def __init__(self) -> None:
        self.young: dict[str, _T] = {}
        self.old: dict[str, _T] = {}
        self.forgot = False

    def get(self, key: str) -> _T | None:
        """What was put in under `key`, unless it was forgotten."""
        found = self.young.get(key)
        return found if found is not None else self.old.get(key)

    def __contains__(self, key: object) -> bool:
        return key in self.young or key in self.old

    def turn(self) -> None:
        """Begin a new generation if this one is full."""
        if len(self.young) >= PASSING_MAX:
            self.forgot = self.forgot or bool(self.old)
            self.old, self.young = self.young, {}

    def __len__(self) -> int:
        return len(self.young) + len(self.old)


class Index:
    """What was seen where, of one session.

    `kept` has the values of confidential and of vouched-for results, `passing` of all others. `words` and
    `blocks` are of confidential results: they are enough to withhold a value, and never to trust it.
    """

    __slots__ = ("_serial", "blocks", "kept", "overflowed", "passing", "passing_blocks", "starts", "words")

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Place, ...]] = {}
        self.words: dict[str, Place] = {}
        self.blocks: dict[str, Place] = {}
        self.starts: dict[str, tuple[str, ...]] = {}  # of identifiers that may be glued to something
        self.passing: Generations[tuple[Place, ...]] = Generations()
        self.passing_blocks: Generations[Place] = Generations()
        self.overflowed = False
        self._serial = 0

    @property
    def size(self) -> int:
        """Entries in it, about 200 bytes each."""
        kept = len(self.kept) + len(self.words) + len(self.blocks)
        return kept + len(self.passing) + len(self.passing_blocks)

    @property
    def confidential(self) -> bool:
        """Whether something in it was confidential."""
        return bool(self.words or self.blocks)

    def add(self, canonical: str, call_id: str, pointer: str, label: Label) -> None:
        """Note a value and what stands in it."""
        if len(canonical) < CHARS_MIN:
            return
        self._serial += 1
        secret = label.confidentiality is Confidentiality.CONFIDENTIAL
        whole = Place(self._serial, call_id, pointer, label, How.EXACT)
        if len(canonical) <= WHOLE_CHARS_MAX:
            self._note(canonical, whole)
            if canonical.isalpha() and not secret:
                return
        tokens = tokens_of(canonical)
        atom = Place(self._serial, call_id, pointer, label, How.ATOM)
        for key in _atoms(canonical, tokens, secret=secret):
            self._note(key, atom)
        letters = squeezed(canonical)
        if secret:
            self._note_words(canonical, tokens, Place(self._serial, call_id, pointer, label, How.WORD))
        self._note_blocks(letters, Place(self._serial, call_id, pointer, label, How.GRAM), secret=secret)

    def places(self, key: str) -> tuple[Place, ...]:
        """Where a key was seen, in the order in which it was read."""
        kept, passing = self.kept.get(key), self.passing.get(key)
        if kept is None:
            return passing or ()
        return kept if passing is None else (*kept, *passing)

    def _room(self) -> bool:
        if len(self.kept) + len(self.words) + len(self.blocks) < KEPT_MAX:
            return True
        self.overflowed = True
        return False

    def _note(self, key: str, place: Place) -> None:
        label = place.label
        if (
            label.integrity is not Integrity.TRUSTED
            and label.confidentiality is not Confidentiality.CONFIDENTIAL
        ):
            self.passing.turn()
            before = self.passing.get(key)
            if before is None or (added := _added(before, place)) is not before:
                self.passing.young[key] = (place,) if before is None else added
            return
        before = self.kept.get(key)
        if before is not None:
            self.kept[key] = _added(before, place)
        elif self._room():
            self.kept[key] = (place,)
            if (letters := letters_of(key)) and hides(letters):
                start = letters[:PART_CHARS_MIN]
                self.starts[start] = (*self.starts.get(start, ()), letters)

    def _note_words(self, canonical: str, tokens: list[str], place: Place) -> None:
        for word in _words(tokens):
            if len(word) >= CHARS_MIN and word not in self.words:
                if not self._room():
                    return
                self.words[word] = place
        if not self.words:
            self.words[canonical[:WHOLE_CHARS_MAX]] = place  # so that it is known that there is something

    def _note_blocks(self, letters: str, place: Place, *, secret: bool) -> None:
        if not secret:
            self.passing_blocks.turn()
            young, old = self.passing_blocks.young, self.passing_blocks.old
            for block in blocks_of(letters):
                if block not in old:
                    young.setdefault(block, place)
            return
        for block in blocks_of(letters):
            if block not in self.blocks:
                if not self._room():
                    return
                self.blocks[block] = place


def _added(before: tuple[Place, ...], place: Place) -> tuple[Place, ...]:
    """`before` and `place`, unless it tells nothing new or there are enough."""
    for each in before:
        if each.label == place.label and (each.call_id == place.call_id or len(before) >= PLACES_MAX):
            return before
    return (*before, place)


def _atoms(canonical: str, tokens: list[str], *, secret: bool) -> Iterator[str]:
    """The keys of the identifiers in a text."""
    for token in identifiers(tokens):
        if token != canonical:
            yield token
        yield from spelled(token)
        for piece in pieces_of(token):
            if len(piece) >= CHARS_MIN and not piece.isalpha():
                yield piece
                yield from spelled(piece)
        if secret:
            if tells(token) and (apart := apart_key(token)):
                yield apart
        elif host := host_in(token):
            yield host
    if len(tokens) > 1:
        yield from spelled_apart(canonical, tokens)
    if secret and (apart := apart_key(canonical)):
        yield apart


def _words(tokens: list[str]) -> Iterator[str]:
    for token in tokens:
        bare = token.strip(".,:;!?")
        yield bare
        if not bare.isalnum():
            yield from pieces_of(bare)
