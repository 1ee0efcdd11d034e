"""What a call would do, for who has to agree to it: a reading tool that its manifest names is asked.

The preview walks the corridor as a principal of its own, in a session of its own. It never asks people: what
is not simply allowed to read is not shown. What it says is the server's word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from toolward.errors import ToolwardError
from toolward.governance.desk.context import Desk
from toolward.kernel.attempt import Attempt
from toolward.kernel.quiet import QuietExchange
from toolward.kernel.stages.decide import decide
from toolward.model.approval import Approval, ApprovalState
from toolward.model.call import Action, Era
from toolward.model.decision import Allow
from toolward.model.principal import CredentialKind, Principal
from toolward.model.session import SessionOrigin
from toolward.model.tool import Effect
from toolward.model.undo import ToolUse

AGENT: Final = "toolward-preview"
"""As records and policies name it."""
_OPEN: Final = frozenset({ApprovalState.PENDING, ApprovalState.APPROVED})
_NOTHING: Final = object()


async def preview_of(desk: Desk, approval: Approval) -> dict[str, Any] | None:
    """`{"tool", "result"}` or `{"tool", "why_not"}`; None where the tool has no preview, or all is over."""
    ground = desk.parts.approvals.ground
    version = desk.parts.registry.version(approval.version) if approval.version else None
    undo = version.manifest.undo if version is not None else None
    stored = ground.arguments(approval) if undo is not None and undo.preview is not None else None
    if undo is None or undo.preview is None or stored is None or ground.state(approval) not in _OPEN:
        return None
    tool = f"{approval.tool.partition('/')[0]}/{undo.preview.tool}"
    try:
        reply = await _asked(desk, tool, _arguments(undo.preview, orjson.loads(stored)), approval)
    except ToolwardError as error:
        return {"tool": tool, "why_not": error.reason.text}
    except LookupError as error:
        return {"tool": tool, "why_not": f"the manifest's {error} leads nowhere in these arguments"}
    return {"tool": tool, **reply}


async def _asked(desk: Desk, tool: str, arguments: Mapping[str, Any], approval: Approval) -> dict[str, Any]:
    principal = Principal(
        user=approval.asker,
        agent=AGENT,
        roles=tuple(approval.call["principal"]["roles"]),
        credential=AGENT,
        kind=CredentialKind.IN_PROCESS,
    )
    session = await desk.gateway.open_session(principal, SessionOrigin.HANDLE)
    server, _, name = tool.partition("/")
    attempt = Attempt(
        principal=principal,
        session_id=session.session_id,
        action=Action.CALL_TOOL,
        params={"name": name, "arguments": arguments},
        server=server,
        era=Era.STATELESS,
        door="preview",
    )
    try:
        if (why_not := await _why_not(desk, attempt)) is not None:
            return {"why_not": why_not}
        reply = await desk.gateway.perform(attempt, QuietExchange())
    finally:
        await desk.gateway.close_session(session.session_id)
    if reply.error is not None:
        return {"why_not": reply.error.message}
    return {"result": reply.result}


async def _why_not(desk: Desk, attempt: Attempt) -> str | None:
    """Why this preview is not even tried; None where it only reads and is simply allowed."""
    parts, revision = desk.parts, desk.revision()
    session = parts.sessions.find(attempt.session_id, attempt.principal)
    resolved = await parts.resolve(parts.admit(attempt, session), revision)
    manifest = resolved.version.manifest if resolved.version is not None else None
    if manifest is None or manifest.effect is not Effect.READ_ONLY or manifest.egress:
        return "the tool for previews does more than read"
    decision = decide(parts.label(resolved, revision), revision)
    return None if isinstance(decision, Allow) else "no policy simply allows the preview"


def _arguments(use: ToolUse, given: Mapping[str, Any]) -> dict[str, Any]:
    """Each a literal (`{"value": …}`) or what a pointer `/input/…` names. Raises `LookupError`."""
    return {
        name: said["value"] if isinstance(said, Mapping) else _named(str(said), {"input": given})
        for name, said in use.arguments.items()
    }


def _named(pointer: str, value: Any) -> Any:
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping):
            value = value.get(key, _NOTHING)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            value = _NOTHING
        if value is _NOTHING:
            raise LookupError(f"`{pointer[:200]}`")
    return value
