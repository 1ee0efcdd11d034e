"""Who may ask why: explaining with a session's memory tells what that session has read."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.harness import OPERATOR, open_world

from toolward.errors import Rejected
from toolward.governance.desk import invoke
from toolward.model.principal import CredentialKind, Principal

LOCAL = Principal(user="alice", agent="local", credential="os:alice", kind=CredentialKind.OS_USER)


async def test_what_a_session_has_read_is_told_to_people_only(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        session = await world.session()
        world.upstreams.answers["files/read_secret"] = "the code is zx-81-7734"
        await world.call(session, "files/read_secret")
        guess = {"tool": "mail/fetch", "arguments": {"url": "zx-81-7734"}}
        told = await invoke(world.house.desk, "explain", {**guess, "session": session}, OPERATOR)
        assert told["arguments"][0]["sources"] == ["result " + world.records("call.merged")[-1]["call_id"]]
        with pytest.raises(Rejected, match="person"):
            await invoke(world.house.desk, "explain", {**guess, "session": session}, LOCAL)
        plain = await invoke(world.house.desk, "explain", guess, LOCAL)
        assert plain["arguments"][0]["sources"] == ["model"]
