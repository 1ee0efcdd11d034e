"""Webhooks of an open house, out and in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from toolward.adapters.egress.connecting import VettedConnector
from toolward.adapters.webhooks.posting import PostingOutbox
from toolward.bootstrap.assembly import House
from toolward.config.approving import WebhookConfig
from toolward.governance.desk import invoke
from toolward.governance.webhooks.incoming import Incoming
from toolward.governance.webhooks.outgoing import Outgoing, Senders
from toolward.kernel.cages.egress_watch import EgressWatch
from toolward.kernel.tasks import Background
from toolward.model.principal import CredentialKind, Principal
from toolward.ports.webhooks import Outbox

_READER = Principal(user="toolward", agent="webhook", credential="webhook:", kind=CredentialKind.WEBHOOK)
"""Reads what is told; it is nobody's, so nothing that it would say counts."""


def outgoing_of(house: House, background: Background, outbox: Outbox | None = None) -> Outgoing:
    """What tells the ward's webhooks."""

    async def show(approval: str) -> Mapping[str, Any]:
        parameters = {"approval": approval, "preview": False}
        row: Mapping[str, Any] = await invoke(house.desk, "approvals.show", parameters, _READER)
        return row

    senders = Senders(
        store=house.store,
        auditor=house.parts.auditor,
        clock=house.clock,
        secrets=house.parts.settle.secrets,
        outbox=outbox or _posting(house, background),
        hooks=partial(_hooks, house),
        show=show,
    )
    return Outgoing(senders, background)


def _posting(house: House, background: Background) -> PostingOutbox:
    signals = EgressWatch(house.store, house.parts.auditor, background=background, clock=house.clock)
    return PostingOutbox(VettedConnector(signals))


def incoming_of(house: House) -> Incoming:
    """What judges their answers."""
    return Incoming(
        partial(invoke, house.desk),
        hooks=partial(_hooks, house),
        secrets=house.parts.settle.secrets,
        store=house.store,
        clock=house.clock,
    )


def _hooks(house: House) -> Mapping[str, WebhookConfig]:
    """As the ward's files have them now."""
    return house.ward.config.approvals.webhooks
