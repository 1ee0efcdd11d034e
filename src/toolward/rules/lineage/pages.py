"""What was read, kept small: enough to find again where in a result a value stood."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Final

import orjson
from msgspec import Struct

from toolward.model.label import Label
from toolward.model.lineage import How
from toolward.rules.lineage.atoms import keys_in, letters_of, tokens_of
from toolward.rules.lineage.fields import labelled_fields
from toolward.rules.lineage.grams import BLOCK
from toolward.rules.lineage.patterns import label_at
from toolward.rules.lineage.spelling import canonical_text, squeezed

KEPT_BYTES_MAX: Final = 8 * 2**20
"""Of the results of one session; of older ones it is known that a value stood in them, not where."""
OPENED_MAX: Final = 16
"""Results that are kept as fields, for the next question."""
SEARCHED_FIELDS_MAX: Final = 2_000
"""Fields of one result that are looked through for a part of a text; what stands behind has no pointer."""

SPELLED_MAX: Final = 10_000
"""Keys of one result whose places are remembered, about a megabyte; further ones are found without one."""


class Page(Struct, frozen=True, gc=False, kw_only=True):
    """One result under one label. `serial` tells what was read first; all pages of a result share it."""

    serial: int
    call_id: str
    label: Label


class Said(Struct, frozen=True, kw_only=True, gc=False):
    """A result as it was, and how its fields are labelled."""

    call_id: str
    body: bytes
    fields: Mapping[str, Label]
    default: Label


class Opened(Struct, gc=False):
    """The fields of a result, in order: pointers, and the canonical text at each."""

    pointers: list[str]
    texts: list[str]
    _letters: list[str] | None = None
    _spelled: dict[str, int] | None = None

    def find(self, key: str) -> str:
        """The pointer of the first field in which a key of another spelling stands, "" if it is in none.

        Each field is looked through once, however many keys are asked for: a copied log holds thousands.
        """
        searched = self.texts[:SEARCHED_FIELDS_MAX]
        if self._letters is None or self._spelled is None:
            self._letters, self._spelled = [squeezed(text) for text in searched], {}
            for at, text in enumerate(searched):
                if len(self._spelled) >= SPELLED_MAX:
                    break
                for each in keys_in(text, tokens_of(text)):
                    self._spelled.setdefault(each, at)
        found = self._spelled.get(key, len(searched))
        if letters := letters_of(key):
            found = next((at for at, text in enumerate(self._letters[:found]) if letters in text), found)
        return self.pointers[found] if found < len(searched) else ""


class Shelf:
    """The newest results of a session, by serial, and the places of values in them."""

    __slots__ = ("_bytes", "_calls", "_opened", "_said")

    def __init__(self) -> None:
        self._said: OrderedDict[int, Said] = OrderedDict()
        self._opened: OrderedDict[int, Opened] = OrderedDict()
        self._calls: dict[str, int] = {}
        self._bytes = 0

    def put(self, serial: int, said: Said, fields: Opened) -> None:
        """Keep a result, and for now its fields."""
        self._said[serial] = said
        self._calls[said.call_id] = serial  # of what a call said on the way and its answer, the answer
        self._bytes += len(said.body)
        while self._bytes > KEPT_BYTES_MAX:
            gone, oldest = self._said.popitem(last=False)
            self._opened.pop(gone, None)
            if self._calls.get(oldest.call_id) == gone:
                del self._calls[oldest.call_id]
            self._bytes -= len(oldest.body)
        self._keep(serial, fields)

    def after(self, serial: int) -> Iterator[tuple[int, Said]]:
        """The results that are still here and came after that one, in order."""
        for at, said in self._said.items():
            if at > serial:
                yield at, said

    def label_of(self, call_id: str, pointer: str) -> Label | None:
        """The label of a field of a call's answer; None if that is not known any more."""
        said = self._said.get(self._calls.get(call_id, -1))
        return label_at(pointer, said.fields, said.default) if said is not None else None

    def place(self, page: Page, key: str) -> tuple[str, How]:
        """Pointer and manner in which `key` stands in a page; "" where that is not known any more."""
        opened = self._open(page.serial)
        if key in opened.texts:
            return opened.pointers[opened.texts.index(key)], How.EXACT
        for at, text in enumerate(opened.texts):
            if key in text:
                return opened.pointers[at], How.ATOM
        return "", How.ATOM

    def respelled(self, page: Page, key: str) -> str:
        """The pointer of the first field of a page in which a key of another spelling stands."""
        return self._open(page.serial).find(key)

    def holding(self, page: Page, block: str) -> str:
        """The pointer of the first field with these letters in it, in the one direction or the other."""
        opened, turned = self._open(page.serial), block[::-1]
        for at, text in enumerate(opened.texts):
            if len(text) >= BLOCK and (
                (letters := squeezed(text)) and (block in letters or turned in letters)
            ):
                return opened.pointers[at]
        return ""

    def holds(self, page: Page, block: str) -> bool:
        """Whether these letters stand in a page; not, where that is not known any more."""
        return any(len(text) >= BLOCK and block in squeezed(text) for text in self._open(page.serial).texts)

    def _open(self, serial: int) -> Opened:
        opened = self._opened.get(serial)
        if opened is None:
            said = self._said.get(serial)
            if said is None:
                return Opened([], [])
            fields = labelled_fields(orjson.loads(said.body), said.fields, said.default)
            opened = Opened(
                [pointer for pointer, _, _ in fields], [canonical_text(text) for _, text, _ in fields]
            )
            self._keep(serial, opened)
        return opened

    def _keep(self, serial: int, fields: Opened) -> None:
        self._opened[serial] = fields
        while len(self._opened) > OPENED_MAX:
            self._opened.popitem(last=False)
