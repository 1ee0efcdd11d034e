"""A call that waits for a person, in the era without sessions: `input_required` with a page to go to.

The state that travels through the client holds what it had sent for the server, whose place it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import Struct

from toolward.doors.mcp.asking import ELICIT, Asked, url_elicitation
from toolward.doors.mcp.replies import with_meta
from toolward.doors.mcp.wire import Json
from toolward.model.call import Reply
from toolward.rules.canonical import canonical

INPUT_KEY = "dev.toolward/approval"
"""Under which the client's answer comes back; it says only whether its user was willing to look."""
_RETRY = ("requestState", "inputResponses")


class Waited(Struct, frozen=True):
    """A client that was sent to the page has come back."""

    willing: bool


def open_own(state: str, params: Mapping[str, Any]) -> tuple[Mapping[str, Any], Waited]:
    """What the upstream may have of a retry: what the client had sent before we asked, nothing of ours."""
    kept = orjson.loads(state)
    answers = params.get("inputResponses")
    answer = answers.get(INPUT_KEY) if isinstance(answers, Mapping) else None
    action = answer.get("action") if isinstance(answer, Mapping) else "accept"
    clean = {name: value for name, value in params.items() if name not in _RETRY}
    return {**clean, **kept["retry"]}, Waited(action == "accept")


def own_state(asked: Asked, params: Mapping[str, Any]) -> str:
    """What is sealed: the approval, and the retry that a server may be waiting for."""
    retry = {name: params[name] for name in _RETRY if name in params}
    return canonical({"approval": asked.approval, "retry": retry}).decode()


def input_required(reply: Reply, asked: Asked, sealed: str, *, again: bool) -> Json:
    """The result. Once the user was sent to the page, the client is only asked to come `again`."""
    result: Json = {"resultType": "input_required", "requestState": sealed}
    if not again:
        params = url_elicitation(asked.approval, asked.reason, asked.url, with_id=False)
        result["inputRequests"] = {INPUT_KEY: {"method": ELICIT, "params": params}}
    return with_meta(result, reply.receipt)
