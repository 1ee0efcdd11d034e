"""2 resolve: the exact pinned version for this caller, and arguments that fit its schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from toolward.errors import Denied, UnknownTool
from toolward.errors import ReasonCode as Code
from toolward.kernel.registry.drift import DriftWatch
from toolward.kernel.registry.registry import Registry
from toolward.kernel.resilience.resilience import Resilience
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.sessions import Sessions
from toolward.model.call import OWN_ACTIONS, UPSTREAM_ACTIONS, Action, Call, ResolvedCall
from toolward.model.capability import IsolationLevel
from toolward.model.objective import Step
from toolward.model.server import ServerBinding
from toolward.model.tool import (
    SEPARATOR,
    BindingKind,
    CallScope,
    Channel,
    Manifest,
    ToolState,
    ToolVersion,
)
from toolward.ports.upstream import Upstreams
from toolward.rules.open_path import refused_terms
from toolward.rules.record import timestamp
from toolward.rules.standing import check_open, step_named
from toolward.rules.step import check_named, check_reading


class Resolve:
    """Stage 2. Waits for a comparison with the server when what is known of it is too old for the effect."""

    def __init__(
        self,
        registry: Registry,
        drift: DriftWatch,
        upstreams: Upstreams,
        *,
        sessions: Sessions,
        resilience: Resilience,
        undo_pins: Callable[[str], Mapping[str, str]] = lambda _: {},
    ) -> None:
        """`undo_pins` gives the versions that were pinned when a call's undo was promised."""
        self._registry = registry
        self._drift = drift
        self._upstreams = upstreams
        self._sessions = sessions
        self._resilience = resilience
        self._undo_pins = undo_pins

    async def __call__(self, call: Call, revision: ActiveRevision) -> ResolvedCall:
        """The call with its version and its cage.

        Raises `UnknownTool`, `BadArguments`, `SandboxUnavailable`, `CircuitOpen`, and `Denied` for a tool
        that is not served, that the step of the session's objective does not name, or that would not run in
        the cage that its manifest wants.
        """
        server, name = self._locate(call, revision)
        step = self._step(call, server, name, revision) if call.session.step else None
        self._resilience.check(call, server, name)
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
                step=step,
                isolation=level,
                scope=process_scope(revision.binding(server)),
            )
        key = f"{server}/{name}"
        version, state, runner = await self._version(call, key, revision)
        if step is not None:
            check_reading(step, key, version.manifest.effect)
        self._registry.schema(version).check(call.arguments)
        level = (await self._upstreams.isolation(runner)).tier
        scope = process_scope(revision.upstream(runner))
        _check_cage(key, version.manifest, level, scope)
        if state is ToolState.DISCOVERED:
            _check_terms(version, revision)
        return ResolvedCall(
            call=call,
            server=server,
            name=name,
            version=version,
            state=state,
            review_by=self._overdue(key, revision),
            successor=self._successor(key, state, revision.channel_of(call.session.principal.agent)),
            variant="" if runner == server else runner,
            step=step,
            isolation=level,
            scope=scope,
        )

    def _step(self, call: Call, server: str, name: str, revision: ActiveRevision) -> Step:
        """The step that the session is in now, if it names what is called."""
        session = self._sessions.current(call.session.session_id) or call.session
        if not call.held_in:
            check_open(session)
        name_of_step = call.held_in or session.step
        step = step_named(
            session.objective, name_of_step, revision.objectives, revision.channel_of(session.principal.agent)
        )
        objective = revision.objectives[session.objective].objective
        key = f"{server}/{name}" if call.action is Action.CALL_TOOL else ""
        check_named(call, step, objective, server=server, key=key)
        return step

    async def _version(
        self, call: Call, key: str, revision: ActiveRevision
    ) -> tuple[ToolVersion, ToolState, str]:
        """What this session is served, how it stands and who runs it, once that one was compared."""
        server = key.partition("/")[0]
        channel = revision.channel_of(call.session.principal.agent)
        seen = (
            self._served(call, key, channel)
            if call.copy_of
            else self._registry.serving(key, channel, call.session)
        )
        runner = _runner(seen[0], revision) if seen is not None else server
        while True:
            await self._drift.ensure_fresh(runner, seen[0] if seen is not None else None)
            version, state = self._served(call, key, channel)
            compared, runner = runner, _runner(version, revision)
            if runner == compared:  # else the comparison moved the session to what another variant runs
                return version, state, runner
            seen = version, state

    def _overdue(self, key: str, revision: ActiveRevision) -> str:
        """The date of a review that is past; dates are compared as text, in UTC."""
        date = revision.review_by.get(key)
        return date if date and date < timestamp(self._registry.clock.now_ns())[: len(date)] else ""

    def _successor(self, key: str, state: ToolState, channel: Channel) -> str:
        pin = self._registry.pin(key, channel) if state is ToolState.DEPRECATED else None
        return pin.successor if pin is not None else ""

    def _served(self, call: Call, key: str, channel: Channel) -> tuple[ToolVersion, ToolState]:
        served = self._registry.serving(key, channel, call.session)
        if served is None:
            raise _unknown(call)
        if call.copy_of:
            return self._registry.tried(key, channel), ToolState.APPROVED  # as it would be judged then
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
        if not (served[1].stands or served[1] is ToolState.DISCOVERED):
            raise _not_served(key, served[1])
        return served

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


def _runner(version: ToolVersion, revision: ActiveRevision) -> str:
    """Raises `Denied` for a version that nothing which is configured runs any more."""
    runner = revision.runner(version)
    if runner is None:
        raise Denied(
            f"{version.key} is pinned to a variant of `{version.server}` that is not configured any more",
            code=Code.STALE_DEFINITION,
            remedy=f"ask the operator: toolward tools rollback {version.key}, or declare that variant again",
        )
    return runner


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


def _check_terms(version: ToolVersion, revision: ActiveRevision) -> None:
    """The open path's own terms. Raises `Denied` with the offer of promotion."""
    binding = revision.binding(version.server)
    if binding is None:
        raise _not_served(version.key, ToolState.DISCOVERED)
    source = revision.sources.get(binding.found_by)
    if (no := refused_terms(version.key, version.manifest, binding, source)) is not None:
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
    not_approved = (
        f"{key} is not approved",
        Code.NOT_APPROVED,
        f"ask the operator to look at it: toolward tools approve {key}",
    )
    text, code, remedy = {
        ToolState.QUARANTINED: (
            f"{key} is quarantined: it is no longer what was approved",
            Code.QUARANTINED,
            f"use another tool, or ask the operator: toolward tools diff {key}",
        ),
        ToolState.REVOKED: (f"{key} was revoked", Code.REVOKED, "use another tool"),
    }.get(state, not_approved)
    return Denied(text, code=code, remedy=remedy)
