"""First contact: whether a stdio server speaks the stateless era, and what a failed opening says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

from toolward.adapters.tools.mcp.link import Link
from toolward.adapters.tools.mcp.wire import UNSUPPORTED_PROTOCOL, Ended
from toolward.errors import ReasonCode
from toolward.model.call import Failed, Stopped

PROBE_S: Final = 10.0
"""How long `server/discover` may stay without an answer before anything is concluded from that."""
AFTER_PING_S: Final = 2.0
"""How long it may stay so once a later ping was answered."""


async def discovered(link: Link) -> None:
    """Discover, however slowly the server starts. Raises `Ended`, `TimeoutError` when it is ignored.

    Being slow says nothing of the era, and definitions may differ between eras: so only a server that
    answers a later ping and still not this is taken to ignore it.
    """
    async with asyncio.TaskGroup() as group:
        hello = group.create_task(_caught(link.say_hello()))
        if not (await asyncio.wait([hello], timeout=PROBE_S))[0]:
            ping = group.create_task(_caught(link.ask("ping", {})))
            _ = await asyncio.wait([hello, ping], return_when=asyncio.FIRST_COMPLETED)
            _ = await asyncio.wait([hello], timeout=AFTER_PING_S)
            _ = ping.cancel()
        late = hello.cancel()
    if late:
        raise TimeoutError
    if (ended := hello.result()) is not None:
        raise ended


async def _caught(work: Awaitable[Any]) -> Ended | None:
    try:
        _ = await work
    except Ended as ended:
        return ended
    return None


def is_unreachable(ended: Ended) -> bool:
    """Whether it was an outage, which says nothing of the era."""
    outcome = ended.outcome
    if isinstance(outcome, Stopped):
        return outcome.reason == ReasonCode.UNKNOWN_OUTCOME.value
    return outcome.reason == ReasonCode.EGRESS_DENIED.value or outcome.message.startswith("no connection")


def is_refusal(ended: Ended) -> bool:
    """Whether a server answered that it does not speak this era."""
    outcome = ended.outcome
    if not isinstance(outcome, Failed):
        return True
    return outcome.code == UNSUPPORTED_PROTOCOL or outcome.reason == ReasonCode.TOOL_FAILED.value
