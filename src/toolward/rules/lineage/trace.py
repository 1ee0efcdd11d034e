"""Where the values of a call come from, and which label each carries for that."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from msgspec import Struct
from orjson import dumps

from toolward.model.call import ResolvedCall
from toolward.model.label import ASSUMED, CLEAN, CONFIDENTIAL, TRUSTED, UNTRUSTED, Integrity, Label
from toolward.model.lineage import PROVES, Handle, How, Leaf, Source, SourceKind
from toolward.model.server import ServerBinding
from toolward.model.session import Session
from toolward.rules.lineage.atoms import CHARS_MIN, may_be_spelled, spelled, spelled_whole
from toolward.rules.lineage.grams import BLOCK, runs_of, shared
from toolward.rules.lineage.index import WHOLE_CHARS_MAX, Index
from toolward.rules.lineage.leaves import leaves_of, names_in
from toolward.rules.lineage.memory import SessionMemory
from toolward.rules.lineage.probe import (
    READ_CHARS_MAX,
    SOURCES_MAX,
    are_clear,
    confidential_in,
    pointer_of,
    source_of,
)
from toolward.rules.lineage.remember import index_waiting
from toolward.rules.lineage.spelling import canonical_text, squeezed
from toolward.rules.lineage.views import are_plain
from toolward.rules.places import destination_known, path_inside
from toolward.rules.spoken import spoken_words, stands_in
from toolward.rules.worded import lowered

SHOWN_CHARS_MAX: Final = 320
"""Of a value that nothing depends on: so much of it is compared for what a person is shown."""


def trace_arguments(
    resolved: ResolvedCall,
    values: list[tuple[str, Any]],
    session: Session,
    memory: SessionMemory,
    binding: ServerBinding | None,
) -> list[Leaf]:
    """Every argument leaf with where its value was seen; `values` are `leaves_of` the arguments."""
    index_waiting(memory)
    said = resolved.step.words if resolved.step is not None else ""
    ground = _Ground(
        words=_said(session.prompt, session.objective, said),
        session=session,
        memory=memory,
        binding=binding,
        definition=resolved.version.definition if resolved.version else b"",
        handles=resolved.call.handles,
        made_up=Source(_MODEL, "", _model_label(session)),
    )
    looked = [_looked(pointer, value, ground) for pointer, value in values]
    # all together first: most calls hold nothing
    still_open = [each for each in looked if each.open]
    texts, keys = [each.text for each in still_open], [each.key for each in still_open]
    clear = memory.index.confidential and are_clear(texts, keys, memory.index)
    empty = clear and are_plain(texts)
    return [_traced(each, ground, clear=clear, empty=empty) for each in looked]


class _Ground(Struct, frozen=True, kw_only=True):
    """What the values of one call are compared with."""

    words: str
    session: Session
    memory: SessionMemory
    binding: ServerBinding | None
    definition: bytes
    handles: tuple[Handle, ...]
    made_up: Source  # what a value comes from that was seen nowhere


@lru_cache(maxsize=64)
def _said(*texts: str) -> str:
    return canonical_text(spoken_words(*texts))


def carries_confidential(
    resolved: ResolvedCall, session: Session, memory: SessionMemory, leaves: list[Leaf]
) -> bool:
    """Whether the call would send on what came out of a confidential result, or may for all that is known."""
    return _seen_confidential(leaves) or _may_be_confidential(resolved, session, memory, leaves)


def _seen_confidential(leaves: list[Leaf]) -> bool:
    """Whether a value was seen in a confidential result."""
    for leaf in leaves:
        if leaf.label.confidentiality is CONFIDENTIAL:  # as it is of its most restricted source
            for source in leaf.sources:
                if source.label.confidentiality is CONFIDENTIAL and source.kind is _RESULT:
                    return True
    return False


def _may_be_confidential(
    resolved: ResolvedCall, session: Session, memory: SessionMemory, leaves: list[Leaf]
) -> bool:
    """What the leaves' own sources do not tell: member names, the answers of a retry, a memory with holes."""
    if session.taint.confidentiality is not CONFIDENTIAL:
        return False
    if memory.overflowed and any(source.kind is _MODEL for leaf in leaves for source in leaf.sources):
        return True
    if not memory.index.confidential:
        return False
    definition = resolved.version.definition if resolved.version else b""
    said = [str(value) for _, value in leaves_of(resolved.call.retry.get("inputResponses"))]
    # a name of the schema says nothing
    said += [name for name in names_in(resolved.call.arguments) if dumps(name) not in definition]
    return any(confidential_in(text, canonical_text(text), memory.index) for text in said)


class _Looked(Struct, frozen=True, kw_only=True):
    """A value, and where it stood as a whole."""

    pointer: str
    text: str
    key: str  # as compared
    sources: list[Source]
    seen: list[Source]
    secret: bool
    open: bool  # what it holds counts: nobody said it, and it is no secret as a whole


def _looked(pointer: str, value: Any, ground: _Ground) -> _Looked:
    """Positive provenance first, then what it was read from."""
    text = "" if isinstance(value, bool) or value is None else str(value)
    key = canonical_text(text[:READ_CHARS_MAX])
    memory = ground.memory
    # parts of a longer one are compared: that proves nothing
    whole = CHARS_MIN <= len(key) <= WHOLE_CHARS_MAX and len(text) <= READ_CHARS_MAX
    told = whole and bool(ground.words) and stands_in(key, ground.words)
    sources = [Source(SourceKind.PROMPT, "prompt", CLEAN)] if told else []
    binding = ground.binding
    if binding is not None and key and _in_domain(text, binding):
        sources.append(Source(SourceKind.OPERATOR, binding.server, CLEAN))
    seen = _seen(key, memory.index) if whole else []
    if ground.handles or memory.endorsed:
        referred = [
            _referred(each, pointer, text, ground) for each in ground.handles if _below(pointer, each.at)
        ]
        seen += referred
        sources += _endorsed_in(key if whole else "", seen, referred, ground)
    secret = bool(seen) and _is_secret(seen)
    return _Looked(
        pointer=pointer,
        text=text,
        key=key,
        sources=sources,
        seen=seen,
        secret=secret,
        open=not (told or secret),
    )


def _traced(looked: _Looked, ground: _Ground, *, clear: bool, empty: bool) -> Leaf:
    """Then what it holds of something else, and what the model may have made up."""
    text, sources, seen = looked.text, looked.sources, looked.seen
    held: list[Source] = []
    if looked.open:
        if ground.memory.index.confidential and not empty:
            held = confidential_in(text, looked.key, ground.memory.index, clear=clear)
        held = held or _copied(looked.key, ground.memory)
    if not (seen or held or sources):
        return Leaf(looked.pointer, (ground.made_up,), ground.made_up.label)  # as most are
    if text and (looked.secret or _is_secret(held)) and dumps(text) in ground.definition:
        seen, held = [each for each in seen if not _is_secret([each])], []  # the schema itself says it
    best = _best(sources, seen if ground.memory.proves else [_untrusted(each) for each in seen])
    if best is None:
        sources.append(ground.made_up)
    return Leaf(looked.pointer, (*sources, *seen, *held), _combined(best, sources, seen + held))


def _endorsed_in(key: str, seen: list[Source], referred: list[Source], ground: _Ground) -> list[Source]:
    """What a person's word makes trusted, and never readable by more than before."""
    memory = ground.memory
    found = [_endorsed(each) for each in referred if each.reference in memory.endorsed_calls]
    if (call := memory.endorsed.get(key)) is not None:
        readers = max(
            (each.label.confidentiality for each in seen), default=ground.session.taint.confidentiality
        )
        found.append(Source(SourceKind.RESULT, call, Label(TRUSTED, readers), how=How.ATOM))
    return found


def _seen(key: str, index: Index) -> list[Source]:
    """Where a value stood as it is, or as another spelling of the same: the first place under each label."""
    pages = index.pages(key)
    found = [source_of(page, *index.shelf.place(page, key)) for page in pages] if pages else []
    if key.isalnum() or not may_be_spelled(key):
        return found
    others = spelled_whole(key) if " " in key else spelled({key})
    for other in others:
        found += [source_of(page, pointer_of(index, page, other), How.ATOM) for page in index.pages(other)]
    return found


def _below(pointer: str, at: str) -> bool:
    return pointer == at or pointer.startswith(f"{at}/")


def _referred(handle: Handle, pointer: str, text: str, ground: _Ground) -> Source:
    """The place that a handle names. Where its label is not known any more, the session's taint counts."""
    place = handle.pointer + pointer[len(handle.at) :]
    label = ground.memory.index.shelf.label_of(handle.call, place)
    if label is None:
        label = Label(UNTRUSTED, ground.session.taint.confidentiality)
    label = lowered(place, text, label)
    return Source(SourceKind.RESULT, handle.call, label, place, How.HANDLE)


def _copied(key: str, memory: SessionMemory) -> list[Source]:
    """What a longer value was copied from that is not confidential."""
    index = memory.index
    blocks = index.passing_blocks
    if len(key) < 2 * BLOCK - 1 or not (blocks.young or blocks.old):
        return []
    letters = squeezed(key[:SHOWN_CHARS_MAX])
    if len(letters) < 2 * BLOCK - 1:
        return []
    found: list[Source] = []
    runs = runs_of(letters)
    for block in (*shared(runs, blocks.young), *shared(runs, blocks.old)):
        page = blocks.get(block)
        if page is not None and all(each.reference != page.call_id for each in found):
            found.append(source_of(page, index.shelf.holding(page, block), How.GRAM))
            if len(found) >= SOURCES_MAX:
                break
    return [_endorsed(each) if each.reference in memory.endorsed_calls else each for each in found]


def _endorsed(source: Source) -> Source:
    label = Label(TRUSTED, source.label.confidentiality)
    return Source(source.kind, source.reference, label, source.pointer, source.how, source.view)


def _untrusted(source: Source) -> Source:
    label = source.label.join(Label(UNTRUSTED, source.label.confidentiality))
    return Source(source.kind, source.reference, label, source.pointer, source.how, source.view)


def _is_secret(sources: list[Source]) -> bool:
    return any(each.label.confidentiality is CONFIDENTIAL for each in sources)


def _best(sources: list[Source], seen: list[Source]) -> Integrity | None:
    """The integrity of the best witness of the whole value; None without any.

    All results together are one witness, as good as the worst of them: a vouched-for server that was told
    something and says it again would otherwise vouch for it.
    """
    witnesses = [each.label.integrity for each in sources]
    results = [each.label.integrity for each in seen if each.how in PROVES]
    if results:
        witnesses.append(max(results))
    return min(witnesses, default=None)


def _combined(best: Integrity | None, sources: list[Source], tainting: list[Source]) -> Label:
    """Integrity by the best witness (positive provenance), confidentiality by the most restricted source."""
    everything = sources + tainting
    integrity = max(each.label.integrity for each in everything) if best is None else best
    return Label(integrity, max(each.label.confidentiality for each in everything))


def _model_label(session: Session) -> Label:
    """What the agent wrote itself: assumed while nothing untrusted was read, untrusted afterwards.

    It may repeat in other words what the session has read: the session's confidentiality is its floor.
    """
    taint = session.taint
    return taint if taint.integrity is UNTRUSTED else Label(ASSUMED, taint.confidentiality)


def _in_domain(text: str, binding: ServerBinding) -> bool:
    """Whether a value is the operator's own: a declared root or below it, a declared destination."""
    return (bool(binding.roots) and path_inside(text, binding.roots)) or (
        bool(binding.destinations) and destination_known(text, binding.destinations)
    )


_MODEL: Final = SourceKind.MODEL
_RESULT: Final = SourceKind.RESULT
