"""The parts of the integrity rule."""

from __future__ import annotations

from enum import Flag, auto
from typing import Final


class Mechanism(Flag):
    """Parts of the rule that can be left out, to see what each buys."""

    INTENT = auto()  # the deed and its object must be asked for
    FIELDS = auto()  # vouched fields prove
    OBJECTS = auto()  # … only of the object that the words point at
    DELEGATION = auto()  # sources that the words hand over to
    ONCE = auto()  # … once each
    BOUNDS = auto()  # quantities up to what is witnessed
    CHOICES = auto()  # when, one of a few, new names
    CODES = auto()  # one-time values to their verifier
    ADDRESSES = auto()  # new addresses in content
    CLAUSES = auto()  # the deed must be asked for where its object is named
    WORDING = auto()  # content that stands word for word in what somebody else wrote


EVERYTHING: Final = ~Mechanism(0)
INTENT: Final = Mechanism.INTENT.value
FIELDS: Final = Mechanism.FIELDS.value
OBJECTS: Final = Mechanism.OBJECTS.value
DELEGATION: Final = Mechanism.DELEGATION.value
ONCE: Final = Mechanism.ONCE.value
BOUNDS: Final = Mechanism.BOUNDS.value
CHOICES: Final = Mechanism.CHOICES.value
CODES: Final = Mechanism.CODES.value
ADDRESSES: Final = Mechanism.ADDRESSES.value
CLAUSES: Final = Mechanism.CLAUSES.value
WORDING: Final = Mechanism.WORDING.value
"""As bits: to ask a flag for a member is three calls."""
