"""2 resolve: the exact pinned version for this caller, and arguments that fit its schema."""

from __future__ import annotations

from toolward.errors import Denied, UnknownTool
from toolward.errors import ReasonCode as Code
from toolward.kernel.drift import DriftWatch
from toolward.kernel.registry import Registry
from toolward.kernel.revision import ActiveRevision
from toolward.model.call import UPSTREAM_ACTIONS, Action, Call, ResolvedCall
from toolward.model.tool import SEPARATOR, Path, ToolState
from toolward.rules.flow import path_of


class Resolve:
    """Stage 2. Waits for a comparison with the server when what is known of it is too old for the effect."""

    def __init__(self, registry: Registry, drift: DriftWatch) -> None:
        self._registry = registry
        self._drift = drift

    async def __call__(self, call: Call, revision: ActiveRevision) -> ResolvedCall:
        """Raises `UnknownTool`, `BadArguments`, or `Denied` for a tool that is not served."""
        server, name = self._locate(call, revision)
        if call.action is not Action.CALL_TOOL:
            return ResolvedCall(call=call, server=server, name=name, version=None, state=None, path=Path.OPEN)
        key = f"{server}/{name}"
        await self._drift.ensure_fresh(key, server)
        pin = self._registry.pin(key)
        if pin is None:
            raise _unknown(call)
        served = self._registry.served(key)
        if served is None or pin.state is ToolState.QUARANTINED:
            raise _not_served(key, pin.state)
        version = served[1]
        self._registry.schema(version).check(call.arguments)
        return ResolvedCall(
            call=call,
            server=server,
            name=name,
            version=version,
            state=pin.state,
            path=path_of(pin.state, version.manifest, critical=False),
        )

    @staticmethod
    def _locate(call: Call, revision: ActiveRevision) -> tuple[str, str]:
        """Which server is meant, and the name there."""
        server, name = call.server, call.target
        if not server and call.action in (Action.CALL_TOOL, Action.GET_PROMPT):
            server, separator, name = call.target.partition(SEPARATOR)
            if not separator:
                raise _unknown(call)
        needs_server = call.action not in UPSTREAM_ACTIONS and call.action is not Action.LIST_TOOLS
        if (server or needs_server) and revision.binding(server) is None:
            raise _unknown(call)
        return server, name


def _unknown(call: Call) -> UnknownTool:
    what = "tool" if call.action is Action.CALL_TOOL else call.action.value.partition("/")[0].rstrip("s")
    return UnknownTool(
        f"unknown {what}: `{call.target[:200]}`", remedy="list what there is and use a name from that list"
    )


def _not_served(key: str, state: ToolState) -> Denied:
    text, code, remedy = {
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
