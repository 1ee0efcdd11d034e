"""Where each argument value was seen, which label it carries for that, and the facts policy may ask about.

First cut: values are compared whole, after case and surrounding space are dropped, with leaf values and
words of earlier results, the prompt, the objective and the operator's own value domain. The types are
those that field-level provenance will fill. What is not known is never trusted: the session's taint is
the floor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orjson import dumps

from toolward.model.call import Call, Facts, LabelledCall, ResolvedCall
from toolward.model.label import CLEAN, UNKNOWN, Confidentiality, Integrity, Label
from toolward.model.lineage import Leaf, Source, SourceKind
from toolward.model.server import ServerBinding
from toolward.model.session import Session
from toolward.model.tool import Argument, ArgumentKind, ArgumentRole, Effect, Manifest, ToolState
from toolward.rules.manifest_defaults import kind_of
from toolward.rules.path import WISHED, choose_path, critical_step
from toolward.rules.places import destination_known, path_inside
from toolward.rules.spoken import spoken_words, stands_in

VALUES_MAX = 20_000
"""Distinct values remembered for one session; past this the session's taint alone counts."""
CHARS_MIN = 3
"""Shorter values are seen everywhere and prove nothing."""
CHARS_MAX = 4_096
"""Longer leaves are remembered by their beginning only."""
_SCALARS = frozenset({str, int, float, bool, type(None)})
_TOLD = frozenset({str, int, float})
"""What can be told apart from other values; parsed JSON holds no subclass of them."""
_BETWEEN_WORDS = re.compile(r"[\s\"'`<>(){}\[\],;|=:]")
_WORD = re.compile(r"[^\s\"'`<>(){}\[\],;|]+")
_ENVELOPE = re.compile(r"/resultType|/(?:content|messages)/\d+/(?:type|role|content/type)")
"""What the protocol says and not the server: `text` is no secret because a secret came as text."""
_ASSIGNED = re.compile(r"[=:]")


@dataclass(slots=True)
class SessionMemory:
    """Values that this session's results held, with the worst label each was seen under."""

    seen: dict[str, Source] = field(default_factory=dict)
    overflowed: bool = False  # not everything is in it: the session's taint counts where nothing is known
    endorsed: dict[str, str] = field(default_factory=dict)  # value -> the endorsed call that said it
    endorsed_calls: set[str] = field(default_factory=set)

    def remember(self, value: str, source: Source) -> None:
        """Note that `value` stood in `source`."""
        key = normalise(value)
        if len(key) < CHARS_MIN:
            return
        known = self.seen.get(key)
        if known is None:
            if len(self.seen) >= VALUES_MAX:
                self.overflowed = True
                return
            self.seen[key] = source
        elif known.label != (joined := known.label.join(source.label)):
            self.seen[key] = Source(known.kind, known.reference, joined)


def normalise(value: str) -> str:
    """The form in which values are compared."""
    return value[:CHARS_MAX].strip().casefold()


def normalise_arguments(call: Call) -> str:
    """All that a call says, as words are compared with it."""
    return "\n".join(str(leaf) for _, leaf in leaves_of(call.arguments)).casefold()


def leaves_of(value: Any, pointer: str = "") -> list[tuple[str, Any]]:
    """Every scalar with its RFC 6901 pointer, in order."""
    out: list[tuple[str, Any]] = []
    _collect(value, pointer, out)
    return out


def _collect(value: Any, pointer: str, out: list[tuple[str, Any]]) -> None:
    kind = type(value)  # exact types first: this runs for every value of every call and result
    if kind in _SCALARS:
        out.append((pointer, value))
    elif kind is dict or isinstance(value, Mapping):
        for key, item in value.items():
            name = str(key)
            if "~" in name or "/" in name:
                name = name.replace("~", "~0").replace("/", "~1")
            if type(item) in _SCALARS:
                out.append((f"{pointer}/{name}", item))
            else:
                _collect(item, f"{pointer}/{name}", out)
    elif kind is list or isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _collect(item, f"{pointer}/{index}", out)
    else:
        out.append((pointer, value))


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
        label = _label_at(pointer, fields, default)
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


def names_in(value: Any) -> Iterator[str]:
    """The member names of every object: a server can put data there, and so can an agent."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            yield from item
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            stack.extend(item)


def _label_at(pointer: str, fields: Mapping[str, Label], default: Label) -> Label:
    for prefix, label in fields.items():
        if pointer == prefix or pointer.startswith(prefix + "/"):
            return label
    return default


def label_call(
    resolved: ResolvedCall, session: Session, memory: SessionMemory, binding: ServerBinding | None
) -> tuple[tuple[Leaf, ...], Label, Facts]:
    """Stage 3, pure: leaves with their sources, the join of their labels, and the facts."""
    call = resolved.call
    manifest = resolved.version.manifest if resolved.version else None
    said = resolved.step.words if resolved.step is not None else ""
    words = spoken_words(session.prompt, session.objective, said)
    leaves: list[Leaf] = []
    total = CLEAN
    values = leaves_of(call.arguments)
    for pointer, value in values:
        leaf = _label_leaf(pointer, value, words=words, session=session, memory=memory, binding=binding)
        leaves.append(leaf)
        total = total.join(leaf.label)
    roles = _by_role(leaves, values, manifest.arguments if manifest else {})
    confidential = _is_confidential(leaves) or _may_be_confidential(resolved, session, memory, leaves)
    facts = _facts(resolved, session, confidential=confidential, roles=roles, binding=binding)
    return tuple(leaves), total, facts


def _is_confidential(leaves: list[Leaf]) -> bool:
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


def _facts(
    resolved: ResolvedCall,
    session: Session,
    *,
    confidential: bool,
    roles: _Roles,
    binding: ServerBinding | None,
) -> Facts:
    manifest = resolved.version.manifest if resolved.version else None
    effect = manifest.effect if manifest else Effect.READ_ONLY
    roots = binding.roots if binding else ()
    destinations = binding.destinations if binding else ()
    authority, paths, targets = roles
    critical = _critical(resolved, session)
    choice = choose_path(
        critical=critical,
        confidential=confidential,
        state=resolved.state,
        effect=effect if manifest else None,
    )
    return Facts(
        effect=effect,
        writes=effect is not Effect.READ_ONLY,
        egress=manifest.egress if manifest else False,
        approved=resolved.version is None or (resolved.state is not None and resolved.state.stands),
        found=resolved.state is ToolState.DISCOVERED,
        path=choice.path,
        path_why=choice.why,
        inside_roots=bool(paths) and all(path_inside(text, roots) for _, text in paths),
        outside_roots=not all(path_inside(text, roots) for _, text in paths),
        known_destination=all(
            destination_known(text, destinations) or _witnessed(leaf) for leaf, text in targets
        ),
        proven=all(leaf.label.integrity is Integrity.TRUSTED for leaf in authority),
        assumed=all(leaf.label.integrity <= Integrity.ASSUMED for leaf in authority),
        confidential_argument=confidential,
        tainted=session.taint.integrity is Integrity.UNTRUSTED,
        read_confidential=session.taint.confidentiality is Confidentiality.CONFIDENTIAL,
        critical=bool(critical),
        undoable=manifest is not None and manifest.undo is not None and manifest.undo.compensate is not None,
        confidence=resolved.call.confidence,
        calls=session.calls,
        written=session.written,
        objective=session.objective,
        step=resolved.step.name if resolved.step is not None else "",
        undo=bool(resolved.call.undo_of),
        review_overdue=bool(resolved.review_by),
    )


def _critical(resolved: ResolvedCall, session: Session) -> str:
    """Why what the call serves is decision-critical, in words; "" if it is not."""
    if resolved.step is not None and resolved.step.critical:
        return critical_step(session.objective, resolved.step.name)
    return WISHED if resolved.call.secure else ""


_Roles = tuple[list[Leaf], list[tuple[Leaf, str]], list[tuple[Leaf, str]]]
"""Authority leaves, path leaves, destination leaves."""


def _by_role(leaves: list[Leaf], values: list[tuple[str, Any]], declared: Mapping[str, Argument]) -> _Roles:
    """Authority leaves, path leaves and destination leaves; an argument nobody described is authority."""
    authority: list[Leaf] = []
    paths: list[tuple[Leaf, str]] = []
    targets: list[tuple[Leaf, str]] = []
    for leaf, (_, value) in zip(leaves, values, strict=True):
        name = leaf.pointer.split("/", 2)[1].replace("~1", "/").replace("~0", "~") if leaf.pointer else ""
        argument = declared.get(name, _UNDESCRIBED)
        text = str(value)
        if argument is _UNDESCRIBED or (
            argument.role is ArgumentRole.AUTHORITY and leaf.pointer.count("/") > 1
        ):
            argument = replace(argument, kind=_kind_inside(argument.kind, leaf.pointer, text))
        if argument.role is ArgumentRole.AUTHORITY:
            authority.append(leaf)
        if argument.kind is ArgumentKind.PATH:
            paths.append((leaf, text))
        elif argument.kind in (ArgumentKind.URL, ArgumentKind.ADDRESS):
            targets.append((leaf, text))
    return authority, paths, targets


def _kind_inside(declared: ArgumentKind, pointer: str, text: str) -> ArgumentKind:
    """What a value denotes that a manifest does not name itself: a member of an object, an extra argument."""
    if declared is not ArgumentKind.VALUE:
        return declared
    named = next((part for part in reversed(pointer.split("/")) if not part.isdigit()), "")
    kind = kind_of(named)
    return ArgumentKind.URL if kind is ArgumentKind.VALUE and "://" in text else kind


def _witnessed(leaf: Leaf) -> bool:
    return any(source.kind in (SourceKind.PROMPT, SourceKind.OBJECTIVE) for source in leaf.sources)


_UNDESCRIBED = Argument()
