"""2 resolve: the exact pinned version for this caller, and arguments that fit its schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from toolward.errors import Denied, UnknownTool
from toolward.errors import ReasonCode as Code
from toolward.kernel.registry.drift import DriftWatch
from toolward.kernel.registry.registry import Registry
from toolward.kernel.revision import ActiveRevision
from toolward.model.call import OWN_ACTIONS, UPSTREAM_ACTIONS, Action, Call, ResolvedCall
from toolward.model.capability import IsolationLevel
from toolward.model.server import ServerBinding
from toolward.model.tool import SEPARATOR, BindingKind, CallScope, Manifest, Path, ToolState, ToolVersion
from toolward.ports.upstream import Upstreams
from toolward.rules.flow import path_of
from toolward.rules.open_path import refused_terms


class Resolve:
    """Stage 2. Waits for a comparison with the server when what is known of it is too old for the effect."""

    def __init__(
        self,
        registry: Registry,
        drift: DriftWatch,
        upstreams: Upstreams,
        *,
        undo_pins: Callable[[str], Mapping[str, str]] = lambda _: {},
    ) -> None:
        """`undo_pins` gives the versions that were pinned when a call's undo was promised."""
        self._registry = registry
        self._drift = drift
        self._upstreams = upstreams
        self._undo_pins = undo_pins

    async def __call__(self, call: Call, revision: ActiveRevision) -> ResolvedCall:
        """The call with its version and its cage.

        Raises `UnknownTool`, `BadArguments`, `SandboxUnavailable`, and `Denied` for a tool that is not
        served or would not run in the cage that its manifest wants.
        """
        server, name = self._locate(call, revision)
        if call.action is not Action.CALL_TOOL:
            _check_action(call, revision.binding(server))
            level = IsolationLevel.NONE
            if server and call.action not in OWN_ACTIONS:
                level = (await self._upstreams.isolation(server)).tier
            return ResolvedCall(
                call=call,
                server=server,
                name=name,
                version=None,
                state=None,
                path=Path.OPEN,
                isolation=level,
                scope=process_scope(revision.binding(server)),
            )
        key = f"{server}/{name}"
        await self._drift.ensure_fresh(key, server)
        version, state = self._served(call, key)
        self._registry.schema(version).check(call.arguments)
        level, scope = (await self._upstreams.isolation(server)).tier, process_scope(revision.binding(server))
        _check_cage(key, version.manifest, level, scope)
        path = path_of(state, version.manifest, critical=False)
        if state is ToolState.DISCOVERED:
            _check_terms(version, path, revision)
        return ResolvedCall(
            call=call,
            server=server,
            name=name,
            version=version,
            state=state,
            path=path,
            isolation=level,
            scope=scope,
        )

    def _served(self, call: Call, key: str) -> tuple[ToolVersion, ToolState]:
        pin = self._registry.pin(key)
        if pin is None:
            raise _unknown(call)
        pinned = self._undo_pins(call.undo_of).get(key) if call.undo_of else None
        if pinned is not None:
            version = self._registry.for_undo(key, pinned)
            if version is None:
                raise Denied(
                    f"{key} is no longer what it was when it was to undo this",
                    code=Code.STALE_DEFINITION,
                    remedy=f"look at what changed, `toolward tools diff {key}`, and undo it by hand",
                )
            return version, ToolState.APPROVED  # which it was when its undo was promised
        served = self._registry.served(key)
        if served is None or pin.state is ToolState.QUARANTINED:
            raise _not_served(key, pin.state)
        return served[1], pin.state

    @staticmethod
    def _locate(call: Call, revision: ActiveRevision) -> tuple[str, str]:
        """Which server is meant, and the name there."""
        server, name = call.server, call.target
        if not server and call.action in (Action.CALL_TOOL, Action.GET_PROMPT):
            server, separator, name = call.target.partition(SEPARATOR)
            if not separator:
                raise _unknown(call)
        needs_server = call.action not in UPSTREAM_ACTIONS and call.action not in OWN_ACTIONS
        if (server or needs_server) and revision.binding(server) is None:
            raise _unknown(call)
        return server, name


def process_scope(binding: ServerBinding | None) -> CallScope:
    """What shares a process with a call: nothing, its session, all sessions, or nobody here can know."""
    if binding is not None and binding.kind.per_call:
        return CallScope.CALL
    if binding is None or binding.kind is BindingKind.PYTHON:
        return CallScope.SERVER
    if binding.kind is BindingKind.HTTP:
        return CallScope.REMOTE
    return CallScope.SERVER if binding.stateless else CallScope.SESSION


def _check_cage(key: str, manifest: Manifest, level: IsolationLevel, scope: CallScope) -> None:
    if not level.reaches(manifest.min_isolation):
        raise Denied(
            f"{key} wants the isolation `{manifest.min_isolation}`, and here it gets `{level}`",
            code=Code.ISOLATION_TOO_WEAK,
            remedy="ask the operator: toolward doctor says what this host is missing",
        )
    if not scope.within(manifest.min_scope):
        raise Denied(
            f"{key} wants a process for each `{manifest.min_scope}`, and shares one with its `{scope}`",
            code=Code.ISOLATION_TOO_WEAK,
            remedy="ask the operator: `stateless` in toolward.yaml decides who shares a process",
        )


def _check_terms(version: ToolVersion, path: Path, revision: ActiveRevision) -> None:
    """The open path's own terms. Raises `Denied` with the offer of promotion."""
    binding = revision.binding(version.server)
    if binding is None:
        raise _not_served(version.key, ToolState.DISCOVERED)
    source = revision.sources.get(binding.found_by)
    if (no := refused_terms(version.key, version.manifest, binding, source, path)) is not None:
        raise Denied(no.text, code=no.code, remedy=no.remedy, details=no.details)


def _check_action(call: Call, binding: ServerBinding | None) -> None:
    """Of a found server nothing but its tools is used: the rest has no manifest that could bound it."""
    if binding is not None and binding.found_by and call.action not in OWN_ACTIONS:
        raise Denied(
            f"`{binding.server}` was found, and only its tools can be used",
            code=Code.BEYOND_OPEN_PATH,
            remedy="use one of its tools, or another server",
        )


def _unknown(call: Call) -> UnknownTool:
    what = "tool" if call.action is Action.CALL_TOOL else call.action.value.partition("/")[0].rstrip("s")
    return UnknownTool(
        f"unknown {what}: `{call.target[:200]}`", remedy="list what there is and use a name from that list"
    )


def _not_served(key: str, state: ToolState) -> Denied:
    text, code, remedy = {
        ToolState.DISCOVERED: (f"{key} is not served", Code.NOT_APPROVED, "ask the operator"),
        ToolState.PROPOSED: (
            f"{key} is not approved",
            Code.NOT_APPROVED,
            f"ask the operator to look at it: toolward tools approve {key}",
        ),
        ToolState.QUARANTINED: (
            f"{key} is quarantined: its definition changed after it was approved",
            Code.QUARANTINED,
            f"use another tool, or ask the operator: toolward tools diff {key}",
        ),
        ToolState.REVOKED: (f"{key} was revoked", Code.REVOKED, "use another tool"),
        ToolState.APPROVED: (f"{key} is not served", Code.NOT_APPROVED, "ask the operator"),
    }[state]
    return Denied(text, code=code, remedy=remedy)
