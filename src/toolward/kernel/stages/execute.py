"""7 execute: the only stage that touches the world, and only with a permit that was not used before."""

from __future__ import annotations

import asyncio

from toolward.errors import InvariantBroken, Reason, ReasonCode
from toolward.kernel.face.answers import Answers
from toolward.kernel.registry.registry import Registry
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.stops import Stops
from toolward.model.call import OWN_ACTIONS, Failed, Intent, RawOutcome, Stopped
from toolward.model.permit import Permit
from toolward.model.tool import ToolState
from toolward.ports.upstream import Exchange, Upstreams

NOT_RUN = -32001
"""JSON-RPC code of a refusal, as everywhere in the kernel."""


class Execute:
    """Stage 7."""

    def __init__(self, upstreams: Upstreams, answers: Answers, registry: Registry, stops: Stops) -> None:
        self._upstreams = upstreams
        self._answers = answers
        self._registry = registry
        self._stops = stops

    async def __call__(
        self, permit: Permit, intent: Intent, exchange: Exchange, *, revision: ActiveRevision
    ) -> RawOutcome:
        """What the tool said. A caller that goes away leaves an outcome too: it may have happened."""
        call = permit.labelled.call
        if intent.call_id != call.call_id or permit.args_digest != call.args_digest:
            raise InvariantBroken("permit, intent and call do not belong together")
        if (withdrawn := self._withdrawn(permit)) is not None:
            return withdrawn
        if call.action in OWN_ACTIONS:
            return await self._answers(permit, revision)
        running = self._stops.running(permit)
        try:
            outcome = await self._upstreams.execute(permit, intent, exchange)
        except asyncio.CancelledError:
            outcome = Stopped(
                reason=ReasonCode.UNKNOWN_OUTCOME.value,
                message="the caller went away while the tool was running",
            )
        finally:
            self._stops.left(running)
        if running.stopped is not None and running.task is not None:
            _ = running.task.uncancel()  # the caller is still there, and is told
            if isinstance(outcome, Stopped):
                outcome = Stopped(reason=running.stopped.code.value, message=running.stopped.text)
        return outcome

    def _withdrawn(self, permit: Permit) -> Failed | None:
        """Quarantine, revocation and the kill switch override a permit that was given before them."""
        version, resolved = permit.labelled.resolved.version, permit.labelled.resolved
        stopped = self._stops.reason(resolved.call, f"{resolved.server}/{resolved.name}")
        if stopped is not None:
            return _not_run(stopped)
        if version is None:
            return None
        pin = self._registry.pin(version.key)
        if permit.labelled.call.undo_of and self._registry.for_undo(version.key, version.digest) is not None:
            return None
        served = permit.labelled.resolved.state  # approved, or found: what it was judged as
        if pin is not None and pin.digest == version.digest and pin.state in (ToolState.APPROVED, served):
            return None
        code = ReasonCode.STALE_DEFINITION
        if pin is not None and pin.state in (ToolState.QUARANTINED, ToolState.REVOKED):
            code = ReasonCode(pin.state.value)
        reason = Reason(
            code=code,
            text=f"{version.key} was withdrawn while the call was on its way, so it did not run",
            remedy="list the tools and use what is there",
        )
        return _not_run(reason)


def _not_run(reason: Reason) -> Failed:
    return Failed(
        code=NOT_RUN,
        message=reason.sentence(),
        reason=reason.code.value,
        data=reason.as_json(),
        from_server=False,
    )
