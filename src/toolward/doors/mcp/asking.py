"""An Ask on its way to an agent: where a person answers it, in words, in data and as an elicitation.

Sources: MCP 2025-11-25, client/elicitation (URL mode, `elicitationId`, `notifications/elicitation/complete`);
MCP 2026-07-28, SEP-2322 (URL mode without an id, inside `input_required`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import Struct
from msgspec.structs import replace

from toolward.doors.mcp.boundary import Headers
from toolward.doors.mcp.wire import Json
from toolward.errors import ReasonCode as Code
from toolward.model.call import Action, Reply
from toolward.model.tool import ToolVersion

ELICIT = "elicitation/create"
ELICITED = "notifications/elicitation/complete"


class Asked(Struct, frozen=True):
    """What a reply says of the approval that its call waits for."""

    approval: str
    url: str
    expires: str
    reason: str

    def as_json(self) -> Json:
        """For programs: in `_meta` and `structuredContent`."""
        out = {"approval": self.approval, "url": self.url, "expires": self.expires}
        return {name: value for name, value in out.items() if value}


def asked_of(reply: Reply, action: Action, approvals_url: str) -> Asked | None:
    """The approval that a tool call waits for, or None where it waits for none."""
    if reply.error is None or action is not Action.CALL_TOOL:
        return None
    data = reply.error.data
    if not isinstance(data, Mapping):
        return None
    details = data.get("details")
    if data.get("code") != Code.APPROVAL_REQUIRED.value or not isinstance(details, Mapping):
        return None
    approval = str(details.get("approval", ""))
    if not approval:
        return None
    return Asked(
        approval,
        page_of(approval, approvals_url),
        str(details.get("expires", "")),
        str(data.get("reason", "")),
    )


def page_of(approval: str, approvals_url: str) -> str:
    """The approval's own page, or nothing where no page is served."""
    return f"{approvals_url}/{approval}" if approvals_url else ""


def with_page(reply: Reply, asked: Asked) -> Reply:
    """The reply whose words and data say where a person answers."""
    error = reply.error
    if error is None or not asked.url:
        return reply
    until = f" until {asked.expires}" if asked.expires else ""
    remedy = f"a person answers at {asked.url}{until}; then make the same call again"
    data = {**error.data, "remedy": remedy, "approval": asked.as_json()}
    return replace(reply, error=replace(error, data=data))


def add_structured(result: Json, asked: Asked, version: ToolVersion | None) -> None:
    """The approval as `structuredContent` too, unless the tool has promised something else to stand there."""
    if version is not None and orjson.loads(version.definition).get("outputSchema") is None:
        result["structuredContent"] = {"approval": asked.as_json()}


def url_elicitation(approval: str, reason: str, url: str, *, with_id: bool) -> Json:
    """Params of `elicitation/create` in URL mode."""
    params: Json = {"mode": "url", "message": f"A person has to agree to this call: {reason}", "url": url}
    if with_id:
        params["elicitationId"] = approval
    return params


def takes_url(capabilities: Mapping[str, Any]) -> bool:
    """Whether the client declared that it can send its user to a page."""
    elicitation = capabilities.get("elicitation")
    return isinstance(elicitation, Mapping) and isinstance(elicitation.get("url"), Mapping)


def patience(headers: Headers, hold_s: float) -> float:
    """How long this caller is kept waiting: what we hold at most, less if it says so (RFC 7240, 4.3)."""
    wishes = headers.get(b"prefer")
    if not wishes:
        return hold_s
    for preference in wishes.split(b","):
        name, _, value = preference.partition(b";")[0].partition(b"=")
        seconds = value.strip(b' \t"')
        if name.strip().lower() == b"wait" and seconds.isdigit() and len(seconds) < _DIGITS_MAX:
            return min(hold_s, float(seconds))
    return hold_s


_DIGITS_MAX = 10
