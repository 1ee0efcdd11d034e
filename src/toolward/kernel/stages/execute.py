"""7 execute: the only stage that touches the world, and only with a permit that was not used before."""

from __future__ import annotations

import asyncio

from toolward.errors import InvariantBroken, ReasonCode
from toolward.kernel.listing import Listing
from toolward.kernel.revision import ActiveRevision
from toolward.model.call import Action, Intent, RawOutcome, Stopped
from toolward.model.permit import Permit
from toolward.ports.upstream import Exchange, Upstreams


class Execute:
    """Stage 7."""

    def __init__(self, upstreams: Upstreams, listing: Listing) -> None:
        self._upstreams = upstreams
        self._listing = listing

    async def __call__(
        self, permit: Permit, intent: Intent, exchange: Exchange, *, revision: ActiveRevision
    ) -> RawOutcome:
        """What the tool said. A caller that goes away leaves an outcome too: it may have happened."""
        call = permit.labelled.call
        if intent.call_id != call.call_id or permit.args_digest != call.args_digest:
            raise InvariantBroken("permit, intent and call do not belong together")
        if call.action is Action.LIST_TOOLS:
            return self._listing.tools(permit, revision)
        try:
            return await self._upstreams.execute(permit, intent, exchange)
        except asyncio.CancelledError:
            return Stopped(
                reason=ReasonCode.UNKNOWN_OUTCOME.value,
                message="the caller went away while the tool was running",
            )
