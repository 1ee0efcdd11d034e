"""The label and the typed facts of a call: what each argument is for, and what policy may ask about it.

Where the values come from is `rules/lineage`. What is not known is never trusted: the session's taint is
the floor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, structs

from toolward.model.call import Facts, ResolvedCall
from toolward.model.label import CLEAN, CONFIDENTIAL, TRUSTED, UNTRUSTED, Integrity, Label
from toolward.model.lineage import Leaf, SourceKind
from toolward.model.server import ServerBinding
from toolward.model.session import Session
from toolward.model.tool import Argument, ArgumentKind, ArgumentRole, Effect, ToolState
from toolward.model.verdict import Witness
from toolward.rules.integrity.arguments import Traced, spot_of
from toolward.rules.integrity.judge import CONTENT_ALONE, Judgement, judge
from toolward.rules.integrity.mechanisms import EVERYTHING, Mechanism
from toolward.rules.lineage.leaves import leaves_of
from toolward.rules.lineage.memory import SessionMemory
from toolward.rules.lineage.trace import carries_confidential, trace_arguments
from toolward.rules.path import WISHED, choose_path, critical_step
from toolward.rules.places import destination_known, path_inside


def label_call(
    resolved: ResolvedCall,
    session: Session,
    memory: SessionMemory,
    binding: ServerBinding | None,
    *,
    mechanisms: Mechanism = EVERYTHING,
) -> tuple[tuple[Leaf, ...], Label, Facts]:
    """Stage 3, pure: leaves with their sources, the join of their labels, and the facts."""
    manifest = resolved.version.manifest if resolved.version else None
    values = leaves_of(resolved.call.arguments)
    leaves = trace_arguments(resolved, values, session, memory, binding)
    total = CLEAN
    for leaf in leaves:
        if leaf.label is not total:
            total = total.join(leaf.label)
    traced = [(leaf, value, spot_of(pointer)) for leaf, (pointer, value) in zip(leaves, values, strict=True)]
    roles = _by_role(traced, manifest.arguments if manifest else {})
    confidential = carries_confidential(resolved, session, memory, leaves)
    if manifest is not None and (manifest.effect is not _READ_ONLY or manifest.egress):
        roots = binding.roots if binding else ()
        found = judge(resolved, session, memory, traced, roots=roots, mechanisms=mechanisms)
    else:
        found = _UNJUDGED[roles.worst]
    facts = _facts(resolved, session, confidential=confidential, roles=roles, binding=binding, found=found)
    return tuple(leaves), total, facts


def _facts(
    resolved: ResolvedCall,
    session: Session,
    *,
    confidential: bool,
    roles: _Roles,
    binding: ServerBinding | None,
    found: Judgement,
) -> Facts:
    manifest = resolved.version.manifest if resolved.version else None
    effect = manifest.effect if manifest else _READ_ONLY
    critical = _critical(resolved, session)
    choice = choose_path(
        critical=critical,
        confidential=confidential,
        state=resolved.state,
        effect=effect if manifest else None,
    )
    inside = _are_inside(roles.paths, binding.roots if binding else ())
    return Facts(
        effect=effect,
        writes=effect is not _READ_ONLY,
        egress=manifest.egress if manifest else False,
        approved=resolved.version is None or (resolved.state is not None and resolved.state.stands),
        found=resolved.state is ToolState.DISCOVERED,
        path=choice.path,
        path_why=choice.why,
        inside_roots=inside and bool(roles.paths),
        outside_roots=not inside,
        known_destination=_are_known(roles.targets, binding.destinations if binding else (), found),
        confidential_argument=confidential,
        tainted=session.taint.integrity is UNTRUSTED,
        read_confidential=session.taint.confidentiality is CONFIDENTIAL,
        cleared=manifest is not None and manifest.clearance is CONFIDENTIAL,
        critical=bool(critical),
        undoable=manifest is not None and manifest.undo is not None and manifest.undo.compensate is not None,
        confidence=resolved.call.confidence,
        calls=session.calls,
        written=session.written,
        objective=session.objective,
        step=resolved.step.name if resolved.step is not None else "",
        undo=bool(resolved.call.undo_of),
        review_overdue=bool(resolved.review_by),
        proven=found.proven,
        assumed=found.assumed,
        words_known=found.words_known,
        asked_for=found.asked_for,
        new_address=found.new_address,
        why_unproven=found.why_unproven,
        verdicts=found.verdicts,
        lent_by=found.lent_by,
    )


def _are_inside(paths: list[str], roots: tuple[str, ...]) -> bool:
    """Whether no path leads out of the roots."""
    return not paths or (bool(roots) and all(path_inside(text, roots) for text in paths))


def _are_known(targets: list[tuple[Leaf, str]], destinations: tuple[str, ...], found: Judgement) -> bool:
    """Whether every destination is declared or was said, or all have somebody who speaks for places."""
    if not targets or all(
        destination_known(text, destinations) or _witnessed(leaf) for leaf, text in targets
    ):
        return True
    speaking = {each.pointer for each in found.verdicts if each.witness in _NAMES_PLACES}
    return all(leaf.pointer in speaking for leaf, _ in targets)


def _critical(resolved: ResolvedCall, session: Session) -> str:
    """Why what the call serves is decision-critical, in words; "" if it is not."""
    if resolved.step is not None and resolved.step.critical:
        return critical_step(session.objective, resolved.step.name)
    return WISHED if resolved.call.secure else ""


class _Roles(Struct, frozen=True):
    """What a call's leaves are for."""

    worst: Integrity  # of those that decide
    paths: list[str]
    targets: list[tuple[Leaf, str]]  # destinations


def _by_role(traced: list[Traced], declared: Mapping[str, Argument]) -> _Roles:
    """What the leaves are for; an argument nobody described decides."""
    worst = TRUSTED
    paths: list[str] = []
    targets: list[tuple[Leaf, str]] = []
    for leaf, value, spot in traced:
        argument = declared.get(spot.name)
        kind = argument.kind if argument is not None else _VALUE
        decides = argument is None or argument.role is _AUTHORITY
        if decides and leaf.label.integrity > worst:
            worst = leaf.label.integrity
        if kind is _VALUE and decides and (spot.inside or argument is None):
            # a manifest does not name it itself: a member of an object, or an extra argument
            kind = ArgumentKind.URL if spot.kind is _VALUE and "://" in str(value) else spot.kind
        if kind is _PATH:
            paths.append(str(value))
        elif kind in _DESTINATIONS:
            targets.append((leaf, str(value)))
    return _Roles(worst, paths, targets)


def _witnessed(leaf: Leaf) -> bool:
    return any(source.kind in (SourceKind.PROMPT, SourceKind.OBJECTIVE) for source in leaf.sources)


_READ_ONLY: Final = Effect.READ_ONLY
_VALUE: Final = ArgumentKind.VALUE
_PATH: Final = ArgumentKind.PATH
_AUTHORITY: Final = ArgumentRole.AUTHORITY
_DESTINATIONS: Final = frozenset({ArgumentKind.URL, ArgumentKind.ADDRESS})
_UNJUDGED: Final = {
    worst: structs.replace(CONTENT_ALONE, proven=worst is TRUSTED, assumed=worst is not UNTRUSTED)
    for worst in Integrity
}
"""Of a call without effect that stays here: what its labels say."""
_NAMES_PLACES = frozenset({Witness.WORDS, Witness.PLAN, Witness.OPERATOR, Witness.ENDORSED, Witness.FIELD})
"""By whose word a destination is a known one; a source that was handed over to is not among them."""
