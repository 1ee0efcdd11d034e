"""What a result brings into a session: every value of it under the label of its field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from toolward.model.call import LabelledCall
from toolward.model.label import CLEAN, TRUSTED, UNKNOWN, Label
from toolward.model.tool import Manifest
from toolward.rules.lineage.atoms import CHARS_MIN, is_spelling, keys_in, pieces_of, tokens_of
from toolward.rules.lineage.fields import labelled_fields
from toolward.rules.lineage.leaves import leaves_of
from toolward.rules.lineage.memory import Heard, SessionMemory
from toolward.rules.lineage.pages import Opened, Page, Said
from toolward.rules.lineage.spelling import canonical_text, canonical_texts, squeezed
from toolward.rules.mute import is_mute

TEXT_CHARS_MAX: Final = 65_536
"""Of one value; what stands behind is not remembered, and the session's taint counts for it."""
READ_BYTES_MAX: Final = 2_048
"""Of a result whose fields, once looked at, are kept until it is indexed: they take ten times its room."""


def remember_result(
    memory: SessionMemory,
    result: Mapping[str, Any],
    *,
    call_id: str,
    manifest: Manifest | None,
    asked: LabelledCall | None = None,
    encoded: bytes = b"",
) -> Label:
    """Note every value of a result and return the label of the whole: the join of its parts.

    Nobody untrusted speaks where a call that did something says no more than that.
    `asked` is the call: a server that says its arguments again does not make them more trustworthy.
    `encoded` is the result as JSON, where somebody has that already.
    """
    default = manifest.result if manifest is not None and manifest.result is not None else UNKNOWN
    fields = manifest.result_fields if manifest is not None else {}
    if asked is not None:
        memory.records.hear(result, call_id=call_id, manifest=manifest, asked=asked)
    said = asked if asked is not None and asked.arguments_label.integrity is not TRUSTED else None
    worst, read = default, None
    if default.integrity is TRUSTED or any(
        default.join(label) is not default for label in fields.values()
    ):  # else no field can make it worse
        read = labelled_fields(result, fields, default)
        for _, _, label in read:
            worst = worst.join(label)
    try:
        # a copy of its own size: the buffer is far larger
        body = bytes(memoryview(encoded or orjson.dumps(result)))
    except TypeError:  # what a function gave is no JSON: nothing is known of it, so the taint counts
        memory.holes = True
    else:
        read = read if len(body) <= READ_BYTES_MAX else None
        memory.waiting.append(
            Heard(
                body=body,
                call_id=call_id,
                default=default,
                fields=fields,
                said=said.call.arguments if said is not None else None,
                said_label=said.arguments_label if said is not None else CLEAN,
                read=read,
            )
        )
    if asked is not None and asked.facts.writes and worst.integrity is not TRUSTED and is_mute(result):
        return Label(TRUSTED, worst.confidentiality)
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
    read = heard.read or labelled_fields(orjson.loads(heard.body), heard.fields, heard.default)
    if len(heard.body) > TEXT_CHARS_MAX and any(len(text) > TEXT_CHARS_MAX for _, text, _ in read):
        memory.holes = True  # what is behind it is not remembered
        read = [(pointer, text[:TEXT_CHARS_MAX], label) for pointer, text, label in read]
    values = canonical_texts([text for _, text, _ in read])
    fields = Opened([pointer for pointer, _, _ in read], values)
    groups = _by_label([label for _, _, label in read], values)
    index = memory.index
    said = Said(call_id=heard.call_id, body=heard.body, fields=heard.fields, default=heard.default)
    serial = index.begin(said, fields)
    for label, values in groups.items():
        keys = index.add(values, Page(serial=serial, call_id=heard.call_id, label=label))
        if heard.said is not None and label.integrity < heard.said_label.integrity:
            joined = Label(heard.said_label.integrity, label.confidentiality)
            again = _said_before(keys, heard.said)
            index.note(again, Page(serial=serial, call_id=heard.call_id, label=joined))


def _by_label(labels: list[Label], values: list[str]) -> dict[Label, list[str]]:
    """The values under each label, in the order in which the labels come first."""
    distinct = dict.fromkeys(labels)
    if len(distinct) == 1:
        return {labels[0]: values}
    return {
        each: [value for label, value in zip(labels, values, strict=True) if label == each]
        for each in distinct
    }


def _said_before(keys: set[str], arguments: Mapping[str, Any]) -> set[str]:
    """The keys of an answer that its call had said, in whatever spelling: no better than they were there."""
    said = canonical_text("\n".join([str(leaf) for _, leaf in leaves_of(arguments)]))
    letters = squeezed(said)
    again = {key for key in keys if (inner := squeezed(key)) and inner in letters}
    if any(map(is_spelling, keys)):  # only what several spellings share is not made of letters that were said
        again |= keys & keys_in(said, tokens_of(said))
    return again
