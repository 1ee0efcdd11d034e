"""A session's lineage as OpenLineage run events (https://openlineage.io/spec/2-0-2/OpenLineage.json).

A call is a run of the job that is its tool. Its arguments are a dataset, whose column lineage says from which
fields of which earlier results they came, and its result is another. The session is the parent run.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from toolward.governance.lineage.reading import Lineage, Traced
from toolward.model.lineage import How, SourceKind
from toolward.model.session import Session
from toolward.rules.lineage.edges import Edge

PRODUCER: Final = "https://toolward.dev/openlineage"
_SPEC: Final = "https://openlineage.io/spec"
_EVENT: Final = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_COLUMNS: Final = f"{_SPEC}/facets/1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet"
_PARENT: Final = f"{_SPEC}/facets/1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet"
_NAMES: Final = uuid.UUID("6f0e9d5c-9b0b-5d0e-8a54-5b1f4c4b7a11")
"""From which the runs of sessions get their ids that were not named by a UUID."""
_ENDED: Final = {
    "returned": "COMPLETE",
    "tool_error": "FAIL",
    "failed": "FAIL",
    "stopped": "ABORT",
    "unknown": "ABORT",
}


def run_events(lineage: Lineage, *, ward: str) -> list[dict[str, Any]]:
    """A START for each call, and its end where it has one, in the order in which the calls began."""
    namespace = f"toolward://{ward}"
    events = []
    for call in lineage.calls:
        events.append(_event(call, lineage.session, namespace, kind="START", time=call.begun))
        if call.ended:
            kind = _ENDED.get(call.status, "OTHER")
            events.append(_event(call, lineage.session, namespace, kind=kind, time=call.ended))
    return events


def run_id(name: str) -> str:
    """The UUID that `name` is, or that stands for it."""
    try:
        return str(uuid.UUID(name))
    except ValueError:
        return str(uuid.uuid5(_NAMES, name))


def _event(call: Traced, session: Session, namespace: str, *, kind: str, time: str) -> dict[str, Any]:
    inputs = dict.fromkeys(_dataset(edge, session) for edge in call.edges)
    return {
        "eventType": kind,
        "eventTime": time,
        "producer": PRODUCER,
        "schemaURL": _EVENT,
        "run": {
            "runId": run_id(call.call_id),
            "facets": {
                "parent": {
                    **_facet(_PARENT),
                    "run": {"runId": run_id(session.session_id)},
                    "job": {"namespace": namespace, "name": f"session of {session.principal.agent}"},
                }
            },
        },
        "job": {"namespace": namespace, "name": call.tool or call.action},
        "inputs": [{"namespace": namespace, "name": name} for name in inputs],
        "outputs": [
            _arguments(call, session, namespace),
            {"namespace": namespace, "name": _result(call.call_id)},
        ],
    }


def _arguments(call: Traced, session: Session, namespace: str) -> dict[str, Any]:
    fields: dict[str, list[dict[str, Any]]] = {}
    for edge in call.edges:
        fields.setdefault(edge.pointer, []).append(
            {
                "namespace": namespace,
                "name": _dataset(edge, session),
                "field": edge.source.pointer,
                "transformations": [_transformation(edge)],
            }
        )
    columns = {pointer: {"inputFields": found} for pointer, found in fields.items()}
    return {
        "namespace": namespace,
        "name": f"call/{call.call_id}/arguments",
        "facets": {"columnLineage": {**_facet(_COLUMNS), "fields": columns}} if columns else {},
    }


def _transformation(edge: Edge) -> dict[str, Any]:
    same = edge.source.how in (How.EXACT, How.HANDLE)
    described = f"{edge.source.how.value} {edge.source.view}".strip()
    return {
        "type": "DIRECT",
        "subtype": "IDENTITY" if same else "TRANSFORMATION",
        "description": described,
        "masking": False,
    }


def _dataset(edge: Edge, session: Session) -> str:
    """Results by call; the user's words by session; the operator's values by server."""
    source = edge.source
    if source.kind is SourceKind.RESULT:
        return _result(source.reference)
    if source.kind is SourceKind.OPERATOR:
        return f"operator/{source.reference}"
    return f"session/{session.session_id}/{source.kind.value}"


def _result(call_id: str) -> str:
    return f"call/{call_id}/result"


def _facet(schema: str) -> dict[str, str]:
    return {"_producer": PRODUCER, "_schemaURL": schema}
