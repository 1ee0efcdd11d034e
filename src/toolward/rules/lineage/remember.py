"""What a result brings into a session: every value of it under the label of its field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from toolward.model.call import Call, LabelledCall
from toolward.model.label import CLEAN, UNKNOWN, Integrity, Label
from toolward.model.lineage import Source, SourceKind
from toolward.model.tool import Manifest
from toolward.rules.lineage.fields import label_at
from toolward.rules.lineage.leaves import leaves_of, names_in
from toolward.rules.lineage.memory import CHARS_MAX, SessionMemory, normalise
from toolward.rules.lineage.records import record_result

_TOLD: Final = frozenset({str, int, float})
"""What can be told apart from other values; parsed JSON holds no subclass of them."""
_BETWEEN_WORDS: Final = re.compile(r"[\s\"'`<>(){}\[\],;|=:]")
_WORD: Final = re.compile(r"[^\s\"'`<>(){}\[\],;|]+")
_ENVELOPE: Final = re.compile(r"/resultType|/(?:content|messages)/\d+/(?:type|role|content/type)")
"""What the protocol says and not the server: `text` is no secret because a secret came as text."""
_ASSIGNED: Final = re.compile(r"[=:]")


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
    if asked is not None:
        record_result(memory.records, result, call_id=call_id, manifest=manifest, asked=asked)
    echoed = None
    if asked is not None and asked.arguments_label.integrity is not Integrity.TRUSTED:
        echoed = (
            normalise_arguments(asked.call),
            Label(asked.arguments_label.integrity, CLEAN.confidentiality),
        )
    default = manifest.result if manifest is not None and manifest.result is not None else UNKNOWN
    fields = manifest.result_fields if manifest is not None else {}
    worst = default
    for pointer, leaf in leaves_of(result):
        if type(leaf) not in _TOLD or _ENVELOPE.fullmatch(pointer):
            continue
        label = label_at(pointer, fields, default)
        worst = worst.join(label)
        _remember_text(memory, str(leaf), label, call_id=call_id, echoed=echoed)
    if (structured := result.get("structuredContent")) is not None:
        for name in names_in(structured):
            _remember_text(memory, name, default, call_id=call_id, echoed=echoed)
    return worst


def _remember_text(
    memory: SessionMemory, text: str, label: Label, *, call_id: str, echoed: tuple[str, Label] | None
) -> None:
    """A text and its words. A word that the call itself brought is no better than it was there."""
    vouched = label if echoed is None else label.join(echoed[1])
    for word in _words_of(text):
        came_along = echoed is not None and normalise(word) in echoed[0]
        memory.remember(word, Source(SourceKind.RESULT, call_id, vouched if came_along else label))
    if len(text) > CHARS_MAX * 16:
        memory.overflowed = True


def _words_of(text: str) -> Iterator[str]:
    """The text, its words, and what stands on either side of `=` and `:` in them (`KEY=value`)."""
    yield text
    if not _BETWEEN_WORDS.search(text):
        return
    for word in _WORD.findall(text[: CHARS_MAX * 16]):
        yield word.strip(".:!?")
        if _ASSIGNED.search(word):
            yield from _ASSIGNED.split(word)
            yield from _ASSIGNED.split(word, maxsplit=1)


def normalise_arguments(call: Call) -> str:
    """All that a call says, as words are compared with it."""
    return "\n".join(str(leaf) for _, leaf in leaves_of(call.arguments)).casefold()
