"""The label and the typed facts of a call: what each argument is for, and what policy may ask about it.

Where the values come from is `rules/lineage`. What is not known is never trusted: the session's taint is
the floor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from msgspec import structs

from toolward.model.call import Facts, ResolvedCall
from toolward.model.label import CLEAN, Confidentiality, Integrity, Label
from toolward.model.lineage import Leaf, SourceKind
from toolward.model.server import ServerBinding
from toolward.model.session import Session
from toolward.model.tool import Argument, ArgumentKind, ArgumentRole, Effect, ToolState
from toolward.model.verdict import Witness
from toolward.rules.integrity.judge import CONTENT_ALONE, EVERYTHING, Judgement, Mechanism, judge
from toolward.rules.lineage.leaves import leaves_of
from toolward.rules.lineage.memory import SessionMemory
from toolward.rules.lineage.trace import carries_confidential, trace_arguments
from toolward.rules.manifest_defaults import kind_of
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
        total = total.join(leaf.label)
    roles = _by_role(leaves, values, manifest.arguments if manifest else {})
    confidential = carries_confidential(resolved, session, memory, leaves)
    facts = _facts(resolved, session, confidential=confidential, roles=roles, binding=binding)
    if manifest is not None and (facts.writes or facts.egress):
        own = binding.roots if binding else ()
        found = judge(resolved, session, memory, leaves, roots=own, mechanisms=mechanisms)
        if found is not CONTENT_ALONE or not (facts.proven and facts.assumed):
            facts = _judged(facts, found, roles)
    return tuple(leaves), total, facts


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
        cleared=manifest is not None and manifest.clearance is Confidentiality.CONFIDENTIAL,
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


def _judged(facts: Facts, found: Judgement, roles: _Roles) -> Facts:
    """What the integrity rule says of a call that has an effect or leaves the operator's reach."""
    speaking = {each.pointer for each in found.verdicts if each.witness in _NAMES_PLACES}
    _, _, targets = roles
    return structs.replace(
        facts,
        proven=found.proven,
        assumed=found.assumed,
        words_known=found.words_known,
        asked_for=found.asked_for,
        new_address=found.new_address,
        why_unproven=found.why_unproven,
        verdicts=found.verdicts,
        lent_by=found.lent_by,
        known_destination=facts.known_destination
        or (bool(targets) and all(leaf.pointer in speaking for leaf, _ in targets)),
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
_NAMES_PLACES = frozenset({Witness.WORDS, Witness.PLAN, Witness.OPERATOR, Witness.ENDORSED, Witness.FIELD})
"""By whose word a destination is a known one; a source that was handed over to is not among them."""
