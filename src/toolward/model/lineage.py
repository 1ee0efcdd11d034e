"""Where a value came from."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from toolward.model.label import Label


class SourceKind(StrEnum):
    """What kind of place a value was seen in."""

    PROMPT = "prompt"
    OBJECTIVE = "objective"
    OPERATOR = "operator"  # the manifest's own value domain: roots, own accounts
    RESULT = "result"
    MODEL = "model"  # seen nowhere: the agent wrote it


class How(StrEnum):
    """How an argument was recognised in a source. Only the first three can prove anything."""

    EXACT = "exact"  # the whole value is a whole value there
    ATOM = "atom"  # the whole value is an identifier that stands there by itself
    HANDLE = "handle"  # the agent named the place, and the gateway put the value in
    WORD = "word"  # it is a word there
    PART = "part"  # an identifier inside the value stands there
    GRAM = "gram"  # they share a run of characters
    VIEW = "view"  # one of the above, once the value was decoded


PROVES: Final = frozenset({How.EXACT, How.ATOM, How.HANDLE})
"""What counts as a witness of who could have written the whole value; the rest only taints."""


class Source(Struct, frozen=True):
    """One place; `reference` is a call_id for results, a name otherwise.

    `pointer` is an RFC 6901 pointer into that result ("" for member names and what has no place), `view`
    names the decodings that had to be undone, outermost first ("base64 gzip").
    """

    kind: SourceKind
    reference: str
    label: Label
    pointer: str = ""
    how: How = How.EXACT
    view: str = ""


class Leaf(Struct, frozen=True):
    """One argument leaf (`pointer` is an RFC 6901 JSON pointer) with all that is known of its origin."""

    pointer: str
    sources: tuple[Source, ...]
    label: Label


class Handle(Struct, frozen=True, kw_only=True):
    """A reference that the agent sent in place of a value: `pointer` into what `call` answered.

    `at` is the pointer of the argument that it stood at; what was put in there may have leaves of its own.
    """

    at: str
    call: str
    pointer: str
