"""7 execute: the only stage that touches the world, and only with a permit that was not used before."""

from __future__ import annotations

import asyncio

from toolward.errors import InvariantBroken, Reason, ReasonCode
from toolward.kernel.face.answers import Answers
from toolward.kernel.refusal import not_run
from toolward.kernel.registry.registry import Registry
from toolward.kernel.resilience.queueing import NotBegun
from toolward.kernel.resilience.resilience import Resilience
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.running import NEVER_RAN
from toolward.kernel.stops import Stops
from toolward.model.call import OWN_ACTIONS, Failed, Intent, RawOutcome, Stopped
from toolward.model.permit import Permit
from toolward.model.tool import ToolState
from toolward.ports.upstream import Exchange


class Execute:
    """Stage 7."""

    def __init__(self, upstreams: Resilience, answers: Answers, registry: Registry, stops: Stops) -> None:
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
        if (withdrawn := self._withdrawn(permit, revision)) is not None:
            return withdrawn
        if call.action in OWN_ACTIONS:
            return await self._answers(permit, revision)
        running = self._stops.running(permit)
        try:
            outcome: RawOutcome = await self._upstreams.execute(permit, intent, exchange)
        except NotBegun:
            outcome = NEVER_RAN
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
            elif outcome is NEVER_RAN:
                outcome = not_run(running.stopped)
        return outcome

    def _withdrawn(self, permit: Permit, revision: ActiveRevision) -> Failed | None:
        """Quarantine, revocation and the kill switch override a permit that was given before them."""
        version, resolved = permit.labelled.resolved.version, permit.labelled.resolved
        stopped = self._stops.reason(resolved.call, f"{resolved.server}/{resolved.name}")
        if stopped is not None:
            return not_run(stopped)
        if version is None:
            return None
        session = resolved.call.session
        served = self._registry.serving(version.key, revision.channel_of(session.principal.agent), session)
        if permit.labelled.call.undo_of and self._registry.for_undo(version.key, version.digest) is not None:
            return None
        if resolved.call.copy_of:
            tried = self._registry.pin(version.key, revision.channel_of(session.principal.agent))
            if tried is not None and tried.canary is not None and tried.canary.digest == version.digest:
                return None
        judged_as = resolved.state if resolved.state is ToolState.DISCOVERED else None
        if (
            served is not None
            and (served[1].stands or served[1] is judged_as)
            and served[0].digest == version.digest
        ):
            return None
        code = ReasonCode.STALE_DEFINITION
        if served is not None and served[1] in (ToolState.QUARANTINED, ToolState.REVOKED):
            code = ReasonCode(served[1].value)
        reason = Reason(
            code=code,
            text=f"{version.key} was withdrawn while the call was on its way, so it did not run",
            remedy="list the tools and use what is there",
        )
        return not_run(reason)
