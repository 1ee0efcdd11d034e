"""A session's lineage as W3C PROV-JSON (https://www.w3.org/submissions/prov-json/)."""

from __future__ import annotations

from typing import Any, Final

from toolward.governance.lineage.reading import Lineage, Traced
from toolward.model.lineage import Source, SourceKind

PREFIX: Final = {
    "tw": "https://toolward.dev/ns/prov#",
    "call": "urn:toolward:call:",
    "who": "urn:toolward:who:",
}


def prov_json(lineage: Lineage) -> dict[str, Any]:
    """One document: calls are activities, arguments and fields of results entities, user and agent agents."""
    document = _Document(lineage)
    for call in lineage.calls:
        document.call(call)
    return document.as_json()


class _Document:
    def __init__(self, lineage: Lineage) -> None:
        session = lineage.session
        self._session = session
        self._known = {call.call_id for call in lineage.calls}
        self._user = f"who:{_local(session.principal.user)}"
        self._agent = f"who:agent/{_local(session.principal.agent)}"
        self._entities: dict[str, dict[str, Any]] = {}
        self._activities: dict[str, dict[str, Any]] = {}
        self._relations: dict[str, dict[str, dict[str, Any]]] = {}

    def call(self, call: Traced) -> None:
        """The call, what it used and what it generated."""
        activity = f"call:{call.call_id}"
        self._activities[activity] = {
            "prov:startTime": call.begun,
            **({"prov:endTime": call.ended} if call.ended else {}),
            "tw:tool": call.tool,
            "tw:action": call.action,
            "tw:status": call.status,
        }
        self._relate("wasAssociatedWith", {"prov:activity": activity, "prov:agent": self._agent})
        result = f"{activity}/result"
        if "result" in call.digests:
            self._entity(result, {"tw:digest": call.digests["result"]})
            self._relate("wasGeneratedBy", {"prov:entity": result, "prov:activity": activity})
        for pointer in dict.fromkeys((*call.pointers, *(edge.pointer for edge in call.edges))):
            argument = f"{activity}/arguments{_local(pointer)}"
            self._entity(argument, {"prov:location": pointer})
            self._relate("used", {"prov:activity": activity, "prov:entity": argument})
            self._relate("wasAttributedTo", {"prov:entity": argument, "prov:agent": self._agent})
        for edge in call.edges:
            argument = f"{activity}/arguments{_local(edge.pointer)}"
            self._relate(
                "wasDerivedFrom",
                {
                    "prov:generatedEntity": argument,
                    "prov:usedEntity": self._place(edge.source),
                    "tw:how": edge.source.how.value,
                    **({"tw:view": edge.source.view} if edge.source.view else {}),
                    "tw:integrity": edge.source.label.integrity.name.lower(),
                    "tw:confidentiality": edge.source.label.confidentiality.name.lower(),
                },
            )

    def as_json(self) -> dict[str, Any]:
        """The whole, by kind."""
        self._relate("actedOnBehalfOf", {"prov:delegate": self._agent, "prov:responsible": self._user})
        return {
            "prefix": PREFIX,
            "agent": {
                self._user: {"prov:type": {"$": "prov:Person", "type": "prov:QUALIFIED_NAME"}},
                self._agent: {"prov:type": {"$": "prov:SoftwareAgent", "type": "prov:QUALIFIED_NAME"}},
            },
            "entity": self._entities,
            "activity": self._activities,
            **self._relations,
        }

    def _place(self, source: Source) -> str:
        """The entity that a source names, with the result that it is a part of."""
        if source.kind is not SourceKind.RESULT:
            name = f"tw:{source.kind.value}/{_local(source.reference or self._session.session_id)}"
            self._entity(name, {"tw:kind": source.kind.value})
            return name
        result = f"call:{source.reference}/result"
        self._entity(result, {})
        if not source.pointer:
            return result
        place = f"{result}{_local(source.pointer)}"
        if self._entity(place, {"prov:location": source.pointer}):
            self._relate("wasDerivedFrom", {"prov:generatedEntity": place, "prov:usedEntity": result})
        return place

    def _entity(self, name: str, attributes: dict[str, Any]) -> bool:
        """Whether it was not there yet."""
        new = name not in self._entities
        self._entities.setdefault(name, {}).update(attributes)
        return new

    def _relate(self, kind: str, members: dict[str, Any]) -> None:
        relations = self._relations.setdefault(kind, {})
        relations[f"_:{kind}{len(relations)}"] = members


def _local(text: str) -> str:
    """As a local name: what one can not hold is written in hex, so that two texts stay two names."""
    return "".join(each if each.isalnum() or each in "/-._" else f"%{ord(each):02X}" for each in text)
