"""The path of a value in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from toolward.governance.lineage.reading import Lineage, Traced
from toolward.model.lineage import How, Source, SourceKind
from toolward.rules.lineage.edges import Edge

_HOW: Final = {
    How.EXACT: "is the value of",
    How.ATOM: "stands in",
    How.HANDLE: "was put in by reference from",
    How.WORD: "is a word of",
    How.PART: "holds an identifier of",
    How.GRAM: "was copied in part from",
    How.VIEW: "holds, encoded, something of",
}


def told(lineage: Lineage) -> list[dict[str, Any]]:
    """Each call with a line for each argument: `argument`, `from` in words, and the edge's own members."""
    tools = {call.call_id: call.tool for call in lineage.calls}
    return [
        {
            "call": call.call_id,
            "tool": call.tool or call.action,
            "time": call.begun,
            "status": call.status,
            "arguments": [*_lines(call, tools)],
            "left_out": call.left_out,
            "erased": call.erased,
        }
        for call in lineage.calls
    ]


def _lines(call: Traced, tools: dict[str, str]) -> Iterator[dict[str, Any]]:
    by_pointer: dict[str, list[Edge]] = {pointer: [] for pointer in call.pointers}
    for edge in call.edges:
        by_pointer.setdefault(edge.pointer, []).append(edge)
    for pointer, edges in by_pointer.items():
        if not edges:
            yield {"argument": pointer, "from": "the agent wrote it", "kind": SourceKind.MODEL.value}
        for edge in edges:
            yield {"argument": pointer, "from": in_words(edge.source, tools), **_members(edge.source)}


def in_words(source: Source, tools: dict[str, str]) -> str:
    """Where a value was seen, in one line; `tools` says what each call used."""
    label = f"{source.label.integrity.name.lower()}, {source.label.confidentiality.name.lower()}"
    match source.kind:
        case SourceKind.PROMPT | SourceKind.OBJECTIVE:
            return "the user said it"
        case SourceKind.OPERATOR:
            return f"the operator declared it for `{source.reference}`"
        case SourceKind.MODEL:
            return "the agent wrote it"
        case SourceKind.RESULT:
            place = source.pointer or "the answer"
            tool = tools.get(source.reference, "an earlier call")
            through = f" (through {source.view})" if source.view else ""
            return f"{_HOW[source.how]} {place} of {tool}, call {source.reference}{through}; {label}"


def _members(source: Source) -> dict[str, Any]:
    return {
        "kind": source.kind.value,
        "reference": source.reference,
        "pointer": source.pointer,
        "how": source.how.value,
        "view": source.view,
        "label": source.label.as_json(),
    }
