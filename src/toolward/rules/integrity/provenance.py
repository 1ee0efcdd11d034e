"""Who stands behind each argument of a call, as policies ask: `context.provenance.NAME`.

An argument that holds several values has the worst integrity of them, and the sources of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from toolward.model.call import LabelledCall
from toolward.model.label import UNTRUSTED, Integrity
from toolward.model.lineage import Leaf, SourceKind
from toolward.model.verdict import Verdict, Witness
from toolward.rules.integrity.arguments import Decides, spot_of
from toolward.rules.lineage.records import Item, Member

_KINDS: Final = {
    SourceKind.PROMPT: Witness.WORDS,
    SourceKind.OBJECTIVE: Witness.WORDS,
    SourceKind.OPERATOR: Witness.OPERATOR,
    SourceKind.RESULT: Witness.RESULT,
    SourceKind.MODEL: Witness.MODEL,
}


def verdicts_of(labelled: LabelledCall) -> tuple[Verdict, ...]:
    """What was found of each argument leaf; of a call that was not judged, what its labels say."""
    if labelled.facts.verdicts:
        return labelled.facts.verdicts
    return tuple(_by_label(leaf) for leaf in labelled.leaves)


def provenance_of(labelled: LabelledCall, wanted: Iterable[str]) -> dict[str, Any]:
    """The named top-level arguments that were given."""
    found: dict[str, tuple[Integrity, set[str]]] = {
        name: (Integrity.TRUSTED, set()) for name in wanted if name in labelled.call.arguments
    }
    for verdict, sources in _sourced(labelled):
        name = spot_of(verdict.pointer).name
        if name in found:
            worst, known = found[name]
            found[name] = (max(worst, verdict.integrity), known | sources)
    return {
        name: {"integrity": worst.name.lower(), "sources": sorted(sources)}
        for name, (worst, sources) in found.items()
    }


def _sourced(labelled: LabelledCall) -> Iterator[tuple[Verdict, set[str]]]:
    if labelled.facts.verdicts:
        yield from ((each, {each.witness.value}) for each in labelled.facts.verdicts)
    else:
        for leaf in labelled.leaves:
            yield _by_label(leaf), {_KINDS[source.kind].value for source in leaf.sources}


def nobody(leaf: Leaf, seen: Sequence[tuple[Item, Member]], decides: Decides) -> Verdict:
    """Of a value that nobody stands behind."""
    where = next((item.record for item, _ in seen), None)
    if where is not None and any(member.vouched for _, member in seen):
        why = f"`{where.tool}` returned it, for an object that the session's own words do not point at"
        return Verdict(leaf.pointer, UNTRUSTED, _RESULT, why, where.call_id, decides)
    if where is not None:
        why = f"it stands in what `{where.tool}` returned"
        return Verdict(leaf.pointer, UNTRUSTED, _RESULT, why, where.call_id, decides)
    if leaf.label.integrity is UNTRUSTED:
        source = leaf.sources[0].reference if leaf.sources else ""
        return Verdict(leaf.pointer, UNTRUSTED, _RESULT, "it may repeat what was read", source, decides)
    return Verdict(leaf.pointer, leaf.label.integrity, Witness.MODEL, "the agent wrote it", "", decides)


def _by_label(leaf: Leaf) -> Verdict:
    best = min(leaf.sources, key=lambda source: source.label.integrity)
    return Verdict(leaf.pointer, leaf.label.integrity, _KINDS[best.kind], _SAID[best.kind], best.reference)


_RESULT: Final = Witness.RESULT
_SAID: Final = {
    SourceKind.PROMPT: "it stands in the session's own words",
    SourceKind.OBJECTIVE: "it stands in the session's own words",
    SourceKind.OPERATOR: "the operator declared it",
    SourceKind.RESULT: "it stands in an earlier result",
    SourceKind.MODEL: "the agent wrote it",
}
