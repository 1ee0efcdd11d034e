"""Labels: who could have written a value, and who may read it. Two small lattices and their product."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from msgspec import Struct


class Integrity(IntEnum):
    """Who could have written it; a join takes the least trustworthy (the greatest number)."""

    TRUSTED = 0
    """The user's own words, the operator, or a field that the operator vouches for."""
    ASSUMED = 1
    """The model wrote it before anything untrusted was read, and no prompt is known."""
    UNTRUSTED = 2
    """Anyone."""


class Confidentiality(IntEnum):
    """Who may read it; a join takes the most restricted."""

    PUBLIC = 0
    INTERNAL = 1
    CONFIDENTIAL = 2


TRUSTED: Final = Integrity.TRUSTED
ASSUMED: Final = Integrity.ASSUMED
UNTRUSTED: Final = Integrity.UNTRUSTED
CONFIDENTIAL: Final = Confidentiality.CONFIDENTIAL
"""For what runs on every value: to ask an enumeration for a member by name is a call, up to Python 3.11."""

_SAID: Final = {each: each.name.lower() for each in Integrity}
_READ_BY: Final = {each: each.name.lower() for each in Confidentiality}


class Label(Struct, frozen=True):
    """One point of the lattice."""

    integrity: Integrity
    confidentiality: Confidentiality

    def join(self, other: Label) -> Label:
        """The least label that covers both; commutative, associative, idempotent."""
        if other.integrity <= self.integrity and other.confidentiality <= self.confidentiality:
            return self  # as most joins end
        if other.integrity >= self.integrity and other.confidentiality >= self.confidentiality:
            return other
        return Label(max(self.integrity, other.integrity), max(self.confidentiality, other.confidentiality))

    def as_json(self) -> dict[str, str]:
        """Lower-case names."""
        return {"integrity": _SAID[self.integrity], "confidentiality": _READ_BY[self.confidentiality]}

    @staticmethod
    def from_json(value: dict[str, str]) -> Label:
        """The inverse of `as_json`; raises `KeyError` for an unknown name."""
        return Label(Integrity[value["integrity"].upper()], Confidentiality[value["confidentiality"].upper()])


CLEAN = Label(TRUSTED, Confidentiality.PUBLIC)
"""Where a session starts: the bottom of the lattice."""
UNKNOWN = Label(UNTRUSTED, Confidentiality.INTERNAL)
"""What a result is when nothing was said about it."""
