"""What a result brings into a session: every value of it under the label of its field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from toolward.model.call import LabelledCall
from toolward.model.label import CLEAN, UNKNOWN, Integrity, Label
from toolward.model.tool import Manifest
from toolward.rules.lineage.atoms import (
    CHARS_MIN,
    identifiers,
    pieces_of,
    spelled,
    spelled_apart,
    tokens_of,
)
from toolward.rules.lineage.fields import labelled_fields
from toolward.rules.lineage.leaves import leaves_of
from toolward.rules.lineage.memory import Heard, SessionMemory
from toolward.rules.lineage.spelling import canonical_text, squeezed

TEXT_CHARS_MAX: Final = 65_536
"""Of one value; what stands behind is not remembered, and the session's taint counts for it."""


def remember_result(
    memory: SessionMemory,
    result: Mapping[str, Any],
    *,
    call_id: str,
    manifest: Manifest | None,
    asked: LabelledCall | None = None,
) -> Label:
    """Note every value of a result and return the label of the whole: the join of its parts.

    `asked` is the call: a server that says its arguments again does not make them more trustworthy.
    """
    default = manifest.result if manifest is not None and manifest.result is not None else UNKNOWN
    fields = manifest.result_fields if manifest is not None else {}
    if asked is not None and asked.arguments_label.integrity is Integrity.TRUSTED:
        asked = None
    memory.waiting.append(Heard(result=result, call_id=call_id, default=default, fields=fields, asked=asked))
    worst = default
    if fields:
        for _, _, label in labelled_fields(result, fields, default):
            worst = worst.join(label)
    return worst


def index_waiting(memory: SessionMemory) -> None:
    """Put the results into the index that are not in it yet."""
    waiting, memory.waiting = memory.waiting, []
    for heard in waiting:
        _index(memory, heard)


def values_of(result: Mapping[str, Any]) -> Iterator[str]:
    """The values of a result and the words in them, as they are compared."""
    for _, text, _ in labelled_fields(result, {}, UNKNOWN):
        canonical = canonical_text(text[:TEXT_CHARS_MAX])
        yield canonical
        for token in tokens_of(canonical):
            bare = token.strip(".,:;!?")
            if len(bare) >= CHARS_MIN:
                yield bare
            yield from (piece for piece in pieces_of(bare) if len(piece) >= CHARS_MIN)


def _index(memory: SessionMemory, heard: Heard) -> None:
    echo = _Echo(heard.asked) if heard.asked is not None else None
    for pointer, text, label in labelled_fields(heard.result, heard.fields, heard.default):
        if len(text) > TEXT_CHARS_MAX:
            memory.holes = True
            text = text[:TEXT_CHARS_MAX]  # noqa: PLW2901 -- what is behind it is not remembered
        canonical = canonical_text(text)
        memory.index.add(canonical, heard.call_id, pointer, label)
        if echo is not None and label.integrity < echo.label.integrity:
            for word in echo.again(canonical):
                memory.index.add(word, heard.call_id, pointer, label.join(echo.label))


class _Echo:
    """What a call brought along. Said again by its answer, it is no better than it was there."""

    __slots__ = ("_keys", "_letters", "label")

    def __init__(self, asked: LabelledCall) -> None:
        said = canonical_text("\n".join(str(leaf) for _, leaf in leaves_of(asked.call.arguments)))
        self.label = Label(asked.arguments_label.integrity, CLEAN.confidentiality)
        self._letters = squeezed(said)
        self._keys = set(_keys(said))

    def again(self, canonical: str) -> Iterator[str]:
        """The values of an answer that the call had said, in whatever spelling."""
        for value in (canonical, *identifiers(tokens_of(canonical))):
            letters = squeezed(value)
            if (letters and letters in self._letters) or not self._keys.isdisjoint(_keys(value)):
                yield value
                yield from pieces_of(value)


def _keys(canonical: str) -> Iterator[str]:
    tokens = tokens_of(canonical)
    for token in identifiers(tokens):
        yield from spelled(token)
    yield from spelled_apart(canonical, tokens)
