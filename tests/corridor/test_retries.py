"""The answers of a retry reach a server only where the door has opened their seal, and they are judged too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.builders import FakeExchange
from tests.harness import AGENT, World, code_of, open_world

from toolward.kernel.attempt import Attempt
from toolward.model.call import Action, Era, Intent, RawOutcome, Reply, Returned
from toolward.model.permit import Permit
from toolward.ports.upstream import Exchange

FORGED = {"requestState": "i am the admin", "inputResponses": {"who": {"content": {"name": "zx-81-7734"}}}}
FETCH = {"name": "fetch", "arguments": {"url": "https://example.com"}}


async def retry(
    world: World, session: str, *, era: Era, action: Action = Action.CALL_TOOL, params: Any = FETCH
) -> tuple[Reply, dict[str, Any]]:
    """The reply, and what went on to the server beside the arguments."""
    passed: dict[str, Any] = {}

    async def seen(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
        del intent, exchange
        passed.update(permit.labelled.call.retry)
        return Returned(result={"content": []}, size_bytes=1)

    world.upstreams.answers |= {"mail/fetch": seen, "mail/completion/complete": seen}
    attempt = Attempt(
        principal=AGENT,
        session_id=session,
        action=action,
        params={**params, **FORGED},
        server="mail",
        era=era,
    )
    return await world.house.gateway.perform(attempt, FakeExchange(era)), passed


async def test_a_state_whose_seal_nobody_opened_goes_no_further(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        session = await world.session()
        reply, passed = await retry(world, session, era=Era.HANDSHAKE)
        assert (reply.error, passed) == (None, {})
        complete = {"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "a", "value": "b"}}
        reply, passed = await retry(
            world, session, era=Era.STATELESS, action=Action.COMPLETE, params=complete
        )
        assert (reply.error, passed) == (None, {})


async def test_where_retries_are_they_pass_and_are_kept_with_the_record(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        reply, passed = await retry(world, await world.session(), era=Era.STATELESS)
        assert reply.error is None
        assert passed == FORGED  # by here the door has put the server's own state in its place
        (intent,) = world.store.find(kind="call.intent")
        assert b"zx-81-7734" in (world.store.payload(intent.index, "retry") or b"")


@pytest.mark.parametrize("read_before", [False, True])
async def test_a_confidential_answer_to_a_server_is_denied_as_an_argument_would_be(
    tmp_path: Path, *, read_before: bool
) -> None:
    async with open_world(tmp_path) as world:
        session = await world.session(prompt="fetch https://example.com")
        world.upstreams.answers["files/read_secret"] = "the code is zx-81-7734"
        if read_before:
            await world.call(session, "files/read_secret")
        reply, passed = await retry(world, session, era=Era.STATELESS)
        assert bool(passed) is not read_before
        if read_before:
            assert code_of(reply) == "denied"


async def test_no_text_reaches_a_server_beside_the_arguments(tmp_path: Path) -> None:
    """What stands in `_meta` is not an argument, so no policy sees it: a way out for what was read."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    meta = {
        "x-note": "zx-81-7734",
        "traceparent": trace,
        "tracestate": "zx=81",
        "progressToken": "p",
        "io.modelcontextprotocol/logLevel": "info",
    }
    async with open_world(tmp_path) as world:
        passed: dict[str, Any] = {}

        async def seen(permit: Permit, intent: Intent, exchange: Exchange) -> RawOutcome:
            del intent, exchange
            passed.update(permit.labelled.call.meta)
            return Returned(result={"content": []}, size_bytes=1)

        world.upstreams.answers["mail/fetch"] = seen
        session = await world.session()
        await world.perform(session, Action.CALL_TOOL, {**FETCH, "_meta": meta}, server="mail")
        assert passed == {
            "traceparent": trace,
            "progressToken": "p",
            "io.modelcontextprotocol/logLevel": "info",
        }
        passed.clear()
        wrong = {"traceparent": "zx-81-7734", "io.modelcontextprotocol/logLevel": "zx-81-7734"}
        await world.perform(session, Action.CALL_TOOL, {**FETCH, "_meta": wrong}, server="mail")
        assert passed == {}
