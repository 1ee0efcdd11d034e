"""A world with two versions of one tool beside each other: `files`, and its variant `files@next`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.harness import MANIFESTS, OPERATOR, WARD, World, code_of, default_tools, open_world, tool
from toolward.adapters.stores.memory import MemoryStore
from toolward.governance.desk import invoke
from toolward.model.call import Reply
from toolward.model.principal import Principal

NEXT_WARD = WARD.replace(
    "    command: never-started\n    roots",
    "    command: never-started\n    variants:\n      next: {command: never-started-either}\n    roots",
)
READ = "files/read"


def next_tools() -> dict[str, list[dict[str, Any]]]:
    """The tools of both, with another `read` in the variant."""
    tools = default_tools()
    tools["files@next"] = [tool("read", "path", description="the next one"), *tools["files"][1:]]
    return tools


@asynccontextmanager
async def versions_world(
    folder: Path,
    *,
    files: Mapping[str, str] | None = None,
    store: MemoryStore | None = None,
    tools: dict[str, list[dict[str, Any]]] | None = None,
    approved: bool = True,
) -> AsyncIterator[World]:
    """Version 1 of everything is approved, and the variant's tools are offered."""
    said = {
        "toolward.yaml": NEXT_WARD,
        **{f"tools/{k}.yaml": v for k, v in MANIFESTS.items()},
        **(files or {}),
    }
    async with open_world(
        folder, files=said, tools=tools or next_tools(), store=store, approved=approved
    ) as world:
        world.upstreams.answers.update({READ: "first", "files@next/read": "next"})
        world.clock.advance(1)
        yield world


def offer(world: World, key: str = READ) -> str:
    """The digest of what the variant offers."""
    pin = world.house.parts.registry.pin(key)
    assert pin is not None
    (digest,) = pin.offers
    return digest


async def read(world: World, session: str, **who: Any) -> str:
    """What a call of `files/read` answers: the text, or the code of the refusal."""
    reply: Reply = await world.call(session, READ, {"path": "/data/a"}, **who)
    if reply.error is not None:
        return code_of(reply) if reply.error.data else reply.error.message
    assert reply.result is not None
    return str(reply.result["content"][0]["text"])


async def desk(world: World, verb: str, by: Principal = OPERATOR, **parameters: Any) -> Any:
    """A verb of the desk; a second passes, so that what is opened next is opened later."""
    world.clock.advance(1)
    answer = await invoke(world.house.desk, verb, parameters, by)
    world.clock.advance(1)
    return answer


async def approve_next(world: World) -> str:
    """Pin the variant's version; returns its digest."""
    digest = offer(world)
    await desk(world, "tools.approve", tools=[{"tool": READ, "digest": digest}])
    return digest
