"""Where a value came from."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from toolward.model.label import Label


class SourceKind(StrEnum):
    """What kind of place a value was seen in."""

    PROMPT = "prompt"
    OBJECTIVE = "objective"
    OPERATOR = "operator"  # the manifest's own value domain: roots, own accounts
    RESULT = "result"
    MODEL = "model"  # seen nowhere: the agent wrote it


class Source(Struct, frozen=True):
    """One place; `reference` is a call_id for results, a name otherwise."""

    kind: SourceKind
    reference: str
    label: Label


class Leaf(Struct, frozen=True):
    """One argument leaf (`pointer` is an RFC 6901 JSON pointer) with all that is known of its origin."""

    pointer: str
    sources: tuple[Source, ...]
    label: Label
