"""What a manifest wants of the cage is kept, and what held a call is on its record and its receipt."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.harness import WARD, code_of, open_world, tool

from toolward.model.capability import IsolationLevel

WANTS = """
server: files
min_isolation: namespaces
tools:
  read: {effect: read_only, egress: false, arguments: {path: {kind: path}}}
"""


@pytest.mark.parametrize(
    ("reached", "code"),
    [
        (IsolationLevel.NONE, "isolation_too_weak"),
        (IsolationLevel.LANDLOCK, "isolation_too_weak"),
        (IsolationLevel.REMOTE, "isolation_too_weak"),
        (IsolationLevel.NAMESPACES, None),
        (IsolationLevel.OWN_KERNEL, None),
    ],
)
async def test_a_call_below_the_isolation_that_its_manifest_wants_is_denied(
    tmp_path: Path, reached: IsolationLevel, code: str | None
) -> None:
    async with open_world(tmp_path, files={"tools/files.yaml": WANTS}) as world:
        world.upstreams.tiers["files"] = reached
        reply = await world.call(await world.session(), "files/read", {"path": "/data/a"})
        assert (code_of(reply) if reply.error else None) == code
        assert bool(world.upstreams.ran) is not bool(code)


async def test_a_call_that_would_share_its_process_more_widely_than_wanted_is_denied(tmp_path: Path) -> None:
    files = {"tools/files.yaml": WANTS.replace("min_isolation: namespaces", "min_scope: session")}
    async with open_world(tmp_path / "own", files=files) as world:
        assert (await world.call(await world.session(), "files/read", {"path": "/data/a"})).error is None
    shared = {**files, "toolward.yaml": WARD.replace("    roots:", "    stateless: true\n    roots:")}
    async with open_world(tmp_path / "shared", files=shared) as world:
        reply = await world.call(await world.session(), "files/read", {"path": "/data/a"})
        assert code_of(reply) == "isolation_too_weak"


async def test_the_record_and_the_receipt_say_what_held_the_call(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.upstreams.tiers["files"] = IsolationLevel.NAMESPACES
        reply = await world.call(await world.session(), "files/read", {"path": "/data/a"})
        assert reply.receipt is not None
        assert (reply.receipt["isolation"], reply.receipt["scope"]) == ("namespaces", "session")
        record = world.records()[-1]
        assert (record["isolation"], record["scope"]) == ("namespaces", "session")


async def test_two_servers_of_one_program_have_tools_of_their_own(tmp_path: Path) -> None:
    """They list the same under the same command; what differs is what each may touch."""
    tools = {"files": [tool("other")], "mail": [tool("other")]}
    async with open_world(tmp_path, tools=tools) as world:
        keys = {pin.key for pin in world.house.parts.registry.pins()}
        assert keys == {"files/other", "mail/other"}
