"""Whether everything that names a tool still fits another version of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from toolward.config.testing import DecisionTest, Example
from toolward.config.ward import undo_findings
from toolward.errors import CallerError, WardError
from toolward.governance.desk.context import Desk
from toolward.model.event import EventKind
from toolward.model.tool import Effect, ToolVersion
from toolward.ports.store import Record

CALLS_MAX: Final = 200
"""Recorded calls whose arguments are looked at: the newest ones."""


def misfits(desk: Desk, version: ToolVersion) -> list[str]:
    """In words what does not fit: policies, undoing, objectives, tests, standing grants, recorded calls."""
    return [
        *_policies(desk, version),
        *_undoing(desk, version),
        *_objectives(desk, version),
        *_tests(desk, version),
        *_grants(desk, version),
        *_recorded(desk, version),
    ]


def _policies(desk: Desk, version: ToolVersion) -> Iterator[str]:
    try:
        _ = desk.trial(version)
    except WardError as error:
        yield f"a policy does not fit: {error.diagnostics()}"


def _undoing(desk: Desk, version: ToolVersion) -> Iterator[str]:
    """What the manifests say of undoing, against the definitions as they would be."""
    definitions: dict[str, dict[str, Any]] = {}
    for each in (*desk.parts.registry.versions(), version):  # the last one takes the place of the others
        definitions.setdefault(each.server, {})[each.name] = orjson.loads(each.definition)
    for error in undo_findings(desk.ward(), definitions):
        yield f"undoing does not fit: {error.diagnostics()}"


def _objectives(desk: Desk, version: ToolVersion) -> Iterator[str]:
    reads = version.manifest.effect is Effect.READ_ONLY
    for name, declared in sorted(desk.revision().objectives.items()):
        for each in declared.objective.success.verify:
            if each.tool != version.key:
                continue
            if not reads:
                yield f"the objective `{name}` is verified by it, and it does more than read"
            try:
                desk.parts.registry.schema(version).check(each.arguments)
            except CallerError as no:
                yield f"how the objective `{name}` is verified does not fit: {no.reason.text}"
        for step in declared.objective.steps:
            if version.key in step.tools and step.bounds.written == 0 and not reads:
                yield f"the step `{step.name}` of the objective `{name}` lets nothing be written, and it does"


def _tests(desk: Desk, version: ToolVersion) -> Iterator[str]:
    tests = desk.ward().tests
    every: list[tuple[str, int, DecisionTest | Example]] = [*tests.decisions, *tests.examples]
    for file, line, test in every:
        if test.call != version.key:
            continue
        try:
            desk.parts.registry.schema(version).check(test.arguments)
        except CallerError as no:
            yield f"{file}:{line}: `{test.name}` does not fit: {no.reason.text}"


def _grants(desk: Desk, version: ToolVersion) -> Iterator[str]:
    properties = orjson.loads(version.definition).get("inputSchema", {}).get("properties", {})
    approvals = desk.parts.approvals
    now_ms = approvals.ground.now_ms()
    for grant, used in approvals.grants.every():
        if grant.tool != version.key or used >= grant.uses or now_ms >= grant.expires_ms:
            continue
        for pointer in grant.arguments:
            name = pointer.split("/", 2)[1] if pointer else ""
            if name and name not in properties:
                yield f"the standing grant {grant.grant_id} bounds `{pointer}`, which is no argument any more"


def _recorded(desk: Desk, version: ToolVersion) -> Iterator[str]:
    wrong, looked = 0, 0
    for record in recorded_calls(desk, version.key, CALLS_MAX):
        body = desk.parts.store.payload(record.index, "arguments")
        if body is None:
            continue
        looked += 1
        try:
            desk.parts.registry.schema(version).check(orjson.loads(body))
        except CallerError:
            wrong += 1  # why is not said: it would show what somebody called it with
    if wrong:
        yield f"{wrong} of {looked} recorded calls do not fit its schema"


def recorded_calls(desk: Desk, key: str, limit: int) -> Iterator[Record]:
    """The records of a tool's calls that hold their arguments, the newest of each kind first."""
    for kind in (EventKind.CALL_INTENT, EventKind.CALL_MERGED):
        yield from desk.parts.store.find(kind=kind.value, tool=key, limit=limit)
