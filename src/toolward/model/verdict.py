"""What was found of one argument of a call that has an effect."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from toolward.model.label import Integrity


class Witness(StrEnum):
    """Who stands behind a value."""

    WORDS = "words"  # the session's own: prompt, objective, step
    PLAN = "plan"  # declared before anything untrusted was read
    OPERATOR = "operator"  # declared roots and destinations
    ENDORSED = "endorsed"  # a person stands for the source
    FIELD = "field"  # a field that the server vouches for, of the object that the words point at
    SOURCE = "source"  # a source that the words name and hand over to
    BOUND = "bound"  # a quantity no greater than, or computed from, what is witnessed
    CHOICE = "choice"  # it decides neither who nor which
    MADE = "made"  # what something new is called, or a text
    VERIFIER = "verifier"  # a code that goes back to whom it came from
    MODEL = "model"  # nobody: the agent wrote it
    RESULT = "result"  # nobody who counts: it stands in a result


class Verdict(Struct, frozen=True):
    """One argument leaf: who stands behind it, how far that makes it trusted, and why in words."""

    pointer: str
    integrity: Integrity
    witness: Witness
    why: str
    source: str = ""  # the call whose result it is from
    decides: str = ""  # what the value decides
