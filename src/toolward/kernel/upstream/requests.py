"""What a server asks of the caller while a call runs: denied unless its manifest accepts it, then governed.

In the 2025 era a server sends a request of its own; in the 2026 era it answers `input_required` with a
list of requests. Both come through here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from toolward.errors import Denied, Reason, ReasonCode, ToolwardError
from toolward.kernel.attempt import Attempt
from toolward.kernel.refusal import Refuse
from toolward.kernel.revision import ActiveRevision
from toolward.kernel.stages.admit import Admit
from toolward.kernel.stages.authorize import authorize
from toolward.kernel.stages.decide import decide
from toolward.kernel.stages.label import Label
from toolward.kernel.stages.settle import Settle
from toolward.model.call import Action, Failed, Intent, RawOutcome, ResolvedCall, Returned
from toolward.model.permit import Permit
from toolward.ports.ids import Ids
from toolward.ports.upstream import Exchange

_ACCEPT = {Action.SAMPLE: "sampling", Action.ELICIT: "elicitation", Action.LIST_ROOTS: "roots"}

_MALFORMED = Reason(code=ReasonCode.BAD_OUTPUT, text="malformed input requests")
_SERVER_ERROR = -32000
"""JSON-RPC code of an outcome that the gateway made of an answer that may not pass."""


class GovernRequests:
    """The corridor for requests that an upstream initiates: admit, label, decide, authorize, ask, settle."""

    def __init__(
        self,
        *,
        admit: Admit,
        label: Label,
        settle: Settle,
        refuse: Refuse,
        ids: Ids,
        revision: Callable[[], ActiveRevision],
    ) -> None:
        self._admit = admit
        self._label = label
        self._settle = settle
        self._refuse = refuse
        self._ids = ids
        self._revision = revision

    async def __call__(
        self, permit: Permit, method: str, params: Mapping[str, Any], exchange: Exchange
    ) -> Mapping[str, Any]:
        """Ask the caller on the server's behalf.

        Raises `ToolwardError`, which is on record, when the caller may not be asked.
        """
        revision = self._revision()
        try:
            asked = self._permit(permit, method, params, revision)
        except ToolwardError as refusal:
            await self._record(permit, method, params, refusal, revision)
            raise
        intent = Intent(call_id=asked.labelled.call.call_id, log_index=-1, merged=True)
        outcome: RawOutcome
        try:
            answer = await exchange.request(method, params)
            outcome = Returned(result=answer, size_bytes=0)
        except Denied as refusal:
            outcome = Failed(code=-32601, message=str(refusal), reason=refusal.reason.code.value)
        reply = await self._settle(asked, intent, outcome, revision=revision)
        if reply.result is None:
            raise Denied(f"the caller can not answer `{method}`", code=ReasonCode.REQUEST_NOT_ACCEPTED)
        return reply.result

    def review(self, permit: Permit, outcome: RawOutcome) -> RawOutcome:
        """An `input_required` result may pass only if every request in it is accepted and allowed."""
        if not isinstance(outcome, Returned) or outcome.result.get("resultType") != "input_required":
            return outcome
        requests = outcome.result.get("inputRequests") or {}
        if not isinstance(requests, Mapping):
            return _failed(_MALFORMED)
        try:
            for request in requests.values():
                self._permit(permit, str(request["method"]), request.get("params") or {}, self._revision())
        except ToolwardError as refusal:  # whatever it is: the tool has run, and its outcome must be settled
            return _failed(refusal.reason)
        except (KeyError, TypeError, AttributeError):
            return _failed(_MALFORMED)
        return outcome

    async def _record(
        self,
        parent: Permit,
        method: str,
        params: Mapping[str, Any],
        refusal: ToolwardError,
        revision: ActiveRevision,
    ) -> None:
        action = _action(method)
        if action is not None:  # what is no request of a server never gets here from an adapter
            await self._refuse(_attempt(parent, action, params), None, refusal, revision)

    def _permit(
        self, parent: Permit, method: str, params: Mapping[str, Any], revision: ActiveRevision
    ) -> Permit:
        call, server = parent.labelled.call, parent.labelled.resolved.server
        binding = revision.binding(server)
        action = _action(method)
        if action is None or binding is None or _ACCEPT[action] not in binding.accepts:
            raise Denied(
                f"`{server}` asked for `{method[:100]}`, which its entry in toolward.yaml does not accept",
                code=ReasonCode.REQUEST_NOT_ACCEPTED,
                remedy=f"the operator can add it under servers.{server}.accepts",
            )
        asked = self._admit(_attempt(parent, action, params), call.session)
        step = parent.labelled.resolved.step
        resolved = ResolvedCall(call=asked, server=server, name=method, version=None, state=None, step=step)
        labelled = self._label(resolved, revision)
        return authorize(labelled, decide(labelled, revision), ids=self._ids)


def _failed(reason: Reason) -> Failed:
    return Failed(code=_SERVER_ERROR, message=reason.text, reason=reason.code.value, data=reason.as_json())


def _action(method: str) -> Action | None:
    return next((each for each in _ACCEPT if each.value == method), None)


def _attempt(parent: Permit, action: Action, params: Mapping[str, Any]) -> Attempt:
    """What the server asks, as an attempt in the session of the call that it belongs to."""
    call = parent.labelled.call
    return Attempt(
        principal=call.session.principal,
        session_id=call.session.session_id,
        action=action,
        params=params,
        server=parent.labelled.resolved.server,
        era=call.era,
        door=call.door,
    )
