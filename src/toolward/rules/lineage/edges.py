"""What is written down of where a call's arguments came from: short, bounded, and never a value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import orjson
from msgspec import Struct

from toolward.model.label import Confidentiality, Integrity, Label
from toolward.model.lineage import How, Leaf, Source, SourceKind

EDGES_MAX: Final = 64
"""Of one call; the first ones, and how many were left out."""
POINTER_CHARS_MAX: Final = 200
"""A member's name may be a value: of a longer pointer the beginning is kept."""


class Edge(Struct, frozen=True, kw_only=True):
    """One argument leaf, and one place where it, or something of it, was seen."""

    pointer: str
    source: Source


def edges_to_json(leaves: Iterable[Leaf]) -> bytes:
    """The edges of a call as a record's payload; empty if all that is known is that the agent wrote it."""
    rows: list[list[str]] = []
    left_out = 0
    for leaf in leaves:
        for source in leaf.sources:
            if source.kind is SourceKind.MODEL:
                continue
            if len(rows) >= EDGES_MAX:
                left_out += 1
                continue
            rows.append(_row(leaf.pointer, source))
    if not rows:
        return b""
    return orjson.dumps({"edges": rows, "left_out": left_out} if left_out else {"edges": rows})


def edges_from_json(payload: bytes) -> tuple[list[Edge], int]:
    """The inverse: the edges, and how many were left out."""
    said = orjson.loads(payload)
    return [_edge(row) for row in said["edges"]], said.get("left_out", 0)


def _row(pointer: str, source: Source) -> list[str]:
    return [
        pointer[:POINTER_CHARS_MAX],
        source.kind.value,
        source.reference,
        source.pointer[:POINTER_CHARS_MAX],
        source.how.value,
        source.view,
        source.label.integrity.name.lower(),
        source.label.confidentiality.name.lower(),
    ]


def _edge(row: list[str]) -> Edge:
    pointer, kind, reference, place, how, view, integrity, readers = row
    label = Label(Integrity[integrity.upper()], Confidentiality[readers.upper()])
    return Edge(
        pointer=pointer,
        source=Source(SourceKind(kind), reference, label, place, How(how), view),
    )
