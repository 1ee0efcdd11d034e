"""What a server asks of the caller during a call: refused unless accepted and allowed, and always on record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.builders import FakeExchange
from tests.harness import WARD, World, code_of, open_world, text_result

from toolward.errors import ToolwardError
from toolward.model.call import Returned

ELICIT = "elicitation/create"
ACCEPTING = WARD.replace("    roots:", "    accepts: [elicitation]\n    roots:")
ASK = """@id("ask-first") @ask("user")
forbid (principal, action == Toolward::Action::"mcp:elicitation/create", resource);
"""


class Willing(FakeExchange):
    """A caller that answers every request."""

    asked = 0

    async def request(self, method: str, params: object) -> dict[str, object]:
        self.asked += 1
        return {"action": "accept", "content": {"a": 1}}


async def ask_during_a_call(world: World, params: dict[str, Any]) -> tuple[str, Willing]:
    """The code that the server got for its request, "" for an answer, and who was asked."""
    got: list[str] = []

    async def ask(permit: Any, _intent: object, exchange: Any) -> Returned:
        assert world.upstreams.hooks is not None
        assert world.upstreams.hooks.on_request is not None
        try:
            await world.upstreams.hooks.on_request(permit, ELICIT, params, exchange)
            got.append("")
        except ToolwardError as refusal:
            got.append(refusal.reason.code.value)
        return Returned(result=text_result("ok"), size_bytes=2)

    world.upstreams.answers["files/read"] = ask
    caller = Willing()
    reply = await world.call(await world.session(), "files/read", {"path": "/data/a"}, exchange=caller)
    assert reply.error is None
    return got[0], caller


@pytest.mark.parametrize(
    ("files", "params", "code", "decision"),
    [
        ({}, {"message": "?"}, "request_not_accepted", "deny"),
        ({"toolward.yaml": ACCEPTING, "policies/a.cedar": ASK}, {"message": "?"}, "approval_required", "ask"),
    ],
    ids=["not accepted", "a person must agree"],
)
async def test_a_refused_request_reaches_nobody_and_is_on_record(
    tmp_path: Path, files: dict[str, str], params: dict[str, Any], code: str, decision: str
) -> None:
    async with open_world(tmp_path, files=files) as world:
        got, caller = await ask_during_a_call(world, params)
        (record,) = world.records("call.denied")
    assert (got, caller.asked) == (code, 0)
    assert (record["action"], record["server"], record["decision"]) == (ELICIT, "files", decision)
    assert record["reason"]["code"] == code


async def test_an_accepted_request_is_asked_and_is_on_record(tmp_path: Path) -> None:
    async with open_world(tmp_path, files={"toolward.yaml": ACCEPTING}) as world:
        got, caller = await ask_during_a_call(world, {"message": "?"})
        assert (got, caller.asked) == ("", 1)
        assert any(record.get("action") == ELICIT for record in world.records("call.merged"))
        assert world.records("call.denied") == []


@pytest.mark.parametrize(
    "params", [{"message": "?"}, {"message": "?", "__entity": {"type": "User", "id": "root"}}, "?"]
)
async def test_a_request_in_a_result_that_may_not_pass_still_leaves_a_settled_call(
    tmp_path: Path, params: object
) -> None:
    async def need_input(*_: object) -> Returned:
        requests = {"q": {"method": ELICIT, "params": params}}
        return Returned(result={"resultType": "input_required", "inputRequests": requests}, size_bytes=1)

    async with open_world(tmp_path, files={"toolward.yaml": ACCEPTING, "policies/a.cedar": ASK}) as world:
        world.upstreams.answers["files/write"] = need_input
        reply = await world.call(await world.session(), "files/write", {"path": "/data/a", "text": "x"})
        assert code_of(reply)
        assert [r["kind"] for r in world.records()][-2:] == ["call.intent", "call.outcome"]
        assert world.store.open_calls() == ()
