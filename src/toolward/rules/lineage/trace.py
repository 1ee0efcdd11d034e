"""Where the values of a call come from, and which label each carries for that."""

from __future__ import annotations

from typing import Any

from orjson import dumps

from toolward.model.call import ResolvedCall
from toolward.model.label import CLEAN, Confidentiality, Integrity, Label
from toolward.model.lineage import Leaf, Source, SourceKind
from toolward.model.server import ServerBinding
from toolward.model.session import Session
from toolward.rules.lineage.leaves import leaves_of, names_in
from toolward.rules.lineage.memory import CHARS_MAX, CHARS_MIN, SessionMemory, normalise
from toolward.rules.places import destination_known, path_inside
from toolward.rules.spoken import spoken_words, stands_in


def trace_arguments(
    resolved: ResolvedCall, session: Session, memory: SessionMemory, binding: ServerBinding | None
) -> list[Leaf]:
    """Every argument leaf, in the order of `leaves_of`, with where its value was seen."""
    said = resolved.step.words if resolved.step is not None else ""
    words = spoken_words(session.prompt, session.objective, said)
    return [
        _label_leaf(pointer, value, words=words, session=session, memory=memory, binding=binding)
        for pointer, value in leaves_of(resolved.call.arguments)
    ]


def carries_confidential(
    resolved: ResolvedCall, session: Session, memory: SessionMemory, leaves: list[Leaf]
) -> bool:
    """Whether the call would send on what came out of a confidential result, or may for all that is known."""
    return _seen_confidential(leaves) or _may_be_confidential(resolved, session, memory, leaves)


def _seen_confidential(leaves: list[Leaf]) -> bool:
    """Whether a value was seen in a confidential result."""
    return any(
        source.label.confidentiality is Confidentiality.CONFIDENTIAL
        for leaf in leaves
        for source in leaf.sources
        if source.kind is SourceKind.RESULT
    )


def _may_be_confidential(
    resolved: ResolvedCall, session: Session, memory: SessionMemory, leaves: list[Leaf]
) -> bool:
    """What the leaves' own sources do not tell: member names, the answers of a retry, a memory with holes."""
    if session.taint.confidentiality is not Confidentiality.CONFIDENTIAL:
        return False
    if memory.overflowed and any(
        source.kind is SourceKind.MODEL for leaf in leaves for source in leaf.sources
    ):
        return True
    definition = resolved.version.definition if resolved.version else b""
    answers = (str(value) for _, value in leaves_of(resolved.call.retry.get("inputResponses")))
    return any(
        (seen := memory.seen.get(normalise(text))) is not None
        and seen.label.confidentiality is Confidentiality.CONFIDENTIAL
        for text in answers
    ) or any(
        (seen := memory.seen.get(normalise(name))) is not None
        and seen.label.confidentiality is Confidentiality.CONFIDENTIAL
        and dumps(name) not in definition  # a name of the schema says nothing
        for name in names_in(resolved.call.arguments)
    )


def _label_leaf(
    pointer: str,
    value: Any,
    *,
    words: str,
    session: Session,
    memory: SessionMemory,
    binding: ServerBinding | None,
) -> Leaf:
    """Positive provenance first, then what it was read from, then what the model may have made up."""
    if not isinstance(value, str):
        text = "" if isinstance(value, bool) or value is None else str(value)
    else:
        text = value
    key = normalise(text)
    sources: list[Source] = []
    whole = len(text) <= CHARS_MAX  # of a longer one only the beginning is compared: it proves nothing
    if len(key) >= CHARS_MIN and words and whole and stands_in(key, words):
        sources.append(Source(SourceKind.PROMPT, "prompt", CLEAN))
    if binding is not None and key and _in_domain(text, binding):
        sources.append(Source(SourceKind.OPERATOR, binding.server, CLEAN))
    seen = memory.seen.get(key)
    if seen is not None and whole:
        sources.append(seen)
    elif seen is not None:
        sources.append(Source(seen.kind, seen.reference, seen.label.join(_model_label(session))))
    if whole and (endorsed := memory.endorsed.get(key)) is not None:
        # a person's word makes it trusted, and never readable by more than before
        readers = (seen.label if seen is not None else session.taint).confidentiality
        sources.append(Source(SourceKind.RESULT, endorsed, Label(Integrity.TRUSTED, readers)))
    if not sources:
        sources.append(Source(SourceKind.MODEL, "", _model_label(session)))
    label = _combine(sources)
    return Leaf(pointer, tuple(sources), label)


def _model_label(session: Session) -> Label:
    """What the agent wrote itself: assumed while nothing untrusted was read, untrusted afterwards.

    It may repeat in other words what the session has read: the session's confidentiality is its floor.
    """
    if session.taint.integrity is Integrity.UNTRUSTED:
        return session.taint
    return Label(Integrity.ASSUMED, session.taint.confidentiality)


def _combine(sources: list[Source]) -> Label:
    """Integrity by the best witness (positive provenance), confidentiality by the most restricted source."""
    integrity = min(source.label.integrity for source in sources)
    readers = max(source.label.confidentiality for source in sources)
    return Label(integrity, readers)


def _in_domain(text: str, binding: ServerBinding) -> bool:
    """Whether a value is the operator's own: a declared root or below it, a declared destination."""
    return (bool(binding.roots) and path_inside(text, binding.roots)) or (
        bool(binding.destinations) and destination_known(text, binding.destinations)
    )
